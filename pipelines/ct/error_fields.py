"""How errors of neighbouring pixels of a CT image are alike.

Fitted by ``python -m benchmarks.regions --fit --only "ct denoise"`` on slices of training patients
at 25 and 10 % dose.
"""

from __future__ import annotations

from sciddm.uncertainty.error_field import ErrorField

__all__ = ["error_field"]

_LENGTHS = (0.0, 1.0)
#: Method -> model, quality and weights that were measured.
_MEASURED = {"residual": ("ct-denoise", "fast", (0.657, 0.104))}


def error_field(method: str, *, model: str) -> ErrorField | None:
    """Of results of a method, whatever the quality; None where nothing was measured.

    Args:
        method: of the result.
        model: its name, for those who read of the errors.
    """
    if method not in _MEASURED:
        return None
    usual, quality, weights = _MEASURED[method]
    source = f"measured on simulated low doses at quality {quality} with {usual}"
    return ErrorField(
        _LENGTHS, weights, source=source if model == usual else f"{source}, not with {model}"
    )
