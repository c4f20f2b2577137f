"""Zarr stores: numbers and text, by codecs that only pack them.

A store names its codecs in ``.zarray`` or ``zarr.json``, and the library loads any codec that is
registered under that name; ``pickle`` among them runs code that the chunks hold. Only what is
listed here passes. A link that leads out of the store is refused.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sciddm.data_adapters.checks import check_size
from sciddm.errors import InputError
from sciddm.storage.special_files import check_regular

__all__ = ["CODECS", "WHOLE", "check_chunks", "check_zarr"]

#: Codecs that turn bytes into numbers and nothing else; version 3 prefixes some of them.
CODECS = frozenset(
    {
        "blosc", "bytes", "bz2", "crc32", "crc32c", "delta", "endian", "fixedscaleoffset",
        "fletcher32", "gzip", "lz4", "lzma", "packbits", "quantize", "bitround", "shuffle",
        "sharding_indexed", "transpose", "vlen-utf8", "zlib", "zstd", "adler32", "astype",
        "jenkins_lookup3",
    }
)  # fmt: skip
#: Attribute of stores in which every chunk was written.
WHOLE = "sciddm_whole"
_V2_TYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,6}|[mM]8(\[\w+\])?)")
_V3_TYPE = re.compile(
    r"bool|u?int(8|16|32|64)|b?float(16|32|64)|complex(64|128)|string|r\d{1,4}"
    r"|fixed_length_utf32|null_terminated_bytes|variable_length_utf8|numpy\.(datetime64|timedelta64)"
)
_NAMES = (".zarray", "zarr.json", ".zgroup", ".zattrs", ".zmetadata")
_LONGEST = 64 * 2**20
_DEEPEST = 16


def check_zarr(path: Path) -> None:
    """Refuses a store that could run code, read other files or fill the memory.

    Args:
        path: the store's folder.

    Raises:
        InputError: a codec or a data type that is not listed, a link out of the store, metadata
            that are no JSON, or an array larger than memory.
    """
    root = path.resolve()
    stored = 0
    arrays: list[tuple[str, Mapping[str, Any]]] = []
    for folder, folders, files in os.walk(root):
        if len(Path(folder).relative_to(root).parts) > _DEEPEST:
            raise InputError(f"{path}: groups nested deeper than {_DEEPEST}: export it again")
        for name in (*folders, *files):
            inner = Path(folder) / name
            if inner.is_symlink() and not inner.resolve().is_relative_to(root):
                raise InputError(
                    f"{path}: {inner.relative_to(root)} is a link out of the store: copy the data"
                )
        for name in files:
            inner = Path(folder) / name
            check_regular(inner)
            if name in _NAMES:
                shown = str(Path(folder).relative_to(root))
                arrays += _arrays(path, shown, _metadata(path, inner))
            stored += inner.stat().st_size
    for name, metadata in arrays:
        _check_array(path, name, metadata, stored)


def check_chunks(path: Path) -> None:
    """Refuses a store of sciddm's that has lost chunks; the library gives zeros there.

    Stores of others, and of earlier versions, may leave out chunks of zeros.

    Args:
        path: a store that has passed `check_zarr`.

    Raises:
        InputError: says how many chunks are missing.
    """
    import zarr

    group = zarr.open_group(path, mode="r")
    if not group.attrs.get(WHOLE):
        return
    for name, array in group.arrays():
        missing = array.nchunks - array.nchunks_initialized
        if missing:
            raise InputError(
                f"{path}: {missing} of {array.nchunks} parts of {name} are missing: copy it again"
            )


def _metadata(path: Path, file: Path) -> dict[str, Any]:
    if file.stat().st_size > _LONGEST:
        raise InputError(f"{path}: {file.name} is larger than 64 MB: export it again")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {file.name} is no JSON: damaged, copy it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: {file.name} is no JSON object: damaged, copy it again")
    return content


def _arrays(
    path: Path, name: str, content: Mapping[str, Any]
) -> list[tuple[str, Mapping[str, Any]]]:
    """The arrays that a metadata file describes: its own, and those of consolidated metadata."""
    held = []
    if "shape" in content:
        held.append((name, content))
    consolidated = content.get("consolidated_metadata") or {}
    for inner in (content.get("metadata"), consolidated.get("metadata")):
        if isinstance(inner, Mapping):
            for key, value in inner.items():
                if isinstance(value, Mapping) and "shape" in value:
                    held.append((str(key), value))
    return held


def _check_array(path: Path, name: str, content: Mapping[str, Any], stored: int) -> None:
    shape = content["shape"]
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise InputError(f"{path}: the shape of {name} is {shape!r}: damaged, copy it again")
    if content.get("zarr_format") == 3 or "data_type" in content:
        itemsize = _check_type(path, name, content.get("data_type"), _V3_TYPE)
        codecs = content.get("codecs")
        grid = content.get("chunk_grid") or {}
        chunks = (grid.get("configuration") or {}).get("chunk_shape", shape)
        if content.get("storage_transformers"):
            raise InputError(f"{path}: {name} has storage transformers: export it without")
    else:
        codecs = [*(content.get("filters") or []), content.get("compressor")]
        text = [c for c in codecs if isinstance(c, Mapping) and c.get("id") == "vlen-utf8"]
        if content.get("dtype") == "|O" and text:
            itemsize = 8
        else:
            itemsize = _check_type(path, name, content.get("dtype"), _V2_TYPE)
        chunks = content.get("chunks", shape)
    _check_codecs(path, name, codecs or [])
    if not isinstance(chunks, list) or not all(type(n) is int and n > 0 for n in chunks):
        raise InputError(f"{path}: the chunks of {name} are {chunks!r}: damaged, copy it again")
    for what, sizes in ((name, shape), (f"a chunk of {name}", chunks)):
        if 0 not in sizes:
            check_size(path, what, sizes, itemsize, stored=stored)


def _check_codecs(path: Path, name: str, codecs: Iterable[Any]) -> None:
    for codec in codecs:
        if codec is None:
            continue
        if isinstance(codec, str):
            codec = {"name": codec}
        if not isinstance(codec, Mapping):
            raise InputError(f"{path}: a codec of {name} is {codec!r}: damaged, copy it again")
        label = str(codec.get("id", codec.get("name")))
        if label.removeprefix("numcodecs.") not in CODECS:
            raise InputError(
                f"{path}: {name} is packed by {label!r}, which is not permitted, since it may run "
                "code: write it with blosc, gzip or zstd"
            )
        inner = codec.get("configuration")
        if isinstance(inner, Mapping):
            for key in ("codecs", "index_codecs"):
                if isinstance(inner.get(key), list):
                    _check_codecs(path, name, inner[key])
        for key in ("astype", "dtype", "encode_dtype", "decode_dtype"):
            for place in (codec, inner if isinstance(inner, Mapping) else {}):
                if isinstance(place.get(key), str):
                    _check_type(path, name, place[key], _V2_TYPE)


def _check_type(path: Path, name: str, stated: Any, known: re.Pattern[str]) -> int:
    """Bytes per element of a data type that holds numbers or text."""
    configuration: Mapping[str, Any] = {}
    if isinstance(stated, Mapping):
        configuration = stated.get("configuration") or {}
        stated = stated.get("name")
    if not isinstance(stated, str) or not known.fullmatch(stated):
        raise InputError(
            f"{path}: {name} has the data type {stated!r}, not numbers or text: convert it"
        )
    length = configuration.get("length_bytes")
    if type(length) is int and length > 0:
        return length
    digits = re.search(r"(\d+)(\[\w+\])?$", stated)
    if digits is None:
        return 1 if stated == "bool" else 8
    if known is _V3_TYPE:
        return max(1, math.ceil(int(digits[1]) / 8))
    return int(digits[1]) * (4 if "U" in stated else 1)
