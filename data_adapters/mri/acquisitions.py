"""The acquisitions of an ISMRMRD file: which are imaging data, their samples, noise and place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.geometry import oriented_affine, voxel_sizes
from sciddm.data_adapters.mri.header import Header
from sciddm.errors import InputError

__all__ = [
    "NOT_IMAGING",
    "SINGLE",
    "Geometry",
    "Plan",
    "geometry_of",
    "has",
    "noise_of",
    "placed",
    "readouts_of",
]

NOT_IMAGING = (
    ismrmrd.ACQ_IS_NOISE_MEASUREMENT,
    ismrmrd.ACQ_IS_NAVIGATION_DATA,
    ismrmrd.ACQ_IS_PHASECORR_DATA,
    ismrmrd.ACQ_IS_HPFEEDBACK_DATA,
    ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
    ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
    ismrmrd.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA,
    30,  # phase stabilization reference, and
    31,  # phase stabilization: not named by older releases
)
SINGLE = ("contrast", "phase", "set")
_CHUNK = 256


@dataclass(frozen=True)
class Plan:
    """Which acquisitions go where."""

    lines: NDArray[np.intp]
    slices: NDArray[np.intp]
    rows: NDArray[np.intp]
    shape: tuple[int, int, int, int]


def readouts_of(
    path: Path, table: h5py.Dataset, heads: NDArray[Any], lines: NDArray[np.intp]
) -> Iterator[NDArray[np.complex64]]:
    """The samples (coil, sample) of acquisitions, read in chunks."""
    column = table.fields("data")
    block: Any = None
    start = -1
    for line in lines:
        at = int(line) // _CHUNK * _CHUNK
        if at != start:
            block, start = column[at : at + _CHUNK], at
        values = np.ascontiguousarray(block[int(line) - start], dtype=np.float32)
        coils, samples = int(heads["active_channels"][line]), int(heads["number_of_samples"][line])
        if values.size != 2 * coils * samples:
            raise InputError(
                f"{path}: acquisition {line} holds {values.size // 2} samples, its head says "
                f"{coils} x {samples}: damaged, export it again"
            )
        yield values.view(np.complex64).reshape(coils, samples)


def noise_of(
    path: Path,
    table: h5py.Dataset,
    heads: NDArray[Any],
    header: Header,
    plan: Plan,
    averages: int,
) -> NDArray[np.complex64] | None:
    """Noise (coil, sample) of k-space's level; None without a noise scan of the same coils."""
    chosen = has(heads["flags"], ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    chosen &= heads["active_channels"] == plan.shape[1]
    lines = np.flatnonzero(chosen)
    if not len(lines):
        return None
    total = int(heads["number_of_samples"][lines].astype(np.int64).sum())
    check_size(path, "the noise scan", (plan.shape[1], total))
    scaled = []
    dwell = float(heads["sample_time_us"][plan.lines[0]])
    for line, values in zip(lines, readouts_of(path, table, heads, lines), strict=True):
        own = float(heads["sample_time_us"][line])
        ratio = own / dwell if own > 0 and dwell > 0 else 1.0
        factor = math.sqrt(ratio / (header.noise_bandwidth * averages))
        scaled.append(values if factor == 1 else values * np.float32(factor))
    return np.concatenate(scaled, axis=1)


@dataclass(frozen=True)
class Geometry:
    positions: NDArray[np.float64]
    axes: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    voxel_size_mm: list[float]


def geometry_of(
    path: Path, header: Header, heads: NDArray[Any], plan: Plan
) -> tuple[Geometry, NDArray[np.intp]]:
    """Where the slices lie, and their order in space."""
    first = [int(plan.lines[np.argmax(plan.slices == s)]) for s in range(plan.shape[0])]
    chosen = heads[first]
    axes = tuple(np.asarray(chosen[d], dtype=np.float64) for d in ("read_dir", "phase_dir"))
    normals = np.asarray(chosen["slice_dir"], dtype=np.float64)
    for directions in (*axes, normals):
        if np.abs(directions - directions[0]).max() > 1e-3:
            raise InputError(
                f"{path}: slices of several orientations in one file: write one file for each"
            )
    positions = np.asarray(chosen["position"], dtype=np.float64)
    along = positions @ normals[0]
    order = np.argsort(along, kind="stable")
    thickness = header.recon.voxel_mm(2)
    if math.isnan(thickness):
        thickness = header.encoded.voxel_mm(2)
    size = [thickness, header.encoded.voxel_mm(1), header.encoded.voxel_mm(0)]
    return Geometry(positions[order], (axes[0][0], axes[1][0], normals[0]), size), order


def placed(geometry: Geometry, shape: tuple[int, ...]) -> dict[str, Any]:
    """Attributes of the place of an image of k-space's matrix."""
    size = geometry.voxel_size_mm
    attrs: dict[str, Any] = {"voxel_size_mm": size, "slice_thickness_mm": size[0]}
    affine = oriented_affine(
        geometry.positions, *geometry.axes, size, (shape[0], shape[-2], shape[-1])
    )
    if affine is None:
        return attrs
    steps = np.linalg.norm(np.diff(geometry.positions, axis=0), axis=1)
    if len(steps) and np.ptp(steps) > 0.05 * steps.mean():
        attrs["slice_positions"] = "not evenly spaced: the affine holds their mean spacing"
    attrs |= {"voxel_size_mm": voxel_sizes(affine), "affine": affine.tolist()}
    return attrs


def has(flags: Any, flag: int) -> Any:
    return (np.asarray(flags, dtype=np.uint64) >> np.uint64(flag - 1)) & np.uint64(1) != 0
