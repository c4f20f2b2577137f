"""How errors of neighbouring pixels of a CT image are alike.

Fitted by ``python -m benchmarks.regions --fit``: of denoised images on slices of training patients
at 25 and 10 % dose (``--only "ct denoise"``), of reconstructions on projections of such slices, of
those doses and of 90 views (``--only "ct reconstruct" --quality fast``). The truth of those is a
real image with noise of its own. The weight of a reconstruction is therefore more than 1, and its
errors are those of pixels for themselves.
"""

from __future__ import annotations

import numpy as np

from sciddm.uncertainty.error_field import ErrorField

__all__ = ["error_field"]

_DENOISED = ErrorField((0.0, 1.0), (0.657, 0.104))
#: Missing views (``Scan.missing_views``) -> weight of length 0; interpolated between.
_RECONSTRUCTED = {0.9: 3.36, 3.3: 2.82}
_MODELS = {"residual": "ct-denoise", "posterior": "ct-prior"}
_MEASURED_ON = {
    "residual": "simulated low doses",
    "posterior": "simulated projections of low doses and of 90 views",
}


def error_field(method: str, *, model: str, missing_views: float = 1.0) -> ErrorField | None:
    """Of results of a method, whatever the quality; None where nothing was measured.

    Args:
        method: of the result.
        model: its name, for those who read of the errors.
        missing_views: how many times the views of a scan its image needs.
    """
    if method not in _MODELS:
        return None
    usual = _MODELS[method]
    source = f"measured on {_MEASURED_ON[method]} at quality fast with {usual}"
    source = source if model == usual else f"{source}, not with {model}"
    if method == "residual":
        return ErrorField(_DENOISED.lengths, _DENOISED.weights, source=source)
    weight = float(np.interp(missing_views, [*_RECONSTRUCTED], [*_RECONSTRUCTED.values()]))
    return ErrorField((0.0,), (weight,), source=source)
