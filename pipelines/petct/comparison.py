"""Masks against references."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.volume_files import read_volume
from sciddm.errors import InputError
from sciddm.geometry.grid import grid_of
from sciddm.metrics.masks import mask_scores
from sciddm.pipelines.engine.scores import Score

__all__ = ["compare", "over_all", "read_mask"]


def compare(
    reference: xr.DataArray, estimate: xr.DataArray, score: Score, tolerance_mm: float
) -> None:
    """Fills in the scores of one pair; see `metrics.masks`, also for empty masks.

    Args:
        reference: labels (z, y, x) with their affine, 0 outside.
        estimate: likewise, on the same grid.
        score: to fill in.
        tolerance_mm: of surface Dice.

    Raises:
        InputError: they lie on different grids.
    """
    ours, theirs = grid_of(reference), grid_of(estimate)
    if not ours.same_as(theirs, tolerance_mm=0.05):
        raise InputError(
            f"{estimate.attrs.get('source', 'the estimate')}: does not lie on the grid of "
            f"{reference.attrs.get('source', 'the reference')}: compare masks of one grid"
        )
    values = mask_scores(estimate.values, reference.values, ours.spacing_mm, tolerance_mm)
    score.values.update(values)
    e, r = estimate.values > 0, reference.values > 0
    score.parts = {"overlap": float((e & r).sum()), "voxels": float(e.sum() + r.sum())}


def over_all(scores: Sequence[Score]) -> dict[str, float]:
    """DSCagg: twice the overlap over the voxels of both masks, summed over all pairs."""
    parts = [s.parts for s in scores if s.parts]
    voxels = sum(p["voxels"] for p in parts)
    if not parts:
        return {}
    return {"dsc_agg": 2 * sum(p["overlap"] for p in parts) / voxels if voxels else 1.0}


def read_mask(path: Path) -> xr.DataArray:
    """A mask (z, y, x) of a file.

    Raises:
        InputError: unreadable, or values that are no labels.
    """
    volume = read_volume(path)
    if float(volume.min()) < 0 or not np.array_equal(volume.values, np.rint(volume.values)):
        raise InputError(f"{path}: holds values that are no labels: give a mask")
    return volume.assign_attrs(source=path.name)
