"""Where pixels lie on the ground: ENVI's map info, and the affine transform and CRS of others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rasterio.crs import CRS
from rasterio.errors import CRSError

from sciddm.data_adapters.checks import one_line
from sciddm.errors import InputError, OutputError

__all__ = ["crs_of", "epsg_wkt", "map_info", "moved", "moved_map_info", "parse_crs", "transform_of"]

_WGS84 = "WGS-84"
#: ENVI's datums: what EPSG adds to a northern and a southern UTM zone, and its geographic code.
_DATUMS: dict[str, tuple[int, int | None, int]] = {
    _WGS84: (32600, 32700, 4326),
    "North America 1983": (26900, None, 4269),
    "North America 1927": (26700, None, 4267),
}
_SQUARE = 1e-9  # of a pixel: what an angle and two sizes are rounded by


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
    """[a, b, c, d, e, f] of ENVI's map info; None where it is incomplete.

    Map info: projection, column and line (from 1) of the reference point, its easting and
    northing, the pixel's width and height, and the angle by which lines are turned: along a line a
    pixel's step is width (cos, sin), down a column height (sin, -cos).
    """
    try:
        column, line, easting, northing, width, height = map(float, info[1:7])
        turn = math.radians(_rotation(info))
    except (ValueError, IndexError):
        return None
    a, b = (width, 0.0) if not turn else (width * math.cos(turn), height * math.sin(turn))
    d, e = (0.0, -height) if not turn else (width * math.sin(turn), -height * math.cos(turn))
    right, down = column - 1, line - 1
    return [a, b, easting - right * a - down * b, d, e, northing - right * d - down * e]


def _rotation(info: Sequence[str]) -> float:
    """Degrees."""
    for value in info:
        name, _, angle = value.partition("=")
        if name.strip().lower() == "rotation":
            return float(angle)
    return 0.0


def crs_of(info: Sequence[str]) -> str | None:
    """WKT of ENVI's map info where it is UTM or geographic on a datum of `_DATUMS`; else None."""
    codes = next((v for k, v in _DATUMS.items() if k in (entry.strip() for entry in info)), None)
    if codes is None:
        return None
    north, south, geographic = codes
    if info[0] == "UTM" and len(info) > 8 and info[7].strip().isdigit():
        base = north if info[8].strip().lower() == "north" else south
        return None if base is None else epsg_wkt(base + int(info[7]))
    if info[0].lower().startswith("geographic"):
        return epsg_wkt(geographic)
    return None


def moved(transform: Sequence[float], line: int, sample: int) -> list[float]:
    """The transform of a part whose first pixel is at (line, sample) of the whole."""
    a, b, c, d, e, f = (float(v) for v in transform)
    return [a, b, c + a * sample + b * line, d, e, f + d * sample + e * line]


def moved_map_info(info: Sequence[str], line: int, sample: int) -> list[str]:
    """Map info of a part: the reference point keeps its place on the ground.

    On a turned grid it is the first pixel: programs differ in where others lie.
    """
    if not line and not sample:
        return list(info)
    whole = transform_of(info)
    if whole is not None and _rotation(info):
        corner = moved(whole, line, sample)
        return [info[0], "1", "1", *(f"{v:.15g}" for v in (corner[2], corner[5])), *info[5:]]
    column, row = float(info[1]) - sample, float(info[2]) - line
    return [info[0], f"{column:.12g}", f"{row:.12g}", *info[3:]]


def map_info(path: Path, transform: Sequence[float], crs: CRS | None) -> list[str]:
    """ENVI's map info of a transform.

    Raises:
        OutputError: the grid is sheared or mirrored.
    """
    a, b, c, d, e, f = transform
    width, height = math.hypot(a, d), math.hypot(b, e)
    if a * e - b * d >= 0 or abs(a * b + d * e) > _SQUARE * width * height:
        raise OutputError(f"{path}: ENVI holds no grids that are mirrored or sheared: write .tif")
    place = ["1", "1", *(f"{v:.15g}" for v in (c, f, width, height))]
    turn = math.degrees(math.atan2(d, a))
    last = [] if b == d == 0 and a > 0 else [f"rotation={turn:.15g}"]
    epsg = crs.to_epsg() if crs is not None else None
    if epsg is not None and epsg // 100 in (326, 327) and 1 <= epsg % 100 <= 60:
        side = "North" if epsg // 100 == 326 else "South"
        return ["UTM", *place, str(epsg % 100), side, _WGS84, "units=Meters", *last]
    if epsg == 4326:
        return ["Geographic Lat/Lon", *place, _WGS84, "units=Degrees", *last]
    return ["Arbitrary", *place, *last]
