"""Pixels of DICOM: every photometric interpretation and transfer syntax to one meaning."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from sciddm.data_adapters.dicom_pixels import picture_frames, stored_frames
from sciddm.errors import InputError

FILE = Path("clip.dcm")


def image(values: NDArray, space: str, *, bits: int | None = None, frames: int = 1) -> Dataset:
    """An uncompressed image (y, x) or (y, x, 3), or several frames of one."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = CTImageStorage
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid()
    one = values[0] if frames > 1 else values
    d.Rows, d.Columns = one.shape[:2]
    d.SamplesPerPixel = 3 if one.ndim == 3 else 1
    if one.ndim == 3:
        d.PlanarConfiguration = 0
    if frames > 1:
        d.NumberOfFrames = frames
    d.PhotometricInterpretation = space
    d.BitsAllocated = 8 * values.dtype.itemsize
    d.BitsStored = bits or d.BitsAllocated
    d.HighBit = d.BitsStored - 1
    d.PixelRepresentation = int(values.dtype.kind == "i")
    d.PixelData = values.astype(values.dtype.newbyteorder("<")).tobytes()
    d["PixelData"].VR = "OW" if d.BitsAllocated > 8 else "OB"
    return d


def ramp(grey: bool = True) -> NDArray[np.uint8]:
    y, x = np.mgrid[:32, :48]
    values = (3 * y + 2 * x).astype(np.uint8)
    return values if grey else np.repeat(values[..., None], 3, -1)


def jpeg(values: NDArray[np.uint8], space: str) -> Dataset:
    """A grey ramp as JPEG baseline, its chroma halved as scanners do."""
    from PIL import Image

    d = image(values, space)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=97, subsampling="4:2:2")
    d.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    d.PixelData = encapsulate([file.getvalue()])
    d["PixelData"].VR = "OB"
    return d


@pytest.mark.parametrize("space", ["YBR_FULL_422", "YBR_FULL"])
def test_jpeg_baseline_is_converted_once(space):
    """A grey clip in YBR is grey: a second conversion gives all of it a colour."""
    grey = ramp(grey=False)
    frames = picture_frames(FILE, jpeg(grey, space))
    assert frames.shape == (1, 32, 48, 3)
    assert np.abs(frames[0].astype(int) - grey).max() <= 4


def test_ybr_full_is_converted():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (8, 9, 3)).astype(np.uint8)
    ybr = convert_color_space(rgb, "RGB", "YBR_FULL")
    frames = picture_frames(FILE, image(ybr, "YBR_FULL"))
    assert np.abs(frames[0].astype(int) - rgb).max() <= 3


@pytest.mark.parametrize(
    ("space", "syntax"), [("YBR_RCT", JPEG2000Lossless), ("YBR_ICT", JPEG2000)]
)
def test_jpeg_2000_in_colour(space, syntax):
    rgb = ramp(grey=False)
    rgb[8:16, 8:24] = [200, 30, 60]
    d = image(rgb, "RGB")
    d.PhotometricInterpretation = space  # what the encoder makes of RGB
    options = {"j2k_cr": [2]} if syntax == JPEG2000 else {}
    d.compress(syntax, generate_instance_uid=False, **options)
    assert d.PhotometricInterpretation == space
    assert np.abs(picture_frames(FILE, d)[0].astype(int) - rgb).max() <= 6 * bool(options)


def test_palette_is_applied():
    """An inverted palette: index 0 is white. Its 16-bit entries become 8-bit brightness."""
    indices = ramp()
    d = image(indices, "PALETTE COLOR")
    table = np.linspace(65535, 0, 256).astype("<u2")
    for colour in ("Red", "Green", "Blue"):
        setattr(d, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(d, f"{colour}PaletteColorLookupTableData", table.tobytes())
    frames = picture_frames(FILE, d)
    assert frames.shape == (1, 32, 48, 3)
    np.testing.assert_array_equal(frames[0, ..., 0], 255 - indices)


def test_monochrome1_shows_low_values_white():
    values = ramp()
    np.testing.assert_array_equal(
        picture_frames(FILE, image(values, "MONOCHROME1"))[0], 255 - values
    )
    measured = next(stored_frames(FILE, image(values, "MONOCHROME1")))
    np.testing.assert_array_equal(measured, values)  # HU do not depend on how they are shown


def test_twelve_bits_fill_the_range():
    values = (16 * ramp().astype(np.uint16)) + 15
    shown = picture_frames(FILE, image(values, "MONOCHROME2", bits=12))[0]
    assert np.abs(shown.astype(int) - ramp()).max() <= 1


def test_frames_in_order():
    clip = np.stack([ramp(), ramp() + 1, ramp() + 2])
    np.testing.assert_array_equal(picture_frames(FILE, image(clip, "MONOCHROME2", frames=3)), clip)


def _lossless_jpeg(d: Dataset, folder: Path) -> Dataset:
    gdcm = pytest.importorskip("gdcm")
    d.save_as(folder / "plain.dcm", enforce_file_format=True)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(folder / "plain.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(folder / "lossless.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return pydicom.dcmread(folder / "lossless.dcm")


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless,
        JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1,
    ],
    ids=lambda uid: uid.name.split(",")[0],
)  # fmt: skip
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_stored_values_are_exact(tmp_path, syntax, signed):
    """What archives store, bit for bit; 12 bits in 16."""
    rng = np.random.default_rng(1)
    low, kind = (-2048, np.int16) if signed else (0, np.uint16)
    values = rng.integers(low, low + 4096, (37, 40)).astype(kind)
    d = image(values, "MONOCHROME2", bits=12)
    if syntax == JPEGLosslessSV1:
        d = _lossless_jpeg(d, tmp_path)
    elif syntax.is_encapsulated:
        d.compress(syntax, generate_instance_uid=False)
    else:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        d.file_meta.TransferSyntaxUID = syntax
        d.PixelData = values.astype(values.dtype.newbyteorder(order)).tobytes()
        file = tmp_path / "slice.dcm"
        d.save_as(file, enforce_file_format=True)
        d = pydicom.dcmread(file)
    assert d.file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(next(stored_frames(FILE, d)), values)


def test_jpeg_extended_of_twelve_bits():
    """Golden values of libjpeg-turbo's 12-bit decoder for pydicom's own file."""
    pytest.importorskip("gdcm")
    file = get_testdata_file("JPGExtended.dcm", download=False)
    frame = next(stored_frames(Path(file), pydicom.dcmread(file)))
    assert frame.shape == (1024, 256)
    assert (frame[420, 140], frame[230, 120], frame.max()) == (244, 95, 264)
    assert float(frame.mean()) == pytest.approx(14.36999, abs=1e-4)


def test_refusals():
    grey = image(ramp(), "MONOCHROME2")
    grey.PixelData = grey.PixelData[:-40]
    with pytest.raises(InputError, match=r"clip\.dcm.*damaged"):
        next(stored_frames(FILE, grey))
    with pytest.raises(InputError, match=r"clip\.dcm: a colour image \(RGB\)"):
        next(stored_frames(FILE, image(ramp(grey=False), "RGB")))
    empty = image(ramp(), "MONOCHROME2")
    del empty.PixelData
    with pytest.raises(InputError, match="no pixels"):
        picture_frames(FILE, empty)
    with pytest.raises(InputError, match="palette is damaged"):
        picture_frames(FILE, image(ramp(), "PALETTE COLOR"))
