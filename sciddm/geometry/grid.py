"""Voxel grids, and volumes carried from one to another by where their voxels lie.

An affine maps the indices (x, y, z) of a voxel's centre to mm in RAS, as in `geometry`. A sheared
one (slices of a tilted gantry) is as good as any other: volumes are resampled between indices, not
between an origin, spacings and a frame of directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from sciddm.errors import InputError
from sciddm.extras import extra
from sciddm.geometry.affine import voxel_sizes

__all__ = ["DIMS", "Grid", "common_grid", "cropped", "grid_of", "resample"]

DIMS = ("z", "y", "x")
_LPS = np.diag([-1.0, -1.0, 1.0])  # columns: directions of x, y and z of an upright scan, in RAS
_FWHM = 2.354820045  # of a Gaussian of standard deviation 1


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a volume lie.

    Attributes:
        affine: 4 x 4, of the indices (x, y, z), RAS, mm.
        shape: (z, y, x).
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]

    @property
    def spacing_mm(self) -> list[float]:
        """[z, y, x]."""
        return voxel_sizes(self.affine)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000

    def corners(self) -> NDArray[np.float64]:
        """The eight corners of the volume, voxels included, (8, 3), RAS, mm."""
        ends = [(-0.5, n - 0.5) for n in self.shape[::-1]]
        indices = np.array([[x, y, z, 1.0] for x in ends[0] for y in ends[1] for z in ends[2]])
        return (indices @ self.affine.T)[:, :3]

    def box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest coordinates of the corners, RAS, mm."""
        corners = self.corners()
        return corners.min(0), corners.max(0)

    def same_as(self, other: Grid, tolerance_mm: float = 0.01) -> bool:
        """Whether both have the same voxels at the same places."""
        if self.shape != other.shape:
            return False
        return float(np.abs(self.corners() - other.corners()).max()) <= tolerance_mm


def cropped(grid: Grid, low: ArrayLike, high: ArrayLike) -> Grid:
    """The part of an upright grid whose voxels have their centres in a box.

    Args:
        grid: its axes along those of the patient, in any order of sign.
        low, high: ends of the box along R, A, S, mm.

    Raises:
        InputError: no voxel lies in it.
    """
    inverse = np.linalg.inv(grid.affine)
    ends = np.array([[*np.asarray(low, float), 1.0], [*np.asarray(high, float), 1.0]])
    index = np.sort((ends @ inverse.T)[:, :3], axis=0)
    first = np.maximum(np.ceil(index[0] - 1e-6), 0).astype(int)
    last = np.minimum(np.floor(index[1] + 1e-6), np.array(grid.shape[::-1]) - 1).astype(int)
    if (last < first).any():
        raise InputError("the region lies outside of what PET and CT show: check its place in mm")
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    nx, ny, nz = (int(n) for n in last - first + 1)
    return Grid(affine, (nz, ny, nx))


def grid_of(volume: xr.DataArray) -> Grid:
    """The grid of a volume (z, y, x) with an attribute `affine`.

    Raises:
        InputError: it has none, or one that is singular.
    """
    name = volume.attrs.get("source", "the volume")
    if volume.attrs.get("affine") is None:
        raise InputError(f"{name}: says not where its voxels lie: export it with its geometry")
    affine = np.asarray(volume.attrs["affine"], dtype=np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        raise InputError(f"{name}: its affine is no map of voxels to places: export it again")
    nz, ny, nx = (int(volume.sizes[d]) for d in DIMS)
    return Grid(affine, (nz, ny, nx))


def common_grid(first: Grid, second: Grid, spacing_mm: Sequence[float]) -> Grid:
    """An upright grid over what two volumes share.

    Its axes are those of an axial scan of a patient who lies on the back: x to the left, y to
    the back, z to the head. It covers the intersection of the two upright boxes.

    Args:
        first, second: the volumes.
        spacing_mm: [z, y, x].

    Raises:
        InputError: the volumes share no space.
    """
    (a, b), (c, d) = first.box(), second.box()
    low, high = np.maximum(a, c), np.minimum(b, d)
    if (high <= low).any():
        gap = float((low - high).max())
        raise InputError(
            f"PET and CT lie {gap:.0f} mm apart: they are not of one study, or their frames differ"
        )
    step = np.asarray(spacing_mm, np.float64)[::-1]
    count = np.maximum(1, np.floor((high - low) / step + 1e-6)).astype(int)
    middle = (low + high) / 2
    affine = np.eye(4)
    affine[:3, :3] = _LPS * step
    affine[:3, 3] = middle - affine[:3, :3] @ ((count - 1) / 2)
    nx, ny, nz = (int(n) for n in count)
    return Grid(affine, (nz, ny, nx))


def resample(
    values: ArrayLike,
    source: Grid,
    target: Grid,
    *,
    method: Literal["nearest", "linear", "spline"] = "linear",
    outside: float = 0.0,
) -> NDArray[np.float32]:
    """Values (z, y, x) of one grid at the voxels of another.

    Where the target is coarser, the source is smoothed first by a Gaussian whose width makes up
    the difference, sigma = sqrt(r^2 - 1) / 2.35 voxels for a ratio r of spacings (not for
    "nearest", which is for labels).

    Args:
        values: of the source.
        source, target: their grids.
        method: "spline" is cubic, cut to the range of the source so that it cannot overshoot.
        outside: value where the source has none.
    """
    with extra("petct", "resampling of volumes"):
        import SimpleITK as sitk  # noqa: N813

    data = np.ascontiguousarray(values, dtype=np.float32)
    if data.shape != source.shape:
        raise ValueError(f"values {data.shape} on a grid of {source.shape}")
    if source.same_as(target):
        return data.copy()
    image: Any = sitk.GetImageFromArray(data)
    # Coarser along an axis of the source: by how far a voxel of the target reaches along it.
    to_source = np.linalg.inv(source.affine) @ target.affine
    if method != "nearest":
        ratio = np.abs(to_source[:3, :3]).max(1)
        sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / _FWHM
        wide = (ratio > 1.2) & (np.array(source.shape[::-1]) > 3)
        if wide.any():
            image = sitk.DiscreteGaussian(
                image, [float(s**2) if w else 0.0 for s, w in zip(sigma, wide, strict=True)]
            )
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(to_source[:3, :3].ravel().tolist())
    transform.SetTranslation(to_source[:3, 3].tolist())
    interpolators = {
        "nearest": sitk.sitkNearestNeighbor,
        "linear": sitk.sitkLinear,
        "spline": sitk.sitkBSpline,
    }
    chosen = interpolators[method]
    if method == "spline" and min(source.shape) < 4:  # too few voxels for a cubic
        chosen = sitk.sitkLinear
    moved = sitk.Resample(
        image,
        list(target.shape[::-1]),
        transform,
        chosen,
        [0.0] * 3,
        [1.0] * 3,
        np.eye(3).ravel().tolist(),
        float(outside),
        sitk.sitkFloat32,
    )
    out: NDArray[np.float32] = sitk.GetArrayFromImage(moved)
    if method == "spline":
        low, high = float(min(data.min(), outside)), float(max(data.max(), outside))
        out = np.clip(out, low, high)
    return out
