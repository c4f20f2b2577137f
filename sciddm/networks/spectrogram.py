"""A U-Net for spectrograms whose output at a frame depends on the frames near it only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.networks.convolution import Conv2d
from sciddm.networks.features import adopt_features
from sciddm.networks.level_embedding import EMBEDDING, LevelEmbedding

__all__ = ["SpectrogramUNet"]

_Layer = TypeVar("_Layer", nn.Conv2d, nn.Linear)


class SpectrogramUNet(nn.Module):
    """``(x (B, C, F, T), ln(s/a), cond) -> (B, C', F, T)``: local in time, global in frequency.

    A recording is processed in pieces, and pieces must give what the whole gives. So nothing here
    looks at all frames at once: normalisation is over channels and frequency of one frame
    (``nn.LayerNorm`` with a gain and bias per bin, which also tells the network its absolute
    frequency), context in time comes from dilated convolutions, and context in frequency from
    linear maps over all bins. Beyond ``context`` frames the input has exactly no influence, as
    long as pieces begin at multiples of ``stride`` frames.

    MONAI's networks normalise over the whole extent, which is why this one is our own.

    Args:
        in_channels: real channels of the input, endpoint included.
        out_channels: real channels of the output.
        bins: F, which is fixed: a multiple of ``stride``.
        channels: width of each level; frequency and time halve between levels.
        blocks: residual blocks at each level but the last, on the way down and again up.
        dilations: dilation in time of each residual block of the last level.
        squeeze: channels in which the last level mixes all its bins, after every other block.
        patch: p x p blocks of the input are channels of the first level (space to depth).
        cond_channels: channels of ``cond``, which is stacked behind the input.
        levels: the network is told the noise level; False for a network that has none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bins: int = 256,
        channels: Sequence[int] = (64, 96, 128),
        blocks: Sequence[int] = (1, 2),
        dilations: Sequence[int] = (1, 2, 4, 1, 2, 4),
        squeeze: int = 12,
        patch: int = 2,
        cond_channels: int = 0,
        levels: bool = True,
    ) -> None:
        super().__init__()
        if len(blocks) != len(channels) - 1:
            raise ValueError(f"{len(channels)} levels need {len(channels) - 1} numbers of blocks")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "bins": bins,
            "channels": list(channels),
            "blocks": list(blocks),
            "dilations": list(dilations),
            "squeeze": squeeze,
            "patch": patch,
            "cond_channels": cond_channels,
            "levels": levels,
        }
        self.patch = patch
        self.bins = bins
        self.cond_channels = cond_channels
        self.stride = patch * 2 ** (len(channels) - 1)
        if bins % self.stride:
            raise ValueError(f"bins = {bins} is not a multiple of the stride {self.stride}")
        self.embedding = LevelEmbedding() if levels else None
        width = EMBEDDING if levels else 0
        rows = [bins // (patch * 2**i) for i in range(len(channels))]
        self.first = _conv((in_channels + cond_channels) * patch**2, channels[0])
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, count in enumerate(blocks):
            wide, deep = channels[i], channels[i + 1]
            self.down.append(_blocks(wide, rows[i], width, [1] * count))
            self.down.append(_conv(wide, deep, stride=2))
            self.up.append(_blocks(wide, rows[i], width, [1] * count))
            self.up.append(Conv2d(deep, 4 * wide, 1))
        self.middle = _blocks(channels[-1], rows[-1], width, dilations)
        self.mix = nn.ModuleList(
            _FrequencyMixer(channels[-1], rows[-1], squeeze) for _ in dilations[1::2]
        )
        self.norm = _FrameNorm(channels[0], rows[0])
        self.last = _zero(_conv(channels[0], out_channels * patch**2))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def context(self) -> int:
        """Frames before and after a frame that can influence its output.

        Each 3 x 3 convolution reaches its dilation times the stride of its level; a level's
        stride is also lost to the position of a frame within its patch.
        """
        patch, blocks = self.patch, self.config["blocks"]
        reach = 2 * patch  # first and last
        for i, count in enumerate(blocks):
            stride = patch * 2**i
            reach += (4 * count + 1) * stride  # two blocks of two convolutions, one to go down
        reach += sum(d + 1 for d in self.config["dilations"]) * self.stride
        out: int = reach + self.stride - 1
        return out

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        """Output for x (B, C, F, T), level (B,) = ln(s/a) and cond (B, C', F, T)."""
        if (cond is None) != (self.cond_channels == 0):
            raise ValueError(f"the network takes {self.cond_channels} channels of conditioning")
        if cond is not None:
            x = torch.cat([x, cond], dim=1)
        if x.shape[2] != self.bins:
            raise ValueError(f"the network takes {self.bins} frequency bins, not {x.shape[2]}")
        frames = x.shape[3]
        x = functional.pad(x, (0, -frames % self.stride))
        # Frames as rows: one frame's bins and channels then lie together in memory.
        x = functional.pixel_unshuffle(x.transpose(2, 3), self.patch)
        x = x.contiguous(memory_format=torch.channels_last)
        emb = None if self.embedding is None else self.embedding(level)
        x = self.first(x)
        skips = []
        for i in range(0, len(self.down), 2):
            x = self._run(self.down[i], x, emb)
            skips.append(x)
            x = self.down[i + 1](x)
        for i, block in enumerate(self.middle):
            x = block(x, emb)
            if i % 2:
                x = self.mix[i // 2](x)
        for i in reversed(range(0, len(self.up), 2)):
            x = functional.pixel_shuffle(self.up[i + 1](x), 2) + skips.pop()
            x = self._run(self.up[i], x.contiguous(memory_format=torch.channels_last), emb)
        x = self.last(functional.silu(self.norm(x)))
        return functional.pixel_shuffle(x, self.patch)[:, :, :frames].transpose(2, 3)

    @torch.no_grad()
    def adopt(self, other: SpectrogramUNet) -> None:
        """Begins with the features that ``other``, which sees ``cond`` alone, makes of it.

        Every weight that both have in the same shape is taken over, but the last layer's: the
        output stays zero. In the first layer ``other``'s weights are those of ``cond``, whose
        channels are the last, and the remaining channels begin at zero, as does the noise level's
        influence.

        Raises:
            ValueError: ``other`` does not take as many channels as ``cond`` has, or its features
                differ in width or number.
        """
        adopt_features(self, other)
        for block in self.modules():
            if isinstance(block, _Block) and block.film is not None:
                _zero(block.film)

    @staticmethod
    def _run(blocks: nn.Module, x: Tensor, emb: Tensor | None) -> Tensor:
        for block in blocks:  # type: ignore[attr-defined]
            x = block(x, emb)
        return x


def _conv(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """3 x 3; the dilation is in time (rows)."""
    return Conv2d(inputs, outputs, 3, stride, padding=(dilation, 1), dilation=(dilation, 1))


def _zero(layer: _Layer) -> _Layer:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _blocks(channels: int, rows: int, embedding: int, dilations: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(_Block(channels, rows, embedding, d) for d in dilations)


class _FrameNorm(nn.LayerNorm):
    """Layer norm of each frame of (B, C, T, F) over (C, F), with a gain and bias per entry."""

    def __init__(self, channels: int, rows: int) -> None:
        super().__init__([rows, channels], eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """x + conv(silu(film(norm(conv(silu(norm x))))))."""

    def __init__(self, channels: int, rows: int, embedding: int, dilation: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _FrameNorm(channels, rows), _FrameNorm(channels, rows)
        self.conv1 = _conv(channels, channels, dilation=dilation)
        self.conv2 = _zero(_conv(channels, channels))
        self.film = nn.Linear(embedding, 2 * channels) if embedding else None

    def forward(self, x: Tensor, emb: Tensor | None) -> Tensor:
        h = self.norm2(self.conv1(functional.silu(self.norm1(x))))
        if self.film is not None:
            gain, bias = self.film(emb)[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + gain) + bias
        out: Tensor = x + self.conv2(functional.silu(h))
        return out


class _FrequencyMixer(nn.Module):
    """x + W2 A W1 silu(norm x): few channels (W1), all bins of a frame at once (A), and back."""

    def __init__(self, channels: int, rows: int, squeeze: int) -> None:
        super().__init__()
        self.norm = _FrameNorm(channels, rows)
        self.inner = nn.Linear(channels, squeeze)
        self.mix = nn.Linear(rows * squeeze, rows * squeeze)
        self.outer = nn.Linear(squeeze, channels)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(functional.silu(self.norm(x)).permute(0, 2, 3, 1))
        h = functional.silu(self.mix(h.flatten(2))).unflatten(2, h.shape[2:])
        out: Tensor = x + self.outer(h).permute(0, 3, 1, 2)
        return out
