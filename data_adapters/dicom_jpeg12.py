"""JPEG Extended with more than 8 bits, by GDCM's own codec.

pydicom refuses GDCM for these frames, though the codec decodes them bit for bit as libjpeg does
(`tests/data_adapters/test_dicom_pixels.py`); the other decoders have restrictive licences.
"""

from __future__ import annotations

from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import JPEGExtended12Bit

__all__ = ["decode_frame", "is_available", "register_decoder"]

_NAME = "gdcm, 12 bits"
DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("python-gdcm",)}  # pydicom reads it


def is_available(uid: str) -> bool:
    """Whether GDCM is installed; called by pydicom."""
    import importlib.util

    return uid == JPEGExtended12Bit and importlib.util.find_spec("gdcm") is not None


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """The pixels of one encoded frame, little endian.

    Raises:
        ValueError: the frame is damaged.
    """
    import gdcm

    gdcm.Trace.ErrorOff()  # the codecs for 8 bits, which are tried first, complain

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(src)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    syntax = gdcm.TransferSyntax.GetTSType(str.__str__(JPEGExtended12Bit))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    stored = runner.bits_stored
    signed = int(runner.pixel_representation)
    image.SetPixelFormat(gdcm.PixelFormat(1, runner.bits_allocated, stored, stored - 1, signed))
    frame: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    expected = runner.rows * runner.columns * runner.bits_allocated // 8
    if len(frame) != expected:
        raise ValueError(f"{len(frame)} bytes decoded, {expected} expected")
    return frame


def register_decoder() -> None:
    """Adds the decoder to pydicom's own, after them; again and again does no harm."""
    decoder = get_decoder(JPEGExtended12Bit)
    if _NAME not in (*decoder.available_plugins, *decoder.missing_dependencies):
        decoder.add_plugin(_NAME, (__name__, "decode_frame"))
