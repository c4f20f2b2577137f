"""The U-Net of diffusion models: residual blocks that are told the time, attention in the middle.

    level i on the way down:  blocks_i, stored after each one; then a convolution of stride 2
    middle:                   block, attention, block
    level i on the way up:    [h, stored] -> blocks_i, one more; then doubled and convolved

A block is h + conv(silu(norm(conv(silu(norm x)) + W silu(e)))), with h = x through a 1 x 1
convolution where the width changes, and e the embedded time.

The names of its weights are those of ``monai.networks.nets.DiffusionModelUNet`` without
conditioning, so that either loads what the other has stored; importing MONAI takes longer than most
inferences.

Source:
    Ho et al., Denoising Diffusion Probabilistic Models (2020)
    Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.networks.attention import SpatialAttention
from sciddm.networks.group_norm import GroupNorm, silu_of

__all__ = ["DiffusionUNet"]

_EPS = 1e-6
_HEAD_CHANNELS = 8
#: Longest period of the embedded time, in units of 2 pi.
_PERIOD = 10_000.0


class DiffusionUNet(nn.Module):
    """``(x (B, C, *spatial), time (B,)) -> (B, C', *spatial)``; sides are multiples of the stride.

    Args:
        spatial_dims: 2 or 3.
        in_channels: of the input.
        out_channels: of the output.
        channels: width of each level; the resolution halves between levels.
        num_res_blocks: residual blocks in each level.
        attention_levels: self-attention per level; the middle always has one.
        norm_num_groups: groups of the group normalisations.
        attention_window: cells that self-attention looks at together, along an axis; None for all.

    Raises:
        ValueError: widths that are no multiples of the groups, or lists of different lengths.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int],
        num_res_blocks: int,
        attention_levels: Sequence[bool],
        norm_num_groups: int = 32,
        attention_window: int | None = None,
    ) -> None:
        super().__init__()
        if any(width % norm_num_groups for width in channels):
            raise ValueError(
                f"channels {list(channels)} are no multiples of the {norm_num_groups} groups of "
                "norm_num_groups"
            )
        if len(attention_levels) != len(channels):
            raise ValueError(
                f"{len(channels)} levels need {len(channels)} values of attention_levels, not "
                f"{len(attention_levels)}"
            )
        self.width = channels[0]
        emb = 4 * self.width
        groups, levels = norm_num_groups, len(channels)

        def block(before: int, after: int) -> _Block:
            return _Block(spatial_dims, before, after, emb, groups)

        def attention(width: int) -> SpatialAttention:
            return SpatialAttention(
                width, groups, _EPS, head_channels=_HEAD_CHANNELS, window=attention_window
            )

        def level(i: int, blocks: list[_Block]) -> _Level:
            has = attention_levels[i]
            return _Level(blocks, [attention(channels[i]) for _ in blocks] if has else [])

        self.conv_in = _Conv(spatial_dims, in_channels, channels[0], 3)
        self.time_embed = nn.Sequential(nn.Linear(self.width, emb), nn.SiLU(), nn.Linear(emb, emb))
        self.down_blocks = nn.ModuleList()
        for i, width in enumerate(channels):
            before = channels[max(i - 1, 0)]
            blocks = [block(before if j == 0 else width, width) for j in range(num_res_blocks)]
            down = level(i, blocks)
            down.downsampler = _Down(spatial_dims, width) if i < levels - 1 else None
            self.down_blocks.append(down)
        last = channels[-1]
        self.middle_block = _Middle(block(last, last), attention(last), block(last, last))
        self.up_blocks = nn.ModuleList()
        for i in reversed(range(levels)):
            width, above = channels[i], channels[max(i - 1, 0)]
            below = channels[min(i + 1, levels - 1)]
            blocks = []
            for j in range(num_res_blocks + 1):
                stored = above if j == num_res_blocks else width
                blocks.append(block((below if j == 0 else width) + stored, width))
            up = level(i, blocks)
            up.upsampler = _Up(spatial_dims, width) if i > 0 else None
            self.up_blocks.append(up)
        self.out = nn.Sequential(
            GroupNorm(groups, channels[0], eps=_EPS),
            nn.SiLU(),
            _zero(_Conv(spatial_dims, channels[0], out_channels, 3)),
        )

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Output for x at a time (B,)."""
        emb = self.time_embed(_sines(time, self.width).to(x.dtype))
        h = self.conv_in(x)
        stored = [h]
        for level in cast("list[_Level]", self.down_blocks):
            for i in range(len(level.resnets)):
                h = level.pair(i, h, emb)
                stored.append(h)
            if level.downsampler is not None:
                h = level.downsampler(h)
                stored.append(h)
        h = self.middle_block(h, emb)
        for level in cast("list[_Level]", self.up_blocks):
            for i in range(len(level.resnets)):
                h = level.pair(i, torch.cat([h, stored.pop()], dim=1), emb)
            if level.upsampler is not None:
                h = level.upsampler(h)
        answer: Tensor = self.out(h)
        return answer


class _Level(nn.Module):
    """Residual blocks, each with its attention where the level has some."""

    downsampler: nn.Module | None
    upsampler: nn.Module | None

    def __init__(self, blocks: list[_Block], attentions: list[SpatialAttention]) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(blocks)
        self.attentions = nn.ModuleList(attentions)

    def pair(self, i: int, x: Tensor, emb: Tensor) -> Tensor:
        """Block i, and the attention behind it."""
        h: Tensor = self.resnets[i](x, emb)
        if len(self.attentions):
            h = self.attentions[i](h).contiguous()
        return h


class _Middle(nn.Module):
    """A block, attention, a block."""

    def __init__(self, first: _Block, attention: SpatialAttention, second: _Block) -> None:
        super().__init__()
        self.resnet_1, self.attention, self.resnet_2 = first, attention, second

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        out: Tensor = self.resnet_2(self.attention(self.resnet_1(x, emb)).contiguous(), emb)
        return out


class _Block(nn.Module):
    """See the module."""

    def __init__(self, dims: int, before: int, after: int, emb: int, groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, before, eps=_EPS)
        self.conv1 = _Conv(dims, before, after, 3)
        self.time_emb_proj = nn.Linear(emb, after)
        self.norm2 = GroupNorm(groups, after, eps=_EPS)
        self.conv2 = _zero(_Conv(dims, after, after, 3))
        same = before == after
        self.skip_connection = nn.Identity() if same else _Conv(dims, before, after, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(silu_of(self.norm1, x))
        told = self.time_emb_proj(functional.silu(emb))
        h = h + told[(..., *[None] * (x.ndim - 2))]
        h = self.conv2(silu_of(self.norm2, h))
        out: Tensor = self.skip_connection(x) + h
        return out


class _Conv(nn.Module):
    """A convolution that keeps the size; its weights are named ``conv``."""

    def __init__(self, dims: int, before: int, after: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        kind = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.conv = kind(before, after, kernel, stride=stride, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class _Down(nn.Module):
    """Half the resolution, by a convolution."""

    def __init__(self, dims: int, width: int) -> None:
        super().__init__()
        self.op = _Conv(dims, width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.op(x)
        return out


class _Up(nn.Module):
    """Twice the resolution: every cell repeated, then a convolution."""

    def __init__(self, dims: int, width: int) -> None:
        super().__init__()
        self.postconv = _Conv(dims, width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.postconv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


def _sines(time: Tensor, size: int) -> Tensor:
    """Cosines and sines (B, size) of angular frequencies from 1 down to nearly 1 / period."""
    half = size // 2
    exponent = -math.log(_PERIOD) * torch.arange(half, dtype=torch.float32, device=time.device)
    angles = time[:, None].float() * torch.exp(exponent / half)[None]
    waves = torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)
    return functional.pad(waves, (0, size % 2))


def _zero(module: _Conv) -> _Conv:
    for parameter in module.parameters():
        parameter.detach().zero_()
    return module
