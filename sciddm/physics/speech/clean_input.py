"""Recordings without noise come back as they were recorded.

A model changes clean speech a little, 25 to 30 dB below it. Where a recording's own pauses show
that there is no noise, and the model changes little, the recording itself is the better answer:

    s_t = 10 lg( max p / min p )      over the reach, p the power of a frame, mean of five
    d_t = 10 lg( mean |Y|^2 / mean |Y - X^|^2 )                       over the reach
    w_t = mean over half the reach of  ramp(s_t; floor) ramp(d_t; change)
    X^ <- w Y + (1 - w) X^

with ramp(v; a) = min(1, max(0, (v - a) / width)). Noise of 40 dB below the loudest frames or more
is noise. A short noise between silent pauses changes much, and is taken away.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from sciddm.errors import InputError
from sciddm.physics.speech.stft import STFT

__all__ = ["CleanInput"]

_SHORT = 2  # frames to each side of the mean that p is
_TINY = 1e-12


@dataclass(frozen=True)
class CleanInput:
    """Gives the recording back where it has no noise.

    Args:
        floor: dB from the loudest frames nearby down to the quietest ones, from which on there is
            no noise.
        floor_width: dB more, from which on nothing is changed.
        change: dB of the recording above what the model takes away.
        change_width: dB more.
        seconds: the reach.
    """

    floor: float = 45.0
    floor_width: float = 10.0
    change: float = 18.0
    change_width: float = 4.0
    seconds: float = 2.0

    def __post_init__(self) -> None:
        if min(asdict(self).values()) <= 0:
            raise InputError(f"{self}: all values must be > 0")

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return asdict(self)

    def context(self, stft: STFT, rate: int) -> int:
        """Frames before and after a frame that can change its weight."""
        reach = self._reach(stft, rate)
        return reach + reach // 2 + _SHORT

    def weights(self, estimate: Tensor, noisy: Tensor, stft: STFT, rate: int) -> Tensor:
        """w (T,), 0 to 1.

        Args:
            estimate: compressed spectrogram (F, T), complex.
            noisy: that of the recording.
            stft: what they were made by.
            rate: of the waveform in Hz.
        """
        Y, X = stft.expand(noisy), stft.expand(estimate)
        whole, taken = Y.abs().square().sum(0), (Y - X).abs().square().sum(0)
        reach = self._reach(stft, rate)
        power = _mean(whole, _SHORT)
        floor = 10 * ((_max(power, reach) + _TINY) / (-_max(-power, reach) + _TINY)).log10()
        change = 10 * ((_mean(whole, reach) + _TINY) / (_mean(taken, reach) + _TINY)).log10()
        weight = ((floor - self.floor) / self.floor_width).clamp(0, 1)
        weight = weight * ((change - self.change) / self.change_width).clamp(0, 1)
        return _mean(weight, reach // 2)

    def blend(self, estimate: Tensor, noisy: Tensor, weights: Tensor, stft: STFT) -> Tensor:
        """w Y + (1 - w) X^, compressed; arguments as for ``weights``."""
        Y, X = stft.expand(noisy), stft.expand(estimate)
        return stft.compress(X + weights * (Y - X))

    def _reach(self, stft: STFT, rate: int) -> int:
        return max(2, round(self.seconds * rate / stft.hop))


def _max(values: Tensor, reach: int) -> Tensor:
    return functional.max_pool1d(values[None, None], 2 * reach + 1, 1, reach)[0, 0]


def _mean(values: Tensor, reach: int) -> Tensor:
    size = 2 * reach + 1
    return functional.avg_pool1d(values[None, None], size, 1, reach, count_include_pad=False)[0, 0]
