"""GDAL's virtual rasters (.vrt): only files beside them, and nothing that is computed by code.

A VRT names its sources; GDAL would read any file of the machine or of the network through them, and
derived bands may hold Python.
"""

from __future__ import annotations

from collections.abc import Iterator
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
_CODE = {"pixelfunctiontype", "pixelfunctioncode", "pixelfunctionlanguage", "processingstep"}
_FILES = {"sourcefilename", "sourcedataset"}
#: Says whether a name is relative to the virtual raster, or to the current folder.
_RELATIVE = "relativetovrt"


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
    for key, named, relative in _values(root):
        if key in _CODE:
            raise InputError(f"{path}: computes its bands ({key}): give their values in a file")
        if key not in _FILES:
            continue
        outside = Path(named).is_absolute() or ":" in named or named.startswith("/vsi")
        if outside or not relative:
            raise InputError(
                f"{path}: names {named!r}, a file outside of its folder: make it again beside its "
                "sources, with relative names"
            )
        source = inside(path, named, key)
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


def _values(root: ElementTree.Element) -> Iterator[tuple[str, str, bool]]:
    """(key, value, whether it is relative to the raster) of all elements and attributes.

    As GDAL reads them: of any case, whatever the namespace, and attributes as if elements.
    """
    for node in root.iter():
        attributes = {_plain(k): v.strip() for k, v in node.attrib.items()}
        children = {_plain(n.tag): (n.text or "").strip() for n in node}
        relative = {**children, **attributes}.get(_RELATIVE, "0") == "1"
        yield _plain(node.tag), (node.text or "").strip(), relative
        # An attribute has none of its own: the name is then relative to the current folder.
        yield from ((key, value, False) for key, value in attributes.items())


def _plain(name: str) -> str:
    return name.rpartition("}")[2].lower()
