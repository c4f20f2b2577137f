"""Map info of ENVI against what GDAL makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rioxarray

from sciddm.data_adapters.hsi import open_cube, save_cube
from sciddm.data_adapters.hsi.georeference import map_info, transform_of
from sciddm.errors import OutputError

TURNED = "UTM, 1, 1, 277811.6, 4483607.4, 3.1, 3.1, 13, North, WGS-84, units=Meters, rotation=53"


def envi(folder, info):
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    values.tofile(folder / "a.img")
    (folder / "a.hdr").write_text(
        "ENVI\nsamples = 5\nlines = 4\nbands = 3\nheader offset = 0\nfile type = ENVI Standard\n"
        f"data type = 4\ninterleave = bsq\nbyte order = 0\nmap info = {{{info}}}\n"
    )
    return folder / "a.hdr"


@pytest.mark.parametrize("target", ["b.hdr", "b.tif", "b.nc"])
def test_a_turned_grid_keeps_its_place_in_every_format(tmp_path, target):
    """As images in the sensor's own direction of flight have it."""
    part = open_cube(envi(tmp_path, TURNED)).isel(y=slice(1, 4), x=slice(2, 5))
    save_cube(part, tmp_path / target)
    with rasterio.open(tmp_path / "a.img") as file:
        expected, crs = file.transform @ rasterio.Affine.translation(2, 1), file.crs
    name = str(tmp_path / target).replace(".hdr", ".img")
    with rasterio.open(name) as file:
        np.testing.assert_allclose(file.transform, expected, rtol=1e-12, atol=1e-6)
        assert file.crs == crs
    theirs = rioxarray.open_rasterio(name)
    np.testing.assert_allclose(theirs.rio.transform(), expected, rtol=1e-12, atol=1e-6)
    again = open_cube(tmp_path / target)
    save_cube(again, tmp_path / "c.hdr")
    with rasterio.open(tmp_path / "c.img") as file:
        np.testing.assert_allclose(file.transform, expected, rtol=1e-12, atol=1e-6)


@pytest.mark.parametrize(
    "info",
    [
        "UTM, 1, 1, 5e5, 5e6, 3, 3, 13, North, North America 1983, units=Meters",
        "UTM, 1, 1, 5e5, 5e6, 3, 3, 13, North, North America 1927, units=Meters",
        "UTM, 1.5, 1.5, 5e5, 5e6, 3, 3, 60, South, WGS-84, units=Meters",
        "Geographic Lat/Lon, 1, 1, 10, 50, .1, .2, WGS-84, units=Degrees",
        "Geographic Lat/Lon, 1, 1, 10, 50, .1, .2, North America 1983, units=Degrees",
    ],
)
def test_datums_are_those_of_gdal(tmp_path, info):
    held = open_cube(envi(tmp_path, info))
    with rasterio.open(tmp_path / "a.img") as file:
        assert rasterio.CRS.from_wkt(held.attrs["crs"]) == file.crs
        np.testing.assert_allclose(held.attrs["transform"], list(file.transform)[:6])


@pytest.mark.parametrize("turn", [-170.0, -90.0, 30.0, 180.0])
def test_map_info_of_a_transform_says_that_transform(turn):
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    transform = [2 * c, 3 * s, 5e5, 2 * s, -3 * c, 5e6]
    info = map_info(Path("a.hdr"), transform, None)
    np.testing.assert_allclose(transform_of(info), transform, atol=1e-9)


@pytest.mark.parametrize("transform", [[2, 0, 0, 0, 2, 0], [2, 1, 0, 0, -2, 0]])
def test_what_map_info_cannot_say_is_refused(transform):
    with pytest.raises(OutputError, match="mirrored or sheared"):
        map_info(Path("a.hdr"), transform, None)
