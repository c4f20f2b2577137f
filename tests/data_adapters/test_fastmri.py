"""fastMRI files, written by h5py as fastMRI's are."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sciddm.data_adapters import open_kspace, open_maps, save_kspace

HEADER = """<?xml version="1.0" encoding="utf-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <subjectInformation><patientName>Jane Doe</patientName></subjectInformation>
 <acquisitionSystemInformation>
  <systemVendor>SIEMENS</systemVendor><systemModel>Biograph_mMR</systemModel>
  <systemFieldStrength_T>2.89362</systemFieldStrength_T>
 </acquisitionSystemInformation>
 <encoding>
  <encodedSpace>
   <matrixSize><x>{nx}</x><y>{ny}</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>440.0</x><y>{fov_y}</y><z>7.5</z></fieldOfView_mm>
  </encodedSpace>
  <reconSpace>
   <matrixSize><x>8</x><y>8</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>220.0</x><y>220.0</y><z>5.0</z></fieldOfView_mm>
  </reconSpace>
  <encodingLimits><kspace_encoding_step_1>
   <minimum>0</minimum><maximum>9</maximum><center>5</center>
  </kspace_encoding_step_1></encodingLimits>
  <trajectory>cartesian</trajectory>
 </encoding>
 <sequenceParameters><TR>2500</TR><TE>9.4</TE></sequenceParameters>
</ismrmrdHeader>
"""


def complex_noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def write(path: Path, **items: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in items.items():
            file.create_dataset(name, data=value)
    return path


def test_multicoil_with_header(tmp_path: Path) -> None:
    """16 readout samples of 440 mm, 10 lines of 242 mm padded to 12."""
    k = complex_noise((2, 4, 16, 12))
    k[..., [0, 11]] = 0
    mask = np.zeros(12, np.uint8)
    mask[[0, 2, 5, 6, 7, 11]] = 1
    k[..., mask == 0] = 0
    header = HEADER.format(nx=16, ny=12, fov_y=290.4)
    rss = np.arange(2 * 8 * 8, dtype=np.float32).reshape(2, 8, 8)
    path = write(
        tmp_path / "a.h5", kspace=k, mask=mask, ismrmrd_header=header, reconstruction_rss=rss
    )
    with h5py.File(path, "a") as file:
        file.attrs["acquisition"] = "AXT2"
        file.attrs["patient_id"] = "0123456789"
    scan = open_kspace(path)
    np.testing.assert_array_equal(scan["kspace"].values, k)
    assert scan["kspace"].dims == ("slice", "coil", "ky", "kx")
    assert scan["mask"].dims == ("ky", "kx")
    # Along the last axis; the columns of padding hold nothing although the mask covers them.
    wanted = np.zeros((16, 12), bool)
    wanted[:, [2, 5, 6, 7]] = True
    np.testing.assert_array_equal(scan["mask"].values, wanted)
    np.testing.assert_array_equal(scan["reference"].values, rss)
    assert scan.attrs["voxel_size_mm"] == pytest.approx([5.0, 27.5, 24.2])
    assert scan.attrs["field_strength_T"] == pytest.approx(2.89362)
    assert scan.attrs["image_shape"] == [8, 8]
    assert scan.attrs["echo_time_ms"] == 9.4
    assert scan.attrs["acquisition"] == "AXT2"
    assert scan.attrs["scanner"] == "SIEMENS Biograph_mMR"
    assert not scan.attrs["orientation_known"]
    affine = np.array(scan.attrs["affine"])
    np.testing.assert_allclose(affine @ [6, 8, 1, 1], [0, 0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(np.diag(affine), [24.2, 27.5, 5, 1])
    assert "Jane" not in str(scan.attrs)
    assert "0123456789" not in str(scan.attrs)


def test_single_coil(tmp_path: Path) -> None:
    k = complex_noise((3, 6, 5))
    esc = np.ones((3, 6, 5), np.float32)
    scan = open_kspace(write(tmp_path / "a.h5", kspace=k, reconstruction_esc=esc))
    np.testing.assert_array_equal(scan["kspace"].values[:, 0], k)
    assert scan["kspace"].shape == (3, 1, 6, 5)
    assert "mask" not in scan
    assert scan["reference"].sum() == 90
    assert all(math.isnan(v) for v in scan.attrs["voxel_size_mm"])
    assert "affine" not in scan.attrs


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (1, 1, 7, 1)])
def test_masks_of_fastmri_with_further_axes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    columns = np.array([1, 0, 0, 1, 1, 0, 1])
    k = complex_noise((1, 2, 6, 7)) * columns
    path = write(tmp_path / "a.h5", kspace=k, mask=columns.reshape(shape))
    wanted = np.broadcast_to(columns == 1, (6, 7))
    np.testing.assert_array_equal(open_kspace(path)["mask"].values, wanted)


def test_masks_of_two_and_three_axes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for shape in ((5, 6), (2, 5, 6)):
        mask = rng.random(shape) < 0.5
        k = complex_noise((2, 3, 5, 6)) * (mask if mask.ndim == 2 else mask[:, None])
        scan = open_kspace(write(tmp_path / f"{mask.ndim}.h5", kspace=k, mask=mask))
        np.testing.assert_array_equal(scan["mask"].values, mask)
        assert scan["mask"].dims == ("slice", "ky", "kx")[-mask.ndim :]


def test_what_the_mask_leaves_out_is_zero(tmp_path: Path) -> None:
    k = complex_noise((1, 2, 4, 4))
    mask = np.eye(4, dtype=bool)
    scan = open_kspace(write(tmp_path / "a.h5", kspace=k, mask=mask))
    np.testing.assert_array_equal(scan["kspace"].values, np.where(mask, k, 0))
    assert "samples_outside_mask" in scan.attrs


def test_axes_named_in_an_attribute(tmp_path: Path) -> None:
    k = complex_noise((3, 6, 5))
    path = write(tmp_path / "a.h5", kspace=k)
    with h5py.File(path, "a") as file:
        file.attrs["axes"] = "coil, kx, ky; centred FFT"
        file.attrs["scanner"] = "Siemens MAGNETOM Cima.X 2.89 T"
    scan = open_kspace(path)
    np.testing.assert_array_equal(scan["kspace"].values[0], k.transpose(0, 2, 1))
    assert scan.attrs["field_strength_T"] == 2.89


def test_maps_and_noise(tmp_path: Path) -> None:
    k, maps, noise = complex_noise((2, 3, 4, 5)), complex_noise((3, 4, 5)), complex_noise((3, 9))
    path = write(tmp_path / "a.h5", kspace=k, sensitivity_maps=maps, noise=noise)
    scan = open_kspace(path)
    np.testing.assert_array_equal(scan["maps"].values, np.stack([maps, maps]))
    np.testing.assert_array_equal(scan["noise"].values, noise)
    np.testing.assert_array_equal(open_maps(path).values[0], maps)


def test_other_complex_types(tmp_path: Path) -> None:
    k = complex_noise((1, 2, 4, 5))
    pair = np.dtype([("real", "<f4"), ("imag", "<f4")])
    path = write(tmp_path / "a.h5", kspace=k.view(pair))
    np.testing.assert_array_equal(open_kspace(path)["kspace"].values, k)
    path = write(tmp_path / "b.h5", kspace=k.astype(np.complex128))
    scan = open_kspace(path)
    assert scan["kspace"].dtype == np.complex64
    np.testing.assert_array_equal(scan["kspace"].values, k)


def test_what_is_written_suits_fastmris_own_loader(tmp_path: Path) -> None:
    """The items that fastMRI's SliceDataset looks up, and its keys of the header."""
    k = complex_noise((2, 3, 8, 6))
    path = write(tmp_path / "a.h5", kspace=k)
    scan = open_kspace(path).assign_attrs(voxel_size_mm=[4.0, 1.5, 2.0], image_shape=[4, 6])
    save_kspace(scan, tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        np.testing.assert_array_equal(file["kspace"][()], k)
        assert file["kspace"].dtype == np.complex64
        root = ElementTree.fromstring(file["ismrmrd_header"][()])
    ns = {"i": "http://www.ismrm.org/ISMRMRD"}

    def number(at: str) -> float:
        return float(root.findtext("/".join(f"i:{p}" for p in at.split("/")), namespaces=ns) or "")

    assert number("encoding/encodedSpace/matrixSize/x") == 8
    assert number("encoding/encodedSpace/matrixSize/y") == 6
    assert number("encoding/encodedSpace/fieldOfView_mm/x") == 12.0
    assert number("encoding/encodedSpace/fieldOfView_mm/y") == 12.0
    assert number("encoding/reconSpace/matrixSize/x") == 4
    assert number("encoding/encodingLimits/kspace_encoding_step_1/center") == 3
    assert number("encoding/encodingLimits/kspace_encoding_step_1/maximum") == 5


finite = st.complex_numbers(allow_nan=False, allow_infinity=False, width=64)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_scan_survives(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * 4))
    k = data.draw(hnp.arrays(np.complex64, shape, elements=finite))
    k[0, 0, 0, 0] = 1
    mask = np.abs(k).max(1) > 0
    voxel = data.draw(st.lists(st.floats(0.1, 20), min_size=3, max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.h5", kspace=k, mask=mask)
        scan = open_kspace(path).assign_attrs(voxel_size_mm=voxel)
        save_kspace(scan, Path(folder) / "b.h5")
        again = open_kspace(Path(folder) / "b.h5")
    assert again["kspace"].values.tobytes() == scan["kspace"].values.tobytes()
    np.testing.assert_array_equal(again["mask"].values, mask)
    assert again["mask"].dims == scan["mask"].dims
    assert again.attrs["voxel_size_mm"] == voxel


SHARED = Path(os.environ.get("SCIDDM_DATA", "../shared/data")) / "mri"


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("pulseq_brain_16ch_128.h5", (1, 16, 128, 128)),
        ("pulseq_brain_bodycoil_2ch_128.h5", (1, 2, 128, 128)),
        ("sigpy_brain_8ch_poisson_230x180.h5", (1, 8, 230, 180)),
    ],
)
def test_real_scans(name: str, shape: tuple[int, ...]) -> None:
    if not (SHARED / name).exists():
        pytest.skip("the shared data are not here (SCIDDM_DATA)")
    scan = open_kspace(SHARED / name)
    k = scan["kspace"].values
    assert k.shape == shape
    if "mask" in scan:
        np.testing.assert_array_equal(scan["mask"].values, (k[0] != 0).any(0))
        return
    assert scan.attrs["field_strength_T"] == 2.89
    x = np.fft.fftshift(
        np.fft.ifft2(np.fft.ifftshift(k, axes=(-2, -1)), norm="ortho"), axes=(-2, -1)
    )
    rss = np.sqrt((np.abs(x) ** 2).sum(1))
    np.testing.assert_allclose(scan["reference"].values, rss, atol=1e-6)
