"""Products of imaging spectrometers by their published layouts, as small as they can be."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import rasterio

from tests.fuzz.sample import Sample

__all__ = ["PRODUCTS", "counts", "desis", "enmap", "hdf4", "neon", "prisma", "spectra", "tanager"]

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


def tanager(path: Path, zone: int = 33) -> tuple[np.ndarray, np.ndarray]:
    """(values, pixels without any)."""
    values = counts(3).astype(np.float32)
    values[:, 0, 0] = -9999
    text = (
        "GROUP=GRID_1\n\tUpperLeftPointMtrs=(500000.00,4200150.00)\n"
        f"\tLowerRightMtrs=({500000 + 30 * SAMPLES:.2f},{4200150 - 30 * LINES:.2f})\n"
        f"\tProjection=HE5_GCTP_UTM\n\tZoneCode={zone}\nEND_GROUP=GRID_1\n"
    )
    with h5py.File(path, "w") as file:
        node = file.create_dataset("HDFEOS/GRIDS/HYP/Data Fields/surface_reflectance", data=values)
        node.attrs["wavelengths"] = np.array([400.0, 900.0, 1700.0])
        node.attrs["fwhm"] = np.array([5.0, 6.0, 7.0])
        node.attrs["good_wavelengths"] = np.array([1, 0, 1])
        node.attrs["_FillValue"] = np.array([-9999.0], np.float32)
        nothing = np.zeros((LINES, SAMPLES), np.uint8)
        nothing[0, 0] = 1
        file["HDFEOS/GRIDS/HYP/Data Fields/nodata_pixels"] = nothing
        file["HDFEOS INFORMATION/StructMetadata.0"] = np.bytes_(text)
    return values, nothing


def neon(path: Path) -> np.ndarray:
    """Four bands, two of them in the windows of water vapour."""
    values = counts(4).astype(np.int16)
    with h5py.File(path, "w") as file:
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
    return values


def spectra(path: Path, values: np.ndarray) -> None:
    profile = {"driver": "GTiff", "count": len(values), "height": LINES, "width": SAMPLES}
    with rasterio.open(
        path, "w", dtype="int16", nodata=-32768, crs="EPSG:32633", **profile,
        transform=rasterio.Affine(30, 0, 500000, 0, -30, 4200150),
    ) as file:  # fmt: skip
        file.write(values.astype(np.int16))


def enmap(folder: Path) -> tuple[np.ndarray, str]:
    """(values, what the names of the files begin with)."""
    values = counts(3)
    stem = "ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z"
    bands = "".join(
        f'<bandID number="{n}"><wavelengthCenterOfBand>{w}</wavelengthCenterOfBand>'
        f"<FWHMOfBand>{f}</FWHMOfBand><GainOfBand>0.0001</GainOfBand><OffsetOfBand>0</OffsetOfBand>"
        "</bandID>"
        for n, w, f in ((1, 418.4, 7.0), (2, 902.2, 9.0), (3, 2445.5, 8.0))
    )
    (folder / f"{stem}-METADATA.XML").write_text(
        f"<level_X><specific><bandCharacterisation>{bands}</bandCharacterisation>"
        "<vnirProductQuality><expectedChannelsList>1,2</expectedChannelsList></vnirProductQuality>"
        "<swirProductQuality><expectedChannelsList></expectedChannelsList></swirProductQuality>"
        "</specific></level_X>"
    )
    spectra(folder / f"{stem}-SPECTRAL_IMAGE.TIF", values)
    return values, stem


def desis(folder: Path) -> tuple[np.ndarray, str]:
    """(values, what the names of the files begin with)."""
    values = counts(2)
    stem = "DESIS-HSI-L2A-DT0455064484_016-20200206T234214-V0210"
    bands = "".join(
        f"<band><bandNumber>{n}</bandNumber><wavelengthCenterOfBand>{w}</wavelengthCenterOfBand>"
        "<wavelengthWidthOfBand>3.5</wavelengthWidthOfBand><gainOfBand>0.0001</gainOfBand>"
        "<offsetOfBand>0.0</offsetOfBand><response>0.1,0.9,0.1</response></band>"
        for n, w in ((1, 401.8), (2, 999.5))
    )
    (folder / f"{stem}-METADATA.xml").write_text(
        "<hsi_doc><specific><interiorOrientation><band><bandNumber>1</bandNumber></band>"
        f"</interiorOrientation><bandCharacterisation>{bands}</bandCharacterisation></specific>"
        "</hsi_doc>"
    )
    spectra(folder / f"{stem}-SPECTRAL_IMAGE.tif", values)
    return values, stem


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


def _file(write: Callable[[Path], object], name: str) -> Callable[[Path], None]:
    def written(folder: Path) -> None:
        write(folder / name)

    return written


def _named(write: Callable[[Path], tuple[np.ndarray, str]], name: str) -> Callable[[Path], None]:
    """The file that is opened has a short name of its own; those beside it keep theirs."""

    def written(folder: Path) -> None:
        _, stem = write(folder)
        for path in list(folder.iterdir()):
            path.rename(folder / path.name.replace(stem, name))

    return written


def _hyperion(folder: Path) -> None:
    hdf4(folder / "EO1H.L1R", np.arange(3 * 242 * 2, dtype=np.int16).reshape(3, 242, 2))


def _virtual(folder: Path) -> None:
    spectra(folder / "a.tif", counts(3))
    bands = "".join(
        f'<VRTRasterBand dataType="Int16" band="{n}"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">a.tif</SourceFilename><SourceBand>{n}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for n in (1, 2, 3)
    )
    (folder / "a.vrt").write_text(
        f'<VRTDataset rasterXSize="{SAMPLES}" rasterYSize="{LINES}">{bands}</VRTDataset>'
    )


PRODUCTS = (
    Sample("prisma", "a.he5", _file(prisma, "a.he5"), "cube"),
    Sample("tanager", "a.h5", _file(tanager, "a.h5"), "cube"),
    Sample("neon", "a.h5", _file(neon, "a.h5"), "cube"),
    Sample("enmap", "ENMAP-METADATA.XML", _named(enmap, "ENMAP"), "cube"),
    Sample("desis", "DESIS-METADATA.xml", _named(desis, "DESIS"), "cube"),
    Sample("hyperion", "EO1H.L1R", _hyperion, "cube"),
    Sample("vrt", "a.vrt", _virtual, "cube"),
)
