"""Masks and probabilities against the truth.

What happens where a mask is empty is a rule, not an accident:

===============  ===========================  ========================================
metric           both empty                   one of them empty
===============  ===========================  ========================================
Dice             1                            0
HD95             0 mm                         infinite: an empty mask is not 0 mm away
surface Dice     1                            0
precision        1                            0
recall           1                            0
DSCagg           counts in neither sum        counts in the sum of sizes
===============  ===========================  ========================================
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from monai.metrics.surface_dice import compute_surface_dice
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = [
    "aggregated_dice",
    "calibration_error",
    "dice",
    "hausdorff95",
    "mask_scores",
    "precision_and_recall",
    "separation",
    "surface_dice",
]

Mask = NDArray[Any]


def mask_scores(
    estimate: Mask, truth: Mask, spacing_mm: Sequence[float], tolerance_mm: float = 3.0
) -> dict[str, float]:
    """dice, hd95_mm, surface_dice, precision, recall, volume_ml, volume_error (relative)."""
    precision, recall = precision_and_recall(estimate, truth)
    voxel = float(np.prod(spacing_mm)) / 1000
    own, true = float((estimate > 0).sum()) * voxel, float((truth > 0).sum()) * voxel
    return {
        "dice": dice(estimate, truth),
        "hd95_mm": hausdorff95(estimate, truth, spacing_mm),
        "surface_dice": surface_dice(estimate, truth, spacing_mm, tolerance_mm),
        "precision": precision,
        "recall": recall,
        "volume_ml": own,
        "volume_error": (own - true) / true if true else (0.0 if own == 0 else math.inf),
    }


def dice(estimate: Mask, truth: Mask) -> float:
    """2 |A n B| / (|A| + |B|)."""
    if _empty(estimate, truth) is not None:
        return _empty(estimate, truth) or 0.0
    return float(compute_dice(_tensor(estimate), _tensor(truth), include_background=True))


def hausdorff95(estimate: Mask, truth: Mask, spacing_mm: Sequence[float]) -> float:
    """95th percentile of the surface distances, the larger of both directions, mm."""
    empty = _empty(estimate, truth)
    if empty is not None:
        return 0.0 if empty else math.inf
    a, b = (_tensor(m) for m in _cropped(estimate, truth))
    with _quiet():
        found = compute_hausdorff_distance(
            a, b, include_background=True, percentile=95, spacing=[*spacing_mm]
        )
    return float(found)


def surface_dice(
    estimate: Mask, truth: Mask, spacing_mm: Sequence[float], tolerance_mm: float
) -> float:
    """Share of both surfaces that lies within the tolerance of the other."""
    empty = _empty(estimate, truth)
    if empty is not None:
        return empty
    a, b = (_tensor(m) for m in _cropped(estimate, truth))
    with _quiet():
        found = compute_surface_dice(
            a, b, [tolerance_mm], include_background=True, spacing=[*spacing_mm]
        )
    return float(found)


def precision_and_recall(estimate: Mask, truth: Mask) -> tuple[float, float]:
    """|A n B| / |A| and |A n B| / |B|."""
    empty = _empty(estimate, truth)
    if empty is not None:
        return empty, empty
    a, b = np.asarray(estimate) > 0, np.asarray(truth) > 0
    both = float((a & b).sum())
    return both / float(a.sum()), both / float(b.sum())


def aggregated_dice(pairs: Iterable[tuple[Mask, Mask]]) -> float:
    """DSCagg = 2 sum |A n B| / sum (|A| + |B|) over all studies; 1 if all are empty.

    Andrearczyk et al., HECKTOR 2022, eq. 1.
    """
    both = total = 0
    for estimate, truth in pairs:
        a, b = np.asarray(estimate) > 0, np.asarray(truth) > 0
        both += int((a & b).sum())
        total += int(a.sum()) + int(b.sum())
    return 2 * both / total if total else 1.0


def calibration_error(probability: Mask, truth: Mask, bins: int = 15) -> float:
    """Expected calibration error: mean over voxels of |mean P - share of tumour| in P's bin.

    Bins are of equal width; Naeini et al., 2015, with the probability of tumour as it is.
    """
    p = np.asarray(probability, np.float64).ravel()
    m = (np.asarray(truth).ravel() > 0).astype(np.float64)
    index = np.minimum((p * bins).astype(int), bins - 1)
    said = np.bincount(index, p, bins)
    true = np.bincount(index, m, bins)
    return float(np.abs(said - true).sum() / p.size)


def separation(uncertainty: Mask, wrong: Mask) -> float:
    """AUROC: the chance that a wrong voxel is less certain than a right one; ties count half.

    NaN where all voxels are right, or all wrong.
    """
    w = np.asarray(wrong).ravel() > 0
    count, rest = int(w.sum()), int((~w).sum())
    if not count or not rest:
        return math.nan
    ranks = rankdata(np.asarray(uncertainty).ravel())
    return float((ranks[w].sum() - count * (count + 1) / 2) / (count * rest))


@contextmanager
def _quiet() -> Iterator[None]:
    """MONAI warns of the deprecation of an argument that it gives to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _empty(a: Mask, b: Mask) -> float | None:
    """1 if both masks are empty, 0 if one of them is, None if neither."""
    found = [not bool((np.asarray(m) > 0).any()) for m in (a, b)]
    if not any(found):
        return None
    return 1.0 if all(found) else 0.0


def _cropped(a: Mask, b: Mask) -> tuple[Mask, Mask]:
    """Both within the box that holds either, one voxel wider: distances stay as they are."""
    a, b = np.asarray(a) > 0, np.asarray(b) > 0
    places = np.argwhere(a | b)
    box = tuple(
        slice(int(low), int(high) + 1)
        for low, high in zip(places.min(0), places.max(0), strict=True)
    )
    return np.pad(a[box], 1), np.pad(b[box], 1)


def _tensor(mask: Mask) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.asarray(mask) > 0))[None, None].float()
