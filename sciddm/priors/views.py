"""A network asked about the same recording in several forms, and its answers' mean.

Turned in polarity, or moved against the grid that a network's downsampling lays over the frames, a
recording is as likely as before, so an exact estimate would turn and move with it. A trained one
errs a little differently each time, and the mean errs less. It costs an evaluation for each view.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.process import Scalar

__all__ = ["ViewedDenoiser", "mean_of_views", "stride_of"]

# Frames that a network which does not say (`stride`) reduces to one on its coarsest level.
_STRIDE = 64


def mean_of_views(
    estimate: Callable[..., Tensor], count: int, stride: int, *seen: Tensor | None
) -> Tensor:
    """mean_v  g_v^-1 estimate(g_v seen),   g_v: moved by v stride / count frames, times (-1)^v.

    Args:
        estimate: of a spectrogram (B, C, F, T), in the shape of its arguments.
        count: number of views; the first is the recording as it is.
        stride: frames after which the network's grid repeats.
        seen: the arguments; None stays None.
    """
    total: Tensor | float = 0.0
    for view in range(count):
        sign, lead = (-1) ** view, view * stride // count
        moved = [None if s is None else sign * _later(s, lead) for s in seen]
        total = total + sign * estimate(*moved)[..., lead:]
    assert isinstance(total, Tensor)
    return total / count


def _later(spectrogram: Tensor, frames: int) -> Tensor:
    """The first frame repeated in front of it.

    Silence that no microphone records would tell a recurrent network of a beginning.
    """
    lead = spectrogram[..., :1].expand(*spectrogram.shape[:-1], frames)
    return torch.cat([lead, spectrogram], dim=-1)


def stride_of(network: torch.nn.Module) -> int:
    """Frames after which a network's grid repeats."""
    return int(getattr(network, "stride", _STRIDE))


class ViewedDenoiser(Denoiser):
    """E[x0 | x_t, y, cond] as the mean of several views."""

    def __init__(self, denoiser: Denoiser, count: int) -> None:
        super().__init__()
        self.denoiser, self.count = denoiser, count
        self.process, self.data_std = denoiser.process, denoiser.data_std

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        """As ``Denoiser``."""
        stride = stride_of(getattr(self.denoiser, "network", self.denoiser))
        return mean_of_views(
            lambda x, end, c: self.denoiser(x, t, end, c), self.count, stride, x_t, y, cond
        )
