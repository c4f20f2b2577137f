"""Lists of files and folders in folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciddm.errors import InputError
from sciddm.pipelines.engine.batch import plan
from sciddm.pipelines.engine.inputs import with_lists

FORMATS = {"read": (".h5", ".zarr"), "written": (".nii.gz",), "suffix": ".nii.gz"}


def test_a_list_stands_for_its_lines(tmp_path: Path) -> None:
    names = tmp_path / "list.txt"
    names.write_text("\ufeffa b.h5\n\n# a remark\n  c.h5  \nwerkstück.h5\n", encoding="utf-8")
    paths, any_list = with_lists([Path("x.h5"), Path(f"@{names}")])
    assert any_list
    assert paths == [Path("x.h5"), Path("a b.h5"), Path("c.h5"), Path("werkstück.h5")]
    assert with_lists([Path("x.h5")]) == ([Path("x.h5")], False)


def test_lists_that_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match=r"empty.txt: the list is empty"):
        with_lists([Path("@empty.txt")])
    with pytest.raises(InputError, match=r"missing.txt: the list cannot be read"):
        with_lists([Path("@missing.txt")])
    Path("@home.h5").touch()
    assert with_lists([Path("@home.h5")]) == ([Path("@home.h5")], False)


def tree(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_outputs_mirror_the_folders_of_their_inputs(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    tree(inside, "a.h5", "p1/a.h5", "p1/day 2/a.h5", "p1/.hidden/x.h5", "p2/notes.txt")
    tree(inside, "p2/series.v1/slice", "p2/s.zarr/zarr.json", "out/old.h5")
    (inside / "p2" / "back").symlink_to(inside)
    planned = plan(
        [inside],
        inside / "out",
        **FORMATS,
        whole=lambda folder: (folder / "slice").exists(),
        recursive=True,
    )
    targets = [str(job.target.relative_to(inside / "out")) for job in planned.jobs]
    assert targets == [
        "a.nii.gz",
        "p1/a.nii.gz",
        "p1/day 2/a.nii.gz",
        "p2/s.nii.gz",
        "p2/series.v1.nii.gz",
    ]


def test_names_that_differ_in_their_suffix_only_are_told_apart_in_their_folder(
    tmp_path: Path,
) -> None:
    tree(tmp_path / "in", "a.h5", "a.zarr/x", "deep/a.h5")
    planned = plan([tmp_path / "in"], tmp_path / "out", **FORMATS, recursive=True)
    targets = [str(job.target.relative_to(tmp_path / "out")) for job in planned.jobs]
    assert targets == ["a_h5.nii.gz", "a_zarr.nii.gz", "deep/a.nii.gz"]


def test_two_folders_with_the_same_names_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, "x/deep/a.h5", "y/deep/a.h5")
    with pytest.raises(InputError, match="would both be written"):
        plan([tmp_path / "x", tmp_path / "y"], tmp_path / "out", **FORMATS, recursive=True)


def test_a_folder_of_folders_names_the_option(tmp_path: Path) -> None:
    tree(tmp_path, "x/deep/a.h5")
    with pytest.raises(InputError, match=r"--recursive searches its subfolders"):
        plan([tmp_path / "x"], tmp_path / "out", **FORMATS)


def test_a_list_of_one_is_a_batch(tmp_path: Path) -> None:
    assert not plan([Path("a.h5")], tmp_path / "o.nii.gz", **FORMATS).batch
    planned = plan([Path("a.h5")], tmp_path / "out", **FORMATS, batch=True)
    assert planned.batch
    assert planned.jobs[0].target == tmp_path / "out" / "a.nii.gz"
