"""A denoiser at two scales: the noise that it meets, and what it leaves of noise it does not know.

A network that was trained on the noise of one scanner may take the texture of another for anatomy.
Halved images show it: means over 2 x 2 pixels have other textures, and less noise. With f the
network's estimate, c that from halved images, carried back, and y the input:

- Where tissue is flat both should agree. The part of f - c that goes with y - f, the noise taken
  away, is noise that f left. Its standard deviation there is the ``leftover``.
- Both are blended by place: c where f - c is no stronger than its median nearby, which is noise; f
  where it is stronger, which is detail that halving has lost (``detail_share``). How far the blend
  should replace an estimate, ``sciddm.uncertainty.noise_response`` says.
- In flat tissue y - c is the noise itself: c has next to none of it. Its power in octaves of
  spatial frequency gives its level and its texture (``measured_noise``).

Halving is done from two corners of the grid, and the mean of both is taken: no pixel is favoured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from sciddm.device import to_numpy

__all__ = [
    "Bools",
    "Noise",
    "body_of",
    "coarse",
    "detail_share",
    "disagreement",
    "flat_tissue",
    "leftover",
    "measured_noise",
    "noise_like",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CORNERS = ((0, 0), (1, 1))
_BODY_HU = -300.0
_FEWEST = 400  # pixels of a body that anything is measured in
_DETAIL = 3.0  # pixels, of the smoothing that detail is what is left of
_NEAR = 2.5  # pixels, of local power that finds flat tissue
_POWER = 3.0  # pixels, of local power that decides by place
_WINDOW = 16  # half-resolution pixels, of the median that noise is told by
_FACTOR = 2.0  # on that median: power of noise scatters
# Of the change to what was left: noise had 2.5 to 4.0 on projections of other filters, detail of
# bone and lung at 3 mm 6.8 to 16.
_RATIOS = (4.25, 5.5)
_MOST_HU = 200.0  # a difference beyond is an edge
_OCTAVES = (0.6, 1.0, 1.6, 2.5)  # pixels: widths of the Gaussians whose differences are the bands
# Ratio of the second band to the first, which windows of the reconstruction raise, and the share of
# the noise of a Ram-Lak reconstruction in the fourth, which they lower: of the training's noise
# without a window, and with Hann's.
_SOFTNESS, _SHARES = (0.55, 1.0), (0.082, 0.057)


@dataclass(frozen=True)
class Noise:
    """The noise of a slice in flat tissue.

    Attributes:
        sd: its standard deviation, HU.
        unfiltered: that of a Ram-Lak reconstruction with as much noise at low frequencies, HU: a
            measure of the dose that no window changes.
    """

    sd: float
    unfiltered: float


def coarse(triple: Tensor, denoise: Callable[[Tensor], Tensor]) -> Tensor:
    """Estimates (..., y, x) from halved images.

    Args:
        triple: (3, y, x), HU: the slice between its neighbours.
        denoise: of such images, (3, y, x) -> (..., y, x).
    """
    ny, nx = triple.shape[-2:]
    parts = []
    for dy, dx in _CORNERS:
        moved = torch.roll(triple, (-dy, -dx), (-2, -1))
        even = pad(moved[None], (0, nx % 2, 0, ny % 2), mode="replicate")
        small = to_numpy(denoise(avg_pool2d(even, 2)[0]))
        factors = (1,) * (small.ndim - 2) + (2, 2)
        whole = ndimage.zoom(small, factors, order=3, grid_mode=True, mode="nearest")
        back = torch.from_numpy(np.ascontiguousarray(whole[..., :ny, :nx])).to(triple.device)
        parts.append(torch.roll(back, (dy, dx), (-2, -1)))
    return torch.stack(parts).mean(0)


def body_of(image: Tensor) -> Bools | None:
    """Where the body is (y, x), away from its skin; None where there is too little of it."""
    body = ndimage.binary_opening(to_numpy(image) > _BODY_HU, iterations=2)
    inner = np.asarray(ndimage.binary_erosion(body, iterations=1), bool)
    return inner if inner.sum() >= _FEWEST else None


def leftover(noisy: Tensor, fine: Tensor, halved: Tensor, flat: Bools) -> float:
    """Standard deviation, HU, of the noise that an estimate left, in flat tissue."""
    left = _detail((fine - halved).clamp(-_MOST_HU, _MOST_HU))
    taken = _detail((noisy - fine).clamp(-_MOST_HU, _MOST_HU))
    energy = float((taken[flat] ** 2).sum())
    if energy == 0:
        return 0.0
    share = float((left * taken)[flat].sum()) / energy
    return max(0.0, share) * float(np.sqrt((taken[flat] ** 2).mean()))


def measured_noise(noisy: Tensor, halved: Tensor, flat: Bools) -> Noise:
    """Level and texture of the noise y - c in flat tissue.

    Args:
        noisy: the image y, HU (y, x).
        halved: the estimate c.
        flat: where to look.
    """
    noise = to_numpy((noisy - halved).clamp(-2 * _MOST_HU, 2 * _MOST_HU).double())
    blurred = [noise, *(ndimage.gaussian_filter(noise, width) for width in _OCTAVES)]
    bands = [
        float(np.sqrt(((sharp - soft)[flat] ** 2).mean())) for sharp, soft in pairwise(blurred)
    ]
    if bands[0] == 0:
        return Noise(0.0, 0.0)
    share = float(np.interp(bands[1] / bands[0], _SOFTNESS, _SHARES))
    return Noise(float(noise[flat].std()), bands[3] / share)


def flat_tissue(fine: Tensor, halved: Tensor, body: Bools) -> Bools:
    """The half of the body in which the estimates of two scales differ least (y, x)."""
    difference = _detail((fine - halved).clamp(-_MOST_HU, _MOST_HU))
    power = ndimage.gaussian_filter(difference**2, _NEAR)
    return np.asarray(body & (power <= np.median(power[body])))


def detail_share(fine: Tensor, halved: Tensor, body: Bools) -> Tensor:
    """w of the blend c + w (f - c), by place: 1 - min(1, 2 N / P), P the power of f - c at a place,
    N its median nearby."""
    power = disagreement(fine, halved)
    inside = np.where(body, power, np.nan)[::2, ::2]
    usual = _median_nearby(inside)
    whole = np.kron(usual, np.ones((2, 2)))[: power.shape[0], : power.shape[1]]
    whole = np.where(np.isfinite(whole), whole, np.median(power[body]))
    share = np.minimum(1.0, _FACTOR * whole / np.maximum(power, 1e-6))
    return torch.from_numpy(1.0 - share).to(fine)


def noise_like(left: float, estimate: Tensor, blend: Tensor, body: Bools) -> float:
    """1 where a blend changes an estimate as noise would be taken away, 0 where it loses detail.

    Noise is everywhere, so that the change over the whole body is a few times what was left in flat
    tissue; detail, as of bone at coarse pixels, makes it much more.
    """
    if left <= 0:
        return 0.0
    inside = torch.from_numpy(body).to(blend.device)
    change = float((blend - estimate)[inside].square().mean().sqrt())
    few, many = _RATIOS
    return min(1.0, max(0.0, (many - change / left) / (many - few)))


def disagreement(fine: Tensor, halved: Tensor) -> Floats:
    """Local power of f - c, HU^2 (y, x)."""
    clipped = to_numpy((fine - halved).clamp(-_MOST_HU, _MOST_HU)).astype(np.float64)
    return np.asarray(ndimage.gaussian_filter(clipped**2, _POWER))


def _detail(image: Tensor) -> Floats:
    values = to_numpy(image).astype(np.float64)
    return np.asarray(values - ndimage.gaussian_filter(values, _DETAIL))


def _median_nearby(values: Floats) -> Floats:
    """Median of the finite values in a square about each pixel, NaN where there is none."""
    reach = _WINDOW // 2
    padded = np.pad(values, reach, constant_values=np.nan)
    windows: Any = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1,) * 2)
    flat = windows.reshape(*values.shape, -1)
    out = np.full(values.shape, np.nan)
    some = np.isfinite(flat).any(-1)
    out[some] = np.nanmedian(flat[some], axis=-1)
    return out
