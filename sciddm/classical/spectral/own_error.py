"""Mean squared error of an estimate from its data alone, and what a standard deviation lacks.

For data v = c + n with white noise of variance 1 and any estimate f(v) Stein's identity gives

    E |f(v) - c|^2 = E |f(v) - v|^2 - K + 2 E tr(df / dv),
    tr(df / dv) = E_b [b . (f(v + eps b) - f(v)) / eps],   b ~ N(0, I)

(Stein, 1981; Ramani, Blu and Unser, 2008). Per coefficient image, over N pixels, its chance is
sqrt(2 / N) or less: more than the error itself where that is small. So the ratio of error to stated
variance of each image is drawn to that of all together, and that to the one of simulated scenes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["own_error", "variance_factors"]

Array = NDArray[np.float64]
_COMMON = 0.35  # standard deviation of scenes' ratios about that of simulated ones
_OWN = 0.3  # of images' ratios about their scene's
_BOUNDS = (0.7, 25.0)


def own_error(
    residual: NDArray[np.floating],
    direction: NDArray[np.floating],
    change: NDArray[np.floating],
    step: float,
    share: NDArray[np.floating],
) -> tuple[Array, Array]:
    """(mean squared error, its standard error) of each image, (k,).

    Args:
        residual: (k, pixel) v - f(v), of the bands that were measured.
        direction: (k, pixel) b, likewise.
        change: (k, pixel) f(v + step b) - f(v), likewise.
        step: eps.
        share: (pixel,) of the bands that were measured: the noise has this variance then, and
            residuals are shorter by it.
    """
    away = np.asarray(residual, np.float64) ** 2
    response = direction * np.asarray(change, np.float64) / (step * share)
    each = (away - share + 2 * response) / share**2
    return each.mean(axis=1), each.std(axis=1) / np.sqrt(each.shape[1])


def variance_factors(
    error: Array, chance: Array, variance: Array, expected: float
) -> tuple[Array, float]:
    """(factor of each image's variance, that of all), by which intervals fit the errors.

    Args:
        error: (k,) mean squared errors.
        chance: (k,) their standard errors.
        variance: (k,) means of the stated variances.
        expected: the factor of simulated scenes.
    """
    total = max(float(variance.sum()), np.finfo(np.float64).tiny)
    spread = float(np.sqrt((chance**2).sum())) / total
    common = _drawn(float(error.sum()) / total, spread, expected, _COMMON * expected)
    stated = np.maximum(variance, np.finfo(np.float64).tiny)
    own = np.array(
        [
            _drawn(e / v, c / v, common, _OWN * common)
            for e, c, v in zip(error, chance, stated, strict=True)
        ]
    )
    return np.clip(own, *_BOUNDS), float(np.clip(common, *_BOUNDS))


def _drawn(value: float, error: float, towards: float, width: float) -> float:
    """Mean of a normal value about its prior, which is as wide as a sure value needs it to be."""
    width = max(width, abs(value - towards) - 2 * error)
    weight = 1 / max(error, 1e-12) ** 2
    return (weight * value + towards / width**2) / (weight + 1 / width**2)
