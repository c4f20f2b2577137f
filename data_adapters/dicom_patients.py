"""The series of a folder of DICOM files, each with the patient that it is of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sciddm.data_adapters.dicom_files import dicom_headers, series_of
from sciddm.data_adapters.isolation import isolated

__all__ = ["PatientSeries", "patient_series"]


@dataclass(frozen=True)
class PatientSeries:
    """A series, without its slices.

    Attributes:
        uid: SeriesInstanceUID.
        modality: Modality (0008,0060), such as MR.
        patient: PatientID (0010,0020); "" where the file has none.
    """

    uid: str
    modality: str
    patient: str


@isolated
def patient_series(folder: Path) -> list[PatientSeries]:
    """The series of a folder with DICOM files.

    Raises:
        InputError: a DICOM file that cannot be read.
    """
    return [
        PatientSeries(s.uid, s.modality, str(s.first.get("PatientID") or "").strip())
        for s in series_of(dicom_headers(folder))
    ]
