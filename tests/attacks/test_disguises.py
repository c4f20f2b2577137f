"""Attacks that hide what they name from a gate which reads it in another way than the library."""

from __future__ import annotations

import contextlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr
from safetensors.numpy import save

from sciddm.data_adapters import (
    open_audio,
    open_cube,
    open_kspace,
    read_nifti,
    save_cube,
    save_kspace,
)
from sciddm.data_adapters.gate.npz import open_npz
from sciddm.errors import InputError, ModelError
from sciddm.zoo import from_pretrained


def tiff(path: Path, value: float) -> Path:
    profile = {"driver": "GTiff", "width": 4, "height": 3, "count": 1, "dtype": "float32"}
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.full((1, 3, 4), value, np.float32))
    return path


_GOOD = '<SourceFilename relativeToVRT="1">good.tif</SourceFilename>'


@pytest.mark.parametrize(
    "source",
    [
        "<SimpleSource><sourcefilename>{secret}</sourcefilename></SimpleSource>",
        '<SimpleSource SourceFilename="{secret}"/>',
        '<SimpleSource sourceFileName="{secret}" relativeToVRT="0"/>',
        '<SimpleSource xmlns="x"><SourceFilename>{secret}</SourceFilename></SimpleSource>',
        '<SimpleSource xmlns:a="x"><a:SourceFilename>{secret}</a:SourceFilename></SimpleSource>',
        "<SimpleSource><SourceFilename><!-- -->{secret}</SourceFilename></SimpleSource>",
        "<SimpleSource><SourceFilename><![CDATA[{secret}]]></SourceFilename></SimpleSource>",
        "<ComplexSource><SourceFilename>&#47;vsicurl/http://127.0.0.1:9/a.tif</SourceFilename>"
        "</ComplexSource>",
        "<SimpleSource><SourceFilename>good.tif</SourceFilename></SimpleSource>",  # of the cwd
        "<SimpleSource><SourceFilename>&lt;VRTDataset/&gt;</SourceFilename></SimpleSource>",
        '<SimpleSource><SourceFilename relativeToVRT="1">inner.vrt</SourceFilename></SimpleSource>',
    ],
)
def test_sources_of_a_virtual_raster_in_disguise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    secret = tiff(tmp_path / "secret.tif", 7)
    tiff(inner / "good.tif", 1)
    tiff(tmp_path / "good.tif", 7)  # what the current folder has under the same name
    monkeypatch.chdir(tmp_path)
    (inner / "inner.vrt").write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="3"><VRTRasterBand dataType="Float32" band="1">'
        f'<SimpleSource sourcefilename="{secret}"/></VRTRasterBand></VRTDataset>'
    )
    bands = "".join(
        f'<VRTRasterBand dataType="Float32" band="{k}">{what}</VRTRasterBand>'
        for k, what in (
            (1, f"<SimpleSource>{_GOOD}</SimpleSource>"),
            (2, source.format(secret=secret)),
        )
    )
    path = inner / "a.vrt"
    path.write_text(f'<VRTDataset rasterXSize="4" rasterYSize="3">{bands}</VRTDataset>')
    with pytest.raises(InputError, match=r"(a|inner)\.vrt") as refused:
        open_cube(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "code",
    [
        "<pixelfunctiontype>f</pixelfunctiontype>",
        '<PixelFunctionCode xmlns="x">f</PixelFunctionCode>',
    ],
)
def test_code_of_a_virtual_raster_in_disguise(tmp_path: Path, code: str) -> None:
    tiff(tmp_path / "good.tif", 1)
    path = tmp_path / "a.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="3"><VRTRasterBand dataType="Float32" band="1" '
        f'subClass="VRTDerivedRasterBand">{code}<SimpleSource>{_GOOD}</SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(InputError, match="computes its bands"):
        open_cube(path)


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("separator", ["/../../../secret/", "/../", "\\..\\", ""])
def test_chunks_of_a_store_under_other_names(tmp_path: Path, form: Any, separator: str) -> None:
    """The separator of a chunk's indices is no path."""
    store = tmp_path / "inner" / "a.zarr"
    store.parent.mkdir()
    cube = xr.Dataset({"cube": (("band", "y", "x"), np.ones((3, 4, 5), np.float32))})
    cube.to_zarr(store, zarr_format=form, consolidated=False)
    for folder in ("secret", "secret/0"):
        (tmp_path / folder).mkdir()
    (tmp_path / "secret" / "0" / "0").write_bytes(np.full(60, 7, np.float32).tobytes())
    place = store / "cube" / ("zarr.json" if form == 3 else ".zarray")
    content = json.loads(place.read_text())
    if form == 3:
        encoding = {"name": "default", "configuration": {"separator": separator}}
        content |= {"chunk_key_encoding": encoding, "codecs": [{"name": "bytes"}]}
    else:
        content |= {"dimension_separator": separator, "compressor": None, "filters": None}
    place.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"a\.zarr"):
        open_cube(store)["cube"].compute()


def kspace(path: Path) -> Path:
    values = np.ones((1, 2, 8, 8), np.complex64)
    attrs = {"voxel_size_mm": [5.0, 1.0, 1.0], "image_shape": [8, 8]}
    save_kspace(xr.Dataset({"kspace": (("slice", "coil", "ky", "kx"), values)}, attrs=attrs), path)
    return path


def _soft_to_external(file: h5py.File, secret: str) -> None:
    file["hidden"] = h5py.ExternalLink(secret, "/")
    file["kspace"] = h5py.SoftLink("/hidden/kspace")


def _deep_external(file: h5py.File, secret: str) -> None:
    file.create_group("a/b/c")
    file["a/b/c/kspace"] = h5py.ExternalLink(secret, "/kspace")
    file["kspace"] = h5py.SoftLink("/a/b/c/kspace")


def _by_the_folder(file: h5py.File, secret: str) -> None:
    file["kspace"] = h5py.ExternalLink(f"../{Path(secret).name}", "/kspace")


def _view_of_a_view(file: h5py.File, secret: str) -> None:
    layout = h5py.VirtualLayout((1, 2, 8, 8), np.complex64)
    layout[...] = h5py.VirtualSource(secret, "kspace", (1, 2, 8, 8))
    file.create_virtual_dataset("hidden", layout)
    again = h5py.VirtualLayout((1, 2, 8, 8), np.complex64)
    again[...] = h5py.VirtualSource(".", "hidden", (1, 2, 8, 8))
    file.create_virtual_dataset("kspace", again)


def _view_outside(file: h5py.File, secret: str) -> None:
    layout = h5py.VirtualLayout((1, 2, 8, 8), np.complex64)
    named = f"./x/../../{Path(secret).name}"
    layout[...] = h5py.VirtualSource(named, "kspace", (1, 2, 8, 8))
    file.create_virtual_dataset("kspace", layout)


def _loop(file: h5py.File, secret: str) -> None:
    file["kspace"] = h5py.ExternalLink("a.h5", "/kspace")


@pytest.mark.parametrize(
    "write",
    [
        _soft_to_external,
        _deep_external,
        _by_the_folder,
        _view_of_a_view,
        _view_outside,
        _loop,
    ],
)
def test_links_of_hdf5_at_unusual_places(tmp_path: Path, write: Any) -> None:
    secret = kspace(tmp_path / "secret.h5")
    inner = tmp_path / "inner"
    inner.mkdir()
    path = kspace(inner / "a.h5")
    with h5py.File(path, "a") as file:
        del file["kspace"]
        write(file, str(secret))
    with pytest.raises(InputError, match=r"a\.h5") as refused:
        open_kspace(path)
    assert "\n" not in str(refused.value)


def test_a_filter_of_hdf5_that_is_a_plugin(tmp_path: Path) -> None:
    """A file names a filter by its number only; one that is not built in is an error."""
    path = kspace(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        values = file["kspace"][:]
        del file["kspace"]
        kind = h5py.h5t.py_create(values.dtype)
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk(values.shape)
        created.set_filter(32_099, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
        space = h5py.h5s.create_simple(values.shape)
        node = h5py.h5d.create(file.id, b"kspace", kind, space, created)
        node.write_direct_chunk((0, 0, 0, 0), values.tobytes())
        node.close()
    with pytest.raises(InputError, match=r"a\.h5"):
        open_kspace(path)


def test_references_in_attributes_of_hdf5_are_only_numbers(tmp_path: Path) -> None:
    path = kspace(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["kspace"].attrs["area"] = file["kspace"].regionref[0, 0, :2, :2]
        file["kspace"].attrs["place"] = file["/"].ref
        file.attrs["patient_id"] = file["kspace"].ref
    np.testing.assert_array_equal(open_kspace(path)["kspace"], np.ones((1, 2, 8, 8)))


@pytest.mark.parametrize("descr", ["[('a', '<f4'), ('b', '|O')]", "('|O', (3,))", "'|O'"])
def test_objects_within_the_types_of_an_npz(tmp_path: Path, descr: str) -> None:
    path = tmp_path / "a.npz"
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}".encode()
    header = header.ljust(118) + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cube.npy", member)
    with open_npz(path) as members, pytest.raises(InputError, match="Python objects"):
        members["cube"]
    with pytest.raises(InputError, match=r"a\.npz"):
        open_cube(path)


@pytest.mark.parametrize("header", ["__import__('os').mkdir('mark')", "{'descr': [].append}"])
def test_the_header_of_an_npz_is_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = header.encode().ljust(118) + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("cube.npy", member)
    with pytest.raises(InputError, match=r"a\.npz"):
        open_cube(tmp_path / "a.npz")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [("lines", "2000000000"), ("bands", "-3"), ("header offset", "-96"), ("samples", "1e9"),
     ("header offset", "99999999999999999999")],
)  # fmt: skip
def test_sizes_that_a_header_of_envi_claims(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "a.hdr"
    numbers = np.ones((2, 3, 4), np.float32)
    save_cube(xr.Dataset({"cube": (("band", "y", "x"), numbers)}), path)
    lines = [line for line in path.read_text().split("\n") if not line.startswith(key)]
    path.write_text("\n".join([lines[0], f"{key} = {value}", *lines[1:]]))
    with pytest.raises(InputError, match=r"a\.(hdr|img)"):
        open_cube(path)["cube"].compute()


@pytest.mark.parametrize(
    ("offset", "kind", "value"),
    [(42, "<h", 32767), (40, "<h", -1), (42, "<h", -5), (108, "<f", 1e30), (70, "<h", 12345),
     (108, "<f", float("nan"))],
)  # fmt: skip
def test_sizes_that_a_header_of_nifti_claims(
    tmp_path: Path, offset: int, kind: str, value: float
) -> None:
    import nibabel

    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), np.float32), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    struct.pack_into(kind, content, offset, value)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.nii") as refused:
        read_nifti(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("offset", "value"), [(40, 2**31), (16, 2**31), (4, 2**32 - 1), (20, 65_535)]
)
def test_sizes_that_a_wav_claims(tmp_path: Path, offset: int, value: int) -> None:
    import soundfile

    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(800), 8000)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I" if value > 65_535 else "<H", content, offset, value)
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert open_audio(path).sizes["time"] <= 800


def _offsets(*pairs: tuple[int, int]) -> bytes:
    header = {
        f"t{k}": {"dtype": "F16", "shape": [4], "data_offsets": list(pair)}
        for k, pair in enumerate(pairs)
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(16)


@pytest.mark.parametrize(
    "content",
    [
        _offsets((0, 8), (0, 8)),  # two tensors of the same bytes
        _offsets((0, 8), (4, 12)),
        _offsets((0, 8), (2**40, 2**40 + 8)),
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        save({"a": np.ones(4, np.float16)})[:-3],
    ],
)
def test_offsets_of_safetensors(tmp_path: Path, content: bytes) -> None:
    from tests.fuzz.corpus import SAMPLES

    next(s for s in SAMPLES if s.name == "model").write(tmp_path)
    (tmp_path / "model" / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="model") as refused:
        from_pretrained(tmp_path / "model")
    assert "\n" not in str(refused.value)
