"""How errors of neighbouring pixels of a denoised band are alike.

Fitted by ``python -m benchmarks.regions --fit --only hsi --quality fast`` on simulated scenes: with
even noise and another level in each band, and with stripes, whose offsets leave errors that reach
further.
"""

from __future__ import annotations

import math

from sciddm.uncertainty.error_field import ErrorField

__all__ = ["error_field"]

_LENGTHS = (0.0, 1.0, 2.0, 16.0, math.inf)
_PLAIN = (0.364, 0.336, 0.0372, 0.0, 0.0325)
_STRIPED = (0.22, 0.0, 0.189, 0.126, 0.0)
_MODEL = "hsi-subspace"


def error_field(method: str, *, striped: bool, model: str) -> ErrorField | None:
    """Of results of the method "subspace", whatever the quality; None of others.

    Args:
        method: of the result.
        striped: whether the scene has striped columns or lines.
        model: its name, for those who read of the errors.
    """
    if method != "subspace":
        return None
    kind = "with stripes" if striped else "without stripes"
    source = f"measured on simulated scenes {kind} at quality fast with {_MODEL}"
    return ErrorField(
        _LENGTHS,
        _STRIPED if striped else _PLAIN,
        source=source if model == _MODEL else f"{source}, not with {model}",
    )
