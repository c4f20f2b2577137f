"""TIFF: all that its directories point to lies in the file.

The readers give zeros for blocks beyond the end of a file that was cut off, and leave out tags.
GDAL reads the files NAME.msk, NAME.ovr and NAME.aux.xml too: they are TIFF and name no other files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sciddm.errors import InputError

__all__ = ["check_tiff"]

#: Bytes of a value by its type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_KINDS = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
#: (offsets, byte counts) of strips and of tiles.
_BLOCKS = ((273, 279), (324, 325))
_MOST = 100_000
_LONGEST_NOTES = 2**22
#: In NAME.aux.xml: files of overviews and masks, and entities that stand for files.
_REFERENCES = (b"OVERVIEW_FILE", b"MASK_FILE", b"<!ENTITY", b"<!DOCTYPE")


def check_tiff(path: Path) -> None:
    """Refuses a file that is cut off, of which blocks were never written, or that has files beside
    it through which GDAL would read others.

    Raises:
        InputError: says what lies outside of the file, or how many blocks are missing.
    """
    _check_one(path)
    beside = path.name.lower()
    for other in path.parent.iterdir():
        name = other.name.lower()
        if name in (f"{beside}.msk", f"{beside}.ovr"):
            _check_one(other)
        elif name == f"{beside}.aux.xml":
            _check_notes(other)


def _check_notes(path: Path) -> None:
    with path.open("rb") as file:
        text = file.read(_LONGEST_NOTES + 1)
    if len(text) > _LONGEST_NOTES or any(word in text.upper() for word in _REFERENCES):
        raise InputError(f"{path}: names other files, or is no short XML: remove it")


def _check_one(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        for number, entries in enumerate(_directories(path, file, size), start=1):
            for offsets, counts in _BLOCKS:
                if offsets in entries and counts in entries:
                    _check_blocks(path, number, entries[offsets], entries[counts], size)


def _check_blocks(
    path: Path, number: int, offsets: np.ndarray, counts: np.ndarray, size: int
) -> None:
    if len(offsets) != len(counts):
        raise InputError(f"{path}: image {number} is damaged: copy or export it again")
    starts, lengths = offsets.astype(np.float64), counts.astype(np.float64)
    empty = int((lengths == 0).sum())
    if empty:
        raise InputError(
            f"{path}: {empty} of {len(lengths)} blocks of image {number} were never written: "
            "export it again, without sparse blocks"
        )
    beyond = int((starts + lengths > size).sum())
    if beyond:
        raise InputError(
            f"{path}: {beyond} of {len(lengths)} blocks of image {number} lie beyond the end of "
            "the file, which is cut off: copy it again"
        )


def _directories(path: Path, file: BinaryIO, size: int) -> Iterator[dict[int, np.ndarray]]:
    """The integer tags of every directory."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise InputError(f"{path}: not a TIFF file, or damaged: copy or export it again")
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    if big and len(head) < 16:
        raise InputError(f"{path}: is cut off: copy it again")
    place = struct.unpack(order + "Q", head[8:16])[0] if big else 0
    place = place or struct.unpack(order + "I", head[4:8])[0]
    number, entry, inline = ("Q", order + "HHQ", 8) if big else ("H", order + "HHI", 4)
    seen: set[int] = set()
    while place:
        if place in seen or len(seen) > _MOST:
            raise InputError(f"{path}: its directories form a circle: export it again")
        seen.add(place)
        width = struct.calcsize(order + number)
        (count,) = struct.unpack(order + number, _part(path, file, place, width, size))
        at = place + width
        step = struct.calcsize(entry) + inline
        table = _part(path, file, at, count * step, size)
        entries: dict[int, np.ndarray] = {}
        for k in range(count):
            raw = table[k * step : (k + 1) * step]
            tag, kind, length = struct.unpack(entry, raw[:-inline])
            needed = _SIZES.get(kind, 1) * length
            value = raw[-inline:]
            if needed > inline:
                where = struct.unpack(order + ("Q" if big else "I"), value)[0]
                value = _part(path, file, where, needed, size)
            if kind in _KINDS:
                dtype = np.dtype(order + _KINDS[kind])
                entries[tag] = np.frombuffer(value[: dtype.itemsize * length], dtype)
        yield entries
        pointer = "Q" if big else "I"
        after = _part(path, file, at + count * step, struct.calcsize(order + pointer), size)
        place = struct.unpack(order + pointer, after)[0]


def _part(path: Path, file: BinaryIO, start: int, length: int, size: int) -> bytes:
    if start + length > size:
        raise InputError(
            f"{path}: its header names bytes up to {start + length}, the file ends at {size}: it "
            "is cut off or damaged, copy it again"
        )
    file.seek(start)
    return file.read(length)
