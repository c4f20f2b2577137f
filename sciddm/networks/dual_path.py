"""A network for spectrograms that runs along frequency and along time in turn, with few weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.networks.convolution import Conv2d
from sciddm.networks.features import adopt_features
from sciddm.networks.level_embedding import EMBEDDING, LevelEmbedding

__all__ = ["DualPathNetwork"]


class DualPathNetwork(nn.Module):
    """``(x (B, 2C, F, T), ln(s/a), cond) -> (B, C', F, T)``: recurrent over bins, then over frames.

    Blocks of p x p bins and frames become the channels of a coarser grid (space to depth), which
    one convolution halves once more in frequency. There, several times::

        x = x + W1 [GRU over frequency, both directions](norm x)      frames are independent
        x = x + W2 [GRU over time, both directions](norm x)           bins share their weights

    One rule for all bins has few weights and has seen every bin's data, so that it needs less
    training and fits fewer noises by heart than a rule for each. Learnt biases tell where a bin
    lies. The way back repeats the first steps with their results added (U-Net).

    Channels of the input besides x itself: ln(|x|^2 + floor), which unlike x is linear in decibels;
    the same for ``cond``. The noise level, if the network is told it, is a gain and a bias per
    channel behind each norm.

    A recurrence's influence fades but has no end, and a recording is processed in pieces, which
    must give what the whole gives. So every ``block`` of frames is seen with ``reach`` frames on
    either side, and nothing else. Pieces have to begin at multiples of ``block``.

    Le, Chen, Chen and Lu, DPCRN: Dual-Path Convolution Recurrent Network for Single Channel Speech
    Enhancement, Interspeech 2021, section 2.2; here with both directions in time.

    Args:
        in_channels: real channels of the input, pairs of real and imaginary part; an endpoint too.
        out_channels: real channels of the output.
        bins: F, a multiple of ``2 patch``.
        width: channels of the finer grid.
        channels: of the grid that the recurrences run on.
        blocks: number of pairs of recurrences.
        patch: p.
        block: frames, a multiple of ``patch``.
        reach: frames, a multiple of ``patch``.
        cond_channels: channels of ``cond``, pairs as well.
        levels: the network is told the noise level; False for a network that has none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bins: int = 256,
        width: int = 32,
        channels: int = 48,
        blocks: int = 3,
        patch: int = 2,
        block: int = 256,
        reach: int = 128,
        cond_channels: int = 0,
        levels: bool = False,
    ) -> None:
        super().__init__()
        if in_channels % 2 or cond_channels % 2 or bins % (2 * patch):
            raise ValueError(
                f"in_channels = {in_channels} and cond_channels = {cond_channels} must be even and "
                f"bins = {bins} a multiple of {2 * patch}"
            )
        if block < patch or block % patch or reach % patch:
            raise ValueError(f"block and reach must be multiples of {patch} frames")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "bins": bins,
            "width": width,
            "channels": channels,
            "blocks": blocks,
            "patch": patch,
            "block": block,
            "reach": reach,
        }
        if cond_channels or levels:  # as models that were stored before them have it
            self.config |= {"cond_channels": cond_channels, "levels": levels}
        self.bins, self.patch = bins, patch
        self.stride, self.block, self.reach = patch, block, reach
        self.cond_channels = cond_channels
        fine, coarse = bins // patch, bins // (2 * patch)
        seen = (in_channels + cond_channels) * 3 // 2 * patch**2
        self.embedding = LevelEmbedding() if levels else None
        told = EMBEDDING if levels else 0
        self.first = Conv2d(seen, width, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(width, 1, fine))
        self.down = Conv2d(width, channels, (3, 4), (1, 2), padding=(1, 1))
        self.blocks = nn.ModuleList()
        for _ in range(blocks):
            self.blocks.append(_Recurrence(channels, 2, told))
            self.blocks.append(_Recurrence(channels, 1, told))
        self.place_coarse = nn.Parameter(torch.zeros(channels, 1, coarse))
        self.up = Conv2d(channels, 2 * width, 1)
        self.join = Conv2d(width, width, 3, padding=1)
        self.last = Conv2d(width, out_channels * patch**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def context(self) -> int:
        """Frames before and after a frame that can influence its output."""
        return self.block + self.reach - 1

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        """Output for x (B, C, F, T), level (B,) = ln(s/a) and cond (B, C', F, T)."""
        if (cond is None) != (self.cond_channels == 0):
            raise ValueError(f"the network takes {self.cond_channels} channels of conditioning")
        if x.shape[2] != self.bins:
            raise ValueError(f"the network takes {self.bins} frequency bins, not {x.shape[2]}")
        emb = None if self.embedding is None else self.embedding(level)
        x = _with_decibels(x)
        if cond is not None:
            x = torch.cat([x, _with_decibels(cond)], dim=1)
        parts = []
        for start in range(0, x.shape[3], self.block):
            first = max(0, start - self.reach)
            seen = x[..., first : start + self.block + self.reach]
            parts.append(self._seen(seen, emb)[..., start - first :][..., : self.block])
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def adopt(self, other: DualPathNetwork) -> None:
        """Begins with the features that ``other``, which sees ``cond`` alone, makes of it.

        The output stays zero, and so does the influence of all else.

        Raises:
            ValueError: ``other`` does not take as many channels as ``cond`` has, or its features
                differ in width or number.
        """
        adopt_features(self, other)

    def _seen(self, x: Tensor, emb: Tensor | None) -> Tensor:
        """Output for all frames, of which each sees all."""
        frames = x.shape[3]
        x = functional.pad(x, (0, -frames % self.patch)).transpose(2, 3)
        x = functional.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last)
        fine = functional.silu(self.first(x) + self.place)
        h = self.down(fine) + self.place_coarse
        h = h.permute(0, 2, 3, 1).contiguous()  # (B, T, F, C)
        for block in self.blocks:
            h = block(h, emb)
        h = self.up(h.permute(0, 3, 1, 2))
        # Twice the channels are two neighbouring bins.
        h = h.unflatten(1, (2, -1)).permute(0, 2, 3, 4, 1).flatten(3)
        h = fine + functional.silu(h)
        h = h + functional.silu(self.join(h))
        out = functional.pixel_shuffle(self.last(h), self.patch)
        return out[:, :, :frames].transpose(2, 3)


_FLOOR = 1e-4  # -40 dB of the input's unit


def _with_decibels(x: Tensor) -> Tensor:
    """x (B, 2C, F, T), pairs of real and imaginary part, and behind it each pair's log power."""
    power = x.unflatten(1, (-1, 2)).square().sum(2)
    return torch.cat([x, 0.25 * (power + _FLOOR).log()], dim=1)


class _Recurrence(nn.Module):
    """x + W GRU(norm x) along an axis of (B, T, F, C), both directions."""

    def __init__(self, channels: int, axis: int, embedding: int = 0) -> None:
        super().__init__()
        self.axis = axis
        self.norm = nn.LayerNorm(channels)
        self.film = nn.Linear(embedding, 2 * channels) if embedding else None
        if self.film is not None:
            nn.init.zeros_(self.film.weight)
            nn.init.zeros_(self.film.bias)
        self.run = nn.GRU(channels, channels // 2, bidirectional=True)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        h = self.norm(x)
        if self.film is not None:
            assert emb is not None
            gain, bias = self.film(emb)[:, None, None].chunk(2, dim=-1)
            h = h * (1 + gain) + bias
        h = h.movedim(self.axis, 0)
        others = h.shape[1:3]
        h, _ = self.run(h.flatten(1, 2))
        h = self.out(h).unflatten(1, others)
        out: Tensor = x + h.movedim(0, self.axis)
        return out
