"""k-space trajectories that leave the grid: radial and spiral.

A trajectory is an array (shot, sample, 2) of positions (ky, kx) in cycles per field of view: on the
grid of an N x M image these are the integers from -(N//2), and the image resolves |k| < N/2.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["GOLDEN_ANGLE", "radial", "spiral"]

#: pi / golden ratio, 111.246 degrees: whatever the number of successive spokes, their angles fill
#: the half turn nearly evenly (Winkelmann et al., IEEE Trans Med Imaging 26:68, 2007).
GOLDEN_ANGLE = math.pi * 2 / (1 + math.sqrt(5))


def radial(
    spokes: int, samples: int, size: int, *, golden: bool = True, first: float = 0.0
) -> NDArray[np.float64]:
    """Diameters through the centre, (spokes, samples, 2).

    Sample j lies at (j - samples // 2) size / samples along its spoke, so the centre is sampled by
    every spoke; samples > size oversamples the readout.

    Args:
        spokes: number of diameters.
        samples: of each.
        size: side of the image in pixels: the spokes are ``size`` cycles per field of view long.
        golden: successive angles differ by ``GOLDEN_ANGLE``; otherwise they divide the half turn.
        first: angle of the first spoke from kx towards ky, radians.
    """
    _at_least_one(spokes=spokes, samples=samples, size=size)
    step = GOLDEN_ANGLE if golden else math.pi / spokes
    angle = first + step * np.arange(spokes)
    along = (np.arange(samples) - samples // 2) * size / samples
    return np.stack([np.outer(np.sin(angle), along), np.outer(np.cos(angle), along)], axis=-1)


def spiral(
    arms: int, samples: int, size: int, turns: float, *, power: float = 1.0
) -> NDArray[np.float64]:
    """Interleaved spirals from the centre outwards, (arms, samples, 2).

        |k| = (size / 2) u^power,  angle = 2 pi (turns u + arm / arms),  u = j / samples

    The distance of neighbouring windings is size / (2 turns arms) cycles per field of view for
    power 1 (Archimedean); a larger power samples the centre more densely.
    """
    _at_least_one(arms=arms, samples=samples, size=size)
    if not (turns > 0 and power > 0):
        raise ValueError("a spiral has more than 0 turns and a power above 0")
    u = np.arange(samples) / samples
    angle = 2 * math.pi * (turns * u + np.arange(arms)[:, None] / arms)
    radius = size / 2 * u**power
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=-1)


def _at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")
