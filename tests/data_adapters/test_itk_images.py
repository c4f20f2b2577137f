"""MetaImage and NRRD: places to a micrometre, values to the bit, what cannot be said refused."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.data_adapters.ct import open_ct, save_ct
from sciddm.data_adapters.itk_images import read_itk, write_itk
from sciddm.errors import InputError, OutputError

TURNED = np.array([[0, -0.8, 0, 12.5], [-0.7, 0, 0, 40], [0, 0, 2.5, -310.0], [0, 0, 0, 1]])


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_round_trip(tmp_path, suffix):
    """Against SimpleITK's own account of a voxel's place, and through the CT reader."""
    sitk = pytest.importorskip("SimpleITK")
    hu = np.random.default_rng(0).integers(-1000, 1500, (4, 5, 6)).astype(np.float32)
    path = tmp_path / f"a{suffix}"
    write_itk(hu, path, {"affine": TURNED.tolist()})
    volume = open_ct(path)
    np.testing.assert_array_equal(volume, hu)
    assert volume.attrs["units"] == "HU"
    np.testing.assert_allclose(volume.attrs["affine"], TURNED, atol=1e-6)
    place = sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint((3, 2, 1))
    np.testing.assert_allclose((TURNED @ [3, 2, 1, 1])[:3], np.array(place) * [-1, -1, 1])
    save_ct(volume, tmp_path / f"b{suffix}", description="")
    np.testing.assert_array_equal(read_itk(tmp_path / f"b{suffix}"), hu)


def test_masks_and_what_cannot_be(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    write_itk(np.ones((2, 3, 4), bool), tmp_path / "m.mha", {"affine": np.eye(4).tolist()})
    assert sitk.ReadImage(str(tmp_path / "m.mha")).GetPixelIDTypeAsString().startswith("8-bit")
    sheared = TURNED.copy()
    sheared[1, 2] = 0.9
    with pytest.raises(OutputError, match="tilted gantry"):
        write_itk(np.zeros((2, 3, 4)), tmp_path / "s.nrrd", {"affine": sheared.tolist()})
    (tmp_path / "d.mha").write_bytes((tmp_path / "m.mha").read_bytes()[:90])
    with pytest.raises(InputError, match=r"d\.mha"):
        read_itk(tmp_path / "d.mha")


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_formats_of_two_files_are_read_and_not_written(tmp_path, suffix):
    """A result has one name: the second file of values would be lost."""
    sitk = pytest.importorskip("SimpleITK")
    hu = np.random.default_rng(0).integers(-1000, 1500, (4, 5, 6)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(hu), str(tmp_path / f"a{suffix}"))
    volume = open_ct(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(volume, hu)
    with pytest.raises(OutputError, match=r"\.mha"):
        save_ct(volume, tmp_path / f"b{suffix}", description="")


def test_a_series_of_volumes_is_refused(tmp_path):
    with pytest.raises(OutputError, match="one volume"):
        write_itk(np.zeros((2, 2, 3, 4), np.float32), tmp_path / "a.mha", {})
