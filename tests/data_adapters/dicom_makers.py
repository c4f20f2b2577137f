"""Small DICOM series for tests: single slices, and the same as one enhanced image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

CLASSES = {"CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def hounsfield(slices: int = 5, rows: int = 12, columns: int = 16) -> NDArray[np.float64]:
    rng = np.random.default_rng(3)
    return rng.integers(-1000, 2000, (slices, rows, columns)).astype(float)


def plain_header(modality: str = "CT", **values: Any) -> Dataset:
    d = Dataset()
    d.SOPClassUID = CLASSES.get(modality, CTImageStorage)
    d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "Test^Anna", "P1", "", "F"
    d.StudyDate, d.StudyTime, d.StudyID, d.AccessionNumber = "20250101", "101500", "1", "A1"
    d.ReferringPhysicianName, d.Manufacturer, d.Modality = "", "ACME", modality
    d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    d.SeriesNumber, d.SeriesDescription, d.AcquisitionNumber = 3, "Thorax", 1
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
    d.RescaleSlope, d.RescaleIntercept, d.RescaleType = "1", "-1024", "HU"
    d.StudyInstanceUID = d.SeriesInstanceUID = d.FrameOfReferenceUID = None
    for keyword, value in values.items():
        setattr(d, keyword, value)
    return d


def save(d: Dataset, file: Path) -> None:
    d.file_meta = FileMetaDataset()
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.save_as(file, enforce_file_format=True)


def write_slices(
    folder: Path,
    hu: NDArray[Any] | None = None,
    *,
    modality: str = "CT",
    uids: tuple[str, str, str] | None = None,
    orientation: tuple[float, ...] = AXIAL,
    origin: tuple[float, float, float] = (-40.0, -30.0, 100.0),
    step: tuple[float, float, float] | None = None,
    name: str = "{:03d}.dcm",
    each: Callable[[int, Dataset], None] | None = None,
    **values: Any,
) -> NDArray[np.float64]:
    """A series of slices 2.5 mm apart, of pixels .8 x .7 mm; returns its HU.

    uids: of study, series and frame of reference.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hu = hounsfield() if hu is None else hu
    study, series, frame = uids or (generate_uid(), generate_uid(), generate_uid())
    x, y = np.reshape(orientation, (2, 3))
    along = np.cross(x, y) * 2.5 if step is None else np.asarray(step)
    for k, plane in enumerate(hu):
        d = plain_header(modality, **values)
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        d.SOPInstanceUID, d.InstanceNumber = generate_uid(), k + 1
        d.Rows, d.Columns = plane.shape
        d.PixelSpacing, d.SliceThickness = ["0.8", "0.7"], "2.5"
        d.ImageOrientationPatient = list(orientation)
        d.ImagePositionPatient = [float(round(v, 4)) for v in np.asarray(origin) + k * along]
        if each is not None:
            each(k, d)
        stored = np.rint((plane - float(d.RescaleIntercept)) / float(d.RescaleSlope))
        d.PixelData = stored.astype("<i2" if d.PixelRepresentation else "<u2").tobytes()
        d["PixelData"].VR = "OW"
        save(d, folder / name.format(k))
    return hu


def write_enhanced(
    file: Path, hu: NDArray[Any] | None = None, *, storage: UID = EnhancedCTImageStorage,
    modality: str = "CT", **values: Any,
) -> NDArray[np.float64]:  # fmt: skip
    """The same as one file, its frames from the head down; returns HU from the feet up."""
    hu = hounsfield() if hu is None else hu
    d = plain_header(modality, SOPClassUID=storage, **values)
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        delattr(d, keyword)
    d.StudyInstanceUID, d.SeriesInstanceUID = generate_uid(), generate_uid()
    d.FrameOfReferenceUID, d.SOPInstanceUID, d.InstanceNumber = generate_uid(), generate_uid(), 1
    d.NumberOfFrames, (d.Rows, d.Columns) = len(hu), hu.shape[1:]
    d.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    shared = d.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence = Sequence([Dataset()])
    shared.PixelMeasuresSequence[0].PixelSpacing = ["0.8", "0.7"]
    shared.PixelMeasuresSequence[0].SliceThickness = "2.5"
    shared.PlaneOrientationSequence = Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(AXIAL)
    groups, frames = [], []
    for k in reversed(range(len(hu))):
        slope = 1.0 + 0.5 * (k % 2)  # its own for every frame
        group = Dataset()
        group.PlanePositionSequence = Sequence([Dataset()])
        group.PlanePositionSequence[0].ImagePositionPatient = [-40.0, -30.0, 100.0 + 2.5 * k]
        group.PixelValueTransformationSequence = Sequence([Dataset()])
        item = group.PixelValueTransformationSequence[0]
        item.RescaleSlope, item.RescaleIntercept = str(slope), "-1024"
        item.RescaleType = "HU" if modality == "CT" else "US"
        groups.append(group)
        frames.append(np.rint((hu[k] + 1024) / slope).astype("<u2"))
    d.PerFrameFunctionalGroupsSequence = Sequence(groups)
    d.PixelData = np.stack(frames).tobytes()
    d["PixelData"].VR = "OW"
    file.parent.mkdir(parents=True, exist_ok=True)
    save(d, file)
    slopes = 1.0 + 0.5 * (np.arange(len(hu)) % 2)[:, None, None]
    return np.rint((hu + 1024) / slopes) * slopes - 1024
