"""A U-Net for images, or stacks of them, whose output at a pixel depends on pixels near it only."""

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

    With ``mix`` it is for stacks of any number n of planes, (B, C, n, y, x) to (B, C', n, y, x):
    every convolution but those across planes looks at one of them.

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
        cond_channels: channels of ``cond``, which is stacked behind the input; its sides may be 1.
        mix: planes that a convolution in each block looks across, an odd number; 0 for images.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int] = (32, 64, 128),
        blocks: Sequence[int] = (1, 2, 5),
        patch: int = 1,
        cond_channels: int = 0,
        mix: int = 0,
    ) -> None:
        super().__init__()
        if len(blocks) != len(channels):
            raise ValueError(f"{len(channels)} levels need {len(channels)} numbers of blocks")
        if mix and mix % 2 == 0:
            raise ValueError(f"mix is an odd number of planes, or 0, not {mix}")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "channels": list(channels),
            "blocks": list(blocks),
            "patch": patch,
            "cond_channels": cond_channels,
        }
        if mix:  # as models that were stored before it have it
            self.config["mix"] = mix
        self.patch = patch
        self.cond_channels = cond_channels
        self.mix = mix
        self.stride = patch * 2 ** (len(channels) - 1)
        self.embedding = LevelEmbedding()
        self.first = nn.Conv2d((in_channels + cond_channels) * patch**2, channels[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.smaller, self.larger = nn.ModuleList(), nn.ModuleList()
        for i, count in enumerate(blocks[:-1]):
            wide, deep = channels[i], channels[i + 1]
            self.down.append(_blocks(wide, count, mix))
            self.smaller.append(nn.Conv2d(wide, deep, 2, stride=2))
            self.larger.append(nn.Conv2d(deep, 4 * wide, 1))
            self.up.append(_blocks(wide, count, mix))
        self.middle = _blocks(channels[-1], blocks[-1], mix)
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
        out: int = reach + self.stride - 1
        return out

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        """Output for x (B, C, [n,] y, x), level (B,) = ln(s/a) and cond (B, C', [n,] y, x)."""
        if (cond is None) != (self.cond_channels == 0):
            raise ValueError(f"the network takes {self.cond_channels} channels of conditioning")
        if cond is not None:
            x = torch.cat([x, cond.to(x).expand(-1, -1, *x.shape[2:])], dim=1)
        emb = self.embedding(level)
        if not self.mix:
            return self._planes(x, emb, 1)
        count = x.shape[2]
        folded = x.transpose(1, 2).flatten(0, 1)
        out = self._planes(folded, emb.repeat_interleave(count, dim=0), count)
        answer: Tensor = out.unflatten(0, (-1, count)).transpose(1, 2)
        return answer

    def _planes(self, x: Tensor, emb: Tensor, count: int) -> Tensor:
        """Output for x (B n, C, y, x), n = `count` planes of an item next to each other."""
        height, width = x.shape[2:]
        margin = (0, -width % self.stride, 0, -height % self.stride)
        if any(margin):
            x = functional.pad(x, margin, mode="replicate")
        if self.patch > 1:
            x = functional.pixel_unshuffle(x, self.patch)
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for blocks, smaller in zip(self.down, self.smaller, strict=True):
            x = _run(blocks, x, emb, count)
            skips.append(x)
            x = smaller(x)
        x = _run(self.middle, x, emb, count)
        for i in reversed(range(len(self.up))):
            x = functional.pixel_shuffle(self.larger[i](x), 2) + skips.pop()
            x = _run(self.up[i], x.contiguous(memory_format=torch.channels_last), emb, count)
        x = self.last(functional.silu(x))
        if self.patch > 1:
            x = functional.pixel_shuffle(x, self.patch)
        return x[:, :, :height, :width]


class _Block(nn.Module):
    """x + conv(silu(h)), h = film(conv(silu x)), plus across(silu h) where planes mix."""

    def __init__(self, channels: int, mix: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = _zero(nn.Conv2d(channels, channels, 3, padding=1))
        self.film = nn.Linear(EMBEDDING, 2 * channels)
        self.across = _Across(channels, mix) if mix else None

    def forward(self, x: Tensor, emb: Tensor, count: int) -> Tensor:
        gain, bias = self.film(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(functional.silu(x)) * (1 + gain) + bias
        if self.across is not None:
            h = h + self.across(functional.silu(h), count)
        out: Tensor = x + self.conv2(functional.silu(h))
        return out


class _Across(nn.Module):
    """A convolution over planes, pixel by pixel, with zeros beyond the first and the last.

    It sees a quarter of the channels: copies of all of them would take longer than the rest.
    """

    def __init__(self, channels: int, mix: int) -> None:
        super().__init__()
        self.mix = mix
        few = max(1, channels // 4)
        self.few = nn.Conv2d(channels, few, 1)
        self.linear = nn.Conv2d(mix * few, channels, 1)

    def forward(self, x: Tensor, count: int) -> Tensor:
        reach = self.mix // 2
        stack = self.few(x).unflatten(0, (-1, count))
        stack = functional.pad(stack, (0, 0, 0, 0, 0, 0, reach, reach))
        parts = [stack[:, i : i + count] for i in range(self.mix)]
        near = torch.cat(parts, dim=2).flatten(0, 1)
        out: Tensor = self.linear(near.contiguous(memory_format=torch.channels_last))
        return out


def _blocks(channels: int, count: int, mix: int) -> nn.ModuleList:
    return nn.ModuleList(_Block(channels, mix) for _ in range(count))


def _run(blocks: nn.Module, x: Tensor, emb: Tensor, count: int) -> Tensor:
    for block in blocks:  # type: ignore[attr-defined]
        x = block(x, emb, count)
    return x


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
