"""How errors of neighbouring pixels of a reconstruction are alike.

Fitted by ``python -m benchmarks.regions --fit --only mri`` on simulated scans of patient 09 and of
five training patients (R = 4 and 8, 30 dB). The weights sum to more than 1: scans differ in how far
their errors exceed the standard deviation, and errors of regions, which average over pixels, show
it.
"""

from __future__ import annotations

import numpy as np

from sciddm.uncertainty.error_field import ErrorField

__all__ = ["error_field"]

_LENGTHS = (0.0, 1.0)
_ACCELERATIONS = (4.0, 8.0)
#: Quality -> weights at each acceleration.
_WEIGHTS = {
    "fast": ((0.992, 1.97), (0.0, 6.04)),
    "balanced": ((0.992, 1.97), (0.0, 6.04)),
}


def error_field(quality: str, acceleration: float, *, model: str) -> ErrorField:
    """Of results of a quality; "best" has that of "balanced".

    Args:
        quality: of the result.
        acceleration: of the scan; between those that were measured weights are interpolated.
        model: its name, for those who read of the errors.
    """
    level = "fast" if quality == "fast" else "balanced"
    table = np.array(_WEIGHTS[level])
    weights = tuple(float(np.interp(acceleration, _ACCELERATIONS, column)) for column in table.T)
    source = f"measured on simulated heads at quality {level} with mri-brain"
    if model != "mri-brain":
        source += f", not with {model}"
    return ErrorField(_LENGTHS, weights, source=source)
