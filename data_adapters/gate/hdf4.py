"""HDF4: where the arrays of a file lie. Only what is stored in one piece is read.

A file is blocks of data descriptors, each (tag, reference, offset, length) of an object. The
scientific dataset's group (tag 720) lists its dimensions (701) and its values (702). Compressed and
scattered values have a special tag and are refused. Format: HDF4 Specification and Developer's
Guide, chapters 2 and 9.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sciddm.errors import InputError

__all__ = ["Hdf4Array", "hdf4_arrays", "is_hdf4"]

_MAGIC = b"\x0e\x03\x13\x01"
_DIMENSIONS, _VALUES, _TYPE, _GROUP = 701, 702, 106, 720
_SPECIAL = 0x4000
_MOST = 100_000
#: Number types, big-endian unless the class byte says little (4) or native (1).
_KINDS = {20: "i1", 21: "u1", 22: "i2", 23: "u2", 24: "i4", 25: "u4", 5: "f4", 6: "f8"}


class Hdf4Array(NamedTuple):
    """An array of a file.

    Attributes:
        shape: its axes.
        dtype: with its byte order.
        offset: bytes before its first number.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int


def is_hdf4(path: Path) -> bool:
    """Whether a file begins as HDF4 does."""
    with path.open("rb") as file:
        return file.read(4) == _MAGIC


def hdf4_arrays(path: Path) -> list[Hdf4Array]:
    """The arrays that lie in one piece.

    Raises:
        InputError: damaged, or an array is compressed or scattered.
    """
    size = path.stat().st_size
    objects: dict[tuple[int, int], tuple[int, int]] = {}
    with path.open("rb") as file:

        def part(offset: int, length: int) -> bytes:
            if offset < 0 or offset + length > size:
                raise InputError(f"{path}: is cut off or damaged (HDF4): copy it again")
            file.seek(offset)
            return file.read(length)

        block = 4
        while block:
            count, after = struct.unpack(">HI", part(block, 6))
            table = part(block + 6, 12 * count)
            for k in range(count):
                tag, number, offset, length = struct.unpack_from(">HHII", table, 12 * k)
                if tag > 1:  # null descriptors
                    objects[tag, number] = offset, length
            if len(objects) > _MOST or (after <= block and after):
                raise InputError(f"{path}: is damaged (HDF4 descriptors): copy it again")
            block = after
        found = []
        for (tag, _), (offset, length) in objects.items():
            if tag != _GROUP:
                continue
            members = [struct.unpack(">HH", part(offset + 4 * k, 4)) for k in range(length // 4)]
            dimensions = [objects.get(m) for m in members if m[0] == _DIMENSIONS]
            values = [m for m in members if m[0] & ~_SPECIAL == _VALUES]
            if not dimensions or dimensions[0] is None or not values:
                continue
            raw = part(*dimensions[0])
            (rank,) = struct.unpack_from(">H", raw)
            shape = struct.unpack_from(f">{rank}I", raw, 2)
            kind_tag, kind_number = struct.unpack_from(">HH", raw, 2 + 4 * rank)
            special = (_VALUES | _SPECIAL, values[0][1])
            if values[0] not in objects or special in objects:
                raise InputError(
                    f"{path}: its array is compressed or in pieces (HDF4): convert it with "
                    "hrepack -t '*:NONE', or give GeoTIFF"
                )
            stored = objects.get((kind_tag, kind_number))
            if kind_tag != _TYPE or stored is None:
                continue
            _, code, _, order = struct.unpack(">BBBB", part(stored[0], 4))
            kind = _KINDS.get(code)
            if kind is None:
                continue
            dtype = np.dtype(("<" if order == 4 else ">") + kind)
            place, held = objects[values[0]]
            if held != int(np.prod(shape, dtype=np.int64)) * dtype.itemsize or place + held > size:
                raise InputError(f"{path}: is cut off or damaged (HDF4 array): copy it again")
            found.append(Hdf4Array(tuple(int(n) for n in shape), dtype, place))
    return found
