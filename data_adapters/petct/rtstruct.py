"""Masks as contours in DICOM RT Structure Sets, for radiotherapy planning.

A contour follows the border of the mask's voxels half-way between the centres of voxels inside and
outside. Where a slice of the mask has holes, their borders are contours as well, and the structure
is of the type CLOSEDPLANAR_XOR, by which a point is inside if it lies within an odd number of
contours (DICOM PS3.3, C.8.8.6.3); a structure without holes is CLOSED_PLANAR, which every system
reads.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds
from skimage.measure import find_contours

import sciddm
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.dicom_series import Series, read_series
from sciddm.data_adapters.dicom_text import UTF8, unicode_header
from sciddm.data_adapters.gate.dicom import checked_dcmread
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.staging import staged
from sciddm.errors import InputError

__all__ = ["read_rtstruct", "save_rtstruct"]

_RTSTRUCT = UID("1.2.840.10008.5.1.4.1.1.481.3")
_STUDY = "1.2.840.10008.3.1.2.3.1"
_HOLES, _PLAIN = "CLOSEDPLANAR_XOR", "CLOSED_PLANAR"
_FEWEST_POINTS = 4
_KEPT = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
    "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDescription",
)  # fmt: skip


def save_rtstruct(
    mask: NDArray[Any],
    path: str | Path,
    source: str | Path,
    *,
    series: str | None = None,
    label: str = "Tumour",
    overwrite: bool = False,
) -> None:
    """Writes a mask as the contours of one structure.

    Args:
        mask: (z, y, x), the voxels of the series; above 0 is inside.
        path: .dcm.
        source: folder of the CT series the mask lies over.
        series: SeriesInstanceUID, where it holds several of CT.
        label: of the structure.
        overwrite: an existing file may be replaced.

    Raises:
        InputError: the mask has other voxels than the series.
        OutputError: the file exists or cannot be written.
    """
    found = read_series(source, series)
    inside = np.asarray(mask) > 0
    shape = found.shape
    if inside.shape != shape:
        raise InputError(f"{source}: has {shape} voxels, the mask {inside.shape}: give its series")
    dataset = _document(found, label)
    contours, holes = [], False
    for k, plane in enumerate(inside):
        traced = _trace(plane)
        holes = holes or _has_hole(traced)
        contours += [_contour(points, k, found) for points in traced]
    for item in contours:
        item.ContourGeometricType = _HOLES if holes else _PLAIN
    dataset.ROIContourSequence[0].ContourSequence = Sequence(contours)
    path = Path(path)
    with staged([path], overwrite) as at:
        dataset.save_as(at[path], enforce_file_format=True)


@isolated
def read_rtstruct(path: str | Path, source: str | Path) -> NDArray[np.bool_]:
    """The voxels (z, y, x) of a series whose centres lie inside the structures of a file.

    A point is inside if it lies within an odd number of a structure's contours.

    Args:
        path: the file.
        source: folder of the CT series.

    Raises:
        InputError: damaged, no structure set, or a contour that lies in no slice of the series.
    """
    from skimage.draw import polygon2mask

    path = existing_file(path)
    found = read_series(source)
    _, rows, columns = found.shape
    out = np.zeros(found.shape, bool)
    to_index = np.linalg.inv(found.affine) @ np.diag([-1.0, -1.0, 1.0, 1.0])
    with reading(path):
        dataset = checked_dcmread(path)
        for roi in dataset.ROIContourSequence:
            own = np.zeros_like(out)
            for contour in roi.get("ContourSequence", []):
                mm = np.asarray(contour.ContourData, np.float64).reshape(-1, 3)
                x, y, z = (to_index[:3] @ np.c_[mm, np.ones(len(mm))].T)[:3]
                k = round(float(z.mean()))
                if np.abs(z - k).max() > 0.1 or not 0 <= k < len(out):
                    raise InputError(f"{path}: a contour lies in no slice of {source}: another CT?")
                own[k] ^= polygon2mask((rows, columns), np.c_[y, x])
            out |= own
    return out


def _trace(plane: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Closed borders (n, 2), rows and columns; those of holes run the other way."""
    # A frame of outside voxels closes the borders of what touches the edge of the image.
    framed = np.pad(plane, 1).astype(np.float64)
    found = find_contours(framed, 0.5, positive_orientation="high")
    closed = [c[:-1] - 1 for c in found]
    return [c for c in closed if len(c) >= _FEWEST_POINTS]


def _has_hole(traced: list[NDArray[np.float64]]) -> bool:
    areas = [_area(c) for c in traced]
    return min(areas, default=0) < 0 < max(areas, default=0)


def _area(points: NDArray[np.float64]) -> float:
    y, x = points.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def _contour(points: NDArray[np.float64], k: int, found: Series) -> Dataset:
    y, x = points.T
    indices = np.stack([x, y, np.full_like(x, k), np.ones_like(x)])
    lps = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ found.affine @ indices)[:3].T
    item = Dataset()
    item.ContourImageSequence = Sequence([_image(found.headers[k])])
    item.NumberOfContourPoints = len(points)
    item.ContourData = [format_number_as_ds(round(float(v), 4)) for v in lps.ravel()]
    return item


def _image(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _document(found: Series, label: str) -> FileDataset:
    first = unicode_header(found.headers[0])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _RTSTRUCT
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    d.SpecificCharacterSet = UTF8
    for keyword in _KEPT:
        setattr(d, keyword, first.get(keyword, ""))
    d.OperatorsName = None  # required, and may be empty
    now = datetime.datetime.now()
    d.SOPClassUID, d.SOPInstanceUID = _RTSTRUCT, meta.MediaStorageSOPInstanceUID
    d.Modality, d.Manufacturer, d.SoftwareVersions = "RTSTRUCT", "sciddm", sciddm.__version__
    d.SeriesInstanceUID = generate_uid()
    d.SeriesNumber = int(first.get("SeriesNumber") or 0) + 2000
    d.SeriesDescription, d.InstanceNumber = f"sciddm {label}"[:64], 1
    d.StructureSetLabel = label[:16]
    d.StructureSetDate, d.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    d.ApprovalStatus = "UNAPPROVED"
    frame = str(first.get("FrameOfReferenceUID") or generate_uid())
    series = Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = Sequence([_image(h) for h in found.headers])
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = _STUDY, first.StudyInstanceUID
    study.RTReferencedSeriesSequence = Sequence([series])
    reference = Dataset()
    reference.FrameOfReferenceUID = frame
    reference.RTReferencedStudySequence = Sequence([study])
    d.ReferencedFrameOfReferenceSequence = Sequence([reference])
    roi = Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 1, label, frame
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    d.StructureSetROISequence = Sequence([roi])
    observation = Dataset()
    observation.ObservationNumber, observation.ReferencedROINumber = 1, 1
    observation.RTROIInterpretedType, observation.ROIInterpreter = "GTV", ""
    d.RTROIObservationsSequence = Sequence([observation])
    contour = Dataset()
    contour.ReferencedROINumber, contour.ROIDisplayColor = 1, [255, 64, 32]
    d.ROIContourSequence = Sequence([contour])
    return d
