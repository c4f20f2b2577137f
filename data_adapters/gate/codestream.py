"""Encoded frames of DICOM: the size that a picture's own header states, before a codec sees it.

A codec allocates what the code stream asks for, which need not be what the data set says.

JPEG, JPEG-LS   ITU-T T.81, B.2.2: marker SOFn (T.87: SOF55), length, precision, lines, columns
JPEG 2000       ITU-T T.800, A.5.1: marker SIZ, length, capabilities, Xsiz, Ysiz, XOsiz, YOsiz
"""

from __future__ import annotations

import struct
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from sciddm.data_adapters.checks import check_size, reading
from sciddm.errors import InputError

__all__ = ["check_frames"]

_SIZ = b"\xff\x4f\xff\x51"  # SOC and SIZ follow each other
#: Start of frame: C0 to CF but for tables (C4), an extension (C8) and conditioning (CC).
_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def check_frames(file: Path, dataset: Dataset, keyword: str, frames: int) -> None:
    """Refuses pixels that so many bytes do not hold, before they are decoded.

    Args:
        file: where they are from, for messages.
        dataset: with its pixels.
        keyword: of the element that holds them.
        frames: their number by the header.

    Raises:
        InputError: too many, or an encoded frame whose own size is another.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    width = max(1, int(dataset.BitsAllocated) // 8)
    shape = (frames, rows, columns, samples)
    check_size(file, "the image", shape, width, stored=len(dataset[keyword].value))
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax in JPEG2000TransferSyntaxes:
        size = _size_of_jpeg2000
    elif syntax in JPEGTransferSyntaxes + JPEGLSTransferSyntaxes:
        size = _size_of_jpeg
    else:
        return
    with reading(file):
        for content in generate_frames(dataset.PixelData, number_of_frames=frames):
            stated = size(content)
            if stated not in (None, (rows, columns)):
                raise InputError(
                    f"{file}: a frame of {stated[0]} x {stated[1]} pixels in an image of {rows} x "
                    f"{columns}: it is damaged, export it again"
                )


def _size_of_jpeg2000(content: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a code stream; None where its header is not there."""
    at = content.find(_SIZ)
    if at < 0 or len(content) < at + 24:
        return None
    right, below, left, above = struct.unpack_from(">IIII", content, at + 8)
    return below - above, right - left


def _size_of_jpeg(content: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG or JPEG-LS picture; None where its header is not there."""
    at = 2  # after SOI
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _SOF:
            rows, columns = struct.unpack_from(">HH", content, at + 5)
            return (rows, columns) if rows else None  # 0: told after the first scan
        at += 2 + int(struct.unpack_from(">H", content, at + 2)[0])
    return None
