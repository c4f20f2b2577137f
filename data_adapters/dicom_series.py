"""A series of slices in DICOM: the one reading for CT, PET and MR.

value = RescaleSlope x stored value + RescaleIntercept, slice by slice. Slices are ordered by where
they lie along their normal, not by name or instance number; they must be evenly spaced. Single
slices and enhanced (multi-frame) images are read alike. What else lies in the folder, localizers,
segmentations, contours, other modalities, is set aside and named in `Series.notes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from sciddm.data_adapters.checks import reading
from sciddm.data_adapters.dicom_files import (
    SeriesFiles,
    class_name,
    dicom_headers,
    open_dicom,
    series_of,
)
from sciddm.data_adapters.dicom_frames import frame_headers
from sciddm.data_adapters.dicom_padding import padding_of
from sciddm.data_adapters.dicom_pixels import is_colour, stored_frames
from sciddm.data_adapters.slice_order import SAME_PLACE_MM, check_even, slice_normal
from sciddm.errors import InputError
from sciddm.geometry.affine import stacked_affine

__all__ = ["CT", "MR", "PET", "Modality", "Series", "plain_value", "read_series"]

_NEEDED = {
    "Rows": 1,
    "Columns": 1,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
}
_RESCALE = {"RescaleSlope": 1, "RescaleIntercept": 1}
_LOCALIZER = "LOCALIZER"
_ALIKE = 1e-3  # of directions and spacings
#: What sets several images of one place apart.
_APART = ("AcquisitionNumber", "TemporalPositionIdentifier", "TriggerTime", "EchoTime",
          "FrameReferenceTime", "ContentTime")  # fmt: skip
_STRAY = 3  # images that lie otherwise than all others, or a tenth of them, are no slices


@dataclass(frozen=True)
class Modality:
    """What sets the images of a modality apart.

    Attributes:
        code: the attribute Modality.
        values: what its values are called in messages.
        units: the values of RescaleType that are these, "" included; None for any.
        classes: UIDs of the image storage classes.
        rescaled: a slice without RescaleSlope and RescaleIntercept is refused.
    """

    code: str
    values: str
    units: tuple[str, ...] | None
    classes: tuple[str, ...]
    rescaled: bool = True


_STORAGE = "1.2.840.10008.5.1.4.1.1."
CT = Modality(
    "CT", "CT numbers", ("HU", "US", ""), tuple(_STORAGE + c for c in ("2", "2.1", "2.2"))
)
PET = Modality("PT", "the activity", None, tuple(_STORAGE + c for c in ("128", "130", "128.1")))
MR = Modality(
    "MR",
    "magnitudes",
    None,
    tuple(_STORAGE + c for c in ("4", "4.1", "4.3", "4.4")),
    rescaled=False,
)


@dataclass(frozen=True)
class Series:
    """The slices of a series, in their order.

    Attributes:
        files: one per slice; one file several times where it holds several frames.
        headers: of the slices, without pixels, in the form of single slices.
        frames: number of each slice's frame in its file, from 0.
        affine: of the indices (x, y, slice), RAS, mm.
        notes: what of the folder was set aside, and why.
    """

    files: list[Path]
    headers: list[Dataset]
    frames: list[int]
    affine: NDArray[np.float64]
    notes: list[str] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slice, y, x)."""
        return (len(self.files), int(self.headers[0].Rows), int(self.headers[0].Columns))

    @property
    def enhanced(self) -> bool:
        """Whether a file holds several of the slices."""
        return len(set(self.files)) < len(self.files) or self.frames != [0] * len(self.frames)

    def values(self) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.bool_] | None]]:
        """Every slice once, files in turn: (index, rescaled values (y, x), its padding or None).

        Raises:
            InputError: no pixels, of another shape, or in a compression without a decoder.
        """
        for file in dict.fromkeys(self.files):
            places = {f: i for i, f in enumerate(self.frames) if self.files[i] == file}
            with reading(file):
                dataset = open_dicom(file, pixels=True)
                for number, stored in enumerate(stored_frames(file, dataset)):
                    if number not in places:
                        continue
                    index = places[number]
                    header = self.headers[index]
                    slope = float(header.get("RescaleSlope") or 1)
                    values = stored * slope + float(header.get("RescaleIntercept") or 0)
                    yield index, values, padding_of(header, stored)


def read_series(source: str | Path, series: str | None = None, modality: Modality = CT) -> Series:
    """The slices of a series in their order, checked, without their pixels.

    Args:
        source: a folder with the slices, a medium with DICOMDIR, or one file.
        series: SeriesInstanceUID, SeriesNumber or SeriesDescription, where the folder holds several
            of the modality.
        modality: of the slices.

    Raises:
        InputError: no DICOM, several series (all are listed), colour, another modality, slices that
            are missing, double, or of different sizes: names the file.
    """
    path = Path(source)
    groups = series_of(dicom_headers(path))
    if not groups:
        raise InputError(f"{path}: no DICOM images in it: name the folder with the slices")
    chosen, notes = _chosen(path, groups, series, modality)
    headers: list[tuple[Path, int, Dataset]] = []
    images = {f: h for f, h in chosen.headers.items() if _is_image(h, modality)}
    notes += [
        f"{file.name}: {class_name(header)}, set aside"
        for file, header in chosen.headers.items()
        if images and file not in images
    ]
    for file, header in (images or chosen.headers).items():
        with reading(file):
            headers += [(file, k, h) for k, h in enumerate(frame_headers(file, header))]
    for file, _, header in headers:
        with reading(file):  # values are decoded when they are asked for
            _check_image(file, header, modality)
    headers = _without_localizers(headers, notes)
    headers = _of_one_orientation(headers, notes)
    _check_alike(headers)
    notes += _frames_of_reference(headers)
    return _ordered(headers, notes)


def plain_value(value: Any) -> Any:
    """A header's value as a number, text, or list of those."""
    if not isinstance(value, str) and isinstance(value, Sequence):
        return [plain_value(v) for v in value]
    return float(value) if isinstance(value, int | float) else str(value)


def _is_image(header: Dataset, modality: Modality) -> bool:
    """By its storage class; of another one, by what a slice states, as converters write it."""
    stated = header.get("Modality") == modality.code and all(k in header for k in _NEEDED)
    return str(header.get("SOPClassUID")) in modality.classes or stated


def _usable(group: SeriesFiles, modality: Modality) -> bool:
    """Whether a series holds images of the modality that are no localizers."""
    images = [h for h in group.headers.values() if _is_image(h, modality)]
    of_modality = [h for h in images if h.get("Modality") == modality.code]
    return bool(of_modality) and not all(_is_localizer(h) for h in of_modality)


def _is_localizer(header: Dataset) -> bool:
    return _LOCALIZER in [str(v).upper() for v in header.get("ImageType") or []]


def _chosen(
    path: Path, groups: list[SeriesFiles], series: str | None, modality: Modality
) -> tuple[SeriesFiles, list[str]]:
    """The series to read, and a note for each of the others."""
    listing = "; ".join(str(g) for g in groups)
    if series is not None:
        named = [g for g in groups if g.uid == series]
        named = named or [
            g for g in groups if series in (g.number, g.description) and _usable(g, modality)
        ]
        if len(named) != 1:
            what = "no images of the series" if not named else f"{len(named)} series are called"
            raise InputError(f"{path}: {what} {series}: name one of {listing}")
        return named[0], []
    usable = [g for g in groups if _usable(g, modality)]
    if len(usable) > 1:
        listing = "; ".join(str(g) for g in usable)
        raise InputError(
            f"{path}: {len(usable)} series of {modality.code}: name the one to read by its UID "
            f"(--series): {listing}"
        )
    if not usable and len(groups) == 1:
        return groups[0], []  # its own faults are the better message
    if not usable:
        raise InputError(f"{path}: no series of {modality.code} in it, but {listing}: name another")
    return usable[0], [f"set aside: {g}" for g in groups if g is not usable[0]]


def _check_image(file: Path, header: Dataset, modality: Modality) -> None:
    if header.get("Modality") != modality.code:
        other = header.get("Modality")
        raise InputError(f"{file}: its modality is {other}, not {modality.code}: remove it")
    if is_colour(header):
        raise InputError(
            f"{file}: a colour image ({header.get('PhotometricInterpretation', 'unknown')}), not "
            f"{modality.code} values: remove it from the folder"
        )
    for keyword, length in {**_NEEDED, **(_RESCALE if modality.rescaled else {})}.items():
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
    if min(*(float(v) for v in header.PixelSpacing)) <= 0:
        raise InputError(f"{file}: PixelSpacing is 0: export the original slices")
    if "RescaleSlope" in header and float(header.RescaleSlope) == 0:
        raise InputError(f"{file}: RescaleSlope is 0: export the original slices")
    if slice_normal(header.ImageOrientationPatient) is None:
        raise InputError(f"{file}: ImageOrientationPatient is no frame: export it again")


def _without_localizers(
    headers: list[tuple[Path, int, Dataset]], notes: list[str]
) -> list[tuple[Path, int, Dataset]]:
    kept = [h for h in headers if not _is_localizer(h[2])]
    if not kept:
        return headers
    notes += [f"{f.name}: a localizer, set aside" for f, _, h in headers if _is_localizer(h)]
    return kept


def _of_one_orientation(
    headers: list[tuple[Path, int, Dataset]], notes: list[str]
) -> list[tuple[Path, int, Dataset]]:
    """Without the few images that lie otherwise than all others: scouts that do not say so."""
    directions = [np.asarray(h.ImageOrientationPatient, np.float64) for _, _, h in headers]
    usual = np.median(directions, axis=0)
    stray = [float(np.abs(d - usual).max()) > _ALIKE for d in directions]
    if sum(stray) > max(_STRAY, len(headers) // 10) or 2 * sum(stray) >= len(headers):
        file = headers[stray.index(True)][0]
        raise InputError(
            f"{file}: ImageOrientationPatient differs from that of the other slices: put each "
            "stack into a folder of its own"
        )
    notes += [
        f"{file.name}: another orientation than the other {len(headers) - sum(stray)} images, set "
        "aside"
        for (file, _, _), is_stray in zip(headers, stray, strict=True)
        if is_stray
    ]
    return [h for h, is_stray in zip(headers, stray, strict=True) if not is_stray]


def _check_alike(headers: list[tuple[Path, int, Dataset]]) -> None:
    """Patient, sizes and spacings: what differs from the majority is named."""
    patients = Counter(str(h.get("PatientID") or "") for _, _, h in headers)
    patient = patients.most_common(1)[0][0]
    for file, _, header in headers:
        if str(header.get("PatientID") or "") != patient:
            raise InputError(
                f"{file}: is of another patient (PatientID) than the others of its series: put "
                "each patient into a folder of its own"
            )
    shapes = Counter((int(h.Rows), int(h.Columns)) for _, _, h in headers)
    rows, columns = shapes.most_common(1)[0][0]
    spacing = np.median([np.asarray(h.PixelSpacing, np.float64) for _, _, h in headers], axis=0)
    for file, _, header in headers:
        if (int(header.Rows), int(header.Columns)) != (rows, columns):
            raise InputError(
                f"{file}: {header.Rows} x {header.Columns} pixels, the others have {rows} x "
                f"{columns}: remove what is no slice"
            )
        if np.abs(np.asarray(header.PixelSpacing, np.float64) - spacing).max() > _ALIKE:
            raise InputError(
                f"{file}: PixelSpacing differs from that of the other slices: remove what is no "
                "slice"
            )


def _frames_of_reference(headers: list[tuple[Path, int, Dataset]]) -> list[str]:
    """A note where slices refer to several origins."""
    frames = {str(h.get("FrameOfReferenceUID") or "") for _, _, h in headers}
    if len(frames) == 1:
        return []
    return [
        f"its slices state {len(frames)} frames of reference: whether they lie as their positions "
        "say is unknown"
    ]


def _ordered(headers: list[tuple[Path, int, Dataset]], notes: list[str]) -> Series:
    first = headers[0][2]
    normal = slice_normal(first.ImageOrientationPatient)
    assert normal is not None  # checked above
    places = [normal @ np.asarray(h.ImagePositionPatient, np.float64) for _, _, h in headers]
    headers = [headers[i] for i in np.argsort(places, kind="stable")]
    files = [f for f, _, _ in headers]
    positions = np.array([np.asarray(h.ImagePositionPatient, np.float64) for _, _, h in headers])
    distance = 0.0
    if len(headers) == 1:
        distance = _thickness(files[0], first)
    else:
        several = {file for file, count in Counter(files).items() if count > 1}
        names = [
            (file.parent, f"{file.name}, frame {k + 1}" if file in several else file.name)
            for file, k, _ in headers
        ]
        _check_one_acquisition(headers, positions @ normal)
        check_even(names, positions, normal)
    spacing = [float(v) for v in first.PixelSpacing]
    affine = stacked_affine(positions, first.ImageOrientationPatient, spacing, distance)
    return Series(files, [h for _, _, h in headers], [k for _, k, _ in headers], affine, notes)


def _check_one_acquisition(
    headers: list[tuple[Path, int, Dataset]], places: NDArray[np.float64]
) -> None:
    """Whether slices at one place are of several acquisitions: phases, echoes, times.

    Raises:
        InputError: they are; names the attribute that sets them apart.
    """
    for k in np.flatnonzero(np.diff(places) < SAME_PLACE_MM):
        (file, _, first), (other, _, second) = headers[k], headers[k + 1]
        for keyword in _APART:
            one, two = first.get(keyword), second.get(keyword)
            if one not in (None, "") and two not in (None, "") and one != two:
                raise InputError(
                    f"{file} and {other.name}: two slices at the same place, {keyword} {one} and "
                    f"{two}: put each into a folder of its own"
                )


def _thickness(file: Path, header: Dataset) -> float:
    """What stands for the distance of slices where there is one only, mm."""
    stated = (header.get("SpacingBetweenSlices"), header.get("SliceThickness"))
    usable = [float(v) for v in stated if _is_number(v) and float(v) > 0]
    if not usable:
        raise InputError(f"{file}: SliceThickness is missing: export the original slices")
    return usable[0]


def _is_number(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False
