"""The fuzzer itself: its samples are valid, and its mutations are decided by their seed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sciddm.errors import SciddmError
from tests.fuzz.corpus import SAMPLES, Sample
from tests.fuzz.kills import KINDS, kill_writers
from tests.fuzz.mutations import mutate
from tests.fuzz.readers import READERS
from tests.fuzz.seeds import SEEDS, Seed, seed_samples


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_is_read(sample: Sample, tmp_path: Path) -> None:
    sample.write(tmp_path)
    READERS[sample.read](tmp_path / sample.main)


@pytest.mark.parametrize(
    ("seed", "sample"), list(zip(SEEDS, seed_samples(), strict=True)), ids=[s.name for s in SEEDS]
)
def test_a_fault_has_its_answer(
    seed: Seed, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIDDM_ISOLATION", "on")  # some of them end the process that reads them
    monkeypatch.chdir(tmp_path)
    inner = tmp_path / "inner"
    inner.mkdir()
    sample.write(inner)
    try:
        READERS[sample.read](inner / sample.main)
        answer = ""
    except SciddmError as error:
        answer = str(error)
    assert "\n" not in answer
    assert re.search(seed.words, answer) if seed.words else answer == ""
    assert not (tmp_path / "mark").exists()


def test_every_reader_has_a_sample() -> None:
    assert {sample.read for sample in SAMPLES} == set(READERS)


def test_a_seed_decides_the_mutation(tmp_path: Path) -> None:
    contents = set()
    for folder in ("one", "two"):
        place = tmp_path / folder
        place.mkdir()
        (place / "a.json").write_text('{"a": [1, 2, {"b": 3}], "c": 4}')
        told = [mutate(place, "a.json", np.random.default_rng([1, 0]))]
        contents.add((str(told), (place / "a.json").read_bytes()))
    assert len(contents) == 1


def test_killed_writers_leave_the_old_or_the_new() -> None:
    ended = kill_writers(len(KINDS))
    assert ended["torn"] == 0
    assert ended["old"] + ended["new"] == len(KINDS)
