"""Products of sensors by their published layouts, written here: no file of them is bundled."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio

from sciddm.data_adapters.hsi import cube_files, open_cube
from sciddm.errors import InputError

LINES, SAMPLES = 5, 4


def counts(bands: int, seed: int = 0) -> np.ndarray:
    """(band, y, x) uint16, every number another."""
    return (
        np.random.default_rng(seed)
        .permutation(np.arange(1, bands * LINES * SAMPLES + 1, dtype=np.uint16))
        .reshape(bands, LINES, SAMPLES)
    )


def prisma(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Three bands of VNIR in descending order, one of them without a wavelength; two of SWIR."""
    vnir, swir = counts(3), counts(2, 1)
    with h5py.File(path, "w") as file:
        fields = file.create_group("HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields")
        fields["VNIR_Cube"] = vnir.transpose(1, 0, 2)
        fields["SWIR_Cube"] = swir.transpose(1, 0, 2)
        file.attrs["List_Cw_Vnir"] = np.array([900.0, 500.0, 0.0], np.float32)
        file.attrs["List_Cw_Vnir_Flags"] = np.array([1, 1, 0], np.int32)
        file.attrs["List_Fwhm_Vnir"] = np.array([11.0, 12.0, 0.0], np.float32)
        file.attrs["List_Cw_Swir"] = np.array([2400.0, 950.0], np.float32)
        file.attrs["List_Fwhm_Swir"] = np.array([9.0, 8.0], np.float32)
        for key, value in (
            ("VnirMin", 0.01),
            ("VnirMax", 0.75),
            ("SwirMin", 0.0),
            ("SwirMax", 0.5),
        ):
            file.attrs[f"L2Scale{key}"] = np.float32(value)
        file.attrs["Epsg_Code"] = np.uint32(32633)
        # Centres of the corner pixels, 30 m apart.
        for key, value in (
            ("ULcorner_easting", 500015.0),
            ("ULcorner_northing", 4200135.0),
            ("LRcorner_easting", 500015.0 + 30 * (SAMPLES - 1)),
            ("LRcorner_northing", 4200135.0 - 30 * (LINES - 1)),
        ):
            file.attrs[f"Product_{key}"] = np.float32(value)
    return vnir, swir


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
    values = counts(3).astype(np.float32)
    values[:, 0, 0] = -9999
    text = (
        "GROUP=GRID_1\n\tUpperLeftPointMtrs=(500000.00,4200150.00)\n"
        f"\tLowerRightMtrs=({500000 + 30 * SAMPLES:.2f},{4200150 - 30 * LINES:.2f})\n"
        f"\tProjection=HE5_GCTP_UTM\n\tZoneCode={zone}\nEND_GROUP=GRID_1\n"
    )
    with h5py.File(tmp_path / "t.h5", "w") as file:
        node = file.create_dataset("HDFEOS/GRIDS/HYP/Data Fields/surface_reflectance", data=values)
        node.attrs["wavelengths"] = np.array([400.0, 900.0, 1700.0])
        node.attrs["fwhm"] = np.array([5.0, 6.0, 7.0])
        node.attrs["good_wavelengths"] = np.array([1, 0, 1])
        node.attrs["_FillValue"] = np.array([-9999.0], np.float32)
        nothing = np.zeros((LINES, SAMPLES), np.uint8)
        nothing[0, 0] = 1
        file["HDFEOS/GRIDS/HYP/Data Fields/nodata_pixels"] = nothing
        file["HDFEOS INFORMATION/StructMetadata.0"] = np.bytes_(text)
    held = open_cube(tmp_path / "t.h5")
    np.testing.assert_array_equal(held["cube"].values, values)
    assert held["wavelength"].values.tolist() == [400, 900, 1700]
    assert held["good"].values.tolist() == [True, False, True]
    assert held.attrs["nodata"] == -9999
    assert held.attrs["transform"] == [30, 0, 500000, 0, -30, 4200150]
    assert rasterio.crs.CRS.from_wkt(held.attrs["crs"]).to_epsg() == (32633 if zone > 0 else 32733)
    np.testing.assert_array_equal(held["valid_mask"].values, nothing == 0)


def test_neon(tmp_path):
    values = counts(4).astype(np.int16)
    with h5py.File(tmp_path / "n.h5", "w") as file:
        group = file.create_group("SERC/Reflectance")
        node = group.create_dataset("Reflectance_Data", data=values.transpose(1, 2, 0))
        node.attrs["Scale_Factor"], node.attrs["Data_Ignore_Value"] = 10000.0, -9999.0
        group.attrs["Band_Window_1_Nanometers"] = np.array([1340, 1445])
        group.attrs["Band_Window_2_Nanometers"] = np.array([1790, 1955])
        group["Metadata/Spectral_Data/Wavelength"] = np.array([500.0, 1400.0, 1600.0, 1900.0])
        group["Metadata/Spectral_Data/FWHM"] = np.full(4, 5.5)
        group["Metadata/Coordinate_System/Map_Info"] = (
            "UTM,  1.000,  1.000,       368000.00,       4307000.0,       1.0000000,"
            "       1.0000000,  18,  North,  WGS-84,  units=Meters, 0"
        )
        group["Metadata/Coordinate_System/EPSG Code"] = "32618"
    held = open_cube(tmp_path / "n.h5")
    np.testing.assert_array_equal(held["cube"].values, values)
    assert held["good"].values.tolist() == [True, False, True, False]
    np.testing.assert_allclose(held["gain"].values, 1e-4)
    assert held.attrs["nodata"] == -9999
    assert held.attrs["transform"] == [1, 0, 368000, 0, -1, 4307000]
    assert rasterio.crs.CRS.from_wkt(held.attrs["crs"]).to_epsg() == 32618


def spectra(path: Path, values: np.ndarray) -> None:
    profile = {"driver": "GTiff", "count": len(values), "height": LINES, "width": SAMPLES}
    with rasterio.open(
        path, "w", dtype="int16", nodata=-32768, crs="EPSG:32633", **profile,
        transform=rasterio.Affine(30, 0, 500000, 0, -30, 4200150),
    ) as file:  # fmt: skip
        file.write(values.astype(np.int16))


def test_enmap_from_either_file(tmp_path):
    values = counts(3)
    stem = "ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z"
    bands = "".join(
        f'<bandID number="{n}"><wavelengthCenterOfBand>{w}</wavelengthCenterOfBand>'
        f"<FWHMOfBand>{f}</FWHMOfBand><GainOfBand>0.0001</GainOfBand><OffsetOfBand>0</OffsetOfBand>"
        "</bandID>"
        for n, w, f in ((1, 418.4, 7.0), (2, 902.2, 9.0), (3, 2445.5, 8.0))
    )
    (tmp_path / f"{stem}-METADATA.XML").write_text(
        f"<level_X><specific><bandCharacterisation>{bands}</bandCharacterisation>"
        "<vnirProductQuality><expectedChannelsList>1,2</expectedChannelsList></vnirProductQuality>"
        "<swirProductQuality><expectedChannelsList></expectedChannelsList></swirProductQuality>"
        "</specific></level_X>"
    )
    spectra(tmp_path / f"{stem}-SPECTRAL_IMAGE.TIF", values)
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
    values = counts(2)
    stem = "DESIS-HSI-L2A-DT0455064484_016-20200206T234214-V0210"
    bands = "".join(
        f"<band><bandNumber>{n}</bandNumber><wavelengthCenterOfBand>{w}</wavelengthCenterOfBand>"
        "<wavelengthWidthOfBand>3.5</wavelengthWidthOfBand><gainOfBand>0.0001</gainOfBand>"
        "<offsetOfBand>0.0</offsetOfBand><response>0.1,0.9,0.1</response></band>"
        for n, w in ((1, 401.8), (2, 999.5))
    )
    (tmp_path / f"{stem}-METADATA.xml").write_text(
        "<hsi_doc><specific><interiorOrientation><band><bandNumber>1</bandNumber></band>"
        f"</interiorOrientation><bandCharacterisation>{bands}</bandCharacterisation></specific>"
        "</hsi_doc>"
    )
    spectra(tmp_path / f"{stem}-SPECTRAL_IMAGE.tif", values)
    held = open_cube(tmp_path / f"{stem}-METADATA.xml")
    np.testing.assert_array_equal(held["cube"].values, values)
    assert held["wavelength"].values.tolist() == [401.8, 999.5]
    assert held["fwhm"].values.tolist() == [3.5, 3.5]


def test_metadata_of_another_number_of_bands_is_refused(tmp_path):
    test_desis_describes_bands_in_one_place_only(tmp_path)
    spectra(next(tmp_path.glob("*.tif")), counts(3))
    with pytest.raises(InputError, match="describes 2 bands"):
        open_cube(next(tmp_path.glob("*.xml")))


def hdf4(path: Path, values: np.ndarray, *, special: bool = False) -> None:
    """A scientific dataset in one piece: descriptors, number type, dimensions, group, values."""
    raw = values.astype(">i2").tobytes()
    kind = struct.pack(">BBBB", 1, 22, 16, 1)
    rank = values.ndim
    sizes = struct.pack(f">H{rank}I", rank, *values.shape)
    sizes += struct.pack(">HH", 106, 2) * (rank + 1)
    members = struct.pack(">HHHH", 701, 2, 702, 2)
    start = 4 + 6 + 12 * 4
    tags, at, body = b"", start, b""
    for tag, part in ((106, kind), (701, sizes), (720, members), (702 | 0x4000 * special, raw)):
        tags += struct.pack(">HHII", tag, 2, at + len(body), len(part))
        body += part
    path.write_bytes(b"\x0e\x03\x13\x01" + struct.pack(">HI", 4, 0) + tags + body)


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
