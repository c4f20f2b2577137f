"""A series of slices in DICOM: reading. CT, and what other modalities share with it.

HU = RescaleSlope x stored value + RescaleIntercept, slice by slice. Slices are ordered by where
they lie along their normal, not by name or instance number; they must be evenly spaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import xarray as xr
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from sciddm.data_adapters.checks import check_size, one_line, reading
from sciddm.data_adapters.ct.volume import build_volume
from sciddm.errors import InputError
from sciddm.geometry.affine import stacked_affine, voxel_sizes

__all__ = [
    "CT",
    "Modality",
    "Series",
    "is_dicom_folder",
    "read_dicom",
    "read_headers",
    "read_slice",
]

_EVEN, _EVEN_MM = 0.02, 0.05  # of the slices' distance, mm: what rounding in the files may do
_SAME_PLACE_MM = 0.01
_NEEDED = {
    "Rows": 1,
    "Columns": 1,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
}
_TOLD = {
    "KVP": "tube_voltage_kV",
    "XRayTubeCurrent": "tube_current_mA",
    "Exposure": "exposure_mAs",
    "SliceThickness": "slice_thickness_mm",
    "ConvolutionKernel": "kernel",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "scanner",
    "BodyPartExamined": "body_part",
}


@dataclass(frozen=True)
class Modality:
    """What sets the slices of a modality apart.

    Attributes:
        code: the attribute Modality.
        values: what its values are called in messages.
        units: the values of RescaleType that are these, "" included; None for any.
    """

    code: str
    values: str
    units: tuple[str, ...] | None


CT = Modality("CT", "CT numbers", ("HU", "US", ""))


@dataclass(frozen=True)
class Series:
    """The headers of a series, in the order of its slices.

    Attributes:
        files: one per slice.
        headers: without pixels.
        affine: as in `volume`.
    """

    files: list[Path]
    headers: list[Dataset]
    affine: NDArray[np.float64]


def read_dicom(source: str | Path, series: str | None = None) -> xr.DataArray:
    """Reads a series as a volume; see `volume`.

    Args:
        source: a folder with the slices, or one file of a single slice.
        series: SeriesInstanceUID, where the folder holds several.

    Raises:
        InputError: no DICOM, several series, colour, several frames, another modality, slices that
            are missing, double, or of different sizes or orientations: names the file.
    """
    path = Path(source)
    found = read_headers(path, series)
    first = found.headers[0]
    shape = (len(found.files), int(first.Rows), int(first.Columns))
    check_size(path, "the series", shape, 4)
    hu = np.empty(shape, np.float32)
    for values, file in zip(hu, found.files, strict=True):
        values[:] = read_slice(file, shape[1:])
    rescale = {(float(h.RescaleSlope), float(h.RescaleIntercept)) for h in found.headers}
    attrs: dict[str, Any] = {
        "voxel_size_mm": voxel_sizes(found.affine),
        "affine": found.affine.tolist(),
        "format": "dicom",
    }
    if len(rescale) == 1:
        attrs["rescale"] = list(rescale.pop())
    for keyword, name in _TOLD.items():
        value = first.get(keyword)
        if value not in (None, ""):
            attrs[name] = _plain(value)
    return build_volume(path, hu, attrs)


def read_headers(
    source: str | Path, series: str | None = None, modality: Modality = CT, *, mixed: bool = False
) -> Series:
    """The slices of a series in their order, checked as `read_dicom` does, without their pixels.

    Args:
        source: as for `read_dicom`.
        series: likewise.
        modality: of the slices.
        mixed: in a folder of several modalities, take those of this one.
    """
    path = Path(source)
    headers = dict(_headers(path))
    if mixed and any(h.get("Modality") == modality.code for h in headers.values()):
        headers = {f: h for f, h in headers.items() if h.get("Modality") == modality.code}
    if series is not None:
        headers = {f: h for f, h in headers.items() if h.get("SeriesInstanceUID") == series}
    if not headers:
        what = "no DICOM images" if series is None else f"no images of the series {series}"
        raise InputError(f"{path}: {what} in it: name the folder with the slices")
    first_file, first = next(iter(headers.items()))
    for file, header in headers.items():
        with reading(file):  # values are decoded when they are asked for
            _check_image(file, header, modality)
            _check_alike(file, header, first_file, first)
    orientation = np.asarray(first.ImageOrientationPatient, np.float64)
    x, y = orientation.reshape(2, 3)
    if np.abs([x @ x - 1, y @ y - 1, x @ y]).max() > 1e-3:
        raise InputError(f"{first_file}: ImageOrientationPatient is no frame: export it again")
    normal = np.cross(x, y)
    place = {
        f: float(normal @ np.asarray(h.ImagePositionPatient, float)) for f, h in headers.items()
    }
    files = sorted(headers, key=lambda f: place[f])
    distance = _distance(files, [place[f] for f in files], first)
    ordered = [headers[f] for f in files]
    positions = [np.asarray(h.ImagePositionPatient, np.float64) for h in ordered]
    spacing = [float(v) for v in first.PixelSpacing]
    return Series(files, ordered, stacked_affine(positions, orientation, spacing, distance))


def is_dicom_folder(path: Path) -> bool:
    """Whether a folder holds DICOM files itself, not in subfolders."""
    if not path.is_dir():
        return False
    return any(_is_marked(p) for p in path.iterdir() if not p.name.startswith(".") and p.is_file())


def _is_marked(file: Path) -> bool:
    if file.suffix.lower() == ".dcm":
        return True
    try:
        with file.open("rb") as start:
            return start.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _headers(path: Path) -> Iterable[tuple[Path, Dataset]]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder: check the name")
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if file.name.startswith("."):
            continue
        with reading(file), file.open("rb") as start:
            marked = start.read(132)[128:] == b"DICM"
        if not marked and path.is_dir() and file.suffix.lower() != ".dcm":
            continue  # a text or a picture beside the slices
        with reading(file):
            header = _open(file, stop_before_pixels=True)
        if "DirectoryRecordSequence" in header:
            continue  # the index of a medium
        if "SOPClassUID" not in header:
            raise InputError(f"{file}: its header ends early: truncated, copy or export it again")
        yield file, header


def _open(file: Path, stop_before_pixels: bool) -> FileDataset:
    try:
        return pydicom.dcmread(file, stop_before_pixels=stop_before_pixels)
    except pydicom.errors.InvalidDicomError as error:
        raise InputError(f"{file}: not a DICOM file: remove it from the folder") from error


def _check_image(file: Path, header: Dataset, modality: Modality) -> None:
    if header.get("SamplesPerPixel", 1) != 1:
        raise InputError(
            f"{file}: a colour image ({header.get('PhotometricInterpretation', 'unknown')}), not "
            f"{modality.code} values: remove it from the folder"
        )
    if header.get("Modality") != modality.code:
        found = header.get("Modality")
        raise InputError(f"{file}: its modality is {found}, not {modality.code}: remove it")
    if int(header.get("NumberOfFrames") or 1) != 1:
        raise InputError(f"{file}: several frames in one file: export it as single slices")
    if header.get("PhotometricInterpretation") != "MONOCHROME2":
        raise InputError(
            f"{file}: is {header.get('PhotometricInterpretation')}, not MONOCHROME2: export again"
        )
    for keyword, length in _NEEDED.items():
        value = header.get(keyword)
        parts = [value] if length == 1 else list(value or [])
        if len(parts) != length or not all(_is_number(v) for v in parts):
            raise InputError(
                f"{file}: {keyword} is missing or unusable: export the original slices"
            )
    if modality.units is not None and header.get("RescaleType", "") not in modality.units:
        raise InputError(
            f"{file}: values are in {header.RescaleType}, not {modality.units[0]}: export "
            f"{modality.values}"
        )
    if min(*(float(v) for v in header.PixelSpacing)) <= 0 or float(header.RescaleSlope) == 0:
        raise InputError(f"{file}: PixelSpacing or RescaleSlope is 0: export the original slices")


def _check_alike(file: Path, header: Dataset, first_file: Path, first: Dataset) -> None:
    if header.get("SeriesInstanceUID") != first.get("SeriesInstanceUID"):
        raise InputError(
            f"{file}: belongs to another series than {first_file.name}: put each series into a "
            "folder of its own, or name the one to read"
        )
    if (header.Rows, header.Columns) != (first.Rows, first.Columns):
        raise InputError(
            f"{file}: {header.Rows} x {header.Columns} pixels, {first_file.name} has "
            f"{first.Rows} x {first.Columns}: remove what is no slice"
        )
    for keyword, tolerance in (("ImageOrientationPatient", 1e-3), ("PixelSpacing", 1e-3)):
        own, other = (np.asarray(h[keyword].value, np.float64) for h in (header, first))
        if np.abs(own - other).max() > tolerance:
            raise InputError(
                f"{file}: {keyword} differs from that of {first_file.name}: remove what is no slice"
            )


def _distance(files: list[Path], places: list[float], first: Dataset) -> float:
    """Of neighbouring slices, in mm."""
    if len(files) == 1:
        stated = (first.get("SpacingBetweenSlices"), first.get("SliceThickness"))
        usable = [float(v) for v in stated if _is_number(v) and float(v) > 0]
        if not usable:
            raise InputError(f"{files[0]}: SliceThickness is missing: export the original slices")
        return usable[0]
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    for i, gap in enumerate(gaps):
        pair = f"{files[i]} and {files[i + 1].name}"
        if gap < _SAME_PLACE_MM:
            raise InputError(f"{pair}: two slices at the same place: remove one")
        if abs(gap - usual) > max(_EVEN * usual, _EVEN_MM):
            what = "a slice is missing between them" if gap > 1.5 * usual else "not evenly spaced"
            raise InputError(
                f"{pair}: {gap:.2f} mm apart, the others {usual:.2f} mm: {what}: export all slices"
            )
    return usual


def read_slice(file: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    """The values (y, x) of a slice, rescaled as its header says.

    Raises:
        InputError: no pixels, of another shape, or compressed in a way that cannot be read here.
    """
    with reading(file):
        dataset = _open(file, stop_before_pixels=False)
        if "PixelData" not in dataset:
            raise InputError(f"{file}: no pixels in it: export it again")
        try:
            stored = dataset.pixel_array
        except (RuntimeError, NotImplementedError) as error:
            syntax = dataset.file_meta.TransferSyntaxUID.name
            raise InputError(
                f"{file}: its compression ({syntax}) cannot be read here ({one_line(error)}): "
                "install pylibjpeg with its plugins, or decompress it with gdcmconv --raw"
            ) from error
    if stored.shape != shape:
        raise InputError(f"{file}: pixels of shape {stored.shape}, not {shape}: export it again")
    return stored * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


def _is_number(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, pydicom.multival.MultiValue):
        return [_plain(v) for v in value]
    return float(value) if isinstance(value, int | float) else str(value)
