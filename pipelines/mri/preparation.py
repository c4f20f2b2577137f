"""What is done to a scan before it is reconstructed: undersampling, maps, coil compression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.mri import open_maps
from sciddm.data_adapters.mri.scan import ROOT_SUM_OF_SQUARES
from sciddm.errors import InputError
from sciddm.pipelines.engine.regions import Grid
from sciddm.pipelines.mri.compression import compressed
from sciddm.pipelines.mri.retrospective import (
    Undersampling,
    is_full,
    undersampled,
    with_reference,
)

__all__ = ["image_grid", "matrix_of", "prepared", "with_maps"]


def prepared(
    scan: xr.Dataset,
    undersampling: Undersampling | None,
    maps: xr.DataArray | np.ndarray | str | Path | None,
    coils: int | None,
    noise_std: float | None,
) -> xr.Dataset:
    """The scan that is reconstructed.

    Args:
        scan: as it was measured.
        undersampling: a mask to be made; None for the scan as it is.
        maps: coil sensitivities in place of the scan's own; see ``with_maps``.
        coils: see ``compressed``.
        noise_std: sqrt(E|n|^2) of every channel, in place of an estimate.

    Raises:
        InputError: the mask or the maps do not fit the scan.
    """
    if undersampling is not None:
        scan = undersampled(scan, undersampling)
    elif _has_noise_floor(scan) and is_full(scan):
        scan = with_reference(scan)
    if maps is not None:
        scan = with_maps(scan, maps)
    scan = _reference_apart(scan)
    return compressed(scan, coils, noise_std) if scan.sizes["coil"] > 1 else scan


def with_maps(scan: xr.Dataset, maps: xr.DataArray | np.ndarray | str | Path) -> xr.Dataset:
    """The scan with other coil sensitivities.

    Args:
        scan: of any coils.
        maps: (slice, coil, y, x) or (coil, y, x), or a file that holds them; those of one slice are
            taken for all.

    Raises:
        InputError: of other coils, another matrix or number of slices, or not finite.
    """
    name = "the maps"
    if isinstance(maps, str | Path):
        name, maps = str(maps), open_maps(maps)
    values = np.array(maps, dtype=np.complex64)
    values = values[None] if values.ndim == 3 else values
    slices, coils, matrix = scan.sizes["slice"], scan.sizes["coil"], matrix_of(scan)
    if values.ndim != 4:
        raise InputError(f"{name}: maps of shape {values.shape}, not (slice, coil, y, x): reorder")
    if values.shape[1] != coils:
        raise InputError(
            f"{name}: maps of {values.shape[1]} coils, but {scan.attrs.get('source', 'the scan')} "
            f"has {coils}: give maps of the same coils in the same order"
        )
    if values.shape[2:] != matrix:
        raise InputError(
            f"{name}: maps of {values.shape[2]} x {values.shape[3]}, but the k-space is "
            f"{matrix[0]} x {matrix[1]}: give maps on the matrix of the k-space"
        )
    if values.shape[0] not in (1, slices):
        raise InputError(
            f"{name}: maps of {values.shape[0]} slices, but the scan has {slices}: give maps of "
            "one slice or of all"
        )
    if not np.isfinite(values).all():
        raise InputError(f"{name}: the maps hold values that are not finite: make them again")
    every = np.ascontiguousarray(np.broadcast_to(values, (slices, coils, *matrix)))
    scan = scan.drop_vars("maps", errors="ignore")
    return scan.assign(maps=(("slice", "coil", "y", "x"), every))


def matrix_of(scan: xr.Dataset) -> tuple[int, int]:
    """(y, x) of the image."""
    if "trajectory" in scan:
        ny, nx = scan.attrs["image_shape"]
        return int(ny), int(nx)
    return scan.sizes["ky"], scan.sizes["kx"]


def image_grid(scan: xr.Dataset, request: object = None) -> Grid:
    """Of the image of a scan, whatever the request."""
    return Grid((scan.sizes["slice"], *matrix_of(scan)), scan.attrs)


def _has_noise_floor(scan: xr.Dataset) -> bool:
    """Whether its reference is a root of a sum of squares over several coils."""
    rss = scan.attrs.get("reference_combination") == ROOT_SUM_OF_SQUARES
    return "reference" in scan and rss and scan.sizes["coil"] > 1 and "trajectory" not in scan


def _reference_apart(scan: xr.Dataset) -> xr.Dataset:
    """A reference of another matrix has axes of its own."""
    if "reference" not in scan:
        return scan
    image = scan["reference"]
    if image.shape[1:] == matrix_of(scan) or "y_reference" in image.dims:
        return scan
    axes = (image.dims[0], "y_reference", "x_reference")
    return scan.drop_vars("reference").assign(reference=(axes, image.values, image.attrs))
