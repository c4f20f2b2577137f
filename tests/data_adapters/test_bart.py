"""BART files, against bytes laid out by hand as BART does."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sciddm.data_adapters import open_kspace, open_maps, save_kspace
from sciddm.data_adapters.mri.bart import (
    read_bart_image,
    read_cfl,
    write_bart_image,
    write_cfl,
)
from sciddm.errors import InputError


def by_hand(base: Path, dims: list[int], numbers: list[complex], extra: str = "") -> Path:
    """What BART itself writes: first dimension fastest, little endian pairs of floats."""
    text = "# Dimensions\n" + " ".join(map(str, dims)) + " \n" + extra
    base.with_suffix(".hdr").write_text(text)
    packed = b"".join(struct.pack("<2f", z.real, z.imag) for z in numbers)
    base.with_suffix(".cfl").write_bytes(packed)
    return base.with_suffix(".cfl")


def numbered(n: int) -> list[complex]:
    return [complex(i + 1, -i) for i in range(n)]


def test_kspace_in_barts_own_layout(tmp_path: Path) -> None:
    nx, ny, coils = 3, 2, 2
    extra = "# Command\nfft -u 3 in out \n# Creator\nBART v0.9.00\n"
    path = by_hand(tmp_path / "a", [nx, ny, 1, coils, *[1] * 12], numbered(12), extra)
    for name in (path, path.with_suffix(".hdr"), tmp_path / "a"):
        scan = open_kspace(name)
        assert scan["kspace"].dims == ("slice", "coil", "ky", "kx")
        assert scan["kspace"].shape == (1, coils, ny, nx)
        for c in range(coils):
            for y in range(ny):
                for x in range(nx):
                    i = x + nx * (y + ny * c)
                    assert scan["kspace"].values[0, c, y, x] == complex(i + 1, -i)
    assert scan.attrs["format"] == "bart"
    assert scan.attrs["source"] == "a.cfl"
    assert "mask" not in scan


def test_slices_are_dimension_13(tmp_path: Path) -> None:
    dims = [2, 3, 1, 2, *[1] * 9, 4]
    path = by_hand(tmp_path / "a", dims, numbered(48))
    scan = open_kspace(path)
    assert scan["kspace"].shape == (4, 2, 3, 2)
    assert scan["kspace"].values[3, 1, 2, 0] == complex(0 + 2 * (2 + 3 * (1 + 2 * 3)) + 1, -46)


def test_maps_in_z_and_of_several_sets(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "m", [2, 2, 1, 3, 2], numbered(24))
    maps = open_maps(path)
    assert maps.dims == ("slice", "coil", "y", "x")
    assert maps.shape == (1, 3, 2, 2)
    assert maps.values[0, 2, 1, 0] == complex(2 + 4 * 2 + 1, -10)
    path = by_hand(tmp_path / "z", [2, 2, 2, 3], numbered(24))
    assert open_maps(path).values[1, 2, 0, 1] == complex(1 + 4 * (1 + 2 * 2) + 1, -21)


magnitudes = st.floats(0, 9, width=32)
complexes = hnp.arrays(
    np.complex64,
    hnp.array_shapes(min_dims=1, max_dims=6, max_side=4),
    elements=st.complex_numbers(allow_nan=False, allow_infinity=False, width=64),
)


@settings(max_examples=60, deadline=None)
@given(complexes)
def test_any_array_survives(array: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_cfl(Path(folder) / "a", array)
        again = read_cfl(Path(folder) / "a")
    assert again.shape == array.shape + (1,) * (16 - array.ndim)
    assert again.reshape(array.shape, order="F").tobytes() == array.tobytes()


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=3), elements=magnitudes))
def test_images_survive(image: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_bart_image(image, Path(folder) / "a")
        again = read_bart_image(Path(folder) / "a")
    np.testing.assert_array_equal(again.real, image)


def test_geometry_survives_through_the_file_beside(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "a", [4, 3, 1, 2], numbered(24))
    scan = open_kspace(path).assign_attrs(voxel_size_mm=[5.0, 0.9, 0.8], field_strength_T=3.0)
    save_kspace(scan, tmp_path / "b.cfl")
    again = open_kspace(tmp_path / "b.cfl")
    assert again.attrs["voxel_size_mm"] == [5.0, 0.9, 0.8]
    assert again.attrs["field_strength_T"] == 3.0
    np.testing.assert_array_equal(again["kspace"].values, scan["kspace"].values)


def test_volume_becomes_slices_across_the_readout(tmp_path: Path) -> None:
    """A point in 3D, half of the phase encodings left out, one sample 0 by chance."""
    nx, ny, nz, (x, y, z) = 6, 5, 4, (1, 4, 2)
    ramps = [
        np.exp(-2j * np.pi * (np.arange(n) - n // 2) * (i - n // 2) / n)
        for n, i in ((nx, x), (ny, y), (nz, z))
    ]
    volume = np.einsum("x,y,z->xyz", *ramps)
    kept = np.random.default_rng(0).random((ny, nz)) < 0.6
    kept[ny // 2, nz // 2] = True
    volume *= kept
    array = np.stack([volume, 1j * volume], axis=-1)
    write_cfl(tmp_path / "a", array)
    scan = open_kspace(tmp_path / "a")
    assert scan["kspace"].shape == (nx, 2, ny, nz)
    np.testing.assert_array_equal(scan["mask"].values, kept)
    k = scan["kspace"].values
    expected = np.sqrt(nx) * np.einsum("y,z->yz", ramps[1], ramps[2]) * kept
    np.testing.assert_allclose(k[x, 0], expected, atol=1e-5)
    np.testing.assert_allclose(np.delete(k, x, axis=0), 0, atol=1e-5)
    array[2, ny // 2, nz // 2] = 0
    write_cfl(tmp_path / "a", array)
    np.testing.assert_array_equal(open_kspace(tmp_path / "a")["mask"].values, kept)
    array[::2] = 0
    write_cfl(tmp_path / "a", array)
    with pytest.raises(InputError, match="readout"):
        open_kspace(tmp_path / "a")


@pytest.mark.parametrize(
    ("dims", "words"),
    [
        ([1, 6, 2, 2], "no samples along x"),
        ([1, 12, 1, 2], "non-Cartesian"),
        ([2, 2, 1, 2, 1, 1, 3], "coefficient"),
        ([10**6, 10**6, 1, 8], "memory"),
        ([2, 0, 1, 2], "empty"),
        ([2, 2, 1, 2], "truncated"),
        ([3, 2, 1, 3], "truncated"),
    ],
)
def test_bad_dimensions(tmp_path: Path, dims: list[int], words: str) -> None:
    path = by_hand(tmp_path / "a", dims, numbered(24 if words not in ("truncated",) else 16))
    with pytest.raises(InputError, match=words) as error:
        open_kspace(path)
    assert "a." in str(error.value)
    assert "\n" not in str(error.value)


def peaked(*shape: int, seed: int = 0) -> NDArray[np.complex64]:
    """k-space (y, z, coil) of an object, strongest at its centre."""
    rng = np.random.default_rng(seed)
    y, z = (np.abs(np.arange(n) - n // 2)[:, None, None] for n in shape[:2])
    fall = (1 + y) ** -2.0 * (1 + z.swapaxes(0, 1)) ** -2.0
    noise = rng.standard_normal((2, *shape))
    return (fall * (3 + noise[0] + 1j * noise[1])).astype(np.complex64)


def test_the_layout_of_the_tutorials_is_a_plane_of_y_and_z(tmp_path: Path) -> None:
    k = peaked(24, 18, 3)
    write_cfl(tmp_path / "a", k[None])
    scan = open_kspace(tmp_path / "a")
    np.testing.assert_array_equal(scan["kspace"].values[0], k.transpose(2, 0, 1))
    # Spokes in the same dimensions, (1, sample, spoke, coil), all pass the centre.
    spokes = np.repeat(peaked(24, 18, 3)[:, 9:10], 18, axis=1)
    write_cfl(tmp_path / "b", spokes[None])
    with pytest.raises(InputError, match="non-Cartesian"):
        open_kspace(tmp_path / "b")


def test_echoes_phases_and_times_are_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shape = (6, 5, 1, 2, 1, 3, 1, 1, 1, 1, 4)
    array = (rng.standard_normal(shape) + 1j).astype(np.complex64)
    write_cfl(tmp_path / "a", array)
    scan = open_kspace(tmp_path / "a")
    assert scan.sizes["slice"] == 12
    assert scan["contrast"].values[:5].tolist() == [0, 0, 0, 0, 1]
    assert scan["repetition"].values[:5].tolist() == [0, 1, 2, 3, 0]
    at = 1 * 4 + 2
    wanted = array[:, :, 0, :, 0, 1, 0, 0, 0, 0, 2].transpose(2, 1, 0)
    np.testing.assert_array_equal(scan["kspace"].values[at], wanted)
    some = open_kspace(tmp_path / "a", select={"contrast": [1], "repetition": [2, 3]})
    np.testing.assert_array_equal(some["kspace"].values[0], wanted)
    assert some["repetition"].values.tolist() == [2, 3]
    with pytest.raises(InputError, match="no such contrast"):
        open_kspace(tmp_path / "a", select={"contrast": [3]})


@pytest.mark.parametrize("text", ["", "# Dimensions\n", "# Dimensions\n2 x 3\n", "2 2 1 1\n"])
def test_damaged_header(tmp_path: Path, text: str) -> None:
    path = by_hand(tmp_path / "a", [2, 2], numbered(4))
    path.with_suffix(".hdr").write_text(text)
    with pytest.raises(InputError, match="dimensions"):
        open_kspace(path)


@pytest.mark.parametrize("missing", [".cfl", ".hdr"])
def test_half_a_pair(tmp_path: Path, missing: str) -> None:
    path = by_hand(tmp_path / "a", [2, 2], numbered(4))
    path.with_suffix(missing).unlink()
    with pytest.raises(InputError, match="pairs"):
        open_kspace(path)
