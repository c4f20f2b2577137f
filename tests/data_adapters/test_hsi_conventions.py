"""netCDF and Zarr that other programs read: place, fill values, packing, masks."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import rioxarray  # noqa: F401
import xarray as xr
from rasterio.crs import CRS

from sciddm.data_adapters.hsi import build_cube, open_cube, save_cube
from sciddm.data_adapters.hsi.result import save_denoised

TRANSFORM = [20.0, 0.0, 5e5, 0.0, -20.0, 3.7e6]


def scene(**attrs):
    values = np.random.default_rng(0).integers(0, 4000, (5, 7, 6)).astype(np.int16)
    values[:, 2, 3] = -9999
    about = {"crs": CRS.from_epsg(32611).to_wkt(), "transform": TRANSFORM, "nodata": -9999.0}
    return build_cube(
        Path("s.hdr"),
        values,
        form="t",
        wavelength=np.linspace(400, 900, 5),
        units="nm",
        attrs={**about, **attrs},
    )


def opened(path):
    options = {"engine": "zarr", "consolidated": False} if path.suffix == ".zarr" else {}
    return xr.open_dataset(path, decode_coords="all", **options)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_other_programs_see_where_pixels_lie_and_what_is_missing(tmp_path, suffix):
    held = scene()
    path = tmp_path / f"a{suffix}"
    save_cube(held, path)
    with opened(path) as file:
        cube = file["cube"]
        assert cube.rio.crs.to_epsg() == 32611
        assert list(cube.rio.transform())[:6] == TRANSFORM
        np.testing.assert_allclose(file["x"][:2], [5e5 + 10, 5e5 + 30])
        np.testing.assert_allclose(file["y"][:2], [3.7e6 - 10, 3.7e6 - 30])
        assert file["x"].attrs["standard_name"] == "projection_x_coordinate"
        assert np.isnan(cube.values[:, 2, 3]).all()
        assert np.isfinite(np.delete(cube.values.reshape(5, -1), 15, axis=1)).all()
    back = open_cube(path)
    np.testing.assert_array_equal(back["cube"], held["cube"])
    assert back["y"].values.tolist() == list(range(7))
    assert back.attrs["transform"] == TRANSFORM
    assert back.attrs["nodata"] == -9999
    # A part lies where it was cut out.
    part = tmp_path / f"p{suffix}"
    save_cube(back.isel(y=slice(2, 6), x=slice(3, 6)), part)
    with opened(part) as file:
        assert list(file["cube"].rio.transform())[:6] == [20, 0, 5e5 + 60, 0, -20, 3.7e6 - 40]
    again = open_cube(part)
    assert again["y"].values.tolist() == [2, 3, 4, 5]


def test_a_packed_file_comes_back_packed(tmp_path):
    """int16 with scale, offset, fill value, CRS and a mask, under a name of its own."""
    source, target = tmp_path / "in.nc", tmp_path / "out.nc"
    values = np.random.default_rng(0).integers(0, 4000, (5, 7, 6)).astype(np.int16)
    with netCDF4.Dataset(source, "w") as file:
        for name, size in (("wavelength", 5), ("northing", 7), ("easting", 6)):
            file.createDimension(name, size)
        file.createVariable("wavelength", "f4", ("wavelength",))[:] = np.linspace(400, 900, 5)
        file["wavelength"].units = "nm"
        file.createVariable("northing", "f8", ("northing",))[:] = 3.7e6 - 20 * np.arange(7) - 10
        file.createVariable("easting", "f8", ("easting",))[:] = 5e5 + 20 * np.arange(6) + 10
        file.createVariable("crs", "i4").crs_wkt = CRS.from_epsg(32611).to_wkt()
        dims = ("wavelength", "northing", "easting")
        cube = file.createVariable("reflectance", "i2", dims, fill_value=-9999)
        cube.set_auto_maskandscale(False)
        cube.scale_factor, cube.add_offset, cube.grid_mapping = 1e-4, 0.05, "crs"
        cube[:] = values
        file.createVariable("cloud", "i1", ("northing", "easting"))[:] = 1
    held = open_cube(source)
    assert held.attrs["transform"] == pytest.approx(TRANSFORM)
    assert held.attrs["nodata"] == -9999
    save_cube(held, target)
    with opened(target) as file:
        np.testing.assert_allclose(file["reflectance"], 0.05 + 1e-4 * values, rtol=1e-6)
        assert file["reflectance"].rio.crs.to_epsg() == 32611
        assert (file["cloud"].values == 1).all()
    with netCDF4.Dataset(target) as file:
        assert file["reflectance"].dtype == np.int16
        assert file["reflectance"]._FillValue == -9999
    back = open_cube(target)
    np.testing.assert_array_equal(back["cube"], values)
    assert back["cube"].attrs["scale_factor"] == 1e-4


def test_layers_of_a_packed_cube_have_no_offset(tmp_path):
    held = scene()
    held["cube"].attrs = {"scale_factor": 1e-4, "add_offset": 0.05, "units": "1"}
    held["std"] = held["cube"].astype(np.float32).assign_attrs()
    held["flags"] = (held["cube"] * 0).astype(np.uint8)
    save_denoised(held.assign_attrs(scene_attributes=list(held.attrs)), tmp_path / "a.nc")
    std = open_cube(tmp_path / "a_std.nc")["cube"].attrs
    assert (std["scale_factor"], "add_offset" in std) == (1e-4, False)
    flags = open_cube(tmp_path / "a_flags.nc")["cube"].attrs
    assert not {"scale_factor", "add_offset", "units"} & set(flags)
    assert flags["flag_meanings"].split()[:2] == ["dead", "stuck"]
