"""Pixels of DICOM images, decoded and brought to one meaning.

Two kinds of image are read:

measured    CT, PET, MR: one number per pixel, ``stored_frames``. A modality's rescaling turns it
            into a physical quantity, and MONOCHROME1 says only how it is shown.
pictures    ultrasound, screens: brightness or colour, ``picture_frames``. MONOCHROME1 is inverted,
            a palette is applied, and every YBR form becomes RGB.

All conversions are pydicom's own. A decoder converts some colour spaces itself, so the colour space
of its result is asked of it and never taken from the header.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, convert_color_space
from pydicom.uid import UID, JPEGExtended12Bit

from sciddm.data_adapters.checks import one_line, reading
from sciddm.data_adapters.dicom_jpeg12 import register_decoder
from sciddm.data_adapters.gate.codestream import check_frames
from sciddm.errors import InputError

__all__ = ["frame_count", "has_pixels", "is_colour", "picture_frames", "stored_frames"]

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GREY = ("MONOCHROME1", "MONOCHROME2")
_FULL = 255  # of the brightness of a picture
_EXTRA = "install the decoders with `pip install 'sciddm[dicom]'`, or decompress it: gdcmconv --raw"


def has_pixels(dataset: Dataset) -> bool:
    """Whether a data set holds pixels of any kind."""
    return any(keyword in dataset for keyword in _PIXELS)


def frame_count(dataset: Dataset) -> int:
    """Number of frames, 1 where the header does not say; at least 1."""
    return max(1, int(dataset.get("NumberOfFrames") or 1))


def is_colour(dataset: Dataset) -> bool:
    """Whether pixels are colours: several samples each, or indices of a palette."""
    palette = str(dataset.get("PhotometricInterpretation", "")) == "PALETTE COLOR"
    return int(dataset.get("SamplesPerPixel") or 1) > 1 or palette


def stored_frames(file: Path, dataset: Dataset) -> Iterator[NDArray[Any]]:
    """The stored numbers of a measured image, frame by frame, before any rescaling.

    Args:
        file: where it is from, for messages.
        dataset: with its pixels.

    Yields:
        (y, x), integers, or floating point where the file holds such.

    Raises:
        InputError: no pixels, colours, or a compression that cannot be decoded here.
    """
    if is_colour(dataset):
        raise InputError(
            f"{file}: a colour image ({dataset.get('PhotometricInterpretation', 'unknown')}), "
            "which holds no measured values: export the original slices"
        )
    for frame, _ in _decoded(file, dataset, raw=True):
        if frame.shape != (int(dataset.Rows), int(dataset.Columns)):
            stated = (int(dataset.Rows), int(dataset.Columns))
            raise InputError(f"{file}: pixels of shape {frame.shape}, not {stated}: export again")
        yield frame


def picture_frames(file: Path, dataset: Dataset) -> NDArray[np.uint8]:
    """The frames of a picture as brightness or RGB, 0 (black) to 255.

    MONOCHROME1 is inverted, a palette is applied (its 16-bit entries scaled to 8), YBR_FULL,
    YBR_FULL_422, YBR_ICT and YBR_RCT become RGB. More than 8 bits are scaled to 8.

    Args:
        file: where it is from, for messages.
        dataset: with its pixels.

    Returns:
        (frame, y, x) where the picture has one sample per pixel, else (frame, y, x, 3).

    Raises:
        InputError: no pixels, an unknown colour space or compression, or a damaged palette.
    """
    frames = []
    for frame, told in _decoded(file, dataset, raw=False):
        space = str(told["photometric_interpretation"])
        if space == "PALETTE COLOR":
            frames.append(_palette(file, frame, dataset))
            continue
        bits = int(told["bits_stored"])
        if space in _GREY:
            values = _offset(frame, bits)
            grey = _scaled(values, 2**bits - 1)
            frames.append(_FULL - grey if space == "MONOCHROME1" else grey)
            continue
        if space.startswith("YBR"):  # whatever a decoder left in it
            frame = convert_color_space(frame, space, "RGB")
        elif space != "RGB":
            raise InputError(f"{file}: its colours are {space}, which cannot be read: export RGB")
        frames.append(_scaled(frame, 2**bits - 1))
    return np.stack(frames)


def _decoded(
    file: Path, dataset: Dataset, *, raw: bool
) -> Iterator[tuple[NDArray[Any], dict[str, Any]]]:
    """(frame, what pydicom says of it) for all frames."""
    keyword = next((name for name in _PIXELS if name in dataset), None)
    if keyword is None:
        raise InputError(f"{file}: no pixels in it: export it again")
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax == JPEGExtended12Bit:
        register_decoder()
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise InputError(f"{file}: its compression ({syntax.name}) is unknown: {_EXTRA}") from error
    if decoder.is_encapsulated and not decoder.is_available:
        raise InputError(f"{file}: no decoder for its compression ({syntax.name}) here: {_EXTRA}")
    check_frames(file, dataset, keyword, frame_count(dataset))
    frames = range(frame_count(dataset))  # by number: pydicom then corrects signs in place
    with reading(file):
        for frame, told in decoder.iter_array(dataset, indices=frames, raw=raw):
            yield np.asarray(frame), dict(told)


def _palette(file: Path, frame: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    try:
        colours = apply_color_lut(frame, dataset)
    except (KeyError, ValueError, AttributeError) as error:
        raise InputError(
            f"{file}: its palette is damaged ({one_line(error)}): export it as RGB"
        ) from error
    highest = 2 ** (8 * colours.dtype.itemsize) - 1
    return _scaled(colours[..., :3], highest)


def _offset(frame: NDArray[Any], bits: int) -> NDArray[Any]:
    """Signed values from their lowest on."""
    if not np.issubdtype(frame.dtype, np.signedinteger):
        return frame
    out: NDArray[Any] = frame.astype(np.int64) + 2 ** (bits - 1)
    return out


def _scaled(values: NDArray[Any], highest: int) -> NDArray[np.uint8]:
    if highest == _FULL:
        return np.asarray(values, np.uint8)
    share = np.clip(np.asarray(values, np.float64) / highest, 0, 1)
    return np.rint(share * _FULL).astype(np.uint8)
