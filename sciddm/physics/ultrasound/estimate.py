"""From samples of tissue to the one frame that is written, and its standard deviation.

With W the analytic signal of the samples (of envelopes: the samples), m = E W and A^2 = E|W|^2,

    tissue = Re(A m / |m|),    std = sqrt(E|W - m|^2)

the phase on which the samples agree, with the power that they have. The mean itself has too little
of it wherever their phases differ, |m|^2 = A^2 - std^2, and would turn tissue dark.

Samples of two priors that are not the scan's own agree with each other more than with the truth,
above all where much was taken away: what is tissue there and what is haze rests on the priors
alone. So the standard deviation that is written allows for a share of what was taken to be wrong,

    std' = q sqrt(std^2 + (c A_taken)^2 + b^2)

with b, c and q from the model's card, found on simulated scans: b and c the most likely of a few, q
such that 90 % of the values lie within their 90 % interval. All are amplitudes, or grey values of
B-mode pictures. Only of pictures is b above 0: haze can be left wherever a picture was changed
little, by some decibels, which are grey values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import ModelError
from sciddm.physics.ultrasound.waves import analytic

__all__ = ["Widening", "estimate"]

Real = NDArray[np.float32]


@dataclass(frozen=True)
class Widening:
    """How much wider a standard deviation is than that of the samples.

    Attributes:
        spread: q.
        taken: c.
        floor: b, a grey value of pictures.
    """

    spread: float = 1.0
    taken: float = 0.0
    floor: float = 0.0

    @classmethod
    def of_card(cls, calibration: Mapping[str, Any], quality: str) -> Self:
        """A card's entry for a quality; none if it has none.

        Raises:
            ModelError: it is not {"spread": q > 0, "taken": c >= 0, "floor": b >= 0}.
        """
        try:
            found = cls(**calibration.get(quality, {}))
            known = found.spread > 0 and found.taken >= 0 and found.floor >= 0
        except TypeError as error:
            raise ModelError(f"the card's calibration of {quality} is of another form") from error
        if not known:
            raise ModelError(f"the card's calibration of {quality}: {found} is none")
        return found

    def __call__(self, std: Real, taken: Real) -> Real:
        """std', each (z, x): amplitudes, or grey values of pictures."""
        total = np.hypot(std, self.taken * taken)
        out: Real = (self.spread * np.hypot(total, self.floor)).astype(np.float32)
        return out


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
