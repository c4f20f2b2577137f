"""A U-Net for images of any size whose output at a pixel depends on the pixels near it only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.networks.level_embedding import EMBEDDING, LevelEmbedding

__all__ = ["LocalUNet"]


class LocalUNet(nn.Module):
    """``(x (B, C, y, x), ln(s/a), cond) -> (B, C', y, x)`` without any normalisation.

    An image larger than memory is processed in tiles, and tiles must give what the whole gives: so
    nothing here looks at all pixels at once, and beyond ``context`` pixels the input has exactly no
    influence, as long as tiles begin at multiples of ``stride`` pixels. Residual blocks that begin
    as the identity need no normalisation to train (as in EDSR, Lim et al., 2017, and DRUNet, Zhang
    et al., 2021), and the noise level reaches each by a gain and bias per channel.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        channels: width of each level; the resolution halves between levels.
        blocks: residual blocks at each level but the last, on the way down and again up, and those
            of the last level.
        patch: p x p blocks of the input are channels of the first level (space to depth).
        cond_channels: channels of ``cond``, which is stacked behind the input.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int] = (32, 64, 128),
        blocks: Sequence[int] = (1, 2, 5),
        patch: int = 1,
        cond_channels: int = 0,
    ) -> None:
        super().__init__()
        if len(blocks) != len(channels):
            raise ValueError(f"{len(channels)} levels need {len(channels)} numbers of blocks")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "channels": list(channels),
            "blocks": list(blocks),
            "patch": patch,
            "cond_channels": cond_channels,
        }
        self.patch = patch
        self.cond_channels = cond_channels
        self.stride = patch * 2 ** (len(channels) - 1)
        self.embedding = LevelEmbedding()
        self.first = nn.Conv2d((in_channels + cond_channels) * patch**2, channels[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.smaller, self.larger = nn.ModuleList(), nn.ModuleList()
        for i, count in enumerate(blocks[:-1]):
            wide, deep = channels[i], channels[i + 1]
            self.down.append(_blocks(wide, count))
            self.smaller.append(nn.Conv2d(wide, deep, 2, stride=2))
            self.larger.append(nn.Conv2d(deep, 4 * wide, 1))
            self.up.append(_blocks(wide, count))
        self.middle = _blocks(channels[-1], blocks[-1])
        self.last = _zero(nn.Conv2d(channels[0], out_channels * patch**2, 3, padding=1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def context(self) -> int:
        """Pixels around a pixel that can influence its output.

        A block reaches two pixels of its level; a level's stride is lost to the position of a
        pixel within its block of the level above.
        """
        blocks = self.config["blocks"]
        reach = 2 * self.patch  # first and last
        for i, count in enumerate(blocks):
            passes = 2 if i < len(blocks) - 1 else 1
            reach += 2 * passes * count * self.patch * 2**i
        return reach + self.stride - 1

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        """Output for x (B, C, y, x), level (B,) = ln(s/a) and cond (B, C', y, x)."""
        if (cond is None) != (self.cond_channels == 0):
            raise ValueError(f"the network takes {self.cond_channels} channels of conditioning")
        if cond is not None:
            x = torch.cat([x, cond], dim=1)
        height, width = x.shape[2:]
        margin = (0, -width % self.stride, 0, -height % self.stride)
        if any(margin):
            x = functional.pad(x, margin, mode="replicate")
        if self.patch > 1:
            x = functional.pixel_unshuffle(x, self.patch)
        emb = self.embedding(level)
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for blocks, smaller in zip(self.down, self.smaller, strict=True):
            x = _run(blocks, x, emb)
            skips.append(x)
            x = smaller(x)
        x = _run(self.middle, x, emb)
        for i in reversed(range(len(self.up))):
            x = functional.pixel_shuffle(self.larger[i](x), 2) + skips.pop()
            x = _run(self.up[i], x.contiguous(memory_format=torch.channels_last), emb)
        x = self.last(functional.silu(x))
        if self.patch > 1:
            x = functional.pixel_shuffle(x, self.patch)
        return x[:, :, :height, :width]


class _Block(nn.Module):
    """x + conv(silu(film(conv(silu x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = _zero(nn.Conv2d(channels, channels, 3, padding=1))
        self.film = nn.Linear(EMBEDDING, 2 * channels)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        gain, bias = self.film(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(functional.silu(x)) * (1 + gain) + bias
        return x + self.conv2(functional.silu(h))


def _blocks(channels: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(_Block(channels) for _ in range(count))


def _run(blocks: nn.Module, x: Tensor, emb: Tensor) -> Tensor:
    for block in blocks:  # type: ignore[attr-defined]
        x = block(x, emb)
    return x


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
