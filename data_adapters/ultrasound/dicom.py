"""Ultrasound DICOM: images of one or more frames, their tissue regions, and files derived from one.

The regions are those that the file declares as two-dimensional tissue (0018,6011), each an image of
its own; where it declares none the image is found in the picture. Outside of them, where text,
scales and the patient's name may be, and where something is drawn over the image, nothing is
touched. Pixels of every photometric interpretation are read, by `dicom_pixels`.

Files of one study that one run derives belong to one series: its UID follows from the study and
from what decides the result.
"""

from __future__ import annotations

import copy
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import xarray as xr
from numpy.typing import NDArray
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import sciddm
from sciddm.data_adapters.checks import check_size, existing_file, reading
from sciddm.data_adapters.dicom_pixels import frame_count, has_pixels, picture_frames
from sciddm.data_adapters.dicom_slices import code, describe
from sciddm.data_adapters.dicom_text import unicode_header
from sciddm.data_adapters.gate.dicom import checked_dcmread
from sciddm.data_adapters.ultrasound.frames import build_frames
from sciddm.data_adapters.ultrasound.images import RANGE_DB, grey_frames
from sciddm.data_adapters.ultrasound.overlays import overlays
from sciddm.data_adapters.ultrasound.sector import image_region
from sciddm.errors import InputError

__all__ = ["read_us_dicom", "write_us_dicom"]

_TISSUE, _COLOUR_FLOW = 1, 2  # Region Data Type (0018,6014)
_PLANE = 1  # Region Spatial Format (0018,6012): two-dimensional
_CENTIMETRES = 3  # Physical Units (0018,6024)
_CORNERS = ("MinY0", "MinX0", "MaxY1", "MaxX1")
_SERIES = 900  # number of the derived series
_PALETTE = [
    f"{colour}Palette{part}"
    for colour in ("Red", "Green", "Blue")
    for part in ("ColorLookupTableDescriptor", "ColorLookupTableData")
]

Box = tuple[slice, slice]


def read_us_dicom(source: str | Path) -> xr.Dataset:
    """Reads the frames of an ultrasound image; those outside the regions come along.

    Raises:
        InputError: damaged, no pixels, no ultrasound, or colour Doppler.
    """
    path = existing_file(source)
    with reading(path):
        header = checked_dcmread(path)
        if not has_pixels(header):
            raise InputError(f"{path}: a DICOM file without pixels: give an image")
        if header.get("Modality", "US") not in ("US", "IVUS"):
            raise InputError(f"{path}: modality {header.Modality}, not ultrasound: give another")
        size = (frame_count(header), int(header.Rows), int(header.Columns))
        check_size(path, "the clip", size, 4 * int(header.get("SamplesPerPixel", 1)))
        pages = picture_frames(path, header)
    items = list(header.get("SequenceOfUltrasoundRegions", []) or [])
    if any(_number(item, "RegionDataType") == _COLOUR_FLOW for item in items):
        raise InputError(f"{path}: has a colour Doppler region: give grey-scale B-mode")
    shape = (pages.shape[1], pages.shape[2])
    tissue = [i for i in items if _is_tissue(i)]
    boxes = [_box(path, item, shape) for item in tissue] or [(slice(None), slice(None))]
    brightness = (pages.mean(axis=-1) if pages.ndim == 4 else pages).astype(np.float32) / 255
    region = np.zeros(shape, np.uint8)
    for i, box in enumerate(boxes):
        inside = image_region(brightness[(slice(None), *box)])
        region[box] = np.where(inside, i + 1, region[box])
    mask = region > 0
    grey, colour = grey_frames(path, pages, mask)
    place: dict[str, Any] = {}
    steps = _steps(tissue[0]) if len(tissue) == 1 else {}
    if steps:
        first = boxes[0][0].start or 0
        place = {
            "depth": (np.arange(shape[0]) - first) * steps["y"],
            "lateral": (np.arange(shape[1]) - (shape[1] - 1) / 2) * steps["x"],
        }
    made = build_frames(
        path,
        grey.astype(np.float32) / 255,
        "bmode",
        form="dicom",
        mask=mask,
        overlay=overlays(grey, mask, colour),
        region=region if len(boxes) > 1 else None,
        attrs={"dynamic_range_db": RANGE_DB},
        **place,
    )
    made.attrs.pop("fs", None)  # pixels of a picture are no samples of echoes
    return made


def write_us_dicom(
    frames: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    like: Path,
    to: Path,
    *,
    run: str = "",
) -> None:
    """Writes an image derived from another one.

    Grey pictures are written as MONOCHROME2, others as RGB, not compressed. Where the frames are as
    they were, so are the pixels, colour included.

    Args:
        frames: (frame, y, x), 0..255.
        mask: (y, x), where frames may differ from the source.
        like: the DICOM file that they were made from.
        to: a new file.
        run: what decides the result. Files of a study with the same run are one series.
    """
    with reading(like):
        source = checked_dcmread(like)
        pages = picture_frames(like, source)
    before = pages.astype(np.float32).mean(axis=-1).round() if pages.ndim == 4 else pages
    changed = mask & (frames != before)
    out = np.where(changed[..., None] if pages.ndim == 4 else changed, _as(frames, pages), pages)
    header = unicode_header(source)
    meta = copy.deepcopy(source.file_meta)
    for name in [*_PALETTE, "PaletteColorLookupTableUID", "VOILUTSequence", "PixelPaddingValue"]:
        if name in header:
            delattr(header, name)
    colour = out.ndim == 4
    header.SamplesPerPixel = 3 if colour else 1
    header.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        header.PlanarConfiguration = 0
    elif "PlanarConfiguration" in header:
        del header.PlanarConfiguration
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation = 7, 0
    header.PixelData = out.astype(np.uint8).tobytes() + b"\0" * (out.size % 2)
    header["PixelData"].VR = "OB"
    header.ImageType = ["DERIVED", "SECONDARY", *list(source.get("ImageType", []))[2:]]
    describe(header, f"sciddm {sciddm.__version__} dehazed", datetime.datetime.now())
    # The same run of the same study gives the same series, whatever the order of its files.
    study = str(source.get("StudyInstanceUID", ""))
    header.SeriesInstanceUID = generate_uid(entropy_srcs=[study, "sciddm dehazed", run])
    header.SeriesNumber = _SERIES
    header.SOPInstanceUID = generate_uid(entropy_srcs=[str(source.SOPInstanceUID), "dehazed", run])
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = Sequence(
        [code("121322", "Source image for image processing operation")]
    )
    header.SourceImageSequence = Sequence([reference])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.file_meta = meta
    header.save_as(to, enforce_file_format=True)


def _as(frames: NDArray[np.uint8], pages: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return frames[..., None] if pages.ndim == 4 else frames


def _number(item: pydicom.Dataset, name: str) -> int | None:
    value = item.get(name)
    return None if value is None else int(value)


def _is_tissue(item: pydicom.Dataset) -> bool:
    """Whether a region is a plane of tissue with all of its corners."""
    whole = all(item.get(f"RegionLocation{c}") is not None for c in _CORNERS)
    plane = _number(item, "RegionSpatialFormat") in (None, _PLANE)
    return whole and plane and _number(item, "RegionDataType") == _TISSUE


def _box(path: Path, item: pydicom.Dataset, shape: tuple[int, int]) -> Box:
    y0, x0, y1, x1 = (int(item[f"RegionLocation{c}"].value) for c in _CORNERS)
    rows, columns = slice(max(y0, 0), y1 + 1), slice(max(x0, 0), x1 + 1)
    if y0 > y1 or x0 > x1 or y0 >= shape[0] or x0 >= shape[1]:
        raise InputError(
            f"{path}: its ultrasound region lies outside the image: correct the header"
        )
    return rows, columns


def _steps(region: pydicom.Dataset) -> dict[str, float]:
    units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
    deltas = (region.get("PhysicalDeltaX"), region.get("PhysicalDeltaY"))
    if units != (_CENTIMETRES, _CENTIMETRES) or None in deltas:
        return {}
    steps = {"y": abs(float(deltas[1])) / 100, "x": abs(float(deltas[0])) / 100}
    return steps if min(steps.values()) > 0 else {}
