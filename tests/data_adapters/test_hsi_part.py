"""Parts of cubes: bands, windows, masks, and the map grid of a lookup table."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from sciddm.data_adapters.hsi import build_cube, open_cube, save_cube
from sciddm.data_adapters.hsi.ortho import orthorectified
from sciddm.data_adapters.hsi.part import masked, part_of, wanted_bands, wanted_window
from sciddm.errors import InputError

NM = np.array([400.0, 500.0, 900.0, 1700.0, 2400.0])


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1-2,5", [1, 2, 5]),
        ("3", [3]),
        ("450-1700nm", [2, 3, 4]),
        ("0.9-1.7um", [3, 4]),
        ("1690nm", [4]),  # the nearest
        ("1, 900 - 2400 nm", [1, 3, 4, 5]),
    ],
)
def test_bands(text, numbers):
    assert (np.flatnonzero(wanted_bands(text, 5, NM)) + 1).tolist() == numbers


@pytest.mark.parametrize("text", ["0", "6", "4-2", "900", "3000-4000nm", "a", "", "1-", "1.5"])
def test_bands_that_are_none(text):
    with pytest.raises(InputError, match="band"):
        wanted_bands(text, 5, NM)


def test_wavelengths_of_a_cube_without_any():
    with pytest.raises(InputError, match="by number"):
        wanted_bands("400-500nm", 5, None)


@pytest.mark.parametrize("text", ["0-9", "0-9,0-5", "5-2,0-3", "0-10,0-3", "a"])
def test_windows_that_are_none(text):
    with pytest.raises(InputError, match="window"):
        wanted_window(text, 10, 5)


def cube(**attrs):
    values = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
    return build_cube(Path("s"), values, form="t", wavelength=NM, units="nm", attrs=attrs)


def test_a_part_lies_where_it_lay(tmp_path):
    held = part_of(cube(transform=[10, 0, 500, 0, -10, 900]), "450-1700nm", "2-4,1-3")
    np.testing.assert_array_equal(held["cube"].values, cube()["cube"].values[1:4, 2:5, 1:4])
    save_cube(held, tmp_path / "a.tif")
    back = open_cube(tmp_path / "a.tif")
    assert back.attrs["transform"] == [10, 0, 510, 0, -10, 880]
    assert back["wavelength"].values.tolist() == [500, 900, 1700]


def test_a_mask_says_which_pixels_are_left_out(tmp_path):
    values = np.ones((1, 6, 7), np.uint8)
    values[0, 2:4, 3] = 0
    save_cube(build_cube(Path("m"), values, form="t"), tmp_path / "m.hdr")
    held = masked(cube(), tmp_path / "m.hdr")
    np.testing.assert_array_equal(held["valid_mask"].values, values[0] == 1)
    save_cube(build_cube(Path("m"), values[:, :5], form="t"), tmp_path / "n.hdr")
    with pytest.raises(InputError, match="5 x 7 pixels, the cube has 6 x 7"):
        masked(cube(), tmp_path / "n.hdr")
    save_cube(cube(), tmp_path / "o.hdr")
    with pytest.raises(InputError, match="5 bands: a mask has one"):
        masked(cube(), tmp_path / "o.hdr")


def emit(path: Path, lines=4, samples=3) -> np.ndarray:
    """A granule whose grid is turned by a quarter, with one pixel seen twice and one not at all."""
    values = np.arange(lines * samples * 2, dtype=np.float32).reshape(lines, samples, 2)
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in (
            ("downtrack", lines), ("crosstrack", samples), ("bands", 2),
            ("ortho_y", samples), ("ortho_x", lines),
        ):  # fmt: skip
            file.createDimension(dim, size)
        file.setncatts(
            {"geotransform": [10.0, 0.5, 0.0, 50.0, 0.0, -0.5], "spatial_ref": "EPSG:4326"}
        )
        node = file.createVariable(
            "reflectance", "f4", ("downtrack", "crosstrack", "bands"), fill_value=-9999
        )
        node[...] = values
        bands = file.createGroup("sensor_band_parameters")
        bands.createVariable("wavelengths", "f4", ("bands",))[...] = [500, 600]
        place = file.createGroup("location")
        for name, table in (
            ("glt_x", np.repeat(np.arange(1, samples + 1)[:, None], lines, 1)),
            ("glt_y", np.repeat(np.arange(1, lines + 1)[None], samples, 0)),
        ):
            table = table.copy()
            table[0, 0] = 0
            table[2, 1] = -table[2, 2]
            place.createVariable(name, "i4", ("ortho_y", "ortho_x"))[...] = table
    return values


def test_emit_on_its_map_grid(tmp_path):
    values = emit(tmp_path / "e.nc")
    held = orthorectified(open_cube(tmp_path / "e.nc"))
    expected = values.transpose(2, 1, 0).copy()
    expected[:, 2, 1] = values[2, 2]  # from a neighbour, which the table marks as negative
    expected[:, 0, 0] = -9999
    np.testing.assert_array_equal(held["cube"].values, expected)
    assert held.attrs["transform"] == [0.5, 0, 10, 0, -0.5, 50]
    assert held.attrs["nodata"] == -9999
    assert held["wavelength"].values.tolist() == [500, 600]
    save_cube(held, tmp_path / "o.tif")
    back = open_cube(tmp_path / "o.tif")
    np.testing.assert_array_equal(back["cube"].values, expected)
    assert back.attrs["transform"] == [0.5, 0, 10, 0, -0.5, 50]
    # A window of the sensor's lines: what lies outside of it is not seen.
    part = orthorectified(part_of(open_cube(tmp_path / "e.nc"), None, "1-2,0-2"))
    inside = np.full(expected.shape, -9999, np.float32)
    inside[:, :, 1:3] = expected[:, :, 1:3]
    np.testing.assert_array_equal(part["cube"].values, inside)


def test_without_a_lookup_table_there_is_no_map():
    with pytest.raises(InputError, match="no lookup table"):
        orthorectified(cube())
