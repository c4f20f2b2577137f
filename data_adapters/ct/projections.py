"""Projections in DICOM-CT-PD, one file per view, as sinograms of fan beams.

The header of every view (Chen et al., 2015; Moen et al., 2021, table IV) places the detector's
focal centre at rho (-sin phi, cos phi) and z, the source a little off it where the focal spot
flies, and the detector about the focal centre; columns count counter-clockwise, rows against z,
both from 1.

A slice at z takes from every view the rays that cross its plane half way through the object
(single-slice rebinning: Noo et al., 1999): with the source at z_s, the fan angle gamma and the
distance d from source to detector, those at the height

    v = (z - z_s) d / (R cos gamma)

on the detector, shortened to their length within the plane, d / sqrt(d^2 + v^2). Of a helix that
view is taken which passed the wanted angle nearest to the slice; readings between rows, between
views, and between columns where the focal spot flies are interpolated linearly. A scan without
table feed keeps its own views.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from sciddm.data_adapters.checks import check_finite, check_size, reading
from sciddm.data_adapters.ct.sinogram import build_sinogram
from sciddm.data_adapters.gate.dicom import checked_dcmread
from sciddm.data_adapters.isolation import isolated
from sciddm.errors import InputError

__all__ = ["is_projection_folder", "read_projections"]

Floats = NDArray[np.float64]

_SHAPE, _PHI = (0x7029, 0x100B), (0x7031, 0x1001)
#: Name -> tag, and the type of its values where the file does not say it.
_TAGS = {
    "rows": ((0x7029, 0x1010), "<u2"),
    "columns": ((0x7029, 0x1011), "<u2"),
    "column_mm": ((0x7029, 0x1002), "<f4"),
    "row_mm": ((0x7029, 0x1006), "<f4"),
    "phi": (_PHI, "<f4"),
    "z": ((0x7031, 0x1002), "<f4"),
    "rho": ((0x7031, 0x1003), "<f4"),
    "distance": ((0x7031, 0x1031), "<f4"),
    "central": ((0x7031, 0x1033), "<f4"),
}
_OPTIONAL = {
    "dphi": ((0x7033, 0x100B), "<f4"),
    "dz": ((0x7033, 0x100C), "<f4"),
    "drho": ((0x7033, 0x100D), "<f4"),
    "photons": ((0x7033, 0x1065), "<f4"),
}
_WATER = (0x7041, 0x1001)
_FORMS = {"CYLINDRICAL": "equiangular", "FLAT": "flat"}
_SAME_MM = 0.05  # what the distances may differ by from view to view
_FEED_MM = 0.01  # less table feed per view is none


@dataclass(frozen=True)
class _View:
    """One view's place, mm and radians."""

    file: Path
    phi: float
    z: float
    rho: float
    dphi: float
    dz: float
    drho: float

    @property
    def source_z(self) -> float:
        return self.z + self.dz


@dataclass(frozen=True)
class _Detector:
    form: str
    rows: int
    columns: int
    column_mm: float
    row_mm: float
    distance: float
    central: tuple[float, float]
    radius: float

    @property
    def along_mm(self) -> Floats:
        """Place of the columns from the central one."""
        return (np.arange(1, self.columns + 1, dtype=np.float64) - self.central[0]) * self.column_mm

    @property
    def gamma(self) -> Floats:
        u = self.along_mm / self.distance
        return np.arctan(u) if self.form == "flat" else u


def is_projection_folder(path: Path) -> bool:
    """Whether the first DICOM file of a folder is a projection in DICOM-CT-PD."""
    if not path.is_dir():
        return False
    for file in sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")):
        try:
            return _PHI in checked_dcmread(file, stop_before_pixels=True)
        except Exception:  # no DICOM, or damaged: the reader says so, where it matters
            continue
    return False


def read_projections(source: str | Path, *, slice_mm: float | None = None) -> xr.Dataset:
    """Reads a folder of projections; see `sinogram.build_sinogram` for what is returned.

    Args:
        source: the folder.
        slice_mm: distance of the slices; that of the detector's rows, seen at the axis, if not
            given.

    Returns:
        sinogram (z, view, cell); incident_flux (cell,) where the files state photon statistics,
        their mean over the views; attributes `mu_water` (1/mm) where stated, `feed_mm` per turn,
        `rows_missing`: the largest number of rows that a slice would need beyond the detector's
        edge, where the edge is taken instead.

    Raises:
        InputError: no such files, missing entries, an unknown detector, a geometry that changes, a
            scan that turns too little: names the file.
    """
    folder = Path(source)
    if slice_mm is not None and not 0 < slice_mm < math.inf:
        raise InputError(f"slices {slice_mm} mm apart: give more than 0")
    values, angles, detector, photons, attrs = _rebinned(folder, slice_mm)
    at = attrs.pop("z_mm")
    return build_sinogram(values, _beam(detector, angles), incident_flux=photons, z_mm=at, **attrs)


@isolated
def _rebinned(
    folder: Path, slice_mm: float | None
) -> tuple[NDArray[np.float32], tuple[float, ...], _Detector, Floats | None, dict[str, Any]]:
    """(sinogram, angles, detector, photons, attributes and z_mm) of `read_projections`."""
    views, detector, told, photons = _headers(folder)
    beta = np.unwrap([v.phi + v.dphi for v in views])
    if beta[-1] < beta[0]:  # turning clockwise is the same scan in the order of its end
        views, beta = views[::-1], beta[::-1]
    if (np.diff(beta) <= 0).any():
        raise InputError(f"{folder}: the angles of the views go back and forth: sort the files")
    z = np.array([v.z for v in views])
    step = float(beta[-1] - beta[0]) / (len(beta) - 1)
    feed = abs(float(np.polyfit(beta, z, 1)[0])) * 2 * math.pi
    own = detector.row_mm * detector.radius / detector.distance
    distance = own if slice_mm is None else slice_mm
    if feed * step / (2 * math.pi) < _FEED_MM and feed < own:
        feed, targets = 0.0, beta
        reach = own * (detector.rows - 1) / 2
        at = _grid(float(z.mean()) - reach, float(z.mean()) + reach, distance)
    else:
        if beta[-1] - beta[0] < 2 * math.pi:
            raise InputError(f"{folder}: a helix of less than one turn: give all views")
        count = round(2 * math.pi / step)
        first = math.ceil(beta[0] / (2 * math.pi) * count)
        last = math.floor(beta[-1] / (2 * math.pi) * count)
        targets = np.arange(first, last + 1) * 2 * math.pi / count
        ends = np.sort(np.interp(targets[[0, -1]], beta, z))
        reach = feed / 2 * (1 - 1 / count)  # of the views of one turn about a slice
        at = _grid(ends[0] + reach, ends[1] - reach, distance)
    turn = len(targets) if feed == 0 else count
    check_size(folder, "the sinogram", (len(at), turn, detector.columns), 4)
    values = np.full((len(at), turn, detector.columns), np.nan, np.float32)
    missing = 0.0
    for target, pair, share in _between(folder, views, beta, targets, detector):
        here = sum(w * v.z for (v, _), w in zip(pair, share, strict=True))
        near = np.arange(len(at)) if feed == 0 else np.flatnonzero(abs(at - here) <= 0.51 * feed)
        if not near.size:
            continue
        column = target if feed == 0 else (first + target) % turn
        found = np.zeros((near.size, detector.columns))
        for (view, projection), weight in zip(pair, share, strict=True):
            if weight:
                rows, shortened, beyond = _rows(detector, at[near] - view.source_z)
                missing = max(missing, beyond)
                found += weight * shortened * _at_rows(projection, rows)
        # Two turns can be as near: the first that comes is as good.
        empty = np.isnan(values[near, column, 0])
        values[near[empty], column] = found[empty]
    if np.isnan(values).any():
        raise InputError(f"{folder}: some slices lack views: files are missing between others")
    attrs: dict[str, Any] = {"format": "dicom-ct-pd", "source": folder.name, **told}
    attrs |= {"z_mm": at, "feed_mm": feed, "rows_missing": round(missing, 2)}
    angles = tuple(targets) if feed == 0 else tuple(np.arange(turn) * 2 * math.pi / turn)
    return values, angles, detector, photons, attrs


def _headers(folder: Path) -> tuple[list[_View], _Detector, dict[str, float], Floats | None]:
    """Views in the order they were taken, the detector, attributes, mean photon statistics."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: name the one with the projections")
    found: list[tuple[float, _View]] = []
    detector: _Detector | None = None
    told: dict[str, float] = {}
    photons: list[Floats] = []
    present: frozenset[str] | None = None
    for file in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        with reading(file):
            try:
                header = checked_dcmread(file, stop_before_pixels=True)
            except InvalidDicomError as error:
                if file.suffix.lower() != ".dcm":
                    continue
                raise InputError(f"{file}: not a DICOM file: remove it") from error
            entries = {name: _entry(file, header, *tag) for name, tag in _TAGS.items()}
            more = {k: _entry(file, header, *t, optional=True) for k, t in _OPTIONAL.items()}
        own = _detector(file, header, entries)
        if detector is None:
            detector = own
            if _WATER in header:
                told["mu_water"] = float(header[_WATER].value)
        elif not _alike(own, detector):
            raise InputError(f"{file}: its detector differs from that of the files before it")
        stated = _stated(header, more)
        if present is None:
            present = stated
        elif stated != present:
            lacking = ", ".join(sorted(present ^ stated))
            raise InputError(
                f"{file}: some views state {lacking} and some do not: export all of them again"
            )
        place = [float(entries[k][0]) for k in ("phi", "z", "rho")]
        shifts = [float(more[k][0]) if more[k].size else 0.0 for k in ("dphi", "dz", "drho")]
        found.append((float(header.get("InstanceNumber") or 0), _View(file, *place, *shifts)))
        if more["photons"].size == own.columns:
            photons.append(more["photons"])
    if detector is None or len(found) < 2:
        raise InputError(f"{folder}: {len(found)} projections in it: give the folder with all")
    found.sort(key=lambda pair: (pair[0], pair[1].file.name))
    flux = np.mean(photons, axis=0) if len(photons) == len(found) else None
    usable = flux is not None and bool((flux > 0).all())
    return [view for _, view in found], detector, told, flux if usable else None


def _stated(header: Dataset, more: dict[str, Floats]) -> frozenset[str]:
    """What a view states of its own: read as 1 or 0 where all views lack it, else an error."""
    names = ("RescaleSlope", "RescaleIntercept")
    told = {n for n in names if header.get(n) is not None}
    return frozenset(told | {k for k in ("dphi", "dz", "drho") if more[k].size})


def _entry(
    file: Path, header: Dataset, tag: tuple[int, int], kind: str, optional: bool = False
) -> Floats:
    if tag not in header:
        if optional:
            return np.empty(0)
        name = f"({tag[0]:04x},{tag[1]:04x})"
        raise InputError(f"{file}: no entry {name} of DICOM-CT-PD in it: export it again")
    value = header[tag].value
    if isinstance(value, bytes):  # the file does not say what type it is of
        value = np.frombuffer(value, kind)
    numbers = np.atleast_1d(np.asarray(value, np.float64))
    if numbers.size == 0 or not np.isfinite(numbers).all():
        raise InputError(
            f"{file}: its entry ({tag[0]:04x},{tag[1]:04x}) is no number: export again"
        )
    return numbers


def _detector(file: Path, header: Dataset, entries: dict[str, Floats]) -> _Detector:
    form = header[_SHAPE].value if _SHAPE in header else "CYLINDRICAL"
    form = form.decode("ascii", "replace") if isinstance(form, bytes) else str(form)
    form = form.strip(" \0").upper()
    if form not in _FORMS:
        raise InputError(f"{file}: its detector is {form}: only {' and '.join(_FORMS)} are read")
    if entries["central"].size != 2:
        raise InputError(f"{file}: its DetectorCentralElement is not (column, row): export again")
    sizes = {k: float(entries[k][0]) for k in ("column_mm", "row_mm", "distance", "rho")}
    if min(sizes.values()) <= 0:
        raise InputError(f"{file}: its detector has sizes of 0 mm or less: export it again")
    return _Detector(
        _FORMS[form],
        int(entries["rows"][0]),
        int(entries["columns"][0]),
        sizes["column_mm"],
        sizes["row_mm"],
        sizes["distance"],
        (float(entries["central"][0]), float(entries["central"][1])),
        sizes["rho"],
    )


def _alike(one: _Detector, other: _Detector) -> bool:
    lengths = ("column_mm", "row_mm", "distance", "radius")
    return (one.form, one.rows, one.columns, one.central) == (
        other.form,
        other.rows,
        other.columns,
        other.central,
    ) and all(abs(getattr(one, k) - getattr(other, k)) <= _SAME_MM for k in lengths)


def _beam(detector: _Detector, angles: tuple[float, ...]) -> Any:
    from sciddm.physics import FanBeam  # here, since torch takes seconds to import

    middle = (detector.columns + 1) / 2
    return FanBeam(
        angles,
        detector.columns,
        detector.column_mm,
        offset_mm=(middle - detector.central[0]) * detector.column_mm,
        source_axis_mm=detector.radius,
        source_detector_mm=detector.distance,
        detector="flat" if detector.form == "flat" else "equiangular",
    )


def _grid(low: float, high: float, distance: float) -> Floats:
    """Places a distance apart, in the middle of what is covered."""
    count = max(1, math.floor(max(high - low, 0.0) / distance + 1e-6) + 1)
    return (low + high) / 2 + (np.arange(count, dtype=np.float64) - (count - 1) / 2) * distance


Pair = tuple[tuple[_View, Floats], tuple[_View, Floats]]


def _between(
    folder: Path, views: Sequence[_View], beta: Floats, targets: Floats, detector: _Detector
) -> Iterator[tuple[int, Pair, tuple[float, float]]]:
    """For every wanted angle its number, the two views around it, and their shares."""
    held: dict[int, Floats] = {}
    after = np.searchsorted(beta, targets, side="right").clip(1, len(beta) - 1)
    for number, (target, k) in enumerate(zip(targets, after, strict=True)):
        for i in (k - 1, k):
            if i not in held:
                held[i] = _projection(views[i], detector)
        for old in [i for i in held if i < k - 1]:
            del held[old]
        share = float(np.clip((target - beta[k - 1]) / (beta[k] - beta[k - 1]), 0, 1))
        pair = ((views[k - 1], held[k - 1]), (views[k], held[k]))
        yield number, pair, (1 - share, share)


def _projection(view: _View, detector: _Detector) -> Floats:
    """Line integrals (row, column) as seen from a source that does not fly."""
    with reading(view.file):
        dataset = checked_dcmread(view.file)
        stored = dataset.pixel_array.astype(np.float64)
        slope, intercept = (
            float(dataset.get("RescaleSlope", 1)),
            float(dataset.get("RescaleIntercept", 0)),
        )
    if slope == 0:
        raise InputError(f"{view.file}: RescaleSlope is 0: export the original projections")
    shape = (detector.rows, detector.columns)
    if stored.shape == shape[::-1] and stored.shape != shape:
        stored = stored.T
    if stored.shape != shape:
        raise InputError(f"{view.file}: pixels of {stored.shape}, not {shape}: export it again")
    values = stored * slope + intercept
    check_finite(view.file, "the projection", values)
    if view.dphi == 0 and view.drho == 0:
        return values
    gamma, along = detector.gamma, detector.along_mm
    depth = np.full_like(along, detector.distance)
    if detector.form != "flat":
        along, depth = detector.distance * np.sin(gamma), detector.distance * np.cos(gamma)
    # In the frame of the focal centre: x along the detector, y towards it, the axis at y = rho.
    source = (view.rho + view.drho) * np.array([-math.sin(view.dphi), math.cos(view.dphi)])
    x, y = along - source[0], depth - (view.rho - source[1])
    # The fan angle about the line from this source to the axis, and how far the ray passes it.
    angle = np.arctan2(x, y) - view.dphi
    passes = (view.rho + view.drho) * np.sin(angle)
    wanted = detector.radius * np.sin(gamma)
    return np.stack([np.interp(wanted, passes, row) for row in values])


def _rows(detector: _Detector, above: Floats) -> tuple[Floats, Floats, float]:
    """For slices so far above the source: rows from 0 (slice, column), the shortening of the rays,
    and by how many rows the farthest lies beyond the detector."""
    cos = np.cos(detector.gamma)
    depth = detector.distance / cos if detector.form == "flat" else detector.distance
    height = above[:, None] * depth / (detector.radius * cos)
    rows = detector.central[1] - 1 - height / detector.row_mm
    last = detector.rows - 1
    beyond = float(np.maximum(-rows, rows - last).max())
    kept = rows.clip(0, last)
    height = (detector.central[1] - 1 - kept) * detector.row_mm
    return kept, depth / np.sqrt(depth**2 + height**2), max(beyond, 0.0)


def _at_rows(projection: Floats, rows: Floats) -> Floats:
    """Linear interpolation between rows, column by column."""
    low = np.floor(rows).astype(int).clip(0, max(len(projection) - 2, 0))
    high = np.minimum(low + 1, len(projection) - 1)
    columns = np.arange(projection.shape[1])
    share = rows - low
    out: Floats = (1 - share) * projection[low, columns] + share * projection[high, columns]
    return out
