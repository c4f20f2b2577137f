"""Masks against references: what `sciddm petct evaluate` prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.nifti import read_nifti
from sciddm.data_adapters.petct.images import SUFFIXES
from sciddm.errors import InputError
from sciddm.geometry.grid import grid_of
from sciddm.metrics.masks import aggregated_dice, mask_scores
from sciddm.pipelines.engine.batch import stem
from sciddm.pipelines.engine.scores import Score, evaluate_pairs, pairs

__all__ = ["compare", "evaluate_masks"]

_COLUMNS = {
    "dice": ("Dice", "{:.3f}"),
    "hd95_mm": ("HD95 / mm", "{:.1f}"),
    "surface_dice": ("surface Dice", "{:.3f}"),
    "precision": ("precision", "{:.3f}"),
    "recall": ("recall", "{:.3f}"),
    "volume_ml": ("volume / ml", "{:.1f}"),
    "volume_error": ("volume error", "{:+.1%}"),
}
#: What `segment` writes beside a mask.
_BESIDE = ("_probability", "_entropy")


def evaluate_masks(reference: Path, estimate: Path, tolerance_mm: float, *, as_json: bool) -> bool:
    """Prints the scores of all pairs of the same name, their mean, and DSCagg over all.

    Args:
        reference: a mask (NIfTI), or a folder of masks.
        estimate: likewise.
        tolerance_mm: of surface Dice.
        as_json: a JSON document instead of a table.

    Returns:
        Whether every reference could be compared.

    Raises:
        InputError: no reference, or an impossible tolerance.
    """
    if not tolerance_mm > 0:
        raise InputError(f"a tolerance of {tolerance_mm:g} mm: give more than 0")
    read: list[tuple[np.ndarray, np.ndarray]] = []

    def score(r: Path, e: Path, into: Score) -> None:
        read.append(compare(r, e, into, tolerance_mm))

    return evaluate_pairs(
        pairs(reference, estimate, _found_in, "mask"),
        score,
        _COLUMNS,
        kind="mask",
        where=estimate,
        as_json=as_json,
        overall=lambda: {"dsc_agg": aggregated_dice((e, r) for r, e in read)} if read else {},
    )


def compare(
    reference: Path, estimate: Path, score: Score, tolerance_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fills in the scores of one pair; see `metrics`, also for empty masks.

    Returns:
        Both masks.

    Raises:
        InputError: a mask cannot be read, or they lie on different grids.
    """
    r, e = _mask(reference), _mask(estimate)
    ours, theirs = grid_of(r), grid_of(e)
    if not ours.same_as(theirs, tolerance_mm=0.05):
        raise InputError(
            f"{estimate}: does not lie on the grid of {reference.name}: compare masks of one grid"
        )
    score.values.update(mask_scores(e.values, r.values, ours.spacing_mm, tolerance_mm))
    return r.values > 0, e.values > 0


def _mask(path: Path) -> xr.DataArray:
    volume = read_nifti(path).rename({"slice": "z"})
    if float(volume.min()) < 0 or not np.array_equal(volume.values, np.rint(volume.values)):
        raise InputError(f"{path}: holds values that are no labels: give a mask")
    return volume


def _found_in(path: Path) -> tuple[Mapping[str, Path], bool]:
    if not path.is_dir():
        return {stem(path, SUFFIXES): path}, False
    found = {}
    for p in sorted(path.iterdir()):
        if p.name.startswith(".") or not p.name.lower().endswith(SUFFIXES):
            continue
        name = stem(p, SUFFIXES)
        if not name.endswith(_BESIDE):
            found[name] = p
    return found, True
