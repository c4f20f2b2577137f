"""Names of outputs, made of those of inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciddm.pipelines.engine.batch import stem

SUFFIXES = (".nii", ".nii.gz", ".gz")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii.gz", "a"),
        ("a.b.NII", "a.b"),
        ("a.txt", "a"),
        # A name that is nothing but a suffix keeps what stands before the last dot.
        (".nii.gz", ".nii"),
        (".gz", ".gz"),
    ],
)
def test_the_longest_suffix_goes_and_never_the_whole_name(name, expected):
    assert stem(Path(name), SUFFIXES) == expected
