"""What a file holds beside its numbers comes back; several cubes in one file are told apart."""

from __future__ import annotations

from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import rasterio
import scipy.io
import xarray as xr

from sciddm.data_adapters.hsi import build_cube, cube_files, open_cube, save_cube
from sciddm.data_adapters.hsi.hdf_cube import HdfCube
from sciddm.errors import InputError

VALUES = np.arange(3 * 40 * 32, dtype=np.int16).reshape(3, 40, 32)


def envi(folder: Path, *entries: str, tail: bytes = b"") -> Path:
    (folder / "a.img").write_bytes(VALUES.astype("<i2").tobytes() + tail)
    text = "ENVI\nsamples = 32\nlines = 40\nbands = 3\ndata type = 2\ninterleave = bsq\n"
    (folder / "a.hdr").write_text(text + "\n".join(entries) + "\n", encoding="utf-8")
    return folder / "a.hdr"


def test_numbers_that_are_longer_than_announced_are_read_and_it_is_said(tmp_path):
    held = open_cube(envi(tmp_path, tail=b"x" * 512))
    np.testing.assert_array_equal(held["cube"].values, VALUES)
    assert held.attrs["remarks"] == [
        "a.img is 512 bytes longer than a.hdr announces: the rest is not read."
    ]


def test_bad_bands_in_words_and_comments(tmp_path):
    path = envi(tmp_path, "; made by hand", "bbl = {true,", " False, TRUE}", "fwhm = { }")
    held = open_cube(path)
    assert held["good"].values.tolist() == [True, False, True]
    save_cube(held, tmp_path / "b.hdr")
    text = (tmp_path / "b.hdr").read_text()
    assert "; made by hand" in text
    assert open_cube(tmp_path / "b.hdr")["good"].values.tolist() == [True, False, True]


@pytest.mark.parametrize("unit", ["Wavenumber", "GHz", "Index"])
def test_wavelengths_that_are_no_lengths_stay_in_the_header(tmp_path, unit):
    path = envi(tmp_path, f"wavelength units = {unit}", "wavelength = {9000, 6000, 4000}")
    held = open_cube(path)
    assert "wavelength" not in held.coords
    assert unit in held.attrs["remarks"][0]
    save_cube(held, tmp_path / "b.hdr")
    assert "{ 9000 , 6000 , 4000 }" in (tmp_path / "b.hdr").read_text()


def test_headers_with_a_mark_of_order_or_of_another_encoding(tmp_path):
    path = envi(tmp_path)
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    np.testing.assert_array_equal(open_cube(path)["cube"].values, VALUES)
    path.write_bytes((text + "wavelength units = µm\nwavelength = {1, 2, 2.5}\n").encode("latin-1"))
    assert open_cube(path)["wavelength"].values.tolist() == [1000, 2000, 2500]


def tiff(path: Path) -> None:
    profile = {"driver": "GTiff", "count": 3, "height": 40, "width": 32, "dtype": "int16"}
    profile |= {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "DEFLATE"}
    place = rasterio.Affine(30, 0, 500000, 0, -30, 4200150)
    with rasterio.open(
        path, "w", predictor=2, crs="EPSG:32633", transform=place, **profile
    ) as file:
        file.write(VALUES)
        file.update_tags(AREA_OR_POINT="Point", SENSOR="x")
        file.update_tags(ns="ENVI", cloud="12")
        for band in (1, 2, 3):
            file.update_tags(band, bbl=str(band % 2), note=f"n{band}")
            file.update_tags(band, ns="IMD", gain=str(band))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])


def test_geotiff_tags_of_all_domains_and_layout_come_back(tmp_path):
    tiff(tmp_path / "a.tif")
    held = open_cube(tmp_path / "a.tif")
    assert held["good"].values.tolist() == [True, False, True]
    save_cube(held.isel(band=[0, 2]), tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as file:
        assert file.tags()["AREA_OR_POINT"] == "Point"
        assert file.tags()["SENSOR"] == "x"
        assert file.tags(ns="ENVI") == {"cloud": "12"}
        assert [file.tags(b)["note"] for b in (1, 2)] == ["n1", "n3"]
        assert [file.tags(b)["bbl"] for b in (1, 2)] == ["1", "1"]
        assert [file.tags(b, ns="IMD")["gain"] for b in (1, 2)] == ["1", "3"]
        assert file.block_shapes[0] == (16, 16)
        assert file.overviews(1) == [2, 4]
        assert file.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
        np.testing.assert_array_equal(file.read(), VALUES[[0, 2]])


def test_a_cloud_optimised_geotiff_stays_one(tmp_path):
    tiff(tmp_path / "a.tif")
    held = open_cube(tmp_path / "a.tif")
    held = held.assign_attrs(tiff={**held.attrs["tiff"], "cog": True})
    save_cube(held, tmp_path / "b.tif")
    save_cube(open_cube(tmp_path / "b.tif"), tmp_path / "c.tif")
    for name in ("b.tif", "c.tif"):
        with rasterio.open(tmp_path / name) as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.tags(ns="ENVI") == {"cloud": "12"}
            assert file.tags(2, ns="IMD") == {"gain": "2"}
            np.testing.assert_array_equal(file.read(), VALUES)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "b.tif", "c.tif"]


def vrt(folder: Path, source: str, relative: int = 1, more: str = "") -> Path:
    bands = "".join(
        f'<VRTRasterBand dataType="Int16" band="{place}"><Metadata>'
        f'<MDI key="wavelength">{400 + b}</MDI></Metadata>{more}<SimpleSource>'
        f'<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename>'
        f"<SourceBand>{b}</SourceBand></SimpleSource></VRTRasterBand>"
        for place, b in ((1, 3), (2, 1))
    )
    path = folder / "a.vrt"
    path.write_text(f'<VRTDataset rasterXSize="32" rasterYSize="40">{bands}</VRTDataset>')
    return path


def test_a_virtual_raster_reads_what_lies_beside_it(tmp_path):
    tiff(tmp_path / "a.tif")
    path = vrt(tmp_path, "a.tif")
    held = open_cube(path)
    np.testing.assert_array_equal(held["cube"].values, VALUES[[2, 0]])
    assert held["wavelength"].values.tolist() == [403, 401]
    assert [p.name for p in cube_files(path)] == ["a.vrt", "a.tif"]


@pytest.mark.parametrize(
    ("source", "relative"),
    [
        ("../a.tif", 1),
        ("/etc/passwd", 0),
        ("/vsicurl/http://example.org/a.tif", 0),
        ('HDF5:"a.h5"://x', 0),
        ("missing.tif", 1),
    ],
)
def test_a_virtual_raster_reads_nothing_else(tmp_path, source, relative):
    folder = tmp_path / "in"
    folder.mkdir()
    tiff(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.vrt"):
        open_cube(vrt(folder, source, relative))


def test_a_virtual_raster_runs_no_code(tmp_path):
    tiff(tmp_path / "a.tif")
    code = "<PixelFunctionType>f</PixelFunctionType>"
    with pytest.raises(InputError, match="computes its bands"):
        open_cube(vrt(tmp_path, "a.tif", more=code))


def test_one_of_several_cubes_in_groups(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        for dim, size in (("bands", 3), ("y", 40), ("x", 32)):
            file.createDimension(dim, size)
        file.createVariable("wavelength", "f8", ("bands",))[...] = [400, 500, 600]
        for number, group in enumerate(("radiance", "reflectance")):
            place = file.createGroup(group)
            place.createVariable("data", "i2", ("y", "x", "bands"))[...] = (
                VALUES.transpose(1, 2, 0) + number
            )
    with pytest.raises(InputError, match=r"2 variables.*radiance/data.*choose one with --variable"):
        open_cube(tmp_path / "a.nc")
    held = open_cube(tmp_path / "a.nc", "reflectance/data")
    np.testing.assert_array_equal(held["cube"].values, VALUES + 1)
    assert held["wavelength"].values.tolist() == [400, 500, 600]
    with pytest.raises(InputError, match="no single variable 'data'"):
        open_cube(tmp_path / "a.nc", "data")


def test_hdf5_without_named_axes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/cube"] = VALUES.transpose(1, 2, 0)
        file["scan/wavelength"] = np.array([0.4, 0.5, 0.6])
    held = open_cube(tmp_path / "a.h5")
    np.testing.assert_array_equal(held["cube"].values, VALUES)
    np.testing.assert_allclose(held["wavelength"].values, [400, 500, 600])


def test_a_matrix_of_pixels_along_columns(tmp_path):
    matrix = VALUES.transpose(0, 2, 1).reshape(3, -1)
    scipy.io.savemat(tmp_path / "a.mat", {"Y": matrix, "nRow": 40, "nCol": 32, "A": matrix[:2]})
    held = open_cube(tmp_path / "a.mat")
    np.testing.assert_array_equal(held["cube"].values, VALUES)
    save_cube(held, tmp_path / "b.mat")
    np.testing.assert_array_equal(open_cube(tmp_path / "b.mat")["cube"].values, VALUES)
    np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "b.mat")["Y"], matrix)
    scipy.io.savemat(tmp_path / "c.mat", {"Y": matrix})
    with pytest.raises(InputError, match="no nRow and nCol"):
        open_cube(tmp_path / "c.mat")


def test_one_of_several_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", first=VALUES, second=VALUES + 1)
    with pytest.raises(InputError, match="--variable"):
        open_cube(tmp_path / "a.npz")
    held = open_cube(tmp_path / "a.npz", "second")
    np.testing.assert_array_equal(held["cube"].values, np.moveaxis(VALUES + 1, -1, 0))


def test_a_variable_of_a_file_that_holds_one_cube(tmp_path):
    save_cube(build_cube(Path("s"), VALUES, form="t"), tmp_path / "a.tif")
    with pytest.raises(InputError, match="leave --variable out"):
        open_cube(tmp_path / "a.tif", "x")


@pytest.mark.parametrize("suffix", [".hdr", ".tif", ".nc", ".zarr", ".npz", ".mat", ".he5"])
def test_any_part_of_a_lazy_cube_is_that_of_the_whole(tmp_path, suffix):
    """Bands one by one, single spectra, steps: what a page and a user ask for."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".he5":
        with h5py.File(path, "w") as file:
            file.create_dataset("cube", data=VALUES.transpose(1, 0, 2))
        stored = HdfCube(path, "/cube", ("y", "band", "x"), (40, 3, 32), VALUES.dtype)
        cube = xr.DataArray(stored.lazy(), dims=("band", "y", "x"))
    else:
        save_cube(xr.Dataset({"cube": (("band", "y", "x"), VALUES)}), path)
        cube = open_cube(path)["cube"]
    for index in (1, -1, (2, 5), (2, slice(3, 30, 4), 7), (slice(None), -3, 4), (0, 1, 2)):
        np.testing.assert_array_equal(cube[index].values, VALUES[index])
