"""DICOM files of a folder, and the series they make up.

Headers are read without pixels. A folder's own files count; where it has none, or only the index
of a medium (DICOMDIR), those of its subfolders do. Files that are no DICOM are passed over; all
others are read or named. Old archives leave out the 128 bytes and the mark "DICM" that a file
begins with: such a file is known by its first element.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.gate.dicom import checked_dcmread
from sciddm.errors import InputError
from sciddm.storage.special_files import check_regular

__all__ = [
    "SeriesFiles",
    "dicom_headers",
    "is_dicom_file",
    "is_dicom_folder",
    "is_dicom_item",
    "open_dicom",
    "series_of",
]

_MARK = b"DICM"
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")  # of a file without the mark, little endian
_MOST_ELEMENT, _LONGEST = 0x30, 0x200  # of its first element: the number, and the length
_UNDEFINED_LENGTH = 0xFFFFFFFF
_AMONG_OTHERS = "remove it from the folder"
_ALONE = "give a DICOM series (its folder), or a volume as .nii, .nii.gz, .mha or .nrrd"
_DEPTH = 3  # patient, study, series


@dataclass(frozen=True)
class SeriesFiles:
    """The files of one series.

    Attributes:
        uid: SeriesInstanceUID.
        headers: of the files, without pixels.
    """

    uid: str
    headers: dict[Path, Dataset]

    @property
    def first(self) -> Dataset:
        """Its first header, for what all share."""
        return next(iter(self.headers.values()))

    @property
    def modality(self) -> str:
        return str(self.first.get("Modality") or "")

    @property
    def number(self) -> str:
        return str(self.first.get("SeriesNumber") or "")

    @property
    def description(self) -> str:
        return str(self.first.get("SeriesDescription") or "")

    @property
    def images(self) -> int:
        """Frames of all files."""
        return sum(max(1, int(h.get("NumberOfFrames") or 1)) for h in self.headers.values())

    def __str__(self) -> str:
        count = f"{self.images} image{'s' * (self.images != 1)}"
        told = [self.modality, f"number {self.number}" if self.number else "", count]
        name = f" '{self.description}'" if self.description else ""
        file = next(iter(self.headers)).name
        return f"{self.uid}{name} ({', '.join(t for t in told if t)}, {file})"


def is_dicom_folder(path: Path) -> bool:
    """Whether a folder holds DICOM files itself, not in subfolders."""
    if not path.is_dir():
        return False
    return any(_is_marked(p) for p in path.iterdir() if not p.name.startswith(".") and p.is_file())


def is_dicom_item(path: Path, others: tuple[str, ...] = ()) -> bool:
    """Whether a folder is to be read as one: slices in it, or a medium with them further down.

    A folder whose own subfolders hold the slices is several items.

    Args:
        path: the folder.
        others: suffixes of files that are items themselves.
    """
    if not path.is_dir():
        return False
    if is_dicom_folder(path):
        return True
    children = [p for p in path.iterdir() if not p.name.startswith(".")]
    if any(is_dicom_folder(p) or p.name.lower().endswith(others) for p in children):
        return False
    below = [p for child in children if child.is_dir() for p in child.iterdir() if p.is_dir()]
    for _ in range(_DEPTH):
        if any(is_dicom_folder(p) for p in below):
            return True
        below = [p for folder in below for p in folder.iterdir() if p.is_dir()]
    return False


def dicom_headers(path: Path) -> dict[Path, Dataset]:
    """The headers of all DICOM files of a folder, or of one file.

    Raises:
        InputError: nothing there, or a DICOM file that cannot be read: names it.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder: check the name")
    check_regular(path)
    if not path.is_dir():
        return dict(_read(path, alone=True))
    found = {f: h for file in _files(path) for f, h in _read(file)}
    if not found:
        nested = _readable(p for p in path.rglob("*") if not _hidden(p, path))
        found = {f: h for file in nested for f, h in _read(file)}
    return found


def series_of(headers: dict[Path, Dataset]) -> list[SeriesFiles]:
    """The headers by SeriesInstanceUID, in the order of their first files."""
    groups: dict[str, dict[Path, Dataset]] = {}
    for file, header in headers.items():
        groups.setdefault(str(header.get("SeriesInstanceUID") or ""), {})[file] = header
    return [SeriesFiles(uid, files) for uid, files in groups.items()]


def open_dicom(file: Path, *, pixels: bool, alternative: str = _AMONG_OTHERS) -> FileDataset:
    """Reads a file.

    Args:
        file: the file.
        pixels: whether they are read.
        alternative: what to do where it is no DICOM.

    Raises:
        InputError: not DICOM.
    """
    try:
        bare = _is_bare(_start(file))
        dataset = checked_dcmread(file, stop_before_pixels=not pixels, force=bare)
    except InvalidDicomError as error:
        raise InputError(f"{file}: not a DICOM file: {alternative}") from error
    if bare and "TransferSyntaxUID" not in dataset.file_meta:  # not compressed, then
        implicit = bool(dataset.original_encoding[0])
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _files(folder: Path) -> list[Path]:
    return _readable(p for p in folder.iterdir() if not p.name.startswith("."))


def _readable(paths: Iterable[Path]) -> list[Path]:
    """Those that are files, by name; a link to nothing is a slice that would be missing."""
    each = sorted(paths)
    for path in each:
        if path.is_symlink() and not path.exists():
            existing_file(path)  # says what it leads to
    return [path for path in each if path.is_file()]


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _read(file: Path, *, alone: bool = False) -> Iterator[tuple[Path, Dataset]]:
    """The header of a file, or nothing where the file is no image of its own."""
    with reading(file):
        dicom = is_dicom_file(file)
    if not dicom and not alone and file.suffix.lower() != ".dcm":
        return  # a text or a picture beside the slices
    with reading(file):
        header = open_dicom(file, pixels=False, alternative=_ALONE if alone else _AMONG_OTHERS)
    if "DirectoryRecordSequence" in header:
        return  # the index of a medium
    incomplete = "SOPClassUID" not in header or "SeriesInstanceUID" not in header
    if incomplete or _ends_within_a_value(header):
        raise InputError(f"{file}: its header ends early: truncated, copy or export it again")
    yield file, header


def _ends_within_a_value(header: Dataset) -> bool:
    """Whether the last value has fewer bytes than its length says.

    The library returns such a value as it is. A series number cut short would be another series.
    """
    last = header.get_item(max(header.keys())) if len(header) else None
    return (
        isinstance(last, RawDataElement)
        and last.value is not None
        and last.length != _UNDEFINED_LENGTH
        and len(last.value) < last.length
    )


def _is_marked(file: Path) -> bool:
    if file.suffix.lower() == ".dcm":
        return True
    try:
        return is_dicom_file(file)
    except OSError:
        return False


def is_dicom_file(file: Path) -> bool:
    """Whether a file begins as DICOM does, with the mark or, as old archives have it, without.

    Raises:
        OSError: it cannot be opened.
    """
    start = _start(file)
    return start[128:] == _MARK or _is_bare(start)


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(132)


def _is_bare(start: bytes) -> bool:
    """Whether a file without the mark begins with an element of the first groups."""
    if start[128:] == _MARK or len(start) < 16 or start[:2] not in _FIRST_GROUPS:
        return False
    element = int.from_bytes(start[2:4], "little")
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    length = int.from_bytes(start[6:8] if explicit else start[4:8], "little")
    return element <= _MOST_ELEMENT and length < _LONGEST


def class_name(header: Dataset) -> str:
    """What kind of object a header belongs to, in words: "Segmentation Storage"."""
    return UID(str(header.get("SOPClassUID") or "")).name
