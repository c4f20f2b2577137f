"""What the probabilities leave open of a lesion: ranges of its volume, SUVmax and TLG.

The core of a lesion are its voxels with P >= .95. Its surroundings are the voxels with P >= .05
that hang together with it, each given to the nearest lesion. With V, V_core, V_wide their volumes,

    MTV:     V (V_core / V)^2  to  V (V_wide / V)^2
    SUVmax:  that of the core  to  that of the surroundings
    TLG:     mean SUV of the core and of the surroundings, times the ends of MTV

The exponent widens what the probabilities say. It was chosen on six lesions of validation patients;
on twelve lesions of training patients that a model did not see the range of MTV held all, that of
SUVmax eleven (benchmarks/results/petct_calibration.md). A range is wider than 90 % needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.geometry.grid import Grid, resample
from sciddm.geometry.objects import objects
from sciddm.physics.petct.lesions import TOUCHING, Lesion

__all__ = ["with_ranges"]

_CORE, _WIDE = 0.95, 0.05
_WIDENING = 2.0


def with_ranges(
    lesions: Sequence[Lesion],
    labels: NDArray[np.int32],
    probability: NDArray[np.floating],
    grid: Grid,
    suv: NDArray[np.floating],
    pet: Grid,
) -> list[Lesion]:
    """The lesions with their ranges.

    Args:
        lesions: as `measure_lesions` found them.
        labels: (z, y, x), the number of the lesion of each voxel, 0 for none.
        probability: (z, y, x), of tumour.
        grid: of both.
        suv: (z, y, x).
        pet: its grid.
    """
    if not lesions:
        return []
    wide = _surroundings(labels, probability)
    core = np.where(probability >= _CORE, labels, 0)
    out = []
    wide_pet, core_pet = (
        resample(part.astype(np.float32), grid, pet, method="nearest").astype(np.int32)
        for part in (wide, core)
    )
    for lesion in lesions:
        v = lesion.mtv_ml
        ends, means, highest = [], [], []
        for part, on_pet in ((core, core_pet), (wide, wide_pet)):
            volume = float((part == lesion.lesion).sum()) * grid.voxel_ml
            ends.append(v * (volume / v) ** _WIDENING)
            values = suv[on_pet == lesion.lesion]
            means.append(float(values.mean()) if values.size else lesion.suv_mean)
            highest.append(float(values.max()) if values.size else lesion.suv_max)
        out.append(
            replace(
                lesion,
                mtv_low_ml=min(ends[0], v),
                mtv_high_ml=max(ends[1], v),
                suv_max_low=min(highest[0], lesion.suv_max),
                suv_max_high=max(highest[1], lesion.suv_max),
                tlg_low=min(means[0] * ends[0], lesion.tlg),
                tlg_high=max(means[1] * ends[1], lesion.tlg),
            )
        )
    return out


def _surroundings(
    labels: NDArray[np.int32], probability: NDArray[np.floating]
) -> NDArray[np.int32]:
    """Every voxel that may be tumour and hangs together with a lesion, by the nearest lesion."""
    parts, _ = objects((probability >= _WIDE) | (labels > 0), TOUCHING)
    reached = np.isin(parts, np.unique(parts[labels > 0])) & (parts > 0)
    nearest = np.empty((labels.ndim, *labels.shape), np.int32)
    ndimage.distance_transform_edt(
        labels == 0, return_distances=False, return_indices=True, indices=nearest
    )
    return np.where(reached, labels[tuple(nearest)], 0).astype(np.int32)
