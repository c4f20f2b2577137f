"""DRUNet: a U-Net without biases that removes white noise of a level it is told as an image.

Parameters have the names of the published weights.

Reference:
    Zhang et al., Plug-and-play image restoration with deep denoiser prior, TPAMI 2022, fig. 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DRUNet"]


class DRUNet(nn.Module):
    """``(x (B, C, y, x), ln sigma (B,), cond) -> E[x0 | x]``, sigma in the unit of x.

    Args:
        channels: C of the images, without the map of the level.
        widths: of the four resolutions.
        blocks: residual blocks of each.
    """

    def __init__(
        self, channels: int = 1, widths: Sequence[int] = (64, 128, 256, 512), blocks: int = 4
    ) -> None:
        super().__init__()
        a, b, c, d = (int(n) for n in widths)
        self.config: dict[str, Any] = {
            "channels": channels,
            "widths": [a, b, c, d],
            "blocks": blocks,
        }
        self.channels = channels
        self.m_head = nn.Conv2d(channels + 1, a, 3, padding=1, bias=False)
        self.m_down1, self.m_down2, self.m_down3 = (
            nn.Sequential(*_residuals(n, blocks), nn.Conv2d(n, m, 2, stride=2, bias=False))
            for n, m in ((a, b), (b, c), (c, d))
        )
        self.m_body = nn.Sequential(*_residuals(d, blocks))
        self.m_up3, self.m_up2, self.m_up1 = (
            nn.Sequential(nn.ConvTranspose2d(m, n, 2, stride=2, bias=False), *_residuals(n, blocks))
            for n, m in ((c, d), (b, c), (a, b))
        )
        self.m_tail = nn.Conv2d(a, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        ny, nx = x.shape[-2:]
        sigma = level.exp().to(x.dtype).reshape(-1, 1, 1, 1).expand(len(x), 1, ny, nx)
        channels = torch.cat([x, sigma], dim=1)
        channels = functional.pad(channels, (0, -nx % 8, 0, -ny % 8), mode="replicate")
        first = self.m_head(channels)
        second = self.m_down1(first)
        third = self.m_down2(second)
        fourth = self.m_down3(third)
        h = self.m_up3(self.m_body(fourth) + fourth)
        h = self.m_up1(self.m_up2(h + third) + second)
        out: Tensor = self.m_tail(h + first)[..., :ny, :nx]
        return out


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.res = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.res(x)
        return out


def _residuals(width: int, count: int) -> list[nn.Module]:
    return [_Residual(width) for _ in range(count)]
