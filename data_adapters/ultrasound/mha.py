"""B-mode clips in MetaImage files (.mha): a text header, then the pixels, perhaps compressed.

Axes are x, y and, of a clip, frames; `ElementSpacing` is in mm.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.checks import check_size, existing_file, reading
from sciddm.data_adapters.ultrasound.frames import build_frames
from sciddm.data_adapters.ultrasound.images import RANGE_DB, grey_frames
from sciddm.data_adapters.ultrasound.overlays import overlays
from sciddm.data_adapters.ultrasound.sector import image_region
from sciddm.errors import InputError

__all__ = ["read_mha"]

_DTYPES = {"MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_FLOAT": "f4"}
_LONGEST = 2**16  # bytes of a header


def read_mha(source: str | Path) -> xr.Dataset:
    """Reads a picture or a clip.

    Raises:
        InputError: damaged, pixels elsewhere than in the file, or not 8 bit.
    """
    path = existing_file(source)
    with reading(path), path.open("rb") as file:
        head: dict[str, str] = {}
        while "ElementDataFile" not in head:
            line = file.readline(_LONGEST)
            name, _, value = line.decode("ascii", "replace").partition("=")
            if not line.endswith(b"\n") or not value or file.tell() > _LONGEST:
                raise InputError(f"{path}: a damaged MetaImage header: export it again")
            head[name.strip()] = value.strip()
        rest = file.read()
    if head["ElementDataFile"] != "LOCAL":
        raise InputError(f"{path}: its pixels lie in {head['ElementDataFile']}: save as one .mha")
    try:
        size = [int(n) for n in head["DimSize"].split()]
        channels = int(head.get("ElementNumberOfChannels", 1))
        dtype = np.dtype(_DTYPES[head["ElementType"]])
    except (KeyError, ValueError) as error:
        kinds = ", ".join(_DTYPES)
        raise InputError(f"{path}: its header lacks a size or a type of {kinds}") from error
    if not 2 <= len(size) <= 3 or min(size) < 1:
        raise InputError(f"{path}: {len(size)} axes, not x, y and frames: give planes")
    big = head.get("BinaryDataByteOrderMSB", head.get("ElementByteOrderMSB", "False"))
    dtype = dtype.newbyteorder(">" if big.lower() == "true" else "<")
    count = int(np.prod(size)) * channels
    check_size(path, "the clip", (count,), dtype.itemsize)
    if head.get("CompressedData", "False").lower() == "true":
        unpacked = zlib.decompressobj()
        with reading(path):
            rest = unpacked.decompress(rest, count * dtype.itemsize)
    if len(rest) < count * dtype.itemsize:
        raise InputError(f"{path}: is cut off: copy it again")
    shape = (*size[::-1], *((channels,) if channels > 1 else ()))
    pages = np.frombuffer(rest, dtype, count).reshape(shape)
    pages = pages[None] if len(size) == 2 else pages
    mask = image_region(_brightness(pages))
    grey, colour = grey_frames(path, pages, mask)
    spacing = [float(s) / 1e3 for s in head.get("ElementSpacing", "").split()]
    place = {}
    if len(spacing) >= 2 and min(spacing[:2]) > 0:
        rows, columns = grey.shape[1:]
        place = {
            "depth": np.arange(rows) * spacing[1],
            "lateral": (np.arange(columns) - (columns - 1) / 2) * spacing[0],
        }
    made = build_frames(
        path,
        grey.astype(np.float32) / 255,
        "bmode",
        form="mha",
        mask=mask,
        overlay=overlays(grey, mask, colour),
        attrs={"dynamic_range_db": RANGE_DB},
        **place,
    )
    made.attrs.pop("fs", None)  # pixels of a picture are no samples of echoes
    return made


def _brightness(pages: np.ndarray) -> np.ndarray:
    values = pages.mean(axis=-1) if pages.ndim == 4 else pages
    return np.asarray(values, np.float32) / 255
