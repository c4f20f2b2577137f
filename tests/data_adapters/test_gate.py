"""Attacks on the readers: each is refused by one sentence, and no code runs, no file is read."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr

from sciddm.data_adapters import open_cube, open_kspace, read_sinogram, save_cube, save_kspace
from sciddm.data_adapters.gate.npz import open_npz
from sciddm.data_adapters.gate.tiff import check_tiff
from sciddm.data_adapters.gate.zarr import check_zarr
from sciddm.data_adapters.ultrasound.channels import open_channels
from sciddm.data_adapters.ultrasound.files import open_frames
from sciddm.errors import InputError


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def cube_store(path: Path, form: int = 2) -> Path:
    cube = np.ones((3, 4, 5), np.float32)
    xr.Dataset({"cube": (("band", "y", "x"), cube)}).to_zarr(
        path, zarr_format=form, consolidated=False
    )
    return path


def test_a_zarr_store_of_pickles_runs_nothing(tmp_path: Path) -> None:
    store, mark = cube_store(tmp_path / "a.zarr"), tmp_path / "mark"
    meta = json.loads((store / "cube" / ".zarray").read_text())
    meta |= {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}
    meta |= {"compressor": None, "fill_value": None}
    (store / "cube" / ".zarray").write_text(json.dumps(meta))
    (store / "cube" / "0.0.0").write_bytes(pickle.dumps(Attack(mark)))
    for read in (open_cube, open_kspace):
        with pytest.raises(InputError, match=r"'pickle'.*may run code"):
            read(store)
    assert not mark.exists()


def nested(codec: dict[str, Any]) -> list[dict[str, Any]]:
    inner = {"chunk_shape": [1, 1, 1], "codecs": [codec], "index_codecs": []}
    return [{"name": "sharding_indexed", "configuration": inner}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"codecs": [{"name": "numcodecs.pickle", "configuration": {}}]}, "may run code"),
        ({"codecs": nested({"name": "some.plugin"})}, r"some\.plugin.*may run code"),
        ({"codecs": ["pickle"]}, "may run code"),
        ({"codecs": [5]}, "damaged"),
        ({"data_type": "object"}, "not numbers or text"),
        ({"data_type": {"name": "struct"}}, "not numbers or text"),
        ({"storage_transformers": [{"name": "x"}]}, "storage transformers"),
        ({"shape": [2**20, 2**20, 5]}, "GiB"),
        ({"shape": [2**8, 2**10, 2**10]}, "1.0 GiB, but the file has 0.0 MiB"),
        ({"shape": "all"}, "shape"),
        (
            {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**40, 1, 1]}}},
            "a chunk of cube",
        ),
    ],
)
def test_zarr_of_version_3(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    store = cube_store(tmp_path / "a.zarr", 3)
    check_zarr(store)
    path = store / "cube" / "zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=words):
        open_cube(store)


def test_consolidated_metadata_hide_nothing(tmp_path: Path) -> None:
    store = cube_store(tmp_path / "a.zarr", 3)
    path = store / "zarr.json"
    array = json.loads((store / "cube" / "zarr.json").read_text())
    array["codecs"] = [{"name": "numcodecs.pickle"}]
    hidden = {"consolidated_metadata": {"metadata": {"cube": array}}}
    path.write_text(json.dumps(json.loads(path.read_text()) | hidden))
    with pytest.raises(InputError, match="may run code"):
        check_zarr(store)


def test_a_link_out_of_a_store(tmp_path: Path) -> None:
    store = cube_store(tmp_path / "a.zarr")
    (tmp_path / "secret").write_bytes(bytes(240))
    chunk = store / "cube" / "0.0.0"
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="a link out of the store"):
        open_cube(store)


@pytest.mark.parametrize("codec", ["blosc", "gzip", "zstd", None])
@pytest.mark.parametrize("form", [2, 3])
def test_stores_with_the_usual_codecs_pass(tmp_path: Path, codec: str | None, form: int) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=form)
    numbers = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    packed: Any = None
    if codec is not None and form == 3:
        packed = {"blosc": zarr.codecs.BloscCodec, "gzip": zarr.codecs.GzipCodec}.get(
            codec, zarr.codecs.ZstdCodec
        )()
    elif codec is not None:
        packed = {"id": codec}
    group.create_array("cube", data=numbers, chunks=(3, 2, 5), compressors=packed)
    check_zarr(tmp_path / "a.zarr")


def sinogram(path: Path, write: Callable[[h5py.File], None]) -> Path:
    with h5py.File(path, "w") as file:
        geometry = file.create_group("geometry")
        geometry.attrs["beam"], geometry.attrs["pitch_mm"] = "parallel", 1.0
        geometry["angles"] = np.linspace(0, 3, 8)
        write(file)
    return path


def externally(target: str) -> Callable[[h5py.File], None]:
    def write(file: h5py.File) -> None:
        file.create_dataset("sinogram", (8, 16), "u1", external=[(target, 0, 128)])

    return write


def linked(target: str) -> Callable[[h5py.File], None]:
    def write(file: h5py.File) -> None:
        file["sinogram"] = h5py.ExternalLink(target, "/sinogram")

    return write


def virtual(target: str) -> Callable[[h5py.File], None]:
    def write(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((8, 16), np.float32)
        layout[:] = h5py.VirtualSource(target, "sinogram", (8, 16))
        file.create_virtual_dataset("sinogram", layout)

    return write


def with_data(file: h5py.File) -> None:
    file["sinogram"] = np.ones((8, 16), np.float32)


@pytest.mark.parametrize("kind", [externally, linked, virtual])
def test_hdf5_reads_no_file_of_another_folder(
    tmp_path: Path, kind: Callable[[str], Callable[[h5py.File], None]]
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    elsewhere = sinogram(tmp_path / "elsewhere.h5", with_data)
    for target in (str(elsewhere), "../elsewhere.h5", "/etc/hostname"):
        path = sinogram(inner / "a.h5", kind(target))
        with pytest.raises(InputError, match="a file outside of its folder"):
            read_sinogram(path)
    (inner / "beside.h5").symlink_to(elsewhere)
    path = sinogram(inner / "a.h5", kind("beside.h5"))
    with pytest.raises(InputError, match="a file outside of its folder"):
        read_sinogram(path)
    path = sinogram(inner / "a.h5", kind("missing.h5"))
    with pytest.raises(InputError, match="which is not there"):
        read_sinogram(path)


@pytest.mark.parametrize("kind", [linked, virtual])
def test_parts_of_a_data_set_may_lie_beside_it(
    tmp_path: Path, kind: Callable[[str], Callable[[h5py.File], None]]
) -> None:
    sinogram(tmp_path / "part.h5", with_data)
    path = sinogram(tmp_path / "a.h5", kind("part.h5"))
    np.testing.assert_array_equal(read_sinogram(path)["sinogram"].values, 1)


def test_an_external_file_that_is_too_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw").write_bytes(bytes(range(128)))
    with pytest.raises(InputError, match="run this in"):
        read_sinogram(sinogram(tmp_path / "a.h5", externally("raw")))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").write_bytes(bytes(range(100)))
    with pytest.raises(InputError, match="too short"):
        read_sinogram(sinogram(tmp_path / "a.h5", externally("raw")))
    (tmp_path / "raw").write_bytes(bytes(range(128)))
    values = read_sinogram(sinogram(tmp_path / "a.h5", externally("raw")))["sinogram"]
    np.testing.assert_array_equal(values.values.ravel(), np.arange(128))


def test_netcdf_is_hdf5(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(240))
    inner = tmp_path / "inner"
    inner.mkdir()
    with netCDF4.Dataset(inner / "a.nc", "w") as file:
        for name, size in (("band", 3), ("y", 4), ("x", 5)):
            file.createDimension(name, size)
        file.createVariable("wavelength", "f4", ("band",))[:] = (500, 600, 700)
    with h5py.File(inner / "a.nc", "a") as file:
        file.create_dataset("cube", (3, 4, 5), "f4", external=[("../secret", 0, 240)])
    with pytest.raises(InputError, match="a file outside of its folder"):
        open_cube(inner / "a.nc")


def test_chunks_that_were_never_written(tmp_path: Path) -> None:
    def half(file: h5py.File) -> None:
        node = file.create_dataset("sinogram", (8, 16), np.float32, chunks=(4, 16))
        node[:4] = 1

    with pytest.raises(InputError, match="1 of 2 parts of sinogram"):
        read_sinogram(sinogram(tmp_path / "a.h5", half))


def test_an_npz_of_pickles_runs_nothing(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "a.npz"
    np.savez(path, rf=np.array([Attack(mark)], dtype=object), fs=1.0)
    for read in (open_channels, open_frames, open_cube):
        with pytest.raises(InputError, match="Python objects"):
            read(path)
    assert not mark.exists()


def bomb(path: Path, name: str, shape: tuple[int, ...]) -> None:
    """An archive of an array of zeros, packed a thousand times."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{name}.npy", "w") as file,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(4 * int(np.prod(shape))))


def test_bombs_of_npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciddm.data_adapters.memory._SMALL", 2**16)
    path = tmp_path / "a.npz"
    bomb(path, "rf", (100, 10_000))
    with open_npz(path) as file, pytest.raises(InputError, match="but the file has"):
        file["rf"]
    with pytest.raises(InputError, match="but the file has"):
        open_channels(path, {"fs": 1e7, "fc": 1e6, "pitch": 1e-4})


def test_only_what_is_needed_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, cube=np.ones((4, 5, 3)), wavelength=[1, 2, 3], other=np.ones((7, 8, 9, 2)))
    read: list[str] = []
    load = np.lib.format.read_array

    def noted(*a: Any, **k: Any) -> Any:
        values = load(*a, **k)
        read.append(str(values.shape))
        return values

    monkeypatch.setattr(np.lib.format, "read_array", noted)
    assert open_cube(path)["cube"].shape == (3, 4, 5)
    assert sorted(read) == ["(3,)", "(4, 5, 3)"]


def test_an_npz_that_is_shorter_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("rf.npy", "w") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (100, 100)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(100))
    with open_npz(path) as held, pytest.raises(InputError, match="truncated"):
        held["rf"]


@pytest.mark.parametrize("big", ["YES", "NO"])
@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
def test_a_tiff_that_is_cut_off_anywhere(tmp_path: Path, big: str, order: str) -> None:
    """Directory before the data, as a copy-over of a header-first writer has it, and after."""
    path, part = tmp_path / "a.tif", tmp_path / "b.tif"
    profile = {"driver": "GTiff", "width": 20, "height": 30, "count": 2, "dtype": "uint16"}
    with rasterio.open(path, "w", BIGTIFF=big, ENDIANNESS=order, **profile) as file:
        file.write(np.ones((2, 30, 20), np.uint16))
        file.update_tags(1, wavelength="500")
    check_tiff(path)
    assert open_cube(path)["cube"].shape == (2, 30, 20)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        part.write_bytes(whole[:length])
        with pytest.raises(InputError):
            check_tiff(part)


def test_a_tiff_with_blocks_that_were_never_written(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", SPARSE_OK=True, blockysize=16, **profile) as file:
        file.write(np.ones((1, 16, 64), np.uint16), window=rasterio.windows.Window(0, 0, 64, 16))
    with pytest.raises(InputError, match="3 of 4 blocks of image 1 were never written"):
        open_cube(path)


def test_a_tiff_is_not_another_format(tmp_path: Path) -> None:
    """GDAL would read a VRT of that name, which names any file of the machine."""
    secret = tmp_path / "secret.tif"
    profile = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint8"}
    with rasterio.open(secret, "w", **profile) as file:
        file.write(np.full((1, 4, 4), 7, np.uint8))
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "a.tif").write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource><SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(InputError, match="not a TIFF file"):
        open_cube(inner / "a.tif")


@pytest.mark.parametrize("save", ["kspace", "cube"])
def test_a_store_that_has_lost_a_chunk(tmp_path: Path, save: str) -> None:
    path = tmp_path / "a.zarr"
    if save == "cube":
        save_cube(xr.Dataset({"cube": (("band", "y", "x"), np.zeros((3, 4, 5), "f4"))}), path)
        read, name = open_cube, "cube"
    else:
        kspace = np.zeros((1, 1, 8, 8), np.complex64)
        kspace[0, 0, 4, 4] = 1
        save_kspace(xr.Dataset({"kspace": (("slice", "coil", "ky", "kx"), kspace)}), path)
        read, name = open_kspace, "kspace"
    read(path)
    chunk = next(
        p
        for p in sorted((path / name).rglob("*"))
        if p.is_file() and "json" not in p.name and not p.name.startswith(".z")
    )
    chunk.unlink()
    with pytest.raises(InputError, match=f"1 of 1 parts of {name} are missing"):
        read(path)
