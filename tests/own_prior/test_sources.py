"""What a folder holds, which patient a file is of, and which patients train."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_makers import write_slices

from sciddm.errors import InputError, OptionError
from sciddm.pipelines.own_prior.prepared import Stack, prepare
from sciddm.pipelines.own_prior.sources import Kind, Source, grouped, sources_of
from sciddm.pipelines.own_prior.split import joined, parts_of

KIND = Kind("mri", (".npy",), modality="MR")


def folder_of(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.full((2, 4, 4), number, np.float32))
    return root


def groups(root: Path, rule: str | None = None, kind: Kind = KIND) -> tuple[str, dict[str, str]]:
    used, sources = grouped(root, sources_of(root, kind), kind, rule)
    return used, {s.name: s.group for s in sources}


def read(source: Source) -> Stack:
    return Stack(np.load(source.path), {"side_mm": 2.0})


@pytest.mark.parametrize(
    ("names", "rule", "expected"),
    [
        # Two series of a patient stay together, whatever the files are called.
        (["p1/a.npy", "p1/b.npy", "p2/a.npy"], "folder", ["p1", "p1", "p2"]),
        # The folder that all share tells nothing.
        (["nii/p1/x/a.npy", "nii/p2/y/a.npy"], "folder", ["p1", "p2"]),
        (["p1_t1.npy", "p1_t2.npy", "p2_t1.npy"], "stem", ["p1", "p1", "p2"]),
        (["sub-01_ses-1_T1w.npy", "sub-02_ses-1_T1w.npy"], "stem", ["sub-01", "sub-02"]),
        (["case1.npy", "case2.npy"], "stem", ["case1", "case2"]),
    ],
)
def test_files_of_a_patient_share_its_group(tmp_path, names, rule, expected):
    used, found = groups(folder_of(tmp_path, *names))
    assert used == rule
    assert list(found.values()) == expected


def test_series_are_of_their_patient_wherever_they_lie(tmp_path):
    for place, patient in (("scan1", "P1"), ("scan2", "P1"), ("more/scan3", "P2")):
        write_slices(tmp_path / place, PatientID=patient)
    used, found = groups(tmp_path, kind=Kind("ct", (), modality="CT"))
    assert used == "patient"
    assert found == {"scan1": "P1", "scan2": "P1", "more/scan3": "P2"}
    write_slices(tmp_path / "scan4", PatientID="")
    used, found = groups(tmp_path, kind=Kind("ct", (), modality="CT"))
    assert used == "folder"
    with pytest.raises(InputError, match="not every file has a PatientID"):
        groups(tmp_path, "patient", Kind("ct", (), modality="CT"))


def test_slices_of_one_patient_are_not_taken_for_patients(tmp_path):
    root = folder_of(tmp_path, "img_001.npy", "img_002.npy")
    with pytest.raises(InputError, match=r"one patient.*--split-by file"):
        groups(root)
    assert groups(root, "file")[0] == "file"  # the user knows better
    alone = Kind("images", (".npy",), word="group", alone=True)
    assert groups(root, kind=alone)[0] == "file"


def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="empty: holds no files"):
        sources_of(empty, KIND)
    with pytest.raises(InputError, match="no such folder"):
        sources_of(tmp_path / "nowhere", KIND)
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "a.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"1 file \.wav, which --domain speech reads"):
        sources_of(sounds, KIND)
    one = folder_of(tmp_path / "one", "a.npy")
    with pytest.raises(InputError, match="one file only"):
        groups(one)
    with pytest.raises(OptionError, match="take one of"):
        groups(folder_of(tmp_path / "two", "a.npy", "b.npy"), "patients")


def test_a_group_is_in_one_part_and_stays_there_when_others_come():
    names = [f"p{k}" for k in range(40)]
    parts = parts_of(names)
    count = {part: sum(p == part for p in parts.values()) for part in ("train", "validate", "test")}
    assert count == {"train": 28, "validate": 6, "test": 6}
    assert parts == parts_of(list(reversed(names)) * 2)  # neither order nor files matter
    assert sorted(parts_of(["a", "b"]).values()) == ["train", "validate"]
    assert sorted(parts_of(["a", "b", "c", "d"]).values()) == ["test", "train", "train", "validate"]
    with pytest.raises(ValueError, match="1 groups"):
        parts_of(["a", "a"])


def test_groups_with_the_same_image_become_one():
    groups = {"1": "a", "2": "b", "3": "b", "4": "c", "5": "d"}
    digests = {"1": "x", "2": "x", "3": "y", "4": "y", "5": "z"}
    found = joined(groups, digests)
    assert found["1"] == found["2"] == found["3"] == found["4"] != found["5"]


def test_preparing_splits_by_patient_and_says_so(tmp_path):
    names = [f"p{k}_{c}.npy" for k in range(8) for c in ("t1", "t2")]
    root, run = folder_of(tmp_path / "in", *names), tmp_path / "run"
    prepared = prepare(root, run, KIND, read)
    by_part = {part: set(prepared.groups(part)) for part in ("train", "validate", "test")}
    assert [len(g) for g in by_part.values()] == [6, 1, 1]
    assert len(set.union(*by_part.values())) == 8  # none twice
    for entry in prepared.entries:
        assert (prepared.values(entry) == names.index(entry.file)).all()
        assert entry.about == {"side_mm": 2.0}
    told = (run / "split.json").read_text()
    assert "before its first underscore" in told
    assert '"p3_t2.npy"' in told
    assert prepare(root, run, KIND, read) == prepared
    folder_of(root, "p9_t1.npy")
    with pytest.raises(InputError, match="--fresh"):
        prepare(root, run, KIND, read)


def test_copies_of_one_patient_are_one_patient(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for name in ("a.npy", "b.npy"):
        np.save(root / name, np.ones((1, 4, 4), np.float32))
    with pytest.raises(InputError, match="the same data"):
        prepare(root, tmp_path / "run", KIND, read)


def test_links_are_followed_once(tmp_path):
    scans = folder_of(tmp_path / "scans", "p1/a.npy", "p2/a.npy")
    data = tmp_path / "data"
    data.mkdir()
    (data / "all").symlink_to(scans)
    (scans / "p1" / "back").symlink_to(data)  # a circle
    assert [s.name for s in sources_of(data, KIND)] == ["all/p1/a.npy", "all/p2/a.npy"]
    (data / "single.npy").symlink_to(scans / "p2" / "a.npy")
    assert groups(data, "file")[1]["single.npy"] == "single.npy"


def test_a_link_to_nothing_is_named(tmp_path):
    write_slices(tmp_path / "scan1", PatientID="P1")
    (tmp_path / "scan1" / "more").symlink_to("nowhere")
    kind = Kind("ct", (), modality="CT")
    with pytest.raises(InputError, match="more: a link to nowhere, which is not there"):
        sources_of(tmp_path, kind)


def test_a_pipe_beside_the_data_is_not_opened(tmp_path):
    folder_of(tmp_path, "p1.npy", "p2.npy")
    os.mkfifo(tmp_path / "queue")
    assert [s.name for s in sources_of(tmp_path, KIND)] == ["p1.npy", "p2.npy"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf8(tmp_path):
    data = folder_of(tmp_path / "data", *(f"\udcff{k}.npy" for k in range(3)))
    prepared = prepare(data, tmp_path / "run", KIND, read, "file")
    assert sorted(e.file for e in prepared.entries) == [f"\udcff{k}.npy" for k in range(3)]
    split = json.loads((tmp_path / "run" / "split.json").read_text(encoding="utf-8"))
    assert set(split["files"]) == {f"\udcff{k}.npy" for k in range(3)}
    assert prepare(data, tmp_path / "run", KIND, read, "file") == prepared
