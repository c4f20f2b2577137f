"""How errors of neighbouring pixels of a CT image are alike.

Fitted by ``python -m benchmarks.regions --fit --only "ct denoise" "ct reconstruct"`` on slices of
training patients at 25 and 10 % dose.
"""

from __future__ import annotations

from sciddm.uncertainty.error_field import ErrorField

__all__ = ["error_field"]

_LENGTHS = (0.0, 1.0)
_WEIGHTS = {
    ("residual", "fast"): (0.657, 0.104),
    ("residual", "balanced"): (0.657, 0.104),
    ("posterior", "fast"): (0.657, 0.104),
    ("posterior", "balanced"): (0.657, 0.104),
}
_MODELS = {"residual": "ct-denoise", "posterior": "ct-prior"}


def error_field(method: str, quality: str, *, model: str) -> ErrorField | None:
    """Of results of a method and quality ("best" has that of "balanced"); None where the method has
    no standard deviation.

    Args:
        method: of the result.
        quality: of the result.
        model: its name, for those who read of the errors.
    """
    level = "fast" if quality == "fast" else "balanced"
    if (method, level) not in _WEIGHTS:
        return None
    source = f"measured on simulated low doses at quality {level} with {_MODELS[method]}"
    if model != _MODELS[method]:
        source += f", not with {model}"
    return ErrorField(_LENGTHS, _WEIGHTS[method, level], source=source)
