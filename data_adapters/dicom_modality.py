"""The modality of a DICOM file or folder, by a quick look."""

from __future__ import annotations

from pathlib import Path

__all__ = ["modality_of"]

_MAGIC_AT, _MAGIC = 128, b"DICM"
_MOST_FILES = 50


def modality_of(path: Path) -> str:
    """Modality (0008,0060) of the first DICOM file, such as CT, PT, MR, US; "" where none is."""
    files = sorted(path.iterdir())[:_MOST_FILES] if path.is_dir() else [path]
    for file in files:
        if file.is_file() and _is_dicom(file):
            return _modality(file)
    return ""


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
    except OSError:
        return False


def _modality(path: Path) -> str:
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"])
    except Exception:  # whatever a stranger's file makes of the parser: it is not recognised
        return ""
    return str(header.get("Modality") or "")
