"""GDAL's virtual rasters (.vrt): only files beside them, and nothing that is computed by code.

A VRT names its sources; GDAL would read any file of the machine or of the network through them, and
derived bands may hold Python.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from sciddm.data_adapters.checks import reading
from sciddm.data_adapters.gate.inside import inside
from sciddm.data_adapters.gate.tiff import check_tiff
from sciddm.errors import InputError

__all__ = ["check_vrt"]

_MOST_BYTES = 64 * 2**20
_MOST_LEVELS = 4
_TIFF = (".tif", ".tiff")
#: Raw numbers and ENVI's.
_RAW = (".img", ".dat", ".bil", ".bip", ".bsq", ".raw", "")
_CODE = ("PixelFunctionType", "PixelFunctionCode", "PixelFunctionLanguage", "ProcessingStep")


def check_vrt(path: Path, level: int = 0) -> list[Path]:
    """Refuses a virtual raster that reads files of other folders, or runs code.

    Args:
        path: the file.
        level: of virtual rasters around it.

    Returns:
        Its sources, those of sources too.

    Raises:
        InputError: damaged, or says what it names.
    """
    if path.stat().st_size > _MOST_BYTES or level > _MOST_LEVELS:
        raise InputError(f"{path}: too large or too deep for a virtual raster: give its sources")
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InputError(f"{path}: declares XML entities: make it again (gdalbuildvrt)")
    with reading(path):
        root = ElementTree.fromstring(text)
    found: list[Path] = []
    for node in root.iter():
        if node.tag in _CODE:
            raise InputError(
                f"{path}: computes its bands ({node.tag}): give their values in a file"
            )
        if node.tag not in ("SourceFilename", "SourceDataset"):
            continue
        named = (node.text or "").strip()
        if Path(named).is_absolute() or ":" in named or named.startswith("/vsi"):
            raise InputError(
                f"{path}: names {named!r}, a file outside of its folder: make it again beside its "
                "sources, with relative names"
            )
        source = inside(path, named, node.tag)
        suffix = source.suffix.lower()
        if suffix in _TIFF:
            check_tiff(source)
        elif suffix == ".vrt":
            found += check_vrt(source, level + 1)
        elif suffix not in _RAW:
            raise InputError(f"{path}: names {named!r}: sources are GeoTIFF or raw numbers")
        found.append(source)
    if not found:
        raise InputError(f"{path}: names no source: make it again (gdalbuildvrt)")
    return found
