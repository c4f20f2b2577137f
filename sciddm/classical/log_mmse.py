"""Noise reduction without training, frame by frame: log-spectral amplitude and tracked noise.

The noise power s^2 of every bin follows the recording as far as speech is unlikely there (Gerkmann
and Hendriks). With y the frame and p the probability of speech for an a-priori ratio of 15 dB,

    1/p = 1 + (1 + x1) exp(-|y|^2 / s^2  x1 / (1 + x1)),       x1 = 10^1.5
    s^2 <- 0.8 s^2 + 0.2 ((1 - p) |y|^2 + p s^2)

and p is held below 0.99 where its mean over time is above it, or the estimate would never rise
again. The gain is that of the smallest error of the logarithm of the amplitude (Ephraim and Malah):

    G = x / (1 + x) exp(E1(v) / 2),     v = x / (1 + x) |y|^2 / s^2
    E1(v) = integral from v to infinity of e^-t / t dt
    x = max(0.98 |G' y'|^2 / s'^2 + 0.02 max(|y|^2 / s^2 - 1, 0), floor)

with primes for the frame before. It takes steady noise away in real time and leaves what changes
as quickly as speech does.

Y. Ephraim and D. Malah, Speech enhancement using a minimum mean-square error log-spectral amplitude
estimator, 1985, eqs. 20 and 21. T. Gerkmann and R. C. Hendriks, Unbiased MMSE-based noise power
estimation with low complexity and low tracking delay, 2012, section IV.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.special import exp1
from torch import Tensor

__all__ = ["LogMMSE", "NoiseState"]

_PRIOR = 10**1.5  # a-priori ratio where there is speech
_FOLLOW, _STUCK, _HELD = 0.8, 0.9, 0.99
_DIRECTED = 0.98
_BEGIN = 8  # frames whose mean power is the first estimate of the noise
_TINY = 1e-12


@dataclass
class NoiseState:
    """What is remembered of the frames before, (C, F) each.

    Attributes:
        noise: s^2.
        presence: mean of p over time.
        clean: |G y|^2 / s^2 of the frame before.
        frames: so many went into the first estimate.
    """

    noise: Tensor
    presence: Tensor
    clean: Tensor
    frames: int = 0


class LogMMSE:
    """The estimator; spectrograms are complex and not compressed.

    Args:
        limit: the most that is taken away, in dB.
    """

    def __init__(self, limit: float = 30.0) -> None:
        if not limit > 0:
            raise ValueError(f"limit = {limit} dB: must be > 0")
        self.limit = limit
        self._floor = 10 ** (-limit / 20)

    def start(self, channels: int, bins: int) -> NoiseState:
        """The state before the first frame."""
        zero = torch.zeros(channels, bins)
        return NoiseState(zero, zero.clone(), zero.clone())

    def run(self, Y: Tensor, state: NoiseState) -> tuple[Tensor, NoiseState]:
        """The estimate of the next frames Y (C, F, T), and the state behind them."""
        power = Y.real.square() + Y.imag.square()
        gains = torch.empty_like(power)
        for t in range(Y.shape[-1]):
            gains[..., t] = self._gain(power[..., t], state)
        return gains * Y, state

    def _gain(self, power: Tensor, state: NoiseState) -> Tensor:
        if state.frames < _BEGIN:
            state.frames += 1
            state.noise = state.noise + (power - state.noise) / state.frames
        noise = state.noise.clamp_min(_TINY)
        evidence = -power / noise * (_PRIOR / (1 + _PRIOR))
        p = 1 / (1 + (1 + _PRIOR) * evidence.exp())
        state.presence = _STUCK * state.presence + (1 - _STUCK) * p
        p = torch.where(state.presence > _HELD, p.clamp_max(_HELD), p)
        seen = (1 - p) * power + p * noise
        if state.frames >= _BEGIN:
            state.noise = _FOLLOW * noise + (1 - _FOLLOW) * seen
        ratio = power / state.noise.clamp_min(_TINY)
        x = _DIRECTED * state.clean + (1 - _DIRECTED) * (ratio - 1).clamp_min(0)
        x = x.clamp_min(self._floor**2)
        share = x / (1 + x)
        v = (share * ratio).clamp_min(1e-10)
        gain = share * (0.5 * torch.from_numpy(exp1(v.numpy()))).exp()
        gain = gain.clamp(self._floor, 1.0)
        state.clean = gain.square() * ratio
        return gain
