"""What a scanner draws over its image: traces, text, markers, calipers.

Two signs, both within the image's region:

    colour      thin lines and letters in colour. Colour that fills an area is flow, no overlay.
    white       thin lines and letters of one value, much brighter than what surrounds them

"Thin" is what an opening by a square of 5 pixels removes. Echoes that look so, such as a short
specular reflection, count as overlay too; nothing is lost, since they hold no haze.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.geometry.objects import objects

__all__ = ["colour_flow", "coloured", "overlays"]

_COLOURED = 24  # of 255: lossy colour of a grey picture differs by less
_THIN = 5
_BRIGHT, _ABOVE = 200, 70  # of 255: an overlay's value, and how much it exceeds its surroundings
_AROUND = 11
_FEWEST = 12  # pixels of one value, in one frame, that make a drawing

Pages = NDArray[np.uint8]
Masks = NDArray[np.bool_]


def coloured(pages: Pages) -> Masks:
    """Where pages (frame, y, x, 3) are not grey: (frame, y, x)."""
    rgb = pages.astype(np.int16)
    return np.asarray(rgb.max(axis=-1) - rgb.min(axis=-1) > _COLOURED)


def colour_flow(colour: Masks) -> Masks:
    """The part of coloured pixels (frame, y, x) that fills areas."""
    return np.array([ndimage.binary_opening(c, np.ones((_THIN, _THIN))) for c in colour], bool)


def overlays(grey: Pages, mask: Masks, colour: Masks | None = None) -> Masks:
    """Where something is drawn over the image.

    Args:
        grey: (frame, y, x).
        mask: (y, x), the image's region.
        colour: (frame, y, x), coloured pixels; None for grey pictures.

    Returns:
        (frame, y, x), within the mask.
    """
    found = np.stack([_white(page) for page in grey])
    if colour is not None:
        # Lossy compression smears colour over its neighbours.
        found |= np.array([ndimage.binary_dilation(c, iterations=1) for c in colour], bool)
    return found & mask


def _white(page: Pages) -> Masks:
    bright = page >= _BRIGHT
    if not bright.any():
        return np.zeros(page.shape, bool)
    values, counts = np.unique(page[bright], return_counts=True)
    drawn = np.isin(page, values[counts >= _FEWEST]) & bright
    around = ndimage.median_filter(page, _AROUND)
    drawn &= page.astype(np.int16) - around > _ABOVE
    drawn &= ~np.asarray(ndimage.binary_opening(bright, np.ones((_THIN, _THIN))), bool)
    labels, count = objects(drawn, np.ones((3, 3)))
    if count == 0:
        return drawn
    # A drawing is of one value; echoes of a reflector differ from pixel to pixel.
    index = np.arange(1, count + 1)
    sizes = ndimage.sum_labels(drawn, labels, index)
    spread = ndimage.standard_deviation(page, labels, index)
    keep = np.concatenate([[False], (sizes >= _FEWEST) & (spread <= 2)])
    drawing = keep[labels]
    # With its smoothed edges: brighter than the surroundings, next to the drawing.
    edge = ndimage.binary_dilation(drawing, np.ones((3, 3)))
    return np.asarray(drawing | (edge & (page.astype(np.int16) - around > _ABOVE // 3)))
