"""The modality of a DICOM file or folder, by a quick look."""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_pet", "modality_of"]

_MOST_FILES = 50


def modality_of(path: Path) -> str:
    """Modality (0008,0060) of the first DICOM file, such as CT, PT, MR, US; "" where none is."""
    files = sorted(path.iterdir())[:_MOST_FILES] if path.is_dir() else [path]
    for file in files:
        if file.is_file() and _is_dicom(file):
            return _modality(file)
    return ""


def is_pet(path: Path) -> bool:
    """Whether a file or folder holds PET."""
    return modality_of(path) == "PT"


def _is_dicom(path: Path) -> bool:
    from sciddm.data_adapters.dicom_files import is_dicom_file

    try:
        return is_dicom_file(path)
    except OSError:
        return False


def _modality(path: Path) -> str:
    from sciddm.data_adapters.gate.dicom import checked_dcmread

    try:
        header = checked_dcmread(
            path, stop_before_pixels=True, specific_tags=["Modality"], force=True
        )
    except Exception:  # whatever a stranger's file makes of the parser: it is not recognised
        return ""
    return str(header.get("Modality") or "")
