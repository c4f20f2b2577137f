"""NCSN++, the network of SGMSE+ and StoRM, with the parameter names of their checkpoints.

Song et al., Score-Based Generative Modeling through SDEs, 2021, appendix H; Richter et al., 2023,
section IV-B; Lemercier et al., StoRM, 2023. A U-Net of BigGAN residual blocks that resamples with
the FIR filter [1, 3, 3, 1] and, in its full form, adds a pyramid of the downsampled input on the
way down and sums a pyramid of outputs on the way up.

The layers stand in one list ``all_modules`` in the order in which the published networks create
them, so that their state dictionaries load as they are; ``forward`` walks through that list. The
resampling, a compiled extension there, is a grouped convolution here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NCSNpp"]

_FOURIER_SCALE = 16.0
_ROOT_HALF = 0.5**0.5


class NCSNpp(nn.Module):
    """``(x (B, C, F, T), t (B,), cond) -> (B, 2, F, T)``: the raw output of the network.

    ``noise_level = "time"``: unlike the other networks here, its level is the process's time t,
    of which it embeds ln t; ``NetworkDenoiser`` asks for that.

    Any size is accepted: frames (and bins) are padded with zeros at the far end to a multiple of
    2^(levels - 1). The attention looks at all bins and frames of its level at once, so memory
    grows with the square of the frames.

    Args:
        in_channels: real channels of the input: x, y (and D(y)).
        channels: width of the first level (a multiple of 4).
        multipliers: width of each level, in units of ``channels``.
        num_res_blocks: blocks of each level on the way down; one more on the way up.
        attention: levels (from 0) with self-attention after each block on the way down, and once
            on the way up; the middle always has one.
        pyramids: input and output pyramid; False for the 48 kHz network.
        conditional: the network has a time; False for StoRM's predictor, whose state dictionary
            holds Fourier weights and time projections that are never used.
        division: where the output is divided by t: "before" its last 1 x 1 convolution (16 kHz),
            "after" it (48 kHz), or "none" (data prediction, predictors).
        centered: the data are; if not, the network sees 2 x - 1 (StoRM).
        select: the channels of the stacked input (x, y, cond) that the network sees, in its
            order; None for all. StoRM's score network wants x_t, y, D(y), where D(y) is the
            endpoint here and y the conditioning.
        out_channels: of the last convolution.
    """

    noise_level: Literal["time"] = "time"

    def __init__(
        self,
        in_channels: int = 4,
        channels: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 2, 2, 2),
        num_res_blocks: int = 2,
        attention: Sequence[int] = (4,),
        pyramids: bool = True,
        conditional: bool = True,
        division: Literal["before", "after", "none"] = "before",
        centered: bool = True,
        select: Sequence[int] | None = None,
        out_channels: int = 2,
    ) -> None:
        super().__init__()
        if division not in ("before", "after", "none"):
            raise ValueError(f"unknown division {division!r}; known: before, after, none")
        if division != "none" and not conditional:
            raise ValueError("a network without a time cannot divide by it")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "channels": channels,
            "multipliers": list(multipliers),
            "num_res_blocks": num_res_blocks,
            "attention": list(attention),
            "pyramids": pyramids,
            "conditional": conditional,
            "division": division,
            "centered": centered,
            "select": None if select is None else list(select),
            "out_channels": out_channels,
        }
        self.levels = len(multipliers)
        self.num_res_blocks = num_res_blocks
        self.attention = frozenset(attention)
        self.pyramids = pyramids
        self.conditional = conditional
        self.division = division
        self.centered = centered
        self.select = None if select is None else list(select)
        self.stride = 2 ** (self.levels - 1)
        # The published networks create this layer first; its place decides the order of weights.
        self.output_layer = nn.Conv2d(in_channels, out_channels, 1)
        self.all_modules = nn.ModuleList(
            self._layers(in_channels, channels, [channels * m for m in multipliers])
        )

    def _layers(self, inputs: int, nf: int, widths: Sequence[int]) -> Iterator[nn.Module]:
        time = 4 * nf
        yield _FourierFeatures(nf)
        if self.conditional:
            yield nn.Linear(2 * nf, time)
            yield nn.Linear(time, time)
        yield nn.Conv2d(inputs, nf, 3, padding=1)
        skips = [nf]
        now = nf
        for level, width in enumerate(widths):
            for _ in range(self.num_res_blocks):
                yield _ResBlock(now, width, time)
                now = width
                if level in self.attention:
                    yield _Attention(now)
                skips.append(now)
            if level < self.levels - 1:
                yield _ResBlock(now, now, time, resample="down")
                if self.pyramids:
                    yield _Combine(inputs, now)
                skips.append(now)
        yield _ResBlock(now, now, time)
        yield _Attention(now)
        yield _ResBlock(now, now, time)
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(self.num_res_blocks + 1):
                yield _ResBlock(now + skips.pop(), width, time)
                now = width
            if level in self.attention:
                yield _Attention(now)
            if self.pyramids or level == 0:
                yield _group_norm(now)
                yield nn.Conv2d(now, inputs, 3, padding=1)
            if level > 0:
                yield _ResBlock(now, now, time, resample="up")

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        """Output for x (B, C, F, T), t (B,) (ignored if not conditional), and cond behind x."""
        if cond is not None:
            x = torch.cat([x, cond], dim=1)
        if self.select is not None:
            x = x[:, self.select]
        bins, frames = x.shape[2:]
        x = functional.pad(x, (0, -frames % self.stride, 0, -bins % self.stride))
        h = self._walk(x if self.centered else 2 * x - 1, level)
        t = level.to(h.dtype)[:, None, None, None]
        if self.division == "before":
            h = h / t
        h = self.output_layer(h)
        if self.division == "after":
            h = h / t
        out: Tensor = h[:, :, :bins, :frames]
        return out

    def _walk(self, x: Tensor, t: Tensor) -> Tensor:
        layers = iter(self.all_modules)
        emb = self._embed(layers, t, x.dtype)
        pyramid_in = x
        h = next(layers)(x)
        skips = [h]
        for level in range(self.levels):
            for _ in range(self.num_res_blocks):
                h = next(layers)(h, emb)
                if level in self.attention:
                    h = next(layers)(h)
                skips.append(h)
            if level < self.levels - 1:
                h = next(layers)(h, emb)
                if self.pyramids:
                    pyramid_in = _downsample(pyramid_in)
                    h = next(layers)(pyramid_in, h)
                skips.append(h)
        h = next(layers)(h, emb)
        h = next(layers)(h)
        h = next(layers)(h, emb)
        pyramid: Tensor | None = None
        for level in reversed(range(self.levels)):
            for _ in range(self.num_res_blocks + 1):
                h = next(layers)(torch.cat([h, skips.pop()], dim=1), emb)
            if level in self.attention:
                h = next(layers)(h)
            if self.pyramids or level == 0:
                out = next(layers)(h)
                out = next(layers)(functional.silu(out))
                pyramid = out if pyramid is None else _upsample(pyramid) + out
            if level > 0:
                h = next(layers)(h, emb)
        assert pyramid is not None
        return pyramid

    def _embed(self, layers: Iterator[nn.Module], t: Tensor, dtype: torch.dtype) -> Tensor | None:
        fourier = next(layers)
        if not self.conditional:
            return None
        # The arguments of the sines reach 1e3 radians: never in half precision.
        with torch.autocast(t.device.type, enabled=False):
            features = fourier(t.float().log()).to(dtype)
        h = next(layers)(features)
        out: Tensor | None = next(layers)(functional.silu(h))
        return out


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(channels // 4, 32), channels, eps=1e-6)


def _fir(channels: int, gain: float, like: Tensor) -> Tensor:
    """outer([1, 3, 3, 1])/64, times ``gain``, for each channel: (C, 1, 4, 4)."""
    k = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=like.dtype, device=like.device)
    return (gain / 64 * torch.outer(k, k)).expand(channels, 1, 4, 4)


def _downsample(x: Tensor) -> Tensor:
    """Half the size, smoothed by the FIR filter."""
    channels = x.shape[1]
    return functional.conv2d(x, _fir(channels, 1, x), stride=2, padding=1, groups=channels)


def _upsample(x: Tensor) -> Tensor:
    """Twice the size: zeros put between, smoothed by the FIR filter, times 4."""
    channels = x.shape[1]
    return functional.conv_transpose2d(
        x, _fir(channels, 4, x), stride=2, padding=1, groups=channels
    )


class _FourierFeatures(nn.Module):
    """[sin(2 pi W v), cos(2 pi W v)] for v (B,), W (n,) fixed: (B, 2n)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(n) * _FOURIER_SCALE, requires_grad=False)

    def forward(self, v: Tensor) -> Tensor:
        angle = 2 * math.pi * v[:, None] * self.W
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class _ResBlock(nn.Module):
    """BigGAN's block: (skip x + conv(silu(norm(conv(resample(silu(norm x))) + dense(silu t)))))/r2.

    The skip has a 1 x 1 convolution where the width changes or the block resamples.
    """

    def __init__(
        self, inputs: int, outputs: int, time: int, resample: Literal["down", "up"] | None = None
    ) -> None:
        super().__init__()
        self.resample = resample
        self.GroupNorm_0 = _group_norm(inputs)
        self.Conv_0 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.Dense_0 = nn.Linear(time, outputs)
        self.GroupNorm_1 = _group_norm(outputs)
        self.Conv_1 = nn.Conv2d(outputs, outputs, 3, padding=1)
        changes = inputs != outputs or resample is not None
        self.Conv_2 = nn.Conv2d(inputs, outputs, 1) if changes else None

    def forward(self, x: Tensor, emb: Tensor | None) -> Tensor:
        h = functional.silu(self.GroupNorm_0(x))
        if self.resample == "down":
            h, x = _downsample(h), _downsample(x)
        elif self.resample == "up":
            h, x = _upsample(h), _upsample(x)
        h = self.Conv_0(h)
        if emb is not None:
            h = h + self.Dense_0(functional.silu(emb))[:, :, None, None]
        h = self.Conv_1(functional.silu(self.GroupNorm_1(h)))
        if self.Conv_2 is not None:
            x = self.Conv_2(x)
        out: Tensor = (x + h) * _ROOT_HALF
        return out


class _Combine(nn.Module):
    """The pyramid's input through a 1 x 1 convolution, added to the features."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.Conv_0 = nn.Conv2d(inputs, outputs, 1)

    def forward(self, pyramid: Tensor, h: Tensor) -> Tensor:
        out: Tensor = self.Conv_0(pyramid) + h
        return out


class _Attention(nn.Module):
    """Self-attention over all positions: (x + out(softmax(q k^T / sqrt C) v)) / sqrt 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.GroupNorm_0 = _group_norm(channels)
        self.NIN_0, self.NIN_1, self.NIN_2, self.NIN_3 = (_Linear(channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.GroupNorm_0(x).flatten(2).transpose(1, 2)
        q, k, v = self.NIN_0(h), self.NIN_1(h), self.NIN_2(h)
        h = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = (x + self.NIN_3(h).transpose(1, 2).reshape(x.shape)) * _ROOT_HALF
        return out


class _Linear(nn.Module):
    """x W + b on the last axis; W is (in, out), the transpose of torch's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(channels, channels))
        self.b = nn.Parameter(torch.zeros(channels))
        nn.init.xavier_uniform_(self.W)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.W.T, self.b)
