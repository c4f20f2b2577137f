"""From samples of tissue to the one frame that is written, and its standard deviation.

With W the analytic signal of the samples (of envelopes: the samples), m = E W and A^2 = E|W|^2,

    tissue = Re(A m / |m|),    std = sqrt(E|W - m|^2)

the phase on which the samples agree, with the power that they have. The mean itself has too little
of it wherever their phases differ, |m|^2 = A^2 - std^2, and would turn tissue dark.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciddm.pipelines.ultrasound.waves import analytic

__all__ = ["estimate"]

Real = NDArray[np.float32]


def estimate(samples: Real, *, echoes: bool) -> tuple[Real, Real]:
    """(tissue, std), each (z, x).

    Samples are antithetic pairs: where the estimate is linear in their noise a pair's mean is that
    of the posterior, so squares about it are divided by K, not K - 1. Echoes have the spread of
    their analytic signal, which does not oscillate with the carrier.

    Args:
        samples: (K, z, x) amplitudes.
        echoes: they oscillate along z.
    """
    waves = np.stack([analytic(s) for s in samples]) if echoes else samples
    mean = waves.mean(axis=0)
    std = np.sqrt((np.abs(waves - mean) ** 2).mean(axis=0))
    length = np.abs(mean)
    gain = np.sqrt(length**2 + std**2) / np.maximum(length, np.finfo(np.float32).tiny)
    return (gain * mean).real.astype(np.float32), std.astype(np.float32)
