"""Where sampling of envelopes starts: haze as a smooth veil over what is dark.

Envelopes hold no phase, so nothing tells tissue from haze by its spectrum. What is known is that
haze is smooth: with P the local power of the scan, its power is at most about what the darker parts
of the surroundings have,

    g = min(1/2, Q / P),    H^2 = g Y^2,    X^2 = (1 - g) Y^2

with Q the 20th percentile of P over a quarter of the depth and a third of the lines, smoothed. Even
speckle that fills the surroundings cannot be told from haze this way. So no place begins with more
haze than tissue: which of the two it is, is for the priors.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

__all__ = ["veil"]

_LOCAL = (3.0, 2.0)  # samples, lines
_COARSE = 64  # rows and columns, at most
_MOST = 0.5
_SMALL = 1e-10  # of full scale squared


def veil(envelope: Tensor) -> Tensor:
    """The share g of haze in the power of an envelope (z, x), 0 to 1/2."""
    power = ndimage.gaussian_filter(envelope.square().numpy(), _LOCAL, mode="nearest")
    log = np.log(power + _SMALL)
    # The veil is smooth: a coarse grid holds it, and the percentile of large windows takes time.
    coarse = log[:: -(-len(log) // _COARSE), :: -(-log.shape[1] // _COARSE)]
    rows, columns = coarse.shape
    around = [max(3, rows // 4), max(3, columns // 3)]
    dark = np.exp(ndimage.percentile_filter(coarse, 20, size=around, mode="nearest"))
    dark = ndimage.gaussian_filter(dark, (rows / 16, columns / 12), mode="nearest")
    place = [np.linspace(0, n - 1, m) for n, m in zip(dark.shape, log.shape, strict=True)]
    grid = np.meshgrid(*place, indexing="ij")
    smooth = ndimage.map_coordinates(dark, grid, order=1, mode="nearest")
    share = np.clip(smooth / (power + _SMALL), 0, _MOST)
    return torch.from_numpy(share.astype(np.float32))
