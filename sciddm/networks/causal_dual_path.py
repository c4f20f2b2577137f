"""A causal network for spectrograms: recurrent over frequency, then forward in time.

It is ``DualPathNetwork`` without a view of the future, and with a level of its own. Two properties
follow from how it is built, whatever its weights:

- *Causal.* The output at a frame depends on that frame, the one that shares its patch, and those
  before. ``run`` carries a state from one piece of a recording to the next, and pieces of any
  lengths give what the whole gives.
- *Equivariant in level.* The network sees every frame in units of a running level, so
  ``network(g x) = (mask, g rest)`` for every gain g. The level is an exponential mean of the
  frames' log power,

      ln l_t = sum_k w_k rho^(t - k) ln p_k / sum_k w_k rho^(t - k),      rho = exp(-1 / memory)

  with w_k = 0 for digital silence. A mean of logarithms barely moves for a bang: 60 dB for one
  frame in a memory of 64 frames raise it by 1 dB, and a second later that has faded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.networks.convolution import Conv2d
from sciddm.networks.dual_path import DualPathNetwork

__all__ = ["CausalDualPath", "CausalState"]

# Mean square of a frame, in units of the input, below which it is digital silence.
_SILENCE = 1e-9
# Magnitudes far above the running level are bent, so that an onset after a pause is no outlier.
_KNEE = 4.0
_FLOOR = 1e-4  # of the log power that the network sees: -40 dB of the level


@dataclass
class CausalState:
    """What the network remembers of the frames before: one row per item of the batch.

    Attributes:
        level: (B, 2): the weighted sum of the log powers, and the sum of their weights.
        frames: past inputs of each convolution that looks back, (B, C, 2, F).
        hidden: of each recurrence in time, (1, B * F, C).
    """

    level: Tensor
    frames: list[Tensor]
    hidden: list[Tensor]


class CausalDualPath(nn.Module):
    """``(x (B, 2, F, T), level, None) -> (B, 4, F, T)``: a mask, and what no mask can make.

    Blocks of p x p bins and frames become the channels of a coarser grid (space to depth), which a
    convolution halves once more in frequency. There, several times::

        x = x + W1 [GRU over frequency, both directions](norm x)      frames are independent
        x = x + W2 [GRU over time, forward](norm x)                   bins share their weights

    Convolutions see two patches of the past and none of the future.

    Le, Chen, Chen and Lu, DPCRN: Dual-Path Convolution Recurrent Network for Single Channel Speech
    Enhancement, Interspeech 2021, section 2.2.

    Args:
        in_channels: 2: real and imaginary part.
        out_channels: 4: mask and rest, both complex, for ``Predictor``.
        bins: F, a multiple of ``2 patch``.
        width: channels of the finer grid.
        channels: of the grid that the recurrences run on.
        blocks: number of pairs of recurrences.
        patch: p.
        memory: of the running level, in patches.
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 4,
        bins: int = 256,
        width: int = 24,
        channels: int = 64,
        blocks: int = 3,
        patch: int = 2,
        memory: float = 64.0,
    ) -> None:
        super().__init__()
        if in_channels != 2 or out_channels != 4 or bins % (2 * patch):
            raise ValueError(
                f"in_channels = {in_channels} and out_channels = {out_channels} must be 2 and 4, "
                f"and bins = {bins} a multiple of {2 * patch}"
            )
        if memory <= 0:
            raise ValueError(f"memory = {memory} patches: must be > 0")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "bins": bins,
            "width": width,
            "channels": channels,
            "blocks": blocks,
            "patch": patch,
            "memory": memory,
        }
        self.bins, self.patch, self.stride = bins, patch, patch
        self.width, self.channels, self.memory = width, channels, memory
        self.fine, self.coarse = bins // patch, bins // (2 * patch)
        self.first = Conv2d(3 * patch**2, width, 3, padding=(0, 1))
        self.place = nn.Parameter(torch.zeros(width, 1, self.fine))
        self.down = Conv2d(width, channels, (3, 4), (1, 2), padding=(0, 1))
        self.blocks = nn.ModuleList()
        for _ in range(blocks):
            self.blocks.append(_OverFrequency(channels))
            self.blocks.append(_OverTime(channels))
        self.place_coarse = nn.Parameter(torch.zeros(channels, 1, self.coarse))
        self.up = Conv2d(channels, 2 * width, 1)
        self.join = Conv2d(width, width, 3, padding=(0, 1))
        self.last = Conv2d(width, out_channels * patch**2, 3, padding=(0, 1))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, level: Tensor | None = None, cond: Tensor | None = None) -> Tensor:
        """Output for a whole recording x (B, 2, F, T); the other arguments are not used."""
        return self.run(x, self.start(x.shape[0], x))[0]

    def start(self, batch: int, like: Tensor) -> CausalState:
        """The state before the first frame."""
        pasts = ((12 * self.patch**2 // 4, self.fine), *3 * ((self.width, self.fine),))
        return CausalState(
            like.new_zeros(batch, 2),
            [like.new_zeros(batch, channels, 2, bins) for channels, bins in pasts],
            [
                like.new_zeros(1, batch * self.coarse, self.channels)
                for _ in range(len(self.blocks) // 2)
            ],
        )

    def run(self, x: Tensor, state: CausalState) -> tuple[Tensor, CausalState]:
        """Output for the next frames, and the state behind them.

        Args:
            x: (B, 2, F, T). T is a multiple of ``patch`` unless the recording ends there.
            state: of ``start`` or of the frames before.
        """
        if x.shape[2] != self.bins:
            raise ValueError(f"the network takes {self.bins} frequency bins, not {x.shape[2]}")
        frames = x.shape[3]
        x = functional.pad(x, (0, -frames % self.patch))
        scale, heard, level = self._level(x, state.level)
        x = x / scale
        power = x.square().sum(1, keepdim=True)
        log_power = 0.25 * (power + _FLOOR).log()
        x = torch.cat([x * (1 + power / _KNEE**2).rsqrt(), log_power], dim=1)
        x = functional.pixel_unshuffle(x.transpose(2, 3), self.patch)
        x = x.contiguous(memory_format=torch.channels_last)
        pasts: list[Tensor] = []
        hidden: list[Tensor] = []

        def after_past(h: Tensor) -> Tensor:
            whole = torch.cat([state.frames[len(pasts)].to(h.dtype), h], dim=2)
            pasts.append(whole[:, :, -2:].to(scale.dtype))
            return whole.contiguous(memory_format=torch.channels_last)

        fine = functional.silu(self.first(after_past(x)) + self.place)
        h = self.down(after_past(fine)) + self.place_coarse
        h = h.permute(0, 2, 3, 1).contiguous()  # (B, T, F, C)
        for over_frequency, over_time in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            h = over_frequency(h)
            h, last = over_time(h, state.hidden[len(hidden)])
            hidden.append(last)
        h = self.up(h.permute(0, 3, 1, 2))
        # Twice the channels are two neighbouring bins.
        h = h.unflatten(1, (2, -1)).permute(0, 2, 3, 4, 1).flatten(3)
        h = fine + functional.silu(h)
        h = h + functional.silu(self.join(after_past(h)))
        out = functional.pixel_shuffle(self.last(after_past(h)), self.patch)
        out = out.transpose(2, 3)
        mask, rest = out.float().chunk(2, dim=1)
        # What no mask can make is nothing where there is digital silence.
        out = torch.cat([mask, scale * heard * rest], dim=1)[..., :frames]
        return out, CausalState(level, pasts, hidden)

    def adopt(self, other: DualPathNetwork) -> None:
        """Begins with the features of a network that sees the future too.

        Its convolutions lose their tap for the future; a recurrence that ran both ways in time
        becomes one that runs forward with the weights of both. Of more blocks than there are here
        the first and the last are taken, and what lies evenly between.

        Raises:
            ValueError: the networks' widths or numbers of blocks differ.
        """
        theirs, mine = other.state_dict(), self.state_dict()
        pairs, here = len(other.blocks) // 2, len(self.blocks) // 2
        if pairs > here:
            kept = [round(k * (pairs - 1) / max(1, here - 1)) for k in range(here)]
            theirs = _renumbered(theirs, kept)
        weights = {name: _causal(name, theirs) for name in mine if name in theirs}
        bad = [n for n in mine if n not in weights or weights[n].shape != mine[n].shape]
        if bad:
            raise ValueError(f"the networks differ in size ({bad[0]})")
        self.load_state_dict(weights)

    def _level(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(the level at each frame, 1 or 0 for silence, both (B, 1, 1, T); the state behind)."""
        power = x.float().square().sum(1).mean(1).unflatten(-1, (-1, self.patch)).mean(-1)
        heard = (power > _SILENCE).to(power.dtype)
        values = torch.stack([heard * power.clamp_min(_SILENCE).log(), heard], dim=1)
        count = power.shape[1]
        steps = torch.arange(count, dtype=power.dtype, device=power.device)
        decay = -1.0 / self.memory
        kernel = ((steps[:, None] - steps).clamp_min(0) * decay).exp().tril()
        sums = values @ kernel.T + past[:, :, None] * ((steps + 1) * decay).exp()
        # Nothing heard yet: the level does not matter, for there is nothing to scale.
        mean = sums[:, 0] / sums[:, 1].clamp_min(1e-9)
        frames = torch.stack([(0.5 * mean).exp(), heard]).repeat_interleave(self.patch, dim=-1)
        scale, heard = frames[:, :, None, None]
        return scale, heard, sums[:, :, -1]


def _renumbered(weights: dict[str, Tensor], kept: list[int]) -> dict[str, Tensor]:
    """The weights with only the ``kept`` pairs of recurrences, numbered anew."""
    out = {name: w for name, w in weights.items() if not name.startswith("blocks.")}
    for new, old in enumerate(kept):
        for part in (0, 1):
            head = f"blocks.{2 * old + part}."
            rest = {n.removeprefix(head): w for n, w in weights.items() if n.startswith(head)}
            out |= {f"blocks.{2 * new + part}.{n}": w for n, w in rest.items()}
    return out


def _causal(name: str, theirs: dict[str, Tensor]) -> Tensor:
    """A weight of the causal network from those of the two-sided one."""
    weight = theirs[name]
    part, *rest = name.split(".")
    if part in ("first", "down", "join", "last") and weight.dim() == 4:
        shifted = torch.zeros_like(weight)
        shifted[:, :, 1:] = weight[:, :, :2]  # past and present, at their places
        return shifted
    if part != "blocks" or int(rest[0]) % 2 == 0 or rest[1] != "run":
        return weight
    both = weight, theirs[f"{name}_reverse"]
    gates = [torch.stack(w.chunk(3)) for w in both]  # three gates, (3, C / 2, ...)
    if "weight_hh" in name:
        gates = [torch.cat(pair, 2) for pair in zip(gates, _blank(gates), strict=True)]
        gates[1] = gates[1].roll(gates[1].shape[2] // 2, 2)
    return torch.cat(gates, 1).flatten(0, 1)


def _blank(gates: list[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(g) for g in gates]


class _OverFrequency(nn.Module):
    """x + W GRU(norm x) along F of (B, T, F, C), both directions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.run = nn.GRU(channels, channels // 2, bidirectional=True)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x).movedim(2, 0)
        others = h.shape[1:3]
        h, _ = self.run(h.flatten(1, 2))
        out: Tensor = x + self.out(h).unflatten(1, others).movedim(0, 2)
        return out


class _OverTime(nn.Module):
    """x + W GRU(norm x) along T of (B, T, F, C), forward."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.run = nn.GRU(channels, channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        h = self.norm(x).movedim(1, 0)
        others = h.shape[1:3]
        h, last = self.run(h.flatten(1, 2), past.to(h.dtype))
        return x + self.out(h).unflatten(1, others).movedim(0, 1), last.to(past.dtype)
