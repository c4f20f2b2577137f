"""Results of CT: which names are folders, and outputs that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciddm.data_adapters import load_result
from sciddm.data_adapters.ct import (
    check_ct_outputs,
    ct_outputs,
    is_dicom_folder,
    open_ct,
    save_ct,
    save_ct_result,
)
from sciddm.data_adapters.ct.result import is_dicom_target
from sciddm.data_adapters.nifti import write_nifti
from sciddm.errors import InputError, OutputError

SHAPE = (3, 8, 6)


def result(**attrs: object) -> xr.Dataset:
    rng = np.random.default_rng(1)
    affine = np.diag([-0.8, -0.9, 2.0, 1.0])
    known = {"voxel_size_mm": [2.0, 0.9, 0.8], "affine": affine.tolist(), "seed": 3, **attrs}
    values = rng.uniform(-1000, 1000, SHAPE).astype(np.float32)
    std = rng.uniform(0, 20, SHAPE).astype(np.float32)
    dims = ("z", "y", "x")
    return xr.Dataset({"denoised": (dims, values), "std": (dims, std)}, attrs=known)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("clean", True),
        ("1.2.840.10008.5", True),
        ("1.2.840.10008.5_std", True),
        ("a.nii.gz", False),
        ("A.NII", False),
        ("a.h5", False),
        ("a.zarr", False),
    ],
)
def test_names_of_folders(name: str, folder: bool) -> None:
    assert is_dicom_target(Path(name)) == folder
    made = [p.name for p in ct_outputs(name)]
    if folder:
        assert made == [name, f"{name}_std", f"{name}.json"]
    assert len({*made}) == len(made)


@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a.cfl", "a.nii.zip"])
def test_names_that_are_neither(name: str) -> None:
    with pytest.raises(OutputError, match=name):
        is_dicom_target(Path(name))


def test_a_series_and_its_spread(tmp_path: Path) -> None:
    made = result(rescale=[1.0, -1024.0])
    save_ct_result(made, tmp_path / "out", image="denoised", description="test")
    assert is_dicom_folder(tmp_path / "out")
    assert not is_dicom_folder(tmp_path)
    for name, folder in (("denoised", "out"), ("std", "out_std")):
        back = open_ct(tmp_path / folder)
        np.testing.assert_allclose(back.values, made[name].values, atol=1 / 32 + 1e-4)
        np.testing.assert_allclose(back.attrs["affine"], made.attrs["affine"])
    with pytest.raises(OutputError, match="not empty"):
        check_ct_outputs(ct_outputs(tmp_path / "out"))
    check_ct_outputs(ct_outputs(tmp_path / "out"), overwrite=True)


def test_all_or_nothing(tmp_path: Path) -> None:
    """A result that does not lie where its source does leaves what was there, and no traces."""
    save_ct(result()["denoised"].assign_attrs(result().attrs), tmp_path / "in", description="x")
    moved = result()
    moved.attrs["affine"] = np.diag([-0.8, -0.9, 2.5, 1.0]).tolist()
    with pytest.raises(InputError, match="mm from its source"):
        save_ct_result(
            moved, tmp_path / "out", image="denoised", description="x", source=tmp_path / "in"
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]
    with pytest.raises(InputError, match="no variable image"):
        save_ct_result(moved, tmp_path / "out", image="image", description="x")
    with pytest.raises(InputError, match="no variable image"):
        save_ct_result(moved, tmp_path / "out.nii", image="image", description="x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("suffix", [".nii.gz", ".h5", ".nc", ".zarr"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    made = result()
    save_ct_result(made, tmp_path / f"a{suffix}", image="denoised", description="x")
    back = load_result(tmp_path / f"a{suffix}")
    for name in ("denoised", "std"):
        assert back[name].dims == ("z", "y", "x")
        np.testing.assert_array_equal(back[name].values, made[name].values)
    assert back.attrs["seed"] == 3
    assert "sciddm_image" not in back.attrs


@pytest.mark.parametrize("shift", [1000.0, 1024.0])
def test_stored_values_are_not_taken_for_hu(tmp_path, shift):
    """A body of water and bone in air, in HU and with the intercept of its files left out."""
    rng = np.random.default_rng(0)
    hu = np.full((3, 40, 40), -1000.0)
    hu[:, 8:32, 8:32] = rng.normal(40, 30, (3, 24, 24))
    hu[:, 18:22, 18:22] = rng.uniform(300, 1500, (3, 4, 4))
    attrs = {"affine": np.eye(4).tolist()}
    for name, values in (("hu", hu), ("stored", np.maximum(hu + shift, 0))):
        write_nifti(values.astype(np.float32), tmp_path / f"{name}.nii", attrs)
    assert open_ct(tmp_path / "hu.nii").shape == hu.shape
    with pytest.raises(InputError, match=r"look like HU \+ 1024"):
        open_ct(tmp_path / "stored.nii")
    bone = np.where(hu > 200, hu, 30.0)  # a crop within the body: no air in it either
    write_nifti(bone.astype(np.float32), tmp_path / "crop.nii", attrs)
    assert open_ct(tmp_path / "crop.nii").shape == hu.shape
