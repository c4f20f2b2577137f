"""Ultrasound DICOM: single and multi-frame images, their B-mode region, and files derived from one.

The region is that which the file declares as two-dimensional tissue (0018,6011); where it declares
none it is found in the picture. Outside of it, where text, scales and the patient's name may be,
nothing is touched. Encapsulated pixels are decoded by what pydicom has at hand.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import xarray as xr
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from sciddm.data_adapters.checks import check_size, existing_file, reading
from sciddm.data_adapters.ultrasound.frames import build_frames
from sciddm.data_adapters.ultrasound.images import grey_frames
from sciddm.data_adapters.ultrasound.sector import image_region
from sciddm.errors import InputError

__all__ = ["read_us_dicom", "write_us_dicom"]

_TISSUE, _COLOUR_FLOW = 1, 2  # Region Data Type (0018,6014)
_CENTIMETRES = 3  # Physical Units (0018,6024)
_RANGE_DB = 60.0


def read_us_dicom(source: str | Path) -> xr.Dataset:
    """Reads the frames of an ultrasound image; those outside the region come along.

    Raises:
        InputError: damaged, no pixels, no ultrasound, or colour Doppler.
    """
    path = existing_file(source)
    with reading(path):
        header = pydicom.dcmread(path)
        if "PixelData" not in header:
            raise InputError(f"{path}: a DICOM file without pixels: give an image")
        if header.get("Modality", "US") not in ("US", "IVUS"):
            raise InputError(f"{path}: modality {header.Modality}, not ultrasound: give another")
        size = (int(header.get("NumberOfFrames", 1) or 1), int(header.Rows), int(header.Columns))
        check_size(path, "the clip", size, 4 * int(header.get("SamplesPerPixel", 1)))
        pages = _pages(header)
    regions = list(header.get("SequenceOfUltrasoundRegions", []) or [])
    types = [int(r.get("RegionDataType", 0)) for r in regions]
    if _COLOUR_FLOW in types:
        raise InputError(f"{path}: has a colour Doppler region: give grey-scale B-mode")
    frames = grey_frames(path, pages).astype(np.float32) / 255
    box = next((r for r, t in zip(regions, types, strict=True) if t == _TISSUE), None)
    mask = np.zeros(frames.shape[1:], bool)
    inside: tuple[slice, ...] = (slice(None), slice(None))
    steps: dict[str, Any] = {}
    if box is not None:
        first = (int(box.RegionLocationMinY0), int(box.RegionLocationMinX0))
        last = (int(box.RegionLocationMaxY1), int(box.RegionLocationMaxX1))
        inside = tuple(slice(max(a, 0), b + 1) for a, b in zip(first, last, strict=True))
        steps = _steps(box)
    region = frames[(slice(None), *inside)]
    if region.size == 0:
        raise InputError(
            f"{path}: its ultrasound region lies outside the image: correct the header"
        )
    mask[inside] = image_region(region)
    rows, columns = frames.shape[1:]
    place: dict[str, Any] = {}
    if steps:
        place = {
            "depth": (np.arange(rows) - (inside[0].start or 0)) * steps["y"],
            "lateral": (np.arange(columns) - (columns - 1) / 2) * steps["x"],
        }
    made = build_frames(
        path,
        frames,
        "bmode",
        form="dicom",
        mask=mask,
        attrs={"dynamic_range_db": _RANGE_DB},
        **place,
    )
    made.attrs.pop("fs", None)  # pixels of a picture are no samples of echoes
    return made


def write_us_dicom(
    frames: NDArray[np.uint8], mask: NDArray[np.bool_], like: Path, to: Path
) -> None:
    """Writes frames as an image derived from another: its header, new identifiers.

    Pixels outside the mask are those of `like`, bit for bit, colour included.

    Args:
        frames: (frame, y, x), 0..255.
        mask: (y, x).
        like: the DICOM file that they were made from.
        to: a new file.
    """
    with reading(like):
        header = pydicom.dcmread(like)
        pages = _pages(header)
    out = np.array(pages)
    grey = frames[:, mask]
    out[:, mask] = grey[..., None] if out.ndim == 4 else grey
    source = copy.deepcopy(header)
    if header.file_meta.TransferSyntaxUID.is_compressed:
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.PixelData = out.tobytes()
    header["PixelData"].is_undefined_length = False
    if out.ndim == 4:
        header.PhotometricInterpretation, header.PlanarConfiguration = "RGB", 0
    header.ImageType = ["DERIVED", "SECONDARY", *list(header.get("ImageType", []))[2:]]
    header.DerivationDescription = "Dehazed by sciddm; not for diagnosis"
    uid = generate_uid()
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = uid
    header.SeriesInstanceUID = generate_uid()
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    header.SourceImageSequence = [reference]
    header.save_as(to, enforce_file_format=True)


def _pages(header: pydicom.Dataset) -> NDArray[Any]:
    """(frame, y, x[, RGB]), 8 bit."""
    pages = header.pixel_array
    colour = int(header.get("SamplesPerPixel", 1)) > 1
    if pages.ndim == (3 if colour else 2):
        pages = pages[None]
    if colour and "YBR" in str(header.PhotometricInterpretation):
        from pydicom.pixels import convert_color_space

        pages = convert_color_space(pages, str(header.PhotometricInterpretation), "RGB")
    return np.asarray(pages)


def _steps(region: pydicom.Dataset) -> dict[str, float]:
    units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
    if units != (_CENTIMETRES, _CENTIMETRES):
        return {}
    steps = {
        "y": abs(float(region.PhysicalDeltaY)) / 100,
        "x": abs(float(region.PhysicalDeltaX)) / 100,
    }
    return steps if min(steps.values()) > 0 else {}
