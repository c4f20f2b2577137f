"""Unusable input to the real pipeline: exit code 2, one line, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from cli_helpers import Sciddm, everything, object_kspace, undersampled_scan, write_scan

from sciddm.physics.mri.masks import make_mask


def not_hdf5(path: Path) -> None:
    path.write_text("this is text")


def empty(path: Path) -> None:
    path.touch()


def truncated(path: Path) -> None:
    undersampled_scan(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def no_kspace(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["photograph"] = np.zeros((4, 4))


def not_a_number(path: Path) -> None:
    k = object_kspace()
    k[0, 1, 3, 4] = np.nan
    write_scan(path, k)


def other_mask(path: Path) -> None:
    k = object_kspace()
    write_scan(path, k, mask=np.ones(31, dtype=bool))


def no_calibration(path: Path) -> None:
    k = object_kspace()
    write_scan(path, k * make_mask("equispaced", k.shape[-2:], 4, 0, seed=0))


def nothing_sampled(path: Path) -> None:
    write_scan(path, np.zeros_like(object_kspace()))


def missing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (missing, "no such file"),
        (not_hdf5, "HDF5"),
        (empty, "empty"),
        (truncated, "truncated"),
        (no_kspace, "photograph"),
        (not_a_number, "NaN"),
        (other_mask, "mask"),
        (no_calibration, "calibration"),
        (nothing_sampled, ""),
    ],
)
@pytest.mark.parametrize("form", ["a.nii.gz", "a.h5"])
def test_unusable_scans(
    sciddm: Sciddm, tmp_path: Path, model: Path, make: Callable[[Path], None], said: str, form: str
) -> None:
    scan = tmp_path / "scan.h5"
    make(scan)
    before = everything(tmp_path)
    target = tmp_path / form
    answer = sciddm("mri", "reconstruct", scan, "-o", target, "--model", model, "--report")
    assert answer.code == 2, answer.err
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert answer.out == ""
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("shape", "said"),
    [((4, 32, 32), "4 coils"), ((3, 32, 30), "32 x 30"), ((2, 3, 32, 32), "2 slices")],
)
def test_maps_of_another_scan(
    sciddm: Sciddm, scan: Path, tmp_path: Path, model: Path, shape: tuple[int, ...], said: str
) -> None:
    maps = tmp_path / "maps.h5"
    with h5py.File(maps, "w") as file:
        file["maps"] = np.ones(shape, np.complex64)
    before = everything(tmp_path)
    words = ["-o", tmp_path / "a.nii.gz", "--maps", maps, "--model", model]
    answer = sciddm("mri", "reconstruct", scan, *words)
    assert answer.code == 2, answer.err
    assert answer.err.count("\n") == 1
    assert "maps.h5" in answer.err
    assert said in answer.err
    assert everything(tmp_path) == before


def test_more_calibration_lines_than_the_acceleration_leaves(
    sciddm: Sciddm, tmp_path: Path, model: Path
) -> None:
    scan = write_scan(tmp_path / "scan.h5")
    words = ["-o", tmp_path / "a.nii.gz", "-R", 8, "--acs", 16, "--model", model]
    answer = sciddm("mri", "reconstruct", scan, *words)
    assert answer.code == 2
    assert "16 calibration lines" in answer.err
    assert answer.err.count("\n") == 1
    assert everything(tmp_path) == {"scan.h5"}


def test_a_damaged_model(sciddm: Sciddm, scan: Path, tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in model.iterdir():
        content = path.read_bytes()
        (folder / path.name).write_bytes(
            content[:-64] if path.suffix == ".safetensors" else content
        )
    before = everything(tmp_path)
    answer = sciddm("mri", "reconstruct", scan, "-o", tmp_path / "a.nii.gz", "--model", folder)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "broken" in answer.err
    assert everything(tmp_path) == before


def test_a_usable_scan_goes_through(
    sciddm: Sciddm, scan: Path, tmp_path: Path, model: Path
) -> None:
    """The same options on a usable scan succeed, so the errors above are not for another reason."""
    words = ["--model", model, "--quality", "fast", "--samples", 2, "--report"]
    answer = sciddm("mri", "reconstruct", scan, "-o", tmp_path / "a.nii.gz", *words)
    assert answer.code == 0, answer.err
    made = {"a.nii.gz", "a_std.nii.gz", "a.json", "a.html"}
    assert made <= everything(tmp_path)
