"""Products of sensors by their published layouts, written here: no file of them is bundled."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import rasterio

from sciddm.data_adapters.hsi import cube_files, open_cube
from sciddm.errors import InputError
from tests.fuzz.products import counts, desis, enmap, hdf4, neon, prisma, spectra, tanager


def test_prisma_is_one_cube_of_ascending_wavelengths(tmp_path):
    vnir, swir = prisma(tmp_path / "PRS_L2D.he5")
    held = open_cube(tmp_path / "PRS_L2D.he5")
    assert held["wavelength"].values.tolist() == [500, 900, 950, 2400]
    assert held["fwhm"].values.tolist() == [12, 11, 8, 9]
    expected = np.stack([vnir[1], vnir[0], swir[1], swir[0]])
    np.testing.assert_array_equal(held["cube"].values, expected)
    np.testing.assert_allclose(held["gain"].values, [0.74 / 65535] * 2 + [0.5 / 65535] * 2, 1e-6)
    np.testing.assert_allclose(held["offset"].values, [0.01, 0.01, 0, 0], 1e-6)
    assert held["name"].values.tolist() == ["VNIR 2", "VNIR 1", "SWIR 2", "SWIR 1"]
    assert held.attrs["transform"] == [30, 0, 500000, 0, -30, 4200150]
    assert "32633" in held.attrs["crs"]
    # Parts are read as parts.
    np.testing.assert_array_equal(held["cube"][1:3, 2, 1:].values, expected[1:3, 2, 1:])


def test_prisma_of_another_level_is_said(tmp_path):
    with h5py.File(tmp_path / "a.he5", "w") as file:
        file.create_group("HDFEOS/SWATHS/PRS_L1_HCO/Data Fields")
    with pytest.raises(InputError, match=r"a\.he5: no cube of PRISMA L2B, L2C or L2D"):
        open_cube(tmp_path / "a.he5")


@pytest.mark.parametrize("zone", [33, -33])
def test_tanager_on_a_grid(tmp_path, zone):
    values, nothing = tanager(tmp_path / "t.h5", zone)
    held = open_cube(tmp_path / "t.h5")
    np.testing.assert_array_equal(held["cube"].values, values)
    assert held["wavelength"].values.tolist() == [400, 900, 1700]
    assert held["good"].values.tolist() == [True, False, True]
    assert held.attrs["nodata"] == -9999
    assert held.attrs["transform"] == [30, 0, 500000, 0, -30, 4200150]
    assert rasterio.crs.CRS.from_wkt(held.attrs["crs"]).to_epsg() == (32633 if zone > 0 else 32733)
    np.testing.assert_array_equal(held["valid_mask"].values, nothing == 0)


def test_neon(tmp_path):
    values = neon(tmp_path / "n.h5")
    held = open_cube(tmp_path / "n.h5")
    np.testing.assert_array_equal(held["cube"].values, values)
    assert held["good"].values.tolist() == [True, False, True, False]
    np.testing.assert_allclose(held["gain"].values, 1e-4)
    assert held.attrs["nodata"] == -9999
    assert held.attrs["transform"] == [1, 0, 368000, 0, -1, 4307000]
    assert rasterio.crs.CRS.from_wkt(held.attrs["crs"]).to_epsg() == 32618


def test_enmap_from_either_file(tmp_path):
    values, stem = enmap(tmp_path)
    for ending in ("METADATA.XML", "SPECTRAL_IMAGE.TIF"):
        held = open_cube(tmp_path / f"{stem}-{ending}")
        np.testing.assert_array_equal(held["cube"].values, values)
        assert held["wavelength"].values.tolist() == [418.4, 902.2, 2445.5]
        assert held["fwhm"].values.tolist() == [7, 9, 8]
        assert held["good"].values.tolist() == [True, True, False]
        np.testing.assert_allclose(held["gain"].values, 1e-4)
        assert held.attrs["nodata"] == -32768
        assert held.attrs["format"] == "enmap"
        assert len(cube_files(tmp_path / f"{stem}-{ending}")) == 2


def test_desis_describes_bands_in_one_place_only(tmp_path):
    values, stem = desis(tmp_path)
    held = open_cube(tmp_path / f"{stem}-METADATA.xml")
    np.testing.assert_array_equal(held["cube"].values, values)
    assert held["wavelength"].values.tolist() == [401.8, 999.5]
    assert held["fwhm"].values.tolist() == [3.5, 3.5]


def test_metadata_of_another_number_of_bands_is_refused(tmp_path):
    test_desis_describes_bands_in_one_place_only(tmp_path)
    spectra(next(tmp_path.glob("*.tif")), counts(3))
    with pytest.raises(InputError, match="describes 2 bands"):
        open_cube(next(tmp_path.glob("*.xml")))


def test_hyperion(tmp_path):
    values = np.arange(3 * 242 * 2, dtype=np.int16).reshape(3, 242, 2)
    hdf4(tmp_path / "EO1H.L1R", values)
    held = open_cube(tmp_path / "EO1H.L1R")
    np.testing.assert_array_equal(held["cube"].values, values.transpose(1, 0, 2))
    # Bands that the published table names.
    known = {
        1: 355.59,
        40: 752.43,
        70: 1057.68,
        71: 851.92,
        100: 1144.48,
        150: 1648.90,
        242: 2577.08,
    }
    for band, nm in known.items():
        assert held["wavelength"].values[band - 1] == pytest.approx(nm, abs=0.2)
    assert held["gain"].values[[0, 69, 70]].tolist() == [1 / 40, 1 / 40, 1 / 80]
    good = np.flatnonzero(held["good"].values) + 1
    assert (good.min(), good.max()) == (8, 224)
    assert not set(range(58, 77)) & set(good.tolist())


def test_hdf4_that_is_compressed_or_cut_off_is_refused(tmp_path):
    values = np.zeros((2, 242, 2), np.int16)
    hdf4(tmp_path / "a.L1R", values, special=True)
    with pytest.raises(InputError, match="compressed or in pieces"):
        open_cube(tmp_path / "a.L1R")
    hdf4(tmp_path / "b.L1R", values)
    whole = (tmp_path / "b.L1R").read_bytes()
    (tmp_path / "b.L1R").write_bytes(whole[:-100])
    with pytest.raises(InputError, match="cut off"):
        open_cube(tmp_path / "b.L1R")
