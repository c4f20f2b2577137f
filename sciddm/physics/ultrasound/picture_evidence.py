"""Whether a B-mode picture shows haze, by its speckle and its dark regions.

A picture holds no phase, so its spectrum tells nothing. What is left of the physics:

    level       haze fills what should be dark: cavities, shadows. Clean pictures have black places,
                or the noise of the receiver there.
    width       speckle is as wide as the beam that made it. Haze came through a wider beam, so its
                speckle is wider than that of tissue at the same depth. Receiver noise is narrower.
    contrast    speckle of any Gaussian field has one standard deviation, 5.6 dB on a logarithmic
                scale. Where a dark place has as much as a bright one, it is a field, not a clipped
                rest.

    shape       log amplitude of such a field is skewed to the dark, by the same amount at every
                level; a clipped rest, noise and a screen's filter have other skewness and kurtosis.
    depth       haze fades with depth, receiver noise grows with it.

The picture is cut into bands of equal depth. In each, the fifth of the pixels of lowest local
level is "dark", the half of highest level "bright". Of both, the level, the deviation of the
axially high-passed picture and its kurtosis, those of the picture high-passed both ways and its
skewness, the sums of the lateral and the axial autocorrelation up to the first value below a tenth
(the widths), and the share of black pixels are measured. Levels are also taken in units of the
deviation of speckle, which is the same number of decibels on every screen. Their averages, extremes
and slopes over the bands are the `features` of a picture.

`evidence` is the logarithm of the odds of haze given the features, from a logistic model of
simulated pictures of many screens (`simulation.ultrasound.pictures`), less the value that 10 % of
pictures without haze exceed in the anatomy where most do. Two kinds of pictures have an evidence
below 0 whatever the odds: where dark places are hardly darker than bright ones, nothing shows what
fills them; where their speckle is less than half as wide, no beam of haze made it.
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
    "axial width ratio, mean",
    "axial width ratio, largest",
    "level difference in speckle, mean",
    "level difference in speckle, largest",
    "dark level in speckle, mean",
    "dark skewness",
    "bright skewness",
    "skewness difference",
    "fine contrast ratio",
    "dark kurtosis",
    "kurtosis difference",
    "dark level, slope",
    "width ratio, slope",
    "contrast ratio, slope",
    "width ratio, upper less lower half",
    "anisotropy, dark less bright",
    "bright axial width",
    "bright level",
    "contrast ratio, least",
    "contrast ratio, largest",
    "axial width ratio, least",
    "width ratio, least",
    "dark level in speckle, least",
    "dark level, upper bands",
    "dark level, lower bands",
    "dark width, upper bands",
    "dark axial width, upper bands",
    "bright contrast",
)
_BANDS = 6
_DARK, _BRIGHT = 0.2, 0.5  # quantiles of the local level
_SIDE = 256  # pixels a side of the picture that lengths below refer to
_LEVEL, _HIGH = 6.0, 2.5  # pixels: smoothing of the level, axial smoothing that is taken away
_AXIAL, _FINE = 4.0, 2.0  # pixels: lateral smoothing, and that both ways, that are taken away
_LAGS = 24  # pixels
_FEWEST = 400  # pixels of a band
_BLACK = 1.5 / 255
_SMALL = 1e-4  # of a deviation
_SPECKLE = 0.01  # added to the deviation that levels are divided by
_FAR = 3.0  # standard deviations: features further out than those of the training count as these
_CONTRAST = 0.065  # of the grey scale: difference of dark and bright that a judgement needs
_NARROW = 0.8  # logarithm of how much narrower dark speckle is in 1 % of hazy pictures

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
    axial, lateral, fine = (
        np.where(inner, shown - _mean(shown, inside, (down * scale, across * scale)), 0)
        for down, across in ((_HIGH, 0.0), (0.0, _AXIAL), (_FINE, _FINE))
    )
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
            contrast, _, kurtosis = _moments(axial[part][group])
            grain, skewness, _ = _moments(fine[part][group])
            row += [
                float(level[part][group].mean()),
                contrast,
                _width(axial[part], group, lags, 1) / scale,
                _width(lateral[part], group, lags, 0) / scale,
                float((shown[part][group] <= _BLACK).mean()),
                skewness,
                kurtosis,
                grain,
            ]
        bands.append(row)
    return _summed(np.array(bands)) if len(bands) > 1 else None


def log_odds(values: NDArray[np.float64]) -> float:
    """The logarithm of the odds of haze given the features of a picture."""
    standard = np.clip((values - np.array(_MEAN)) / np.array(_STD), -_FAR, _FAR)
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
    width = float(np.median([f[FEATURES.index("width ratio, mean")] for f in found]))
    return min(odds - _LIMIT, (contrast - _CONTRAST) / _CONTRAST, (width + _NARROW) / _NARROW)


def _summed(bands: NDArray[np.float64]) -> NDArray[np.float64]:
    count, *columns = bands.T
    ld, sd, wd, ad, black, kd, qd, fd = columns[:8]  # of the dark
    lb, sb, wb, ab, _, kb, qb, fb = columns[8:]  # of the bright
    share = count / count.sum()
    width = np.clip(np.log(wd / wb), -1.5, 1.5)
    axial = np.clip(np.log(ad / ab), -1.5, 1.5)
    contrast = np.clip(np.log((sd + 1e-3) / (sb + 1e-3)), -2, 1)
    apart = (lb - ld) / (sb + _SPECKLE)
    dark = np.clip(ld / (sd + _SPECKLE), -30, 30)
    depth = np.linspace(-1, 1, len(ld))
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
            share @ axial,
            axial.max(),
            share @ np.clip(apart, -12, 12),
            np.clip(apart.max(), 0, 20),
            share @ dark,
            share @ np.clip(kd, -2, 2),
            share @ np.clip(kb, -2, 2),
            share @ np.clip(kd - kb, -2, 2),
            share @ np.clip(np.log(fd / fb), -2, 2),
            share @ np.clip(qd, -8, 8),
            share @ np.clip(qd - qb, -8, 8),
            _slope(depth, ld),
            _slope(depth, width),
            _slope(depth, contrast),
            width[:3].mean() - width[3:].mean() if len(width) > 3 else 0.0,
            np.log(wd / ad).mean() - np.log(wb / ab).mean(),
            np.log(ab).mean(),
            share @ lb,
            contrast.min(),
            contrast.max(),
            axial.min(),
            width.min(),
            dark.min(),
            ld[:2].mean(),
            ld[-2:].mean(),
            np.log(wd[:3]).mean(),
            np.log(ad[:3]).mean(),
            share @ sb,
        ]
    )


def _slope(depth: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Of the straight line through values over depth, by least squares."""
    centred = depth - depth.mean()
    return float(centred @ values / (centred @ centred))


def _moments(values: Image) -> tuple[float, float, float]:
    """Deviation, skewness and kurtosis about zero."""
    deviation = float(np.sqrt(np.square(values).mean())) + _SMALL
    third, fourth = (float((values**k).mean()) / deviation**k for k in (3, 4))
    return deviation, third, fourth


def _mean(image: Image, inside: Image, width: tuple[float, float]) -> Image:
    """A Gaussian mean over what is inside."""
    return np.asarray(
        ndimage.gaussian_filter(image, width)
        / np.maximum(ndimage.gaussian_filter(inside, width), 1e-6)
    )


def _width(rough: Image, group: Mask, lags: int, axis: int) -> float:
    """Sum of the autocorrelation along an axis over a group of pixels, in pixels."""
    power = float(np.square(rough[group]).mean())
    if power == 0:
        return 0.5
    along = np.moveaxis(rough, axis, 1)
    of = np.moveaxis(group, axis, 1)
    total = 0.5
    for lag in range(1, lags):
        both = of[:, lag:] & of[:, :-lag]
        if both.sum() < 40:
            break
        value = float((along[:, lag:][both] * along[:, :-lag][both]).mean()) / power
        if value < 0.1:
            break
        total += value
    return total


# Of `python -m benchmarks.ultrasound_evidence --fit`.
_MEAN = [
    -0.1155,
    0.3798,
    -0.1148,
    0.1961,
    0.4446,
    0.3536,
    0.0892,
    0.0864,
    0.1518,
    0.8964,
    1.0188,
    0.0494,
    -0.0948,
    0.4541,
    3.1614,
    4.6020,
    7.7739,
    -0.6221,
    -0.5145,
    -0.1093,
    -0.1103,
    3.5469,
    0.1208,
    -0.0470,
    -0.0163,
    -0.0226,
    0.0214,
    -0.0432,
    0.3267,
    0.6407,
    -0.3426,
    0.0752,
    -0.6173,
    -0.6499,
    6.2329,
    0.5128,
    0.4368,
    0.7660,
    0.3726,
    0.0544,
]
_STD = [
    0.2787,
    0.3730,
    0.2853,
    0.0888,
    0.1891,
    0.2064,
    0.1258,
    0.1861,
    0.2834,
    0.5243,
    0.5152,
    0.0151,
    0.3242,
    0.5023,
    1.5787,
    2.3098,
    4.1500,
    0.4304,
    0.3571,
    0.2804,
    0.2911,
    0.8149,
    0.9203,
    0.0660,
    0.3164,
    0.1489,
    0.4108,
    0.4203,
    0.5189,
    0.1473,
    0.4871,
    0.1607,
    0.5404,
    0.4311,
    3.9890,
    0.1836,
    0.1938,
    0.5983,
    0.5548,
    0.0159,
]
_WEIGHTS = [
    0.0686,
    0.6476,
    0.1151,
    -0.0636,
    -0.0978,
    0.6712,
    0.3208,
    -0.1131,
    -0.3036,
    0.2707,
    0.3147,
    0.3355,
    -0.1947,
    -0.6161,
    -0.0023,
    -0.8337,
    -0.0349,
    -0.1677,
    -0.2488,
    0.0273,
    -0.1810,
    0.2813,
    -0.3036,
    -0.1164,
    0.1305,
    0.2539,
    -0.0742,
    0.0501,
    0.3160,
    -0.1679,
    0.2129,
    0.0796,
    0.2430,
    -0.3946,
    0.4937,
    -0.0884,
    -0.0846,
    0.2855,
    0.2469,
    0.3332,
]
_OFFSET = -0.2741
_LIMIT = 1.4523
