"""ENVI: a text header NAME.hdr beside a file of raw numbers, in the order BSQ, BIL or BIP.

Every entry of a header that is not listed here survives as the attribute ``envi_header``, comments
as ``envi_comments`` (`envi_header`). A file of numbers that is longer than announced is read, and
``remarks`` says so.

wavelength, wavelength units, fwhm, bbl, band names, data gain values, data offset values
                        coordinates of band
data ignore value       ``nodata``
description, interleave of that name
map info, coordinate system string
                        ``transform`` and ``crs``
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from spectral.io import envi

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.hsi.cube import build_cube, corner, per_unit
from sciddm.data_adapters.hsi.envi_header import (
    flags_of,
    read_header,
    stated_number,
    wavelengths_of,
    write_header,
)
from sciddm.data_adapters.hsi.georeference import (
    crs_of,
    map_info,
    moved,
    moved_map_info,
    parse_crs,
    transform_of,
)
from sciddm.data_adapters.hsi.raw import AXES, RawCube
from sciddm.errors import InputError, OutputError

__all__ = ["ENVI_SUFFIXES", "envi_files", "envi_outputs", "read_envi", "write_envi"]

ENVI_SUFFIXES = (".hdr", ".img", ".dat", ".bil", ".bip", ".bsq", ".raw")
_TYPES = {int(code): np.dtype(kind) for code, kind in envi.dtype_map}
_CODES = {kind: code for code, kind in _TYPES.items()}
_WIDER: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float16): np.dtype(np.float32),
    np.dtype(np.int8): np.dtype(np.int16),
}
_LISTS = {"band names": "name", "data gain values": "gain", "data offset values": "offset"}
_CRS = "coordinate system string"


def read_envi(source: str | Path) -> xr.Dataset:
    """Opens an ENVI cube lazily; see `cube` for what is returned.

    Args:
        source: the header or the file of numbers.

    Raises:
        InputError: either is missing, the header is incomplete, or the sizes do not agree.
    """
    header_path, data_path = envi_files(Path(source))
    with reading(header_path):
        header, comments = read_header(header_path)
    shape, dtype, offset, order = _layout(header_path, header)
    expected = offset + math.prod(shape) * dtype.itemsize
    actual = data_path.stat().st_size
    wavelength, remark = wavelengths_of(header)
    remarks = [] if remark is None else [remark]
    if actual > expected:
        remarks.append(
            f"{data_path.name} is {actual - expected} bytes longer than {header_path.name} "
            "announces: the rest is not read."
        )
    if actual < expected:
        raise InputError(
            f"{data_path}: holds {actual} bytes, but {header_path.name} announces {expected} "
            f"({shape[1]} lines x {shape[2]} samples x {shape[0]} bands, {dtype}, header offset "
            f"{offset}): copy it again or correct the header"
        )
    values = RawCube(data_path.resolve(), dtype, offset, shape, order).lazy()
    coords = {}
    for key, coordinate in _LISTS.items():
        entries = header.get(key)
        if isinstance(entries, list) and len(entries) == shape[0]:
            with reading(header_path):
                held = entries if coordinate == "name" else [float(v) for v in entries]
            coords[coordinate] = ("band", np.asarray(held))
    info = header.get("map info")
    nodata = stated_number(header_path, header, "data ignore value")
    return build_cube(
        data_path,
        values,
        form="envi",
        wavelength=wavelength,
        units=header.get("wavelength units"),
        fwhm=(header.get("fwhm") or None) if wavelength is not None else None,
        good=flags_of(header.get("bbl") or None),
        coords=coords,
        attrs={
            "source": header_path.name,
            "nodata": nodata,
            "description": header.get("description"),
            "interleave": order,
            "crs": _crs(header),
            "transform": transform_of(info) if isinstance(info, list) else None,
            "data_suffix": data_path.suffix,
            "envi_header": header,
            "envi_comments": comments or None,
            "remarks": remarks or None,
        },
    )


def envi_outputs(path: Path, dataset: xr.Dataset | None = None) -> list[Path]:
    """[file of numbers, header] that `write_envi` writes for the name of either."""
    if path.suffix.lower() != ".hdr":
        return [path, path.with_suffix(".hdr")]
    suffix = ".img" if dataset is None else str(dataset.attrs.get("data_suffix", ".img"))
    return [path.with_suffix(suffix if suffix.lower() != ".hdr" else ".img"), path]


def write_envi(dataset: xr.Dataset, data_path: Path, header_path: Path) -> None:
    """Writes a cube block by block.

    Of one that was read from ENVI all entries of the header stay as they were, but for those that
    say how the numbers lie in the file and where a part of the cube lies. Other cubes are written
    with the interleave that the suffix of `data_path` names (.bil, .bip, .bsq), else as BSQ.

    Raises:
        OutputError: a data type or a georeference that ENVI cannot hold.
    """
    cube = dataset["cube"]
    dtype = _WIDER.get(cube.dtype, cube.dtype)
    code = _CODES.get(dtype.newbyteorder("="))
    if code is None:
        raise OutputError(f"{data_path}: ENVI cannot hold {cube.dtype}: convert to float32")
    order = str(dataset.attrs.get("interleave", "")).lower()
    if data_path.suffix.lower()[1:] in AXES:
        order = data_path.suffix.lower()[1:]
    order = order if order in AXES else "bsq"
    old = dict(dataset.attrs.get("envi_header") or {})
    big = old.get("byte order") == "1"
    dtype = _ordered(dtype, big)
    bands, lines, samples = cube.shape
    header = {
        **old,
        "samples": str(samples),
        "lines": str(lines),
        "bands": str(bands),
        "header offset": "0",
        "file type": old.get("file type", "ENVI Standard"),
        "data type": str(code),
        "interleave": order if old.get("interleave", "").lower() != order else old["interleave"],
        "byte order": str(int(big)),
    }
    description = dataset.attrs.get("description")
    # Braces are the syntax of headers: they would cut it short.
    braces = str.maketrans("{}", "()")
    _set(header, "description", None if description is None else str(description).translate(braces))
    nodata = dataset.attrs.get("nodata")
    if (
        nodata is None
        or "data ignore value" not in old
        or float(old["data ignore value"]) != nodata
    ):
        _set(header, "data ignore value", None if nodata is None else f"{nodata:.15g}")
    _set_bands(header, dataset)
    _set_place(header, dataset, header_path)
    write_header(header_path, header, list(dataset.attrs.get("envi_comments") or ()))
    target = RawCube(data_path, dtype, 0, cube.shape, order)
    target.create()
    # Threads write to regions of their own: no lock is needed.
    # dask asks a target for no more than item assignment; its types ask for an array.
    da.store(cube.data.astype(dtype), cast("Any", target), lock=False)


def envi_files(path: Path) -> tuple[Path, Path]:
    """(header, file of numbers) from the name of either."""
    if path.suffix.lower() == ".hdr":
        header = existing_file(path)
        bare = path.with_suffix("")
        options = [bare, *(bare.with_suffix(s) for s in ENVI_SUFFIXES[1:])]
        if bare.suffix:  # scene.v2.hdr: the last part of the name may be no suffix
            options += [bare.with_name(bare.name + s) for s in ENVI_SUFFIXES[1:]]
        options += [p.with_suffix(p.suffix.upper()) for p in options]
        for option in options:
            if option.is_file():
                return header, existing_file(option)
        raise InputError(
            f"{path}: the file of numbers is not beside it ({bare.name} or {bare.name}.img, .dat, "
            ".bil, .bip, .bsq, .raw): copy both"
        )
    data = existing_file(path)
    for option in (path.with_suffix(".hdr"), path.with_name(path.name + ".hdr")):
        for header in (option, option.with_suffix(".HDR")):
            if header.is_file():
                return existing_file(header), data
    raise InputError(f"{path}: its header {path.with_suffix('.hdr').name} is missing: copy both")


def _layout(
    path: Path, header: dict[str, Any]
) -> tuple[tuple[int, int, int], np.dtype[Any], int, str]:
    """((bands, lines, samples), type, offset, interleave)."""
    needed = ("bands", "lines", "samples", "data type", "interleave")
    missing = [key for key in needed if key not in header]
    if missing:
        raise InputError(f"{path}: the header lacks {', '.join(missing)}: add it")
    if "library" in str(header.get("file type", "")).lower():
        raise InputError(f"{path}: a spectral library, not a cube: give an image")
    if str(header.get("file compression", "0")) != "0":
        raise InputError(f"{path}: compressed: save it uncompressed")
    numbers = {}
    for key in ("bands", "lines", "samples", "data type", "header offset", "byte order"):
        text = header.get(key, "0")
        try:
            numbers[key] = int(text)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: '{key} = {text}' is no integer: correct it") from error
    if min(numbers["bands"], numbers["lines"], numbers["samples"]) < 1:
        raise InputError(f"{path}: bands, lines and samples must be at least 1: correct them")
    if numbers["header offset"] < 0 or numbers["byte order"] not in (0, 1):
        raise InputError(
            f"{path}: header offset must be 0 or more, byte order 0 or 1: correct them"
        )
    order = str(header["interleave"]).lower()
    if order not in AXES:
        raise InputError(f"{path}: the interleave is '{order}': it must be bsq, bil or bip")
    dtype = _TYPES.get(numbers["data type"])
    if dtype is None:
        known = ", ".join(map(str, _TYPES))
        raise InputError(f"{path}: unknown data type {numbers['data type']}: one of {known}")
    if dtype.kind == "c":
        raise InputError(f"{path}: complex data ({dtype}): take its magnitude or intensity first")
    dtype = _ordered(dtype, bool(numbers["byte order"]))
    shape = (numbers["bands"], numbers["lines"], numbers["samples"])
    return shape, dtype, numbers["header offset"], order


def _set(header: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        header.pop(key, None)
    else:
        header[key] = value


def _set_bands(header: dict[str, Any], dataset: xr.Dataset) -> None:
    """The lists with one entry per band; the file's own text where the numbers are still these."""
    scale = per_unit(dataset)
    if "wavelength" in dataset.coords and "wavelength" not in header:
        header["wavelength units"] = dataset.attrs.get("wavelength_units", "Nanometers")
    for key, name, divisor in (
        ("wavelength", "wavelength", scale),
        ("fwhm", "fwhm", scale),
        ("bbl", "good", 1.0),
        *((k, n, 1.0) for k, n in _LISTS.items()),
    ):
        if name not in dataset.coords:
            # Wavelengths that are no lengths, such as wavenumbers, stay as the header has them.
            kept = key in ("wavelength", "fwhm") and wavelengths_of(header)[1] is not None
            if not kept or len(header.get(key) or ()) != dataset.sizes["band"]:
                header.pop(key, None)
            continue
        values = np.asarray(dataset[name].values)
        if name == "name":
            # Commas and braces are the syntax of lists.
            header[key] = [_plain(v) for v in values]
            continue
        numbers = values.astype(np.float64) / divisor
        old = _floats(header.get(key))
        if old.shape == numbers.shape and np.allclose(old, numbers, rtol=1e-12, atol=0):
            continue
        header[key] = [f"{v:.10g}" for v in numbers]


def _set_place(header: dict[str, Any], dataset: xr.Dataset, path: Path) -> None:
    line, sample = corner(dataset)
    for key, shift in (("x start", sample), ("y start", line)):
        if key in header and shift:
            header[key] = str(int(float(header[key])) + shift)
    transform, crs = dataset.attrs.get("transform"), dataset.attrs.get("crs")
    old = header.get("map info")
    kept = None if transform is None else list(transform)
    if isinstance(old, list) and transform_of(old) == kept and _crs(header) == crs:
        header["map info"] = moved_map_info(old, line, sample)
    elif transform is not None:
        known = parse_crs(path, str(crs)) if crs else None
        header["map info"] = map_info(path, moved(transform, line, sample), known)
        if known is not None:
            header[_CRS] = known.to_wkt().split(",")
    else:
        header.pop("map info", None)


def _crs(header: dict[str, Any]) -> str | None:
    text, info = header.get(_CRS), header.get("map info")
    if text:
        return ", ".join(text) if isinstance(text, list) else str(text)
    return crs_of(info) if isinstance(info, list) else None


def _plain(value: Any) -> str:
    return str(value).translate(str.maketrans(",{}\n", ";() ")).strip()


def _floats(entries: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(entries, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)


def _ordered(dtype: np.dtype[Any], big: bool) -> np.dtype[Any]:
    """The type in an order of bytes; this machine's own has its usual name, "=".

    `newbyteorder` would name it "<", which xarray takes for a foreign one.
    """
    return np.dtype((">" if big else "<") + dtype.str[1:])
