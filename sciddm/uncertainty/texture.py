"""Has an image texture, as tissue has, or flat parts between edges, as a phantom has?

Features of a network do not tell a phantom of discs or bars from a head. What does is
how much of the object is flat: with g the magnitude of the gradient of the image, smoothed by a
Gaussian of one pixel, over the inside of the object,

    texture = median g / 99th percentile of g.

Tissue varies everywhere, and in a phantom of few levels the median is next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.uncertainty.verdict import Finding

__all__ = ["texture", "texture_finding", "texture_limit"]

#: Percentile that counts as bright, and part of it from which a pixel is object.
_BRIGHT, _OBJECT = 99.5, 0.15
#: Smoothing of the outline and of the image (pixels), depth that is left out below the outline, and
#: pixels that must remain.
_OUTLINE, _SMOOTHING, _DEPTH, _LEAST = 2.0, 1.0, 6, 400
#: Part of the training data that may lie below their limit.
_BELOW = 0.005


def texture(image: NDArray[np.floating]) -> float | None:
    """The figure of an image (y, x), real and not negative; None where little of an object is."""
    bright = float(np.percentile(image, _BRIGHT))
    if not bright > 0:
        return None
    inside = ndimage.gaussian_filter(image, _OUTLINE) > _OBJECT * bright
    inside = ndimage.binary_erosion(ndimage.binary_fill_holes(inside), iterations=_DEPTH)
    if int(inside.sum()) < _LEAST:
        return None
    down, right = np.gradient(ndimage.gaussian_filter(image, _SMOOTHING))
    median, largest = np.quantile(np.hypot(down, right)[inside], (0.5, 0.99))
    return float(median / largest) if largest > 0 else 0.0


def texture_limit(images: Iterable[NDArray[np.floating]]) -> float:
    """The figure that 99.5 % of images (y, x) of the training data lie above, 0 where none has one.

    Of fewer than 200 images it is next to the least.
    """
    values = [value for value in map(texture, images) if value is not None]
    return round(float(np.quantile(values, _BELOW)), 4) if values else 0.0


def texture_finding(familiar: Finding, textures: Sequence[float | None], limit: float) -> Finding:
    """The answer to "is the input familiar?", "no" where the object is flatter than the limit.

    Args:
        familiar: the answer by other figures.
        textures: of the slices; their median decides.
        limit: texture below which no object of the training data lies.
    """
    values = [value for value in textures if value is not None]
    if familiar.answer != "yes" or not values or float(np.median(values)) >= limit:
        return familiar
    median = float(np.median(values))
    sentence = (
        f"Most of the object is flat, as in a phantom (texture {median:.3f}, in the training data "
        f"{limit:.2f} or more): the image is unlike them. The intervals may be too narrow."
    )
    return Finding("no", median, limit, sentence)
