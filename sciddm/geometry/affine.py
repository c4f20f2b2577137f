"""Where voxels lie in the patient.

An affine maps the indices (x, y, slice) of a voxel's centre to millimetres in RAS, the patient's
right, anterior and superior being positive, as NIfTI has it:

    r = A[:3, :3] (i_x, i_y, i_slice) + A[:3, 3]

Arrays have the axes (slice, y, x). A centred FFT puts the point where its phase is 0, the centre
of the field of view, into the voxel N//2 of an axis; the affines here do the same in-plane.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "centred_affine",
    "dicom_slices",
    "oriented_affine",
    "stacked_affine",
    "voxel_sizes",
]

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_TOLERANCE = 1e-2  # of the cosine between axes that should be at right angles


def centred_affine(
    voxel_size_mm: Sequence[float], shape: Sequence[int]
) -> NDArray[np.float64] | None:
    """The affine of a volume of unknown orientation: axes along R, A, S, voxel N//2 at 0.

    Args:
        voxel_size_mm: [z, y, x].
        shape: (slice, y, x).

    Returns:
        4 x 4, or None where a voxel size is unknown.
    """
    size = np.asarray(voxel_size_mm, dtype=np.float64)[::-1]
    if not (np.isfinite(size).all() and (size > 0).all()):
        return None
    affine = np.diag([*size, 1.0])
    affine[:3, 3] = -size * (np.asarray(shape)[::-1] // 2)
    return affine


def oriented_affine(
    positions: ArrayLike,
    read_dir: ArrayLike,
    phase_dir: ArrayLike,
    slice_dir: ArrayLike,
    voxel_size_mm: Sequence[float],
    shape: Sequence[int],
) -> NDArray[np.float64] | None:
    """The affine of parallel slices from a scanner's description of them.

    Args:
        positions: centres of the slices' fields of view, (slice, 3), LPS, mm, in the array's order.
        read_dir: direction of increasing x, (3,), LPS.
        phase_dir: direction of increasing y, (3,), LPS.
        slice_dir: normal of the slices, (3,), LPS.
        voxel_size_mm: [z, y, x]; z is used for a single slice, several lie where they lie.
        shape: (slice, y, x).

    Returns:
        4 x 4, RAS, or None where the description is no orthogonal frame (often left 0).
    """
    axes = np.stack([np.asarray(d, dtype=np.float64) for d in (read_dir, phase_dir, slice_dir)])
    lengths = np.linalg.norm(axes, axis=1)
    centres = np.asarray(positions, dtype=np.float64)
    size = np.asarray(voxel_size_mm, dtype=np.float64)
    if not (np.isfinite(axes).all() and np.isfinite(centres).all() and (lengths > 0.5).all()):
        return None
    axes = axes / lengths[:, None]
    if np.abs(axes @ axes.T - np.eye(3)).max() > _TOLERANCE:
        return None
    if not (np.isfinite(size).all() and (size > 0).all()):
        return None
    _, ny, nx = shape
    lps = np.empty((3, 4))
    lps[:, 0], lps[:, 1] = axes[0] * size[2], axes[1] * size[1]
    lps[:, 2] = axes[2] * size[0]
    if len(centres) > 1:
        lps[:, 2] = (centres[-1] - centres[0]) / (len(centres) - 1)
        if np.linalg.norm(lps[:, 2]) < 1e-3:  # the same place for all: positions were not filled in
            return None
    lps[:, 3] = centres[0] - lps[:, :2] @ (nx // 2, ny // 2)
    affine = np.eye(4)
    affine[:3] = _LPS_TO_RAS @ lps
    return affine


def stacked_affine(
    positions: ArrayLike, orientation: ArrayLike, spacing_mm: Sequence[float], distance_mm: float
) -> NDArray[np.float64]:
    """The affine of DICOM slices.

    Args:
        positions: Image Position (Patient) of every slice: its first voxel's centre, (slice, 3),
            LPS, mm, in the array's order, evenly spaced.
        orientation: Image Orientation (Patient): directions of increasing x and of increasing y.
        spacing_mm: Pixel Spacing: [y, x].
        distance_mm: of slices, used for a single one.

    Returns:
        4 x 4, RAS; slices of a tilted gantry make it sheared.
    """
    x, y = np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    first = np.asarray(positions, dtype=np.float64)
    step = np.cross(x, y) * distance_mm
    if len(first) > 1:
        step = (first[-1] - first[0]) / (len(first) - 1)
    lps = np.stack([x * spacing_mm[1], y * spacing_mm[0], step, first[0]], axis=1)
    affine = np.eye(4)
    affine[:3] = _LPS_TO_RAS @ lps
    return affine


def dicom_slices(
    affine: ArrayLike, slices: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float], float]:
    """The inverse of `stacked_affine`: positions, orientation, spacing and distance.

    The distance is that between neighbouring slices along their normal.
    """
    lps = _LPS_TO_RAS @ np.asarray(affine, dtype=np.float64)[:3]
    width, height = np.linalg.norm(lps[:, 0]), np.linalg.norm(lps[:, 1])
    x, y = lps[:, 0] / width, lps[:, 1] / height
    positions = lps[:, 3] + np.arange(slices)[:, None] * lps[:, 2]
    distance = abs(float(np.cross(x, y) @ lps[:, 2]))
    return positions, np.concatenate([x, y]), [float(height), float(width)], distance


def voxel_sizes(affine: ArrayLike) -> list[float]:
    """[z, y, x] in mm: the lengths of the affine's columns."""
    columns = np.asarray(affine, dtype=np.float64)[:3, :3]
    return [float(v) for v in np.linalg.norm(columns, axis=0)[::-1]]
