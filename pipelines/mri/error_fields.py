"""How errors of neighbouring pixels of a reconstruction are alike.

Fitted by ``python -m benchmarks.regions --fit --only mri --quality fast`` on simulated scans of
patient 09 and of five training patients (R = 4 and 8, 30 dB). The weights sum to more than 1: scans
differ in how far their errors exceed the standard deviation, and errors of regions, which average
over pixels, show it.
"""

from __future__ import annotations

import numpy as np

from sciddm.uncertainty.error_field import ErrorField

__all__ = ["error_field"]

_LENGTHS = (0.0, 1.0)
#: Acceleration -> weights; interpolated between.
_WEIGHTS = {4.0: (0.992, 1.97), 8.0: (0.0, 6.04)}
_MODEL = "mri-brain"


def error_field(acceleration: float, *, model: str) -> ErrorField:
    """Of results of a scan, whatever the quality.

    Args:
        acceleration: of the scan.
        model: its name, for those who read of the errors.
    """
    table = np.array([*_WEIGHTS.values()])
    weights = tuple(float(np.interp(acceleration, [*_WEIGHTS], column)) for column in table.T)
    source = f"measured on simulated heads at quality fast with {_MODEL}"
    return ErrorField(
        _LENGTHS, weights, source=source if model == _MODEL else f"{source}, not with {model}"
    )
