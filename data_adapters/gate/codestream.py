"""Encoded frames of DICOM: the size that a picture's own header states, before a codec sees it.

A codec allocates what the code stream asks for, which need not be what the data set says. Nor need
the number of frames be the header's.

JPEG, JPEG-LS   ITU-T T.81, B.2.2: marker SOFn (T.87: SOF55), length, precision, lines, columns
                lines 0: marker DNL after the first scan (T.81, B.2.5)
JPEG 2000       ITU-T T.800, A.5.1: marker SIZ, length, capabilities, Xsiz, Ysiz, XOsiz, YOsiz;
                within boxes, the one named jp2c (I.5.4)
deflated frame  DICOM PS3.5, A.4.12: a stream of RFC 1951 and no header
"""

from __future__ import annotations

import struct
import warnings
import zlib
from itertools import islice
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, generate_frames, parse_basic_offsets
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from sciddm.data_adapters.checks import check_size, reading
from sciddm.errors import InputError

__all__ = ["check_frames"]

_SIZ = b"\xff\x4f\xff\x51"  # SOC and SIZ follow each other
_BOXES = b"\x00\x00\x00\x0cjP  "  # the first of a file of JPEG 2000
_DNL = b"\xff\xdc\x00\x04"
_STARTS = (b"\xff\xd8", _SIZ, _BOXES)
_DEFLATED = UID("1.2.840.10008.1.2.8.1")
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

    Warns:
        UserWarning: more frames are there than the header counts.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    width = max(1, int(dataset.BitsAllocated) // 8)
    shape = (frames, rows, columns, samples)
    check_size(file, "the image", shape, width, stored=len(dataset[keyword].value))
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not (syntax == _DEFLATED or (syntax.is_transfer_syntax and syntax.is_encapsulated)):
        return
    with reading(file):
        stream_frames = _held_frames(dataset, syntax)
    if stream_frames > frames:
        warnings.warn(
            f"{file}: its header counts {frames} frame{'s' * (frames > 1)}, its pixels are "
            f"{stream_frames} frames: the others are not read",
            stacklevel=2,
        )
    if syntax == _DEFLATED:
        with reading(file):
            for content in generate_frames(dataset.PixelData, number_of_frames=frames):
                _check_deflated(file, content, rows * columns * samples * width)
        return
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
    at = _start_of_jpeg2000(content)
    if content[at : at + 4] != _SIZ or len(content) < at + 24:
        return None
    right, below, left, above = struct.unpack_from(">IIII", content, at + 8)
    return below - above, right - left


def _start_of_jpeg2000(content: bytes) -> int:
    """Where the code stream begins: what other boxes hold may look like one."""
    at = 0
    while content.startswith(_BOXES) and at + 16 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        head = 16 if length == 1 else 8
        if name == b"jp2c":
            return at + head
        if length == 1:
            (length,) = struct.unpack_from(">Q", content, at + 8)
        if length < head:  # up to the end, or damaged
            break
        at += length
    return at


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
            if not rows:
                lines_marker = content.find(_DNL, at)
                rows = (
                    struct.unpack_from(">H", content, lines_marker + 4)[0]
                    if lines_marker > 0
                    else 0
                )
            return rows, columns
        at += 2 + int(struct.unpack_from(">H", content, at + 2)[0])
    return None


def _held_frames(dataset: Dataset, syntax: UID) -> int:
    """Frames of encapsulated pixels: by a table of offsets, or by the fragments that begin one."""
    pixels = dataset.PixelData
    listed = len(parse_basic_offsets(pixels)) or len(dataset.get("ExtendedOffsetTable") or b"") // 8
    if listed:
        return listed
    each = syntax in (RLELossless, _DEFLATED)  # one fragment is one frame
    parts = islice(generate_fragments(pixels), 1, None)  # the first item is the table
    return sum(each or part.startswith(_STARTS) for part in parts)


def _check_deflated(file: Path, content: bytes, nbytes: int) -> None:
    """Refuses a deflated frame that unpacks to more than its pixels, and a byte that fills up."""
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    if len(unpacking.decompress(content, nbytes + 2)) > nbytes + 1:
        raise InputError(
            f"{file}: a frame unpacks to more than its {nbytes} bytes: it is damaged, export it "
            "again"
        )
