"""A recording's level from moment to moment, for models that expect one level.

A recording is divided by its peak before a model sees it, so one bang, or a shout, makes
everything else quieter than anything in the training data. There most networks do little: noise
in a pause 40 dB below the peak stays. Here every frame is scaled by

    g_t = target / l_t,      ln l_t = mean over half the reach of max_{|s - t| <= reach} ln a_s

with a_s the RMS over the bins of frame s, averaged over five frames, so that what is loudest
within the reach is as loud as in training. The answer is divided by g_t again, which for a mask is
exact. What is further away than one and a half times the reach changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from sciddm.errors import InputError
from sciddm.physics.speech.stft import STFT

__all__ = ["LocalLevel"]

_SHORT = 5  # frames of the mean that a_s is
_SILENCE = 1e-6  # RMS of a bin at -120 dB, below which nothing is amplified


@dataclass(frozen=True)
class LocalLevel:
    """Gains that bring what is loudest nearby to one level.

    Args:
        target: RMS of |X| over the bins of the loudest frames nearby, X uncompressed.
        seconds: the reach.
    """

    target: float = 3.0
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if not (self.target > 0 and self.seconds > 0):
            raise InputError(f"{self}: target and seconds must be > 0")

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that make this level again."""
        return asdict(self)

    def context(self, stft: STFT, rate: int) -> int:
        """Frames before and after a frame that can change its gain."""
        reach = self._reach(stft, rate)
        return reach + reach // 2 + _SHORT // 2

    def gains(self, Z: Tensor, stft: STFT, rate: int) -> Tensor:
        """Factors on the compressed spectrogram's frames.

        Args:
            Z: compressed spectrogram (..., F, T), complex.
            stft: what it was made by.
            rate: of the waveform in Hz.

        Returns:
            (..., 1, T), real: g^e, e the exponent of the compression.
        """
        power = (Z.abs() / stft.factor).pow(2 / stft.exponent).mean(-2)
        shape = power.shape
        rms = _mean(power.reshape(-1, 1, shape[-1]).sqrt(), _SHORT // 2)
        reach = self._reach(stft, rate)
        top = functional.max_pool1d(
            rms.clamp_min(_SILENCE).log(), 2 * reach + 1, stride=1, padding=reach
        )
        level = _mean(top, reach // 2)
        gain = (stft.exponent * (math.log(self.target) - level)).exp()
        return gain.reshape(*shape[:-1], 1, shape[-1])

    def _reach(self, stft: STFT, rate: int) -> int:
        return max(1, round(self.seconds * rate / stft.hop))


def _mean(values: Tensor, reach: int) -> Tensor:
    """Mean over 2 reach + 1 frames of (B, 1, T), of those there are at the ends."""
    size = 2 * reach + 1
    if values.shape[-1] < 1 or reach == 0:
        return values
    return functional.avg_pool1d(values, size, stride=1, padding=reach, count_include_pad=False)
