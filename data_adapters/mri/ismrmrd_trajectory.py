"""ISMRMRD files whose readouts carry a trajectory: radial, spiral, golden angle, other.

Every acquisition has its positions (sample, axis), axes in the order kx, ky. The format does not
say their unit, and three are in use; the largest |k| tells them apart:

    at most 0.5      cycles per pixel of the encoded matrix
    at most pi       radians per pixel
    at most N / 2    cycles per encoded field of view           (1 % more is tolerated)

They are turned into cycles per field of view of the image (the reconstructed one, where its size is
stated). The image's matrix is the header's, or what the samples reach where that is more.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.mri.acquisitions import (
    Plan,
    RawData,
    geometry_of,
    has,
    imaging_of,
    noise_of,
    placed,
)
from sciddm.data_adapters.mri.frames import Frames, Selection, frames_of, selected, with_frames
from sciddm.data_adapters.mri.header import Header
from sciddm.data_adapters.mri.scan import build_trajectory_scan
from sciddm.errors import InputError

__all__ = ["leaves_the_grid", "read_trajectory_scan"]

_TOLERANCE = 1.01
#: Readouts whose positions are looked at, and the part of the largest |k| by which ky may change
#: along one that is parallel to kx.
_LOOK, _STRAIGHT = 16, 0.01


def read_trajectory_scan(raw: RawData, select: Selection | None = None) -> xr.Dataset:
    """The scan of a file with trajectories; see `scan`.

    Args:
        raw: the acquisitions.
        select: which repetitions, contrasts, ... to read; see `frames`.

    Raises:
        InputError: 3D, averages, readouts of several lengths, no positions, or positions in no
            known unit.
    """
    path, heads, header = raw.path, raw.heads, raw.header
    plan, shots, frames = _sorted(raw, select)
    slices, coils, count, samples = plan.shape
    images = frames.count * slices
    kspace = np.zeros((images, coils, count, samples), np.complex64)
    positions = np.zeros((images, count, samples, 2), np.float32)
    for k, line in enumerate(raw.readouts(plan.lines)):
        head = heads[plan.lines[k]]
        before, after = int(head["discard_pre"]), int(head["discard_post"])
        kept = slice(before, line.shape[1] - after)
        place = raw.positions(int(plan.lines[k]))
        if place.shape[0] != line.shape[1]:
            raise InputError(
                f"{path}: acquisition {plan.lines[k]} has {line.shape[1]} samples but "
                f"{place.shape[0]} positions: export it again"
            )
        image = frames.number[k] * slices + plan.slices[k]
        kspace[image, :, shots[k]] = line[:, kept]
        positions[image, shots[k]] = place[kept, 1::-1]
    noise = noise_of(raw, plan, 1)
    geometry, order = geometry_of(raw, plan)
    positions, matrix = _scaled(path, positions, header)
    attrs = {
        **header.attrs,
        **placed(geometry, (slices, coils, *matrix)),
        "format": "ismrmrd",
        "image_shape": list(matrix),
    }
    attrs = _resized(attrs, header, matrix)
    every = (np.arange(frames.count)[:, None] * slices + order).ravel()
    scan = build_trajectory_scan(path, kspace[every], positions[every], attrs, noise=noise)
    return with_frames(scan, frames.values, frames.count)


def leaves_the_grid(raw: RawData) -> bool:
    """Whether readouts have positions that run across the lines of a Cartesian grid, whatever the
    header calls the trajectory."""
    lines = np.flatnonzero(imaging_of(raw) & (raw.heads["trajectory_dimensions"] >= 2))
    if not len(lines):
        return False
    chosen = lines[np.linspace(0, len(lines) - 1, min(_LOOK, len(lines))).astype(int)]
    across, reach = 0.0, 0.0
    for line in chosen:
        places = raw.positions(int(line))
        if places.shape[0] and np.isfinite(places).all():
            across = max(across, float(np.ptp(places[:, 1])))
            reach = max(reach, float(np.abs(places[:, :2]).max()))
    return across > _STRAIGHT * reach


def _sorted(raw: RawData, select: Selection | None) -> tuple[Plan, NDArray[np.intp], Frames]:
    """The imaging readouts, the number of each within its slice of its frame, in the order of the
    file, and the frames."""
    path, heads, header = raw.path, raw.heads, raw.header
    imaging = imaging_of(raw) & ~(
        has(heads["flags"], ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
        & ~has(heads["flags"], ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    )
    lines = np.flatnonzero(imaging)
    if len(lines):
        lines = lines[selected(path, heads["idx"][lines], select)]
    if not len(lines):
        raise InputError(f"{path}: no imaging data among {len(heads)} acquisitions: export again")
    chosen = heads[lines]
    if (chosen["trajectory_dimensions"] < 2).any():
        raise InputError(
            f"{path}: a trajectory ({header.trajectory}), but readouts without positions: write "
            "the trajectory with the data"
        )
    if header.encoded.matrix[2] > 1 or chosen["idx"]["kspace_encode_step_2"].any():
        raise InputError(
            f"{path}: a 3D scan along a trajectory, only 2D ones can be read: transform it along z "
            "and write each partition as a slice"
        )
    averages = np.unique(chosen["idx"]["average"])
    if len(averages) > 1:
        raise InputError(
            f"{path}: {len(averages)} values of 'average' in one file: choose one, "
            f"--select average={averages[0]}"
        )
    coils = np.unique(chosen["active_channels"])
    lengths = np.unique(
        chosen["number_of_samples"].astype(np.int64)
        - chosen["discard_pre"]
        - chosen["discard_post"]
    )
    if len(coils) > 1 or len(lengths) > 1 or lengths[0] < 1:
        raise InputError(f"{path}: readouts of several lengths or coils in one scan: export again")
    frames = frames_of(chosen["idx"])
    numbers, slices = np.unique(chosen["idx"]["slice"], return_inverse=True)
    slices = slices.reshape(-1)
    images = frames.number * len(numbers) + slices
    counts = np.bincount(images, minlength=frames.count * len(numbers))
    if counts.min() != counts.max():
        raise InputError(
            f"{path}: slices or frames of {counts.min()} to {counts.max()} readouts: select those "
            "of equal length, as by --select repetition=0..2, or write one file for each"
        )
    shape = (len(numbers), int(coils[0]), int(counts[0]), int(lengths[0]))
    check_size(path, "k-space", (len(counts), *shape[1:]))
    shots = np.zeros(len(lines), np.intp)
    for image in range(len(counts)):
        shots[images == image] = np.arange(counts[0])
    return Plan(lines, slices, shape), shots, frames


def _scaled(
    path: Path, positions: NDArray[np.float32], header: Header
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Positions in cycles per field of view of the image, and its matrix (y, x)."""
    nx, ny, _ = header.encoded.matrix
    if not (nx and ny):
        raise InputError(f"{path}: its header states no encoded matrix: export it again")
    if not np.isfinite(positions).all():
        raise InputError(f"{path}: positions that are not finite: write the trajectory again")
    largest = float(np.abs(positions).max())
    encoded = np.array([ny, nx], np.float64)
    if largest <= 0.5 * _TOLERANCE:
        scale = encoded
    elif largest <= math.pi * _TOLERANCE and max(nx, ny) > 2 * math.pi * _TOLERANCE:
        scale = encoded / (2 * math.pi)
    elif largest <= max(nx, ny) / 2 * _TOLERANCE:
        scale = np.ones(2)
    else:
        raise InputError(
            f"{path}: positions up to {largest:.4g}, neither cycles nor radians per pixel nor "
            f"cycles per field of view of {nx} x {ny}: write them in cycles per pixel"
        )
    matrix = []
    for axis in (1, 0):
        size = header.recon.matrix[axis] or header.encoded.matrix[axis]
        ratio = header.recon.fov_mm[axis] / header.encoded.fov_mm[axis]
        scale[1 - axis] *= ratio if math.isfinite(ratio) else 1.0
        reached = 2 * float(np.abs(positions[..., 1 - axis]).max()) * scale[1 - axis]
        matrix.append(size if reached <= size * 1.001 else 2 * math.ceil(reached / 2))
    return (positions * scale).astype(np.float32), (matrix[0], matrix[1])


def _resized(attrs: dict[str, Any], header: Header, matrix: tuple[int, int]) -> dict[str, Any]:
    """Voxel size of the image: its field of view over its matrix; without an affine where the
    field of view is that of the image rather than the encoded one."""
    size = list(attrs["voxel_size_mm"])
    for place, axis in ((1, 1), (2, 0)):
        fov = header.recon.fov_mm[axis]
        fov = fov if math.isfinite(fov) else header.encoded.fov_mm[axis]
        size[place] = fov / matrix[place - 1]
    if not np.allclose(size[1:], attrs["voxel_size_mm"][1:], equal_nan=True):
        attrs = {k: v for k, v in attrs.items() if k != "affine"}
    return {**attrs, "voxel_size_mm": size}
