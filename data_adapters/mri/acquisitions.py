"""Raw data as a list of acquisitions: which are imaging data, their noise and their place.

The heads are those of ISMRMRD (its encoding counters and flags), whatever the file's format.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.mri.header import Header
from sciddm.errors import InputError
from sciddm.geometry.affine import oriented_affine, voxel_sizes

__all__ = [
    "NOT_IMAGING",
    "Geometry",
    "Plan",
    "RawData",
    "geometry_of",
    "has",
    "imaging_of",
    "noise_of",
    "placed",
    "placed_volume",
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


class RawData(ABC):
    """The acquisitions of a file.

    Attributes:
        path: of the file.
        header: what it says of the whole scan.
        heads: one per acquisition, with the fields of ISMRMRD's acquisition header.
    """

    def __init__(self, path: Path, header: Header, heads: NDArray[Any]) -> None:
        self.path, self.header, self.heads = path, header, heads

    @abstractmethod
    def readouts(self, lines: NDArray[np.intp]) -> Iterator[NDArray[np.complex64]]:
        """The samples (coil, sample) of acquisitions, one after the other."""

    def positions(self, line: int) -> NDArray[np.float32]:
        """The trajectory (sample, axis) of an acquisition.

        Raises:
            InputError: the format has none.
        """
        raise InputError(f"{self.path}: has no trajectories: give a Cartesian scan")


@dataclass(frozen=True)
class Plan:
    """Which acquisitions make up k-space.

    Attributes:
        lines: their numbers.
        slices: the slice of each, from 0.
        shape: of k-space: slices, coils, and what else there is.
    """

    lines: NDArray[np.intp]
    slices: NDArray[np.intp]
    shape: tuple[int, ...]


def imaging_of(raw: RawData) -> NDArray[np.bool_]:
    """Which acquisitions are of the first encoding and for imaging or calibration."""
    flags = raw.heads["flags"]
    other = np.any([has(flags, f) for f in NOT_IMAGING], axis=0)
    return np.asarray(~other & (raw.heads["encoding_space_ref"] == 0))


def noise_of(raw: RawData, plan: Plan, averages: int) -> NDArray[np.complex64] | None:
    """Noise (coil, sample) of k-space's level; None without a noise scan of the same coils."""
    heads = raw.heads
    chosen = has(heads["flags"], ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    chosen &= heads["active_channels"] == plan.shape[1]
    lines = np.flatnonzero(chosen)
    if not len(lines):
        return None
    total = int(heads["number_of_samples"][lines].astype(np.int64).sum())
    check_size(raw.path, "the noise scan", (plan.shape[1], total))
    scaled = []
    dwell = float(heads["sample_time_us"][plan.lines[0]])
    for line, values in zip(lines, raw.readouts(lines), strict=True):
        own = float(heads["sample_time_us"][line])
        ratio = own / dwell if own > 0 and dwell > 0 else 1.0
        factor = math.sqrt(ratio / (raw.header.noise_bandwidth * averages))
        scaled.append(values if factor == 1 else values * np.float32(factor))
    return np.concatenate(scaled, axis=1)


@dataclass(frozen=True)
class Geometry:
    positions: NDArray[np.float64]
    axes: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    voxel_size_mm: list[float]


def geometry_of(raw: RawData, plan: Plan) -> tuple[Geometry, NDArray[np.intp]]:
    """Where the slices lie, and their order in space."""
    header = raw.header
    first = [int(plan.lines[np.argmax(plan.slices == s)]) for s in range(plan.shape[0])]
    chosen = raw.heads[first]
    axes = tuple(np.asarray(chosen[d], dtype=np.float64) for d in ("read_dir", "phase_dir"))
    normals = np.asarray(chosen["slice_dir"], dtype=np.float64)
    for directions in (*axes, normals):
        if np.abs(directions - directions[0]).max() > 1e-3:
            raise InputError(
                f"{raw.path}: slices of several orientations in one file: write one file for each"
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


def placed_volume(
    geometry: Geometry, header: Header, shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Attributes of the place of a volume that was cut into slices across the readout.

    Args:
        geometry: of the volume as one slice.
        header: of its encoding.
        shape: (x, y, z), x the readout: what becomes (slice, y, x) of the scan.
    """
    dy, dx = geometry.voxel_size_mm[1:]
    read, phase, normal = geometry.axes
    length = np.linalg.norm(read)
    steps = np.arange(shape[0]) - shape[0] // 2
    along = (
        np.outer(steps * dx, read / length)
        if length > 0 and math.isfinite(dx)
        else np.zeros((shape[0], 3))
    )
    size = [dx, dy, header.encoded.voxel_mm(2)]
    across = Geometry(geometry.positions[0] + along, (normal, phase, read), size)
    return placed(across, shape)


def has(flags: Any, flag: int) -> Any:
    return (np.asarray(flags, dtype=np.uint64) >> np.uint64(flag - 1)) & np.uint64(1) != 0
