"""A denoiser at two scales: what it leaves of noise that it was not trained on, and how sure it is.

A network that was trained on the noise of one scanner may take the texture of another for anatomy.
Halved images show it: means over 2 x 2 pixels have other textures, and less noise. With f the
network's estimate, c that from halved images, carried back, and y the input:

- Where tissue is flat both should agree. The part of f - c that goes with y - f, the noise taken
  away, is noise that f left. Its standard deviation there is the ``leftover``.
- Where it is large, f and c are blended by place: c where f - c is no stronger than its median
  nearby, which is noise; f where it is stronger, which is detail that halving has lost (``fused``).
- The local power of f - c is an estimate of the squared error of f that no simulation entered:
  both see other noise and lose other detail (``disagreement``).

Halving is done from two corners of the grid, and the mean of both is taken: no pixel is favoured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

__all__ = ["Bools", "body_of", "coarse", "disagreement", "fused", "leftover", "noise_like"]

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


def coarse(triple: Tensor, denoise: Callable[[Tensor], Tensor]) -> Tensor:
    """The estimate (y, x) from halved images.

    Args:
        triple: (3, y, x), HU: the slice between its neighbours.
        denoise: of such images, (3, y, x) -> (y, x).
    """
    ny, nx = triple.shape[-2:]
    total = torch.zeros(ny, nx)
    for dy, dx in _CORNERS:
        moved = torch.roll(triple, (-dy, -dx), (-2, -1))
        even = pad(moved[None], (0, nx % 2, 0, ny % 2), mode="replicate")
        small = denoise(avg_pool2d(even, 2)[0]).numpy()
        whole = ndimage.zoom(small, 2, order=3, grid_mode=True, mode="nearest")[:ny, :nx]
        total += torch.roll(torch.from_numpy(np.ascontiguousarray(whole)), (dy, dx), (0, 1))
    return total / len(_CORNERS)


def body_of(image: Tensor) -> Bools | None:
    """Where the body is (y, x), away from its skin; None where there is too little of it."""
    body = ndimage.binary_opening(image.numpy() > _BODY_HU, iterations=2)
    inner = np.asarray(ndimage.binary_erosion(body, iterations=1), bool)
    return inner if inner.sum() >= _FEWEST else None


def leftover(noisy: Tensor, fine: Tensor, halved: Tensor, body: Bools) -> float:
    """Standard deviation, HU, of the noise that an estimate left, in flat tissue."""
    left = _detail((fine - halved).clamp(-_MOST_HU, _MOST_HU))
    taken = _detail((noisy - fine).clamp(-_MOST_HU, _MOST_HU))
    power = ndimage.gaussian_filter(left**2, _NEAR)
    flat = body & (power <= np.median(power[body]))
    energy = float((taken[flat] ** 2).sum())
    if energy == 0:
        return 0.0
    share = float((left * taken)[flat].sum()) / energy
    return max(0.0, share) * float(np.sqrt((taken[flat] ** 2).mean()))


def fused(fine: Tensor, halved: Tensor, body: Bools) -> Tensor:
    """c + (1 - w) (f - c), w = min(1, 2 N / P): P is the power of f - c at a place, N its median
    nearby."""
    power = disagreement(fine, halved)
    inside = np.where(body, power, np.nan)[::2, ::2]
    usual = _median_nearby(inside)
    whole = np.kron(usual, np.ones((2, 2)))[: power.shape[0], : power.shape[1]]
    whole = np.where(np.isfinite(whole), whole, np.median(power[body]))
    share = np.minimum(1.0, _FACTOR * whole / np.maximum(power, 1e-6))
    return halved + torch.from_numpy(1.0 - share).to(fine) * (fine - halved)


def noise_like(left: float, estimate: Tensor, blend: Tensor, body: Bools) -> float:
    """1 where a blend changes an estimate as noise would be taken away, 0 where it loses detail.

    Noise is everywhere, so that the change over the whole body is a few times what was left in flat
    tissue; detail, as of bone at coarse pixels, makes it much more.
    """
    if left <= 0:
        return 0.0
    change = float((blend - estimate)[torch.from_numpy(body)].square().mean().sqrt())
    few, many = _RATIOS
    return min(1.0, max(0.0, (many - change / left) / (many - few)))


def disagreement(fine: Tensor, halved: Tensor) -> Floats:
    """Local power of f - c, HU^2 (y, x)."""
    clipped = (fine - halved).clamp(-_MOST_HU, _MOST_HU).double().numpy()
    return np.asarray(ndimage.gaussian_filter(clipped**2, _POWER))


def _detail(image: Tensor) -> Floats:
    values = image.double().numpy()
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
