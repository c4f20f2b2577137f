"""What all modalities share in writing a volume as a series of DICOM slices that any viewer opens.

Pixels have 16 bits and are not compressed; value = RescaleSlope x stored value + RescaleIntercept.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

import sciddm
from sciddm.geometry.affine import dicom_slices

__all__ = [
    "SERIES_OFFSET",
    "anonymous_headers",
    "code",
    "decimals",
    "describe",
    "names_folder",
    "save_slice",
    "set_pixels",
]

#: The new series' number lies that much above its source's.
SERIES_OFFSET = 1000
_LONGEST = 64  # characters of a series' description
_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName", "Manufacturer",
    "PositionReferenceIndicator", "AcquisitionNumber", "PatientPosition",
)  # fmt: skip


def names_folder(path: Path) -> bool:
    """Whether a name is that of a folder rather than of a file of another format."""
    # A UID, too, has dots in it.
    number = re.fullmatch(r"\.\d+(_std)?", path.suffix)
    return not path.suffix or number is not None or path.is_dir()


def anonymous_headers(
    affine: ArrayLike, slices: int, modality: str, study: tuple[str, str] | None = None
) -> list[Dataset]:
    """Headers of a derived series without a patient, one per slice.

    Args:
        affine: of the voxels (x, y, slice), RAS, mm.
        slices: their number.
        modality: the attribute Modality.
        study: UIDs of the study and of the frame of reference, new ones if not given.
    """
    positions, orientation, spacing, distance = dicom_slices(affine, slices)
    uids = study or (generate_uid(), generate_uid())
    headers = []
    for k in range(slices):
        header = Dataset()
        header.StudyInstanceUID, header.FrameOfReferenceUID = uids
        header.Modality, header.ImageType = modality, ["DERIVED", "SECONDARY", "AXIAL"]
        for keyword in _EMPTY:
            setattr(header, keyword, None)
        header.SeriesNumber, header.InstanceNumber = SERIES_OFFSET + 1, k + 1
        header.ImagePositionPatient = decimals(positions[k])
        header.ImageOrientationPatient = decimals(orientation)
        header.PixelSpacing = decimals(spacing)
        header.SliceThickness = header.SpacingBetweenSlices = decimals([distance])[0]
        headers.append(header)
    return headers


def describe(dataset: Dataset, description: str, now: datetime.datetime) -> None:
    """Says what was done, when, and that this software did it."""
    earlier = str(dataset.get("DerivationDescription", "") or "")
    dataset.DerivationDescription = (f"{earlier}; {description}" if earlier else description)[
        -1024:
    ]
    dataset.SeriesDescription = _series_description(dataset, description)
    dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = now.strftime("%H%M%S")
    item = Dataset()
    item.Manufacturer, item.ManufacturerModelName = "sciddm", "sciddm"
    item.SoftwareVersions = sciddm.__version__
    item.ContributionDescription = description[:1024]
    item.PurposeOfReferenceCodeSequence = Sequence([code("109103", "Modifying Equipment")])
    dataset.ContributingEquipmentSequence = Sequence(
        [*dataset.get("ContributingEquipmentSequence", []), item]
    )


def _series_description(dataset: Dataset, description: str) -> str:
    """The source's own description, shortened, and what was done last, whole if it can be."""
    before = str(dataset.get("SeriesDescription", "") or "")
    own = re.split(r"(?:^|\s)(?:std of )?sciddm \d", before)[0].strip()
    done = description[:_LONGEST]
    return f"{own[: max(0, _LONGEST - 1 - len(done))].strip()} {done}".strip()


def set_pixels(
    dataset: Dataset, pixels: NDArray[Any], slope: float, intercept: float, units: str
) -> None:
    """Stores 16-bit integers (y, x), signed or not, and what they mean."""
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    dataset.RescaleSlope, dataset.RescaleIntercept = decimals([slope, intercept])
    dataset.RescaleType = units
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"


def save_slice(dataset: Dataset, path: Path) -> None:
    """Writes one slice as a file of its own."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    dataset.save_as(path, enforce_file_format=True)


def code(value: str, meaning: str) -> Dataset:
    """An entry of a code sequence, of DICOM's own codes."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def decimals(values: Any) -> list[str]:
    """DICOM's decimal strings, at most 16 characters."""
    return [format_number_as_ds(float(v)) for v in values]
