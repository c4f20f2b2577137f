"""Where pixels lie on the ground: ENVI's map info, and the affine transform and CRS of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rasterio.crs import CRS
from rasterio.errors import CRSError

from sciddm.data_adapters.checks import one_line
from sciddm.errors import InputError, OutputError

__all__ = ["crs_of", "epsg_wkt", "map_info", "moved", "moved_map_info", "parse_crs", "transform_of"]

_WGS84 = "WGS-84"


def parse_crs(path: Path, text: str) -> CRS:
    """A coordinate reference system from WKT, PROJ text or EPSG:n.

    Raises:
        InputError: it is none of these.
    """
    try:
        return CRS.from_user_input(text)
    except (CRSError, ValueError) as error:
        raise InputError(
            f"{path}: not a coordinate reference system ({one_line(error)}): give WKT or EPSG:n"
        ) from error


def epsg_wkt(code: int) -> str | None:
    """WKT of an EPSG code, None for one that does not exist."""
    try:
        return str(CRS.from_epsg(code).to_wkt())
    except (CRSError, ValueError):
        return None


def transform_of(info: Sequence[str]) -> list[float] | None:
    """[a, b, c, d, e, f] of ENVI's map info; None where it is rotated or incomplete.

    Map info: projection, column and line (from 1) of the reference point, its easting and
    northing, the pixel's width and height.
    """
    try:
        column, line, easting, northing, width, height = map(float, info[1:7])
        turned = any(float(v.split("=")[1]) != 0 for v in info if v.startswith("rotation="))
    except (ValueError, IndexError):
        return None
    if turned:
        return None
    return [
        width,
        0.0,
        easting - (column - 1) * width,
        0.0,
        -height,
        northing + (line - 1) * height,
    ]


def crs_of(info: Sequence[str]) -> str | None:
    """WKT of ENVI's map info where it is UTM or geographic on WGS-84; else None."""
    if _WGS84 not in info:
        return None
    if info[0] == "UTM" and len(info) > 8 and info[7].isdigit():
        north = info[8].lower() == "north"
        return str(CRS.from_epsg((32600 if north else 32700) + int(info[7])).to_wkt())
    if info[0].lower().startswith("geographic"):
        return str(CRS.from_epsg(4326).to_wkt())
    return None


def moved(transform: Sequence[float], line: int, sample: int) -> list[float]:
    """The transform of a part whose first pixel is at (line, sample) of the whole."""
    a, b, c, d, e, f = (float(v) for v in transform)
    return [a, b, c + a * sample + b * line, d, e, f + d * sample + e * line]


def moved_map_info(info: Sequence[str], line: int, sample: int) -> list[str]:
    """Map info of a part: the reference point keeps its place on the ground."""
    if not line and not sample:
        return list(info)
    column, row = float(info[1]) - sample, float(info[2]) - line
    return [info[0], f"{column:.12g}", f"{row:.12g}", *info[3:]]


def map_info(path: Path, transform: Sequence[float], crs: CRS | None) -> list[str]:
    """ENVI's map info of a transform.

    Raises:
        OutputError: the grid is rotated or sheared, or mirrored.
    """
    a, b, c, d, e, f = transform
    if b or d or a <= 0 or e >= 0:
        raise OutputError(f"{path}: ENVI holds grids that run east and south only: write .tif")
    place = ["1", "1", *(f"{v:.15g}" for v in (c, f, a, -e))]
    epsg = crs.to_epsg() if crs is not None else None
    if epsg is not None and epsg // 100 in (326, 327) and 1 <= epsg % 100 <= 60:
        side = "North" if epsg // 100 == 326 else "South"
        return ["UTM", *place, str(epsg % 100), side, _WGS84, "units=Meters"]
    if epsg == 4326:
        return ["Geographic Lat/Lon", *place, _WGS84, "units=Degrees"]
    return ["Arbitrary", *place]
