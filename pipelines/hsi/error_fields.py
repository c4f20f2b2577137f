"""How errors of neighbouring pixels of a denoised band are alike.

Fitted by ``python -m benchmarks.regions --fit --only hsi`` on simulated scenes, with even noise and
another level in each band (plain), and with stripes: what is left of their offsets all pixels of a
band have in common.
"""

from __future__ import annotations

import math

from sciddm.uncertainty.error_field import ErrorField

__all__ = ["error_field"]

_LENGTHS = (0.0, 1.0, 2.0, 16.0, math.inf)
_WEIGHTS = {
    ("fast", "plain"): (0.364, 0.336, 0.0372, 0.0, 0.0325),
    ("fast", "stripes"): (0.22, 0.0, 0.189, 0.126, 0.0),
    ("balanced", "plain"): (0.364, 0.336, 0.0372, 0.0, 0.0325),
    ("balanced", "stripes"): (0.22, 0.0, 0.189, 0.126, 0.0),
}


def error_field(method: str, quality: str, *, striped: bool, model: str) -> ErrorField | None:
    """Of results of the method "subspace" ("best" has that of "balanced"); None of others.

    Args:
        method: of the result.
        quality: of the result.
        striped: whether the scene has striped columns or lines.
        model: its name, for those who read of the errors.
    """
    if method != "subspace":
        return None
    level = "fast" if quality == "fast" else "balanced"
    kind = "stripes" if striped else "plain"
    source = f"measured on simulated scenes with {kind} noise at quality {level} with hsi-subspace"
    if kind == "stripes":
        source = source.replace("stripes noise", "stripes")
    if model != "hsi-subspace":
        source += f", not with {model}"
    return ErrorField(_LENGTHS, _WEIGHTS[level, kind], source=source)
