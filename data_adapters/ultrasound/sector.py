"""Where the image is on a scanner's screen: apart from text, scales and logos."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.geometry.objects import objects

__all__ = ["image_region"]

_DARK = 0.02  # of the scale: black with the noise of lossy compression


def image_region(frames: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The largest connected patch that is not black, without holes: (depth, lateral).

    Text and scales are small patches of their own, so they stay outside, and untouched. Dark parts
    within the image (cavities) are bridged if they are narrower than an eighth of the frame or
    closed by brighter tissue.

    Args:
        frames: (frame, depth, lateral), 0 to 1.
    """
    lit = frames.max(axis=0) > _DARK
    if not lit.any():
        return np.zeros(lit.shape, bool)
    # Speckle is full of dark pixels: a patch is what a few pixels' distance connects.
    near = ndimage.binary_closing(np.pad(lit, 8), iterations=3)[8:-8, 8:-8]
    opened = ndimage.binary_opening(near, iterations=3)
    labels, count = objects(opened)
    if count == 0:
        out: NDArray[np.bool_] = lit
        return out
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    whole = labels == int(sizes.argmax())
    reach = max(1, min(lit.shape) // 16)
    margin = reach + 1
    closed = ndimage.binary_closing(np.pad(whole, margin), iterations=reach)
    closed = closed[margin:-margin, margin:-margin]
    filled = ndimage.binary_fill_holes(closed)
    return np.asarray(filled, bool)
