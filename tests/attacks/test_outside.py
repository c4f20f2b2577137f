"""Files that name other files: nothing outside of their folder is read. HDF5, netCDF, Zarr and VRT
are in tests/data_adapters/test_gate.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from sciddm.data_adapters import open_cube, open_frames, save_cube
from sciddm.data_adapters.audio import AudioFile
from sciddm.data_adapters.itk_images import read_itk, write_itk
from sciddm.data_adapters.ultrasound.images import write_images
from sciddm.errors import InputError


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    """The folder that a stranger's files lie in; what is above it is not theirs."""
    folder = tmp_path / "inner"
    folder.mkdir()
    return folder


def scene(path: Path, value: float = 1.0) -> Path:
    numbers = np.full((2, 3, 4), value, np.float32)
    save_cube(xr.Dataset({"cube": (("band", "y", "x"), numbers)}), path)
    return path


@pytest.mark.parametrize("key", ["data file", "file", "data_file", "header file"])
def test_a_header_of_envi_names_no_file(inner: Path, key: str) -> None:
    """The numbers lie beside the header under its name, whatever it says."""
    header, secret = scene(inner / "a.hdr"), inner.parent / "secret.img"
    secret.write_bytes(np.full(24, 7, np.float32).tobytes())
    header.write_text(header.read_text() + f"{key} = {secret}\n")
    assert (open_cube(header)["cube"].values == 1).all()
    (inner / "a.img").unlink()
    with pytest.raises(InputError, match=r"a\.(hdr|img)"):
        open_cube(header)


@pytest.mark.parametrize("name", ["{secret}", "../secret.raw", "LIST", "secret%d.raw 1 3 1", ""])
@pytest.mark.parametrize("suffix", [".mhd", ".mha", ".nhdr", ".nrrd"])
def test_volumes_whose_numbers_lie_elsewhere(inner: Path, suffix: str, name: str) -> None:
    pytest.importorskip("SimpleITK")
    secret = inner.parent / "secret.raw"
    secret.write_bytes(np.full(24, 7, np.uint8).tobytes())
    named = name.format(secret=secret)
    path = inner / f"a{suffix}"
    if suffix.startswith(".m"):
        path.write_text(
            "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\n"
            f"elementdatafile = LOCAL\nElementDataFile = {named}\n"
        )
    else:
        path.write_text(
            "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 3 4\nencoding: raw\n"
            f"space: left-posterior-superior\ndata file: {named}\n\n"
        )
    with pytest.raises(InputError, match=rf"a\{suffix}"):
        read_itk(path)


def test_a_volume_may_have_its_numbers_beside_it(inner: Path) -> None:
    pytest.importorskip("SimpleITK")
    image = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for suffix in (".mhd", ".nhdr"):
        write_itk(image, inner / f"a{suffix}", {"affine": np.eye(4).tolist()})
        assert len(list(inner.glob("a.*raw*"))) >= 1
        np.testing.assert_array_equal(read_itk(inner / f"a{suffix}"), image)


def test_a_header_hidden_behind_comments(inner: Path) -> None:
    pytest.importorskip("SimpleITK")
    path = inner / "a.mhd"
    path.write_text("Comment = x\n" * 40_000 + "ElementDataFile = /etc/passwd\n")
    with pytest.raises(InputError, match="256 kB"):
        read_itk(path)


@pytest.mark.parametrize("suffix", [".msk", ".ovr", ".aux.xml"])
def test_what_lies_beside_a_geotiff(inner: Path, suffix: str) -> None:
    path, secret = scene(inner / "a.tif"), scene(inner.parent / "secret.tif", 0)
    virtual = (
        '<VRTDataset rasterXSize="4" rasterYSize="3"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource><SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    notes = f'<PAMDataset><Metadata><MDI key="OVERVIEW_FILE">{secret}</MDI></Metadata></PAMDataset>'
    (inner / f"a.tif{suffix}").write_text(notes if suffix == ".aux.xml" else virtual)
    with pytest.raises(InputError, match=rf"a\.tif\{suffix}"):
        open_cube(path)


def test_a_mask_beside_a_geotiff_is_read(inner: Path) -> None:
    path = inner / "a.tif"
    profile = {"driver": "GTiff", "width": 4, "height": 3, "count": 2, "dtype": "float32"}
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.ones((2, 3, 4), np.float32))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(np.array([[True] * 4, [False] * 4, [True] * 4]))
    assert (inner / "a.tif.msk").exists()
    assert "valid" in open_cube(path) or len(open_cube(path).data_vars) > 1


def playlists(folder: Path, other: Path) -> dict[str, str]:
    return {
        "HLS": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{other}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {other.name}\n",
        "DASH": f'<?xml version="1.0"?><MPD><Period><BaseURL>{other}</BaseURL></Period></MPD>',
        "network": "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    }


@pytest.mark.parametrize("kind", ["HLS", "concat", "DASH", "network", "sdp"])
def test_playlists_are_no_films_and_no_sound(inner: Path, kind: str) -> None:
    pytest.importorskip("imageio_ffmpeg")
    other = inner / "other.mp4"
    write_images(np.full((3, 32, 32), 100, np.uint8), other)
    assert open_frames(other).sizes["frame"] == 3
    text = playlists(inner, other)[kind]
    for name in ("a.mp4", "a.avi", "a.mov"):
        (inner / name).write_text(text)
        with pytest.raises(InputError, match="begins like that"):
            open_frames(inner / name)
    for name in ("a.m4a", "a.mkv", "a.wma", "a.aac"):
        (inner / name).write_text(text)
        with pytest.raises(InputError, match="begins like that"):
            AudioFile(inner / name)
