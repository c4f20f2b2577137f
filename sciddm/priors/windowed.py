"""A network that sees part of a volume at once, applied to all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.inferers.utils import sliding_window_inference
from torch import Tensor

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.process import Scalar

__all__ = ["WindowedDenoiser", "in_windows"]


class WindowedDenoiser(Denoiser):
    """E[x0 | x_t, cond] of a volume, blended from windows with Gaussian weights.

    Blending the mean at every step, not whole samples at the end, makes the state one for the
    whole volume: windows share their noise and agree on what becomes of it.

    Args:
        denoiser: of windows; its process has no endpoint.
        window: (z, y, x); with z = 1 the denoiser's network is two-dimensional, and sees slices.
        overlap: of neighbouring windows, a share of their sides.
        batch: windows in one evaluation.
        after: called after each evaluation with the number of its windows, for progress.
    """

    def __init__(
        self,
        denoiser: NetworkDenoiser,
        window: Sequence[int],
        overlap: float = 0.25,
        batch: int = 1,
        after: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        if denoiser.process.has_endpoint:
            raise ValueError("a process with an endpoint is not applied in windows")
        self.denoiser = denoiser
        self.process = denoiser.process
        self.data_std = denoiser.data_std
        self.window, self.overlap, self.batch = tuple(window), overlap, batch
        self.after = after

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        """The mean of x0 (B, C, z, y, x); ``t`` is one time for all items."""
        if isinstance(t, Tensor) and t.ndim > 0:
            raise ValueError("windows are denoised at one time for all items")
        channels = x_t.shape[1]
        stacked = x_t if cond is None else torch.cat([x_t, cond], dim=1)

        def mean(part: Tensor) -> Tensor:
            own, beside = part[:, :channels], part[:, channels:]
            out: Tensor = self.denoiser(own, t, None, beside if cond is not None else None)
            return out

        return in_windows(mean, stacked, self.window, self.overlap, self.batch, self.after)


def in_windows(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    window: Sequence[int],
    overlap: float = 0.25,
    batch: int = 1,
    after: Callable[[int], None] | None = None,
) -> Tensor:
    """``function`` of windows of x (B, C, z, y, x), blended with Gaussian weights.

    A volume smaller than the window is one window. With a window one voxel high the function is
    given images (B, C, y, x).
    """
    flat = window[0] == 1
    size = [min(n, w) for n, w in zip(x.shape[2:], window, strict=True)]

    def evaluate(part: Tensor) -> Tensor:
        out = function(part[:, :, 0])[:, :, None] if flat else function(part)
        if after is not None:
            after(len(part))
        return out

    blended = sliding_window_inference(
        x, size, batch, evaluate, overlap=overlap, mode="gaussian", sigma_scale=0.25
    )
    assert isinstance(blended, Tensor)
    return blended
