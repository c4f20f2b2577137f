"""k-space whose axes, mask, centre or numbers could be read in two ways: asked about, or told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from sciddm.data_adapters import open_kspace
from sciddm.errors import InputError
from sciddm.simulation.mri.scan import fft2c

SIDE = 32


def kspace(coils: int = 3, side: int = SIDE) -> NDArray[np.complex64]:
    """(coil, ky, kx) of a disc seen by coils of differing phase."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    image = (np.hypot(y / 0.8, x / 0.6) < 1) + 0.5 * (np.hypot(y - 0.2, x) < 0.3)
    maps = [np.exp(1j * i * (x + 0.5 * y)) * (1 + 0.2 * i * y) for i in range(coils)]
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, coils, side, side))
    return np.asarray(fft2c(image * np.array(maps)) + 0.01 * (noise[0] + 1j * noise[1]), "c8")


def write(path: Path, attrs: dict[str, Any] | None = None, **items: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in items.items():
            file.create_dataset(name, data=value)
        file["kspace"].attrs.update(attrs or {})
    return path


def test_three_axes_are_asked_about_and_can_be_named(tmp_path: Path) -> None:
    k = kspace()
    path = write(tmp_path / "a.h5", kspace=k)
    with pytest.raises(InputError, match=r"3 slices of one coil or 3 coils of one slice.*--axes"):
        open_kspace(path)
    coils = open_kspace(path, axes=("coil", "ky", "kx"))
    np.testing.assert_array_equal(coils["kspace"].values[0], k)
    slices = open_kspace(path, axes=("slice", "ky", "kx"))
    np.testing.assert_array_equal(slices["kspace"].values[:, 0], k)
    told = write(tmp_path / "b.h5", {"axes": "coil,ky,kx"}, kspace=k)
    np.testing.assert_array_equal(open_kspace(told)["kspace"].values[0], k)
    turned = open_kspace(path, axes=("coil", "kx", "ky"))
    np.testing.assert_array_equal(turned["kspace"].values[0], k.swapaxes(1, 2))
    for axes in (("coil", "ky"), ("slice", "coil", "ky", "kx"), ("z", "ky", "kx")):
        with pytest.raises(InputError, match="axes"):
            open_kspace(path, axes=axes)


def test_three_axes_that_another_item_explains(tmp_path: Path) -> None:
    k = kspace()
    image = np.ones((1, SIDE, SIDE), np.float32)
    one = open_kspace(write(tmp_path / "a.h5", kspace=k, reference=image))
    assert dict(one.sizes)["coil"] == 3
    three = np.ones((3, SIDE, SIDE), np.float32)
    assert open_kspace(write(tmp_path / "b.h5", kspace=k, reference=three)).sizes["slice"] == 3
    assert open_kspace(write(tmp_path / "c.h5", kspace=k, maps=k)).sizes["coil"] == 3


def test_a_mask_of_lines_of_square_k_space_goes_by_the_data_or_is_asked_about(
    tmp_path: Path,
) -> None:
    k = kspace()[None]
    kept = np.arange(SIDE) % 2 == 0
    rows, columns = kept[:, None], kept[None, :]
    for name, lines in (("rows", rows), ("columns", columns)):
        scan = open_kspace(write(tmp_path / f"{name}.h5", kspace=k * lines, mask=kept))
        np.testing.assert_array_equal(scan["kspace"].values, k * lines)
        np.testing.assert_array_equal(scan["mask"].values, np.broadcast_to(lines, (SIDE, SIDE)))
    for data in (k, k * rows * columns):
        path = write(tmp_path / "both.h5", kspace=data, mask=kept)
        with pytest.raises(InputError, match=r"rows \(ky\) or of its columns \(kx\)"):
            open_kspace(path)
    for lines in (rows, columns):
        scan = open_kspace(write(tmp_path / "told.h5", kspace=k, mask=lines))
        np.testing.assert_array_equal(scan["mask"].values, np.broadcast_to(lines, (SIDE, SIDE)))


def test_a_mask_of_rows_of_oblong_k_space(tmp_path: Path) -> None:
    k = kspace()[None, :, :, 4:28]
    kept = np.arange(SIDE) % 2 == 0
    scan = open_kspace(write(tmp_path / "a.h5", kspace=k, mask=kept))
    np.testing.assert_array_equal(scan["kspace"].values, k * kept[:, None])


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ((-2, -1), "the corner of k-space.*fftshift along ky and kx"),
        ((-2,), "the end of ky.*fftshift along ky"),
        ((-1,), "the end of kx.*fftshift along kx"),
    ],
)
def test_dc_at_an_end_is_named(tmp_path: Path, axes: tuple[int, ...], words: str) -> None:
    k = np.fft.ifftshift(kspace(), axes=axes)[None]
    with pytest.raises(InputError, match=words):
        open_kspace(write(tmp_path / "a.h5", kspace=k))


@pytest.mark.parametrize("offset", [0, 4])
def test_dc_near_the_middle_is_none_of_that(tmp_path: Path, offset: int) -> None:
    k = np.roll(kspace(), offset, -2)[None]
    k[..., ::3, :] = 0
    np.testing.assert_array_equal(
        open_kspace(write(tmp_path / "a.h5", kspace=k))["kspace"].values, k
    )


@pytest.mark.parametrize("kind", ["i2", "i4", "u2", "f4", "f8"])
def test_pairs_of_numbers_are_complex(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 3000, (2, 1, 2, 8, 8))
    pairs = np.zeros(values.shape[1:], np.dtype([("r", kind), ("i", kind)]))
    pairs["r"], pairs["i"] = values
    scan = open_kspace(write(tmp_path / "a.h5", kspace=pairs))
    np.testing.assert_array_equal(scan["kspace"].values, (values[0] + 1j * values[1]).astype("c8"))


def test_the_phase_encoding_of_fastmri_files_is_along_kx(tmp_path: Path) -> None:
    header = (
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding><encodedSpace><matrixSize>'
        "<x>32</x><y>32</y><z>1</z></matrixSize></encodedSpace></encoding></ismrmrdHeader>"
    )
    k = kspace()[None]
    theirs = open_kspace(write(tmp_path / "a.h5", kspace=k, ismrmrd_header=header))
    assert theirs.attrs["phase_encoding_axis"] == "kx"
    assert "phase_encoding_axis" not in open_kspace(write(tmp_path / "b.h5", kspace=k)).attrs


def test_four_axes_whose_order_is_in_doubt_are_asked_about(tmp_path: Path) -> None:
    """The coils last, or first with one slice after them; named, they are read."""
    k = kspace(coils=3, side=48)
    last = write(tmp_path / "a.h5", kspace=k[None].transpose(0, 2, 3, 1))
    with pytest.raises(InputError, match=r"48 coils and a matrix of 48 x 3.*--axes"):
        open_kspace(last)
    found = open_kspace(last, axes=("slice", "ky", "kx", "coil"))
    np.testing.assert_array_equal(found["kspace"].values[0], k)
    first = write(tmp_path / "b.h5", kspace=k[:, None])
    with pytest.raises(InputError, match=r"3 slices of one coil or 3 coils of one slice"):
        open_kspace(first)
    found = open_kspace(first, axes=("coil", "slice", "ky", "kx"))
    np.testing.assert_array_equal(found["kspace"].values[0], k)
    images = write(tmp_path / "c.h5", kspace=k[:, None], reference=np.ones((3, 48, 48), "f4"))
    assert dict(open_kspace(images).sizes)["slice"] == 3


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_a_last_axis_of_real_and_imaginary_part(tmp_path: Path, dtype: str) -> None:
    k = np.round(100 * kspace())
    pairs = np.stack([k.real, k.imag], -1).astype(dtype)
    scan = open_kspace(write(tmp_path / "a.h5", kspace=pairs[None]))
    np.testing.assert_array_equal(scan["kspace"].values[0], k)


def test_coil_images_in_the_place_of_k_space_are_named(tmp_path: Path) -> None:
    k = kspace(side=48)
    axes = (-2, -1)
    moved = np.fft.ifft2(np.fft.ifftshift(k, axes=axes), norm="ortho")
    images = np.fft.fftshift(moved, axes=axes).astype(np.complex64)
    remarks = open_kspace(write(tmp_path / "a.h5", kspace=images[None])).attrs["scan_remarks"]
    assert "look like coil images" in remarks[0]
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal((2, *k.shape))).astype(np.float32)
    y, x = np.mgrid[:48, :48]
    vial = fft2c((np.hypot(y - 12, x - 30) < 2) * np.ones((3, 1, 1)))
    for name, other in (("k", k), ("noise", noise[0] + 1j * noise[1]), ("vial", vial)):
        path = write(tmp_path / f"{name}.h5", kspace=np.asarray(other[None], np.complex64))
        assert "scan_remarks" not in open_kspace(path).attrs
