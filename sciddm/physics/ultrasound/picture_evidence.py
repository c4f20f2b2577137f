"""Whether a B-mode picture shows haze, by its speckle and its dark regions.

A picture holds no phase, so its spectrum tells nothing. What is left of the physics:

    level       haze fills what should be dark: cavities, shadows. Clean pictures have black places,
                or the noise of the receiver there.
    width       speckle is as wide as the beam that made it. Haze came through a wider beam, so its
                speckle is wider than that of tissue at the same depth. Receiver noise is narrower.
    contrast    speckle of any Gaussian field has one standard deviation, 5.6 dB on a logarithmic
                scale. Where a dark place has as much as a bright one, it is a field, not a clipped
                rest.

The picture is cut into bands of equal depth. In each, the fifth of the pixels of lowest local
level is "dark", the half of highest level "bright". Of both, the level, the deviation of the
axially high-passed picture, the sum of its lateral autocorrelation up to the first value below a
tenth (the width), and the share of black pixels are measured. Their averages and extremes over the
bands are the `features` of a picture.

`evidence` is the logarithm of the odds of haze given the features, from a logistic model of
simulated pictures of many screens (`simulation.ultrasound.pictures`), less the value that 5 % of
pictures without haze exceed. A picture whose dark places are hardly darker than its bright ones
cannot show what fills them: its evidence is below 0, whatever the odds.
`python -m benchmarks.ultrasound_evidence` fits the model and tells how often it is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["FEATURES", "evidence", "features", "judged", "log_odds"]

FEATURES = (
    "width ratio, mean",
    "width ratio, largest",
    "contrast ratio, mean",
    "level difference, mean",
    "dark level, mean",
    "dark level, least",
    "dark level, first less last",
    "black share of the dark, root mean",
    "black share of the dark, largest root",
    "dark width",
    "bright width",
    "dark contrast",
)
_BANDS = 6
_DARK, _BRIGHT = 0.2, 0.5  # quantiles of the local level
_SIDE = 256  # pixels a side of the picture that lengths below refer to
_LEVEL, _HIGH = 6.0, 2.5  # pixels: smoothing of the level, axial smoothing that is taken away
_LAGS = 24  # pixels
_FEWEST = 400  # pixels of a band
_BLACK = 1.5 / 255
_CONTRAST = 0.065  # of the grey scale: difference of dark and bright that a judgement needs

Image = NDArray[np.floating]
Mask = NDArray[np.bool_]


def features(image: Image, mask: Mask) -> NDArray[np.float64] | None:
    """The features of a picture; None where too little of it is there.

    Args:
        image: (y, x), grey values from 0 to 1.
        mask: (y, x), where the image is.
    """
    inner = np.asarray(ndimage.binary_erosion(mask, iterations=4), bool)
    rows = np.nonzero(inner.any(axis=1))[0]
    scale = float(np.sqrt(inner.sum()) / _SIDE)
    if len(rows) < 4 * _BANDS or scale < 0.1:
        return None
    shown = np.where(inner, image, 0).astype(np.float32)
    inside = inner.astype(np.float32)
    level = _mean(shown, inside, (_LEVEL * scale, _LEVEL * scale))
    rough = np.where(inner, shown - _mean(shown, inside, (_HIGH * scale, 0)), 0)
    lags = max(4, round(_LAGS * scale))
    edges = np.linspace(rows[0], rows[-1] + 1, _BANDS + 1).astype(int)
    bands = []
    for first, last in pairwise(edges.tolist()):
        part = slice(first, last)
        if int(inner[part].sum()) < _FEWEST * min(1.0, scale**2):
            continue
        low, high = np.quantile(level[part][inner[part]], [_DARK, _BRIGHT])
        row = [float(inner[part].sum())]
        for group in (inner[part] & (level[part] <= low), inner[part] & (level[part] >= high)):
            row += [
                float(level[part][group].mean()),
                float(np.sqrt(np.square(rough[part][group]).mean())),
                _width(rough[part], group, lags) / scale,
                float((image[part][group] <= _BLACK).mean()),
            ]
        bands.append(row)
    return _summed(np.array(bands)) if len(bands) > 1 else None


def log_odds(values: NDArray[np.float64]) -> float:
    """The logarithm of the odds of haze given the features of a picture."""
    standard = (values - np.array(_MEAN)) / np.array(_STD)
    return float(standard @ np.array(_WEIGHTS) + _OFFSET)


def evidence(images: Sequence[Image], mask: Mask) -> float | None:
    """The evidence for haze in frames of a clip: above 0 they show haze; None where too little is
    there.

    Args:
        images: (y, x) each, grey values from 0 to 1.
        mask: (y, x), where the image is.
    """
    found = [f for f in (features(image, mask) for image in images) if f is not None]
    return judged(found) if found else None


def judged(found: Sequence[NDArray[np.float64]]) -> float:
    """`evidence` of the features of some frames."""
    contrast = float(np.median([f[FEATURES.index("level difference, mean")] for f in found]))
    odds = float(np.median([log_odds(f) for f in found]))
    return min(odds - _LIMIT, (contrast - _CONTRAST) / _CONTRAST)


def _summed(bands: NDArray[np.float64]) -> NDArray[np.float64]:
    count, ld, sd, wd, black, lb, sb, wb, _ = bands.T
    share = count / count.sum()
    width = np.clip(np.log(wd / wb), -1.5, 1.5)
    contrast = np.clip(np.log((sd + 1e-3) / (sb + 1e-3)), -2, 1)
    return np.array(
        [
            share @ width,
            width.max(),
            share @ contrast,
            share @ (lb - ld),
            share @ ld,
            ld.min(),
            ld[0] - ld[-1],
            share @ np.sqrt(black),
            np.sqrt(black).max(),
            np.log(wd).mean(),
            np.log(wb).mean(),
            share @ sd,
        ]
    )


def _mean(image: Image, inside: Image, width: tuple[float, float]) -> Image:
    """A Gaussian mean over what is inside."""
    return np.asarray(
        ndimage.gaussian_filter(image, width)
        / np.maximum(ndimage.gaussian_filter(inside, width), 1e-6)
    )


def _width(rough: Image, group: Mask, lags: int) -> float:
    """Sum of the lateral autocorrelation over a group of pixels, in pixels."""
    power = float(np.square(rough[group]).mean())
    if power == 0:
        return 0.5
    total = 0.5
    for lag in range(1, lags):
        both = group[:, lag:] & group[:, :-lag]
        if both.sum() < 40:
            break
        value = float((rough[:, lag:][both] * rough[:, :-lag][both]).mean()) / power
        if value < 0.1:
            break
        total += value
    return total


# Of `python -m benchmarks.ultrasound_evidence --fit`.
_MEAN = [
    -0.1007,
    0.3949,
    -0.1127,
    0.1983,
    0.4445,
    0.3534,
    0.089,
    0.0922,
    0.1587,
    0.9082,
    1.0148,
    0.0495,
]
_STD = [
    0.2722,
    0.3692,
    0.2917,
    0.0891,
    0.1895,
    0.2057,
    0.1255,
    0.195,
    0.2936,
    0.5286,
    0.5147,
    0.0157,
]
_WEIGHTS = [
    0.1911,
    0.7683,
    0.1257,
    -0.6909,
    -2.9834,
    3.3215,
    0.3927,
    -0.071,
    -0.5059,
    -0.2184,
    1.1027,
    0.6414,
]
_OFFSET = -0.2107
_LIMIT = 1.7568
