"""A classifier of the frames of a spectrogram: one logit for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FrameClassifier"]


class FrameClassifier(nn.Module):
    """``(x (B, 1, F, T), level, None) -> logits (B, 1, 1, T)``; the level is ignored.

    Convolutions over frequency and time halve the frequencies, one layer for each of the
    ``channels``. What remains of a frame becomes ``width`` features. They pass residual
    convolutions over time, with dilations of 1, 2, 4, ..., of which the last sees
    ``context`` frames to each side. Batch normalisation has fixed means and variances after
    training, so that a frame's logit does not depend on the rest of the recording.

    Args:
        bins: F, a multiple of 2^len(channels).
        channels: of the convolutions over frequency and time.
        width: features of a frame.
        layers: number of convolutions over time.
    """

    def __init__(
        self,
        bins: int = 256,
        channels: Sequence[int] = (12, 16, 24, 32),
        width: int = 48,
        layers: int = 3,
    ) -> None:
        super().__init__()
        if bins % 2 ** len(channels):
            raise ValueError(f"bins: {bins} is no multiple of {2 ** len(channels)}")
        self.config: dict[str, Any] = {
            "bins": bins,
            "channels": list(channels),
            "width": width,
            "layers": layers,
        }
        widths = [1, *channels]
        self.spectral = nn.ModuleList(
            nn.Conv2d(a, b, (5, 3), stride=(2, 1), padding=(2, 1))
            for a, b in zip(widths, channels, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in channels)
        self.frame = nn.Conv1d(channels[-1] * (bins // 2 ** len(channels)), width, 1)
        self.temporal = nn.ModuleList(
            nn.Conv1d(width, width, 5, padding=2 * 2**k, dilation=2**k) for k in range(layers)
        )
        self.temporal_norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(layers))
        self.logit = nn.Conv1d(width, 1, 1)
        self.context = len(channels) + 2 * (2**layers - 1)

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        """Logits (B, 1, 1, T) of x (B, 1, F, T)."""
        for convolution, norm in zip(self.spectral, self.norms, strict=True):
            x = functional.silu(norm(convolution(x)))
        x = functional.silu(self.frame(x.flatten(1, 2)))
        for convolution, norm in zip(self.temporal, self.temporal_norms, strict=True):
            x = x + functional.silu(norm(convolution(x)))
        logits: Tensor = self.logit(x)
        return logits[:, :, None]
