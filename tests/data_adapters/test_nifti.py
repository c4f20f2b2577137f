"""NIfTI as nibabel sees it."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr

from sciddm.data_adapters import load_result, open_kspace, read_nifti, save_result
from sciddm.data_adapters.nifti import write_nifti
from sciddm.errors import InputError


def result(**attrs: object) -> xr.Dataset:
    rng = np.random.default_rng(2)
    dims, shape = ("slice", "y", "x"), (3, 4, 5)
    return xr.Dataset(
        {
            "reconstruction": (dims, rng.random(shape, np.float32)),
            "std": (dims, rng.random(shape, np.float32)),
            "zero_filled": (dims, rng.random(shape, np.float32)),
        },
        attrs=attrs,
    )


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_oriented_volume(tmp_path: Path, suffix: str) -> None:
    """Sagittal, with mm known: values, sizes, affine and codes as nibabel reads them."""
    affine = np.array([[0, 0, 4.5, -10], [-0.8, 0, 0, 30], [0, 0.9, 0, -7], [0, 0, 0, 1.0]])
    data = result(affine=affine.tolist(), orientation_known=True, seed=3)
    save_result(data, tmp_path / f"a{suffix}")
    volume = nib.load(tmp_path / f"a{suffix}")
    assert volume.shape == (5, 4, 3)
    assert volume.header.get_zooms() == pytest.approx((0.8, 0.9, 4.5))
    assert volume.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)
    np.testing.assert_allclose(volume.get_qform(), affine, atol=1e-5)
    assert int(volume.header["sform_code"]) == int(volume.header["qform_code"]) == 1
    assert nib.aff2axcodes(volume.affine) == ("P", "S", "R")
    values = np.asarray(volume.dataobj)
    assert values.dtype == np.float32
    for s, y, x in ((0, 0, 0), (2, 1, 4), (1, 3, 2)):
        assert values[x, y, s] == data["reconstruction"].values[s, y, x]
    std = nib.load(tmp_path / f"a_std{suffix}")
    np.testing.assert_array_equal(np.asarray(std.dataobj).T, data["std"].values)
    np.testing.assert_allclose(std.affine, affine, atol=1e-6)


def test_voxel_size_alone(tmp_path: Path) -> None:
    save_result(result(voxel_size_mm=[5.0, 0.9, 0.8]), tmp_path / "a.nii.gz")
    volume = nib.load(tmp_path / "a.nii.gz")
    assert volume.header.get_zooms() == pytest.approx((0.8, 0.9, 5.0))
    np.testing.assert_allclose(volume.affine @ [2, 2, 1, 1], [0, 0, 0, 1], atol=1e-6)
    assert int(volume.header["sform_code"]) == 2  # not the scanner's


def test_unknown_voxel_size(tmp_path: Path) -> None:
    save_result(result(voxel_size_mm=[math.nan] * 3), tmp_path / "a.nii")
    volume = nib.load(tmp_path / "a.nii")
    assert volume.header.get_zooms() == (1, 1, 1)
    assert volume.header.get_xyzt_units()[0] == "unknown"
    again = load_result(tmp_path / "a.nii")
    assert all(math.isnan(v) for v in again.attrs["voxel_size_mm"])


def test_result_survives(tmp_path: Path) -> None:
    data = result(voxel_size_mm=[5.0, 0.9, 0.8], seed=3, model="m", request={"samples": None})
    save_result(data, tmp_path / "a.nii.gz")
    again = load_result(tmp_path / "a.nii.gz")
    assert set(again.data_vars) == {"reconstruction", "std"}
    for name in again.data_vars:
        np.testing.assert_array_equal(again[name].values, data[name].values)
        assert again[name].dims == ("slice", "y", "x")
    assert data.attrs.items() <= again.attrs.items()


def test_reading_somebody_elses_volume(tmp_path: Path) -> None:
    """int16 with a slope, in metres."""
    stored = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    volume = nib.Nifti1Image(stored, np.diag([0.002, 0.003, 0.004, 1]))
    volume.header.set_slope_inter(0.5, 1)
    volume.header.set_xyzt_units("meter")
    nib.save(volume, tmp_path / "a.nii.gz")
    image = read_nifti(tmp_path / "a.nii.gz")
    assert image.dims == ("slice", "y", "x")
    saved = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
    np.testing.assert_allclose(image.values, saved.T, rtol=1e-6)
    assert image.attrs["voxel_size_mm"] == pytest.approx([4, 3, 2])
    np.testing.assert_allclose(np.diag(image.attrs["affine"]), [2, 3, 4, 1], rtol=1e-6)


def test_slope_is_applied(tmp_path: Path) -> None:
    volume = nib.Nifti1Image(np.array([[[2], [4]]], np.int16), np.eye(4))
    raw = bytearray(volume.to_bytes())
    raw[112:120] = np.array([0.5, 1.0], "<f4").tobytes()  # scl_slope, scl_inter
    (tmp_path / "a.nii").write_bytes(raw)
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii").values.ravel(), [2.0, 3.0])


def test_flat_and_four_dimensional_volumes(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((4, 3), np.float32), np.eye(4)), tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii").shape == (1, 3, 4)
    nib.save(nib.Nifti1Image(np.ones((4, 3, 2, 1), np.float32), np.eye(4)), tmp_path / "b.nii")
    assert read_nifti(tmp_path / "b.nii").shape == (2, 3, 4)
    nib.save(nib.Nifti1Image(np.ones((4, 3, 2, 5), np.float32), np.eye(4)), tmp_path / "c.nii")
    with pytest.raises(InputError, match="3D volume"):
        read_nifti(tmp_path / "c.nii")


def test_bad_volumes(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"a\.nii"):
        read_nifti(path)
    nib.save(nib.Nifti1Image(np.full((4, 3, 2), np.nan, np.float32), np.eye(4)), path)
    with pytest.raises(InputError, match="NaN"):
        read_nifti(path)
    nib.save(nib.Nifti1Image(np.ones((4, 3, 2), np.complex64), np.eye(4)), path)
    with pytest.raises(InputError, match="not real"):
        read_nifti(path)
    nib.save(nib.Nifti1Image(np.ones((40, 30, 20), np.float32), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="truncated"):
        read_nifti(path)
    with pytest.raises(InputError, match="not k-space"):
        open_kspace(path)


def test_absurd_header_is_refused_before_allocation(tmp_path: Path) -> None:
    whole = nib.Nifti1Image(np.ones((4, 3, 2), np.float32), np.eye(4)).to_bytes()
    raw = bytearray(whole)
    raw[40:48] = np.array([3, 2000, 2000, 100], "<i2").tobytes()  # dim
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(InputError, match="truncated"):
        read_nifti(path)
    raw[40:48] = np.array([3, 32767, 32767, 32767], "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(InputError, match="memory"):
        read_nifti(path)


def test_damaged_compression(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    noise = np.random.default_rng(0).random((16, 16, 16), np.float32)
    nib.save(nib.Nifti1Image(noise, np.eye(4)), path)
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 64] = bytes(64)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="damaged"):
        read_nifti(path)


def test_a_sheared_volume_is_where_its_sform_says(tmp_path: Path) -> None:
    """Slices of a gantry tilted by 20 degrees: a quaternion would lie 12 mm off over 48 rows."""
    tilt = np.radians(20)
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1.5, -1.5, 3.0])
    affine[1, 2] = 3.0 * np.tan(tilt)
    write_nifti(np.zeros((6, 48, 64), np.float32), tmp_path / "a.nii", {"affine": affine})
    stored = nib.load(tmp_path / "a.nii")
    assert (int(stored.header["qform_code"]), int(stored.header["sform_code"])) == (0, 1)
    np.testing.assert_allclose(stored.affine, affine, atol=1e-5)
    np.testing.assert_allclose(read_nifti(tmp_path / "a.nii").attrs["affine"], affine, atol=1e-5)


@pytest.mark.parametrize("codes", [(1, 1), (2, 4), (1, 0), (0, 3), (0, 0)])
def test_codes_are_kept_as_they_came(tmp_path: Path, codes: tuple[int, int]) -> None:
    volume = nib.Nifti1Image(np.zeros((5, 4, 3), np.float32), None)
    volume.header.set_zooms((2.0, 1.5, 4.0))
    affine = volume.header.get_base_affine()
    volume.set_qform(affine, codes[0])
    volume.set_sform(affine, codes[1])
    nib.save(volume, tmp_path / "a.nii")
    read = read_nifti(tmp_path / "a.nii")
    write_nifti(read.values, tmp_path / "b.nii", read.attrs)
    again = nib.load(tmp_path / "b.nii")
    assert (int(again.header["qform_code"]), int(again.header["sform_code"])) == codes
    np.testing.assert_allclose(again.affine, affine, atol=1e-5)


@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_masks_are_label_maps(tmp_path: Path, kind: type) -> None:
    mask = np.zeros((3, 4, 5), kind)
    mask[1, 2, 3] = True
    write_nifti(mask, tmp_path / "m.nii.gz", {"voxel_size_mm": [1.0, 1.0, 1.0]})
    stored = nib.load(tmp_path / "m.nii.gz")
    assert stored.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(stored.dataobj), mask.transpose(2, 1, 0))
