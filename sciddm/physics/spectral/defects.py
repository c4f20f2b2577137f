"""Which entries that no other band predicts are a sensor's defects, and which are signal.

An entry that disagrees with its prediction from all other bands is either. A defect belongs to one
detector element at one time: other entries disagree independently of it. Signal has neighbours: a
rare surface disagrees in neighbouring bands, or in neighbouring pixels. So the alternative to
"signal" is a process of independent defects with each band's own rate q_b, under which the number
of disagreeing entries among the 26 neighbours of one (3 x 3 pixels, 3 bands) is about

    n ~ Poisson(lambda),    lambda = sum of q_b over the neighbours

An entry with so many that P(N >= n) < 1/1000 is signal. Neighbours in the same band do not count if
they lie in the entry's column or line alone, which is the shape of a sensor's defect too.

A defect that is alone cannot be told from a signal that is alone (a line of emission in one pixel).
Their number can: `defect_rate` is what a band, or all bands together, have more than a few of.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d
from scipy.stats import poisson

__all__ = ["REACH", "defect_rate", "has_company"]

#: Lines and columns around an entry that its judgement depends on.
REACH = 1
_CHANCE = 1e-3
_FEW = 5  # entries of a band that are alone; four times as many of all bands together
_RATE = 5e-4  # share of a band's entries that is no accident
_POOLED = 1e-4  # share of all bands' entries that is none,
_SHARE = 0.25  # if at least so many of the bands have some

Mask = NDArray[np.bool_]


def has_company(candidates: Mask, rate: NDArray[np.floating]) -> Mask:
    """(band, y, x) bool: candidates with more neighbours than independent defects have.

    Args:
        candidates: (band, y, x) bool, entries that disagree with their predictions.
        rate: (band,) share of such entries in each band.
    """
    found = np.zeros(candidates.shape, bool)
    bands = len(candidates)
    for b in np.flatnonzero(candidates.any(axis=(1, 2))):
        here = candidates[b].astype(np.int16)
        beside = [candidates[k].astype(np.int16) for k in (b - 1, b + 1) if 0 <= k < bands]
        count = sum((_block(n) for n in beside), np.zeros_like(here))
        vertical = _pair(here, 0)
        horizontal = _pair(here, 1)
        diagonal = _block(here) - here - vertical - horizontal
        straight = vertical + horizontal
        both = ((vertical > 0) & (horizontal > 0)) | (diagonal > 0)
        count = count + diagonal + np.where(both, straight, 0)
        expected = 8 * rate[b] + 9 * sum(rate[k] for k in (b - 1, b + 1) if 0 <= k < bands)
        least = max(1, int(poisson.isf(_CHANCE, expected)) + 1) if expected > 0 else 1
        found[b] = candidates[b] & (count >= least)
    return found


def defect_rate(alone: NDArray[np.integer], entries: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(band,) bool: bands in which entries that are alone are too many to be signal.

    Args:
        alone: (band,) candidates without company.
        entries: (band,) entries that were looked at.
    """
    here = (alone > _FEW) & (alone > _RATE * np.maximum(entries, 1))
    rest = alone[~here]
    total, whole = int(rest.sum()), max(1, int(entries[~here].sum()))
    everywhere = total > 4 * _FEW and total > _POOLED * whole and (rest > 0).mean() > _SHARE
    return np.asarray(here | everywhere)


def _block(mask: NDArray[np.int16]) -> NDArray[np.int16]:
    """Candidates in the 3 x 3 pixels about each."""
    ones = np.ones(3, np.int16)
    rows = convolve1d(mask, ones, axis=0, mode="constant")
    return np.asarray(convolve1d(rows, ones, axis=1, mode="constant"), np.int16)


def _pair(mask: NDArray[np.int16], axis: int) -> NDArray[np.int16]:
    """Candidates among the two next to each along an axis."""
    beside = np.array([1, 0, 1], np.int16)
    return np.asarray(convolve1d(mask, beside, axis=axis, mode="constant"), np.int16)
