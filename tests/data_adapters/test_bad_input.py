"""Every unusable scan: one InputError, one line, that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from sciddm.data_adapters import checks, open_kspace, open_maps, save_kspace
from sciddm.errors import InputError


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.complex64)


def spoiled(value: complex) -> np.ndarray:
    k = ones(1, 2, 4, 4)
    k[0, 1, 2, 3] = value
    return k


def fails(path: Path, words: str, reader: Callable[[Path], Any] = open_kspace) -> None:
    with pytest.raises(InputError, match=words) as error:
        reader(path)
    message = str(error.value)
    assert path.name in message
    assert "\n" not in message
    assert ": " in message


def write(path: Path, **items: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in items.items():
            file.create_dataset(name, data=value)
    return path


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ({"images": np.ones(3), "age": 3}, "no k-space in it, only age, images"),
        ({}, "only nothing"),
        ({"kspace": ones(4, 4)}, "2 axes"),
        ({"kspace": ones(1, 1, 2, 4, 4)}, "5 axes"),
        ({"kspace": 1.0}, "0 axes"),
        ({"kspace": ones(1, 2, 4, 4).real}, "not complex"),
        ({"kspace": "text"}, "axes"),
        ({"kspace": ones(1, 0, 4, 4)}, "empty"),
        ({"kspace": 0 * ones(1, 2, 4, 4)}, "nothing but 0"),
        ({"kspace": spoiled(np.nan)}, r"1 values that are NaN or infinite.*\(0, 1, 2, 3\)"),
        ({"kspace": spoiled(complex(0, np.inf))}, "NaN or infinite"),
        ({"kspace": spoiled(1).astype(np.complex128) * 1e300}, "single precision"),
        ({"kspace": ones(1, 2, 4, 5), "mask": np.ones(3)}, r"mask has the shape \(3,\)"),
        ({"kspace": ones(1, 2, 4, 5), "mask": np.ones((5, 4))}, "mask has the shape"),
        ({"kspace": ones(2, 2, 4, 5), "mask": np.ones((3, 4, 5))}, "mask has the shape"),
        ({"kspace": ones(1, 2, 4, 4), "mask": np.zeros((4, 4))}, "samples nothing"),
        ({"kspace": ones(1, 2, 4, 4), "mask": np.full((4, 4), np.nan)}, "mask holds 16"),
        ({"kspace": ones(1, 2, 4, 4), "maps": ones(3, 4, 4)}, "same coils"),
        ({"kspace": ones(1, 2, 4, 4), "maps": ones(2, 4, 5)}, "same coils and matrix"),
        ({"kspace": ones(3, 2, 4, 4), "maps": ones(2, 2, 4, 4)}, "maps of 2 slices"),
        ({"kspace": ones(1, 2, 4, 4), "noise": ones(3, 9)}, "noise scan has the shape"),
        ({"kspace": ones(1, 2, 4, 4), "reconstruction_rss": np.ones((2, 4, 4))}, "reference"),
        ({"kspace": ones(1, 2, 4, 4), "ismrmrd_header": "<a"}, "no XML"),
        ({"kspace": ones(1, 2, 4, 4), "sciddm_attrs": "{"}, "damaged"),
    ],
)
def test_unusable_hdf5(tmp_path: Path, items: dict[str, Any], words: str) -> None:
    fails(write(tmp_path / "scan.h5", **items), words)


def test_group_named_kspace(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("kspace/inner")
    fails(tmp_path / "a.h5", "no k-space")


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.999])
def test_truncated_hdf5(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "a.h5", kspace=ones(1, 4, 64, 64))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    fails(path, "truncated")


def test_damaged_chunk(tmp_path: Path) -> None:
    """A chunk that cannot be unpacked."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        node = file.create_dataset("kspace", data=ones(1, 4, 64, 64), compression="gzip")
        place = node.id.get_chunk_info(0)
    raw = bytearray(path.read_bytes())
    for i in range(place.byte_offset, place.byte_offset + place.size):
        raw[i] = 0
    path.write_bytes(raw)
    fails(path, "damaged")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.h5", b"this is text", "not HDF5"),
        ("a.h5", b"", "empty"),
        ("a", b"this is text", "not HDF5"),
        ("meas.dat", b"\x00\x00\x01\x00", "damaged|twixtools"),
        ("a.npy", b"\x93NUMPY", "array without"),
        ("a.nc", b"CDF\x01rest", "nccopy"),
        ("a.nii.gz", b"\x1f\x8b", "not k-space"),
    ],
)
def test_not_hdf5(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    fails(tmp_path / name, words)


@pytest.mark.parametrize("name", ["no.h5", "no.cfl", "no.nc", "no.zarr", "no"])
@pytest.mark.parametrize("reader", [open_kspace, open_maps])
def test_missing(tmp_path: Path, name: str, reader: Callable[[Path], Any]) -> None:
    fails(tmp_path / name, "no such file", reader)


@pytest.mark.parametrize("name", ["folder", "folder.h5", "folder.zarr"])
def test_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    fails(tmp_path / name, "is a folder")


def test_absurd_size_is_refused_before_allocation(tmp_path: Path) -> None:
    """A petabyte that was declared, and 2 kB of it written."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        shape = (1000, 128, 32768, 32768)
        node = file.create_dataset("kspace", shape, np.complex64, chunks=(1, 1, 16, 16))
        node[0, 0, :16, :16] = 1
    fails(tmp_path / "a.h5", "memory of this machine")


def test_declared_but_never_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("kspace", (1, 8, 256, 256), np.complex64)
    fails(tmp_path / "a.h5", "never written")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_size_of_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    dims = ("slice", "coil", "ky", "kx")
    save_kspace(xr.Dataset({"kspace": (dims, ones(1, 2, 8, 8))}), tmp_path / f"a{suffix}")
    monkeypatch.setattr(checks, "memory_limit", lambda: 500)
    fails(tmp_path / f"a{suffix}", "memory of this machine")


@pytest.mark.parametrize("suffix", [".h5", ".nc", ".zarr", ".cfl"])
def test_nan_in_own_files(tmp_path: Path, suffix: str) -> None:
    dims = ("slice", "coil", "ky", "kx")
    save_kspace(xr.Dataset({"kspace": (dims, spoiled(np.nan))}), tmp_path / f"a{suffix}")
    fails(tmp_path / f"a{suffix}", "NaN")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_somebody_elses_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    data = xr.Dataset({"rain": (("t",), np.ones(3))})
    if suffix == ".nc":
        data.to_netcdf(path)
    else:
        data.to_zarr(path, consolidated=False)
    fails(path, "rain")


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ({"kspace": ones(1, 2, 4, 4)}, "no coil sensitivities in it, only kspace"),
        ({"maps": ones(4, 4)}, "2 axes"),
        ({"maps": spoiled(np.nan)}, "NaN"),
        ({"maps": 0 * ones(1, 2, 4, 4)}, "nothing but 0"),
    ],
)
def test_unusable_maps(tmp_path: Path, items: dict[str, Any], words: str) -> None:
    fails(write(tmp_path / "a.h5", **items), words, open_maps)


def test_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.h5", kspace=ones(1, 2, 4, 4))
    monkeypatch.setattr(checks.os, "access", lambda *_: False)
    fails(path, "may not be read")
