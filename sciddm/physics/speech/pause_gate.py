"""Pauses as quiet as the gaps between words, where a model itself finds no speech.

A model takes noise away further beside speech, where it knows what it hears, than in a long pause:
what is left of the noise comes up in every pause, and pumps. Where the model's answer is far below
the recording in every frame nearby, nobody speaks by its own account, and more may be taken:

    g_t = 10 lg( sum_f |X^_ft|^2 / sum_f |Y_ft|^2 )                       the model's gain in dB
    m_t = mean over the reach of max_{|s - t| <= reach} g_s
    X^_ft <- X^_ft 10^(-d_t / 20),     d_t = min(most, slope max(0, -below - m_t))

with the maximum so that nothing within the reach of speech changes. A gain that is a little lower
is lowered a little more; there is no switch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from sciddm.errors import InputError
from sciddm.physics.speech.stft import STFT

__all__ = ["PauseGate"]

_TINY = 1e-12


@dataclass(frozen=True)
class PauseGate:
    """Further attenuation where a model takes nearly all away.

    Args:
        below: dB of attenuation from which more is taken.
        slope: dB more for each dB beyond.
        most: dB more at most.
        seconds: the reach.
    """

    below: float = 10.0
    slope: float = 2.0
    most: float = 20.0
    seconds: float = 0.15

    def __post_init__(self) -> None:
        if min(self.below, self.slope, self.most, self.seconds) <= 0:
            raise InputError(f"{self}: all values must be > 0")

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that make this gate again."""
        return asdict(self)

    def context(self, stft: STFT, rate: int) -> int:
        """Frames before and after a frame that can change its attenuation."""
        return 2 * self._reach(stft, rate)

    def __call__(self, estimate: Tensor, noisy: Tensor, stft: STFT, rate: int) -> Tensor:
        """The estimate with quieter pauses.

        Args:
            estimate: compressed spectrogram (..., F, T), complex.
            noisy: that of the recording, the same shape.
            stft: what they were made by.
            rate: of the waveform in Hz.
        """
        left, whole = (
            (Z.abs() / stft.factor).pow(2 / stft.exponent).sum(-2) for Z in (estimate, noisy)
        )
        gain = 10 * ((left + _TINY) / (whole + _TINY)).log10()
        shape = gain.shape
        reach = self._reach(stft, rate)
        size = 2 * reach + 1
        top = functional.max_pool1d(gain.reshape(-1, 1, shape[-1]), size, stride=1, padding=reach)
        top = functional.avg_pool1d(top, size, stride=1, padding=reach, count_include_pad=False)
        more = (self.slope * (-self.below - top)).clamp(0, self.most).reshape(shape)
        return estimate * 10 ** (-stft.exponent * more[..., None, :] / 20)

    def _reach(self, stft: STFT, rate: int) -> int:
        return max(1, round(self.seconds * rate / stft.hop))
