"""The distance of an estimated complex spectrogram to the true one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from sciddm.losses.loudness import loudness_distance

__all__ = ["SpectralLoss"]


@dataclass(frozen=True)
class SpectralLoss:
    """Per item, with Z the estimate and X the truth in units of ``scale``, means over C, F, T::

        complex mean|Z - X|^2 + magnitude mean(|Z| - |X|)^2
            + snr ln( sum|l(Z) - l(X)|^2 / sum|l(X)|^2 )
            + segmental mean_k ln( sum_k|l(Z) - l(X)|^2 / sum_k|l(X)|^2 )
            + loudness distance(|l(Z)|^2, |l(X)|^2),           l(Z) = |Z|^(p-1) Z

    The first term alone asks for the mean of X, which shrinks what is uncertain; the second keeps
    its level. Spectrograms are amplitude-compressed; l with ``power`` p = 1/e undoes the
    compression by an exponent e, so that the third term is the noise-to-signal ratio of the
    waveform (Parseval) in units of 10/ln 10 dB, the same for loud and quiet items. The fourth is
    its mean over segments k of ``segment`` frames: what remains of the noise in a pause counts as
    much as an error beside it does. Both sums have ``quiet``, a mean power, added: silence has no
    ratio, and the logarithm of what remains of noise alone would outweigh all speech if it could
    fall without end (with 1e-6, 60 dB below the scale, scenes without speech taught a network to
    be silent). The last term is what the ear makes of it
    (``losses.loudness``); it needs to know what frequencies the bins are, from 0 to half of
    ``rate``, and how many frames there are in a second. It says nothing about items whose truth
    is silent.

    Braun and Tashev, A consolidated view of loss functions for supervised deep learning-based
    speech enhancement, 2021, eqs. 4-6 (complex and magnitude); Le Roux et al., SDR - half-baked or
    well done?, 2019, eq. 1 (SNR).
    """

    complex: float = 1.0
    magnitude: float = 1.0
    snr: float = 0.0
    power: float = 1.0
    scale: float = 1.0
    loudness: float = 0.0
    rate: float = 16_000.0
    frame_rate: float = 125.0
    segmental: float = 0.0
    segment: int = 32
    quiet: float = 1e-6

    def __post_init__(self) -> None:
        weights = self.complex, self.magnitude, self.snr, self.loudness, self.segmental
        if min(weights) < 0:
            raise ValueError("weights of the spectral loss are >= 0")
        positive = self.scale, self.power, self.rate, self.frame_rate, self.segment, self.quiet
        if min(positive) <= 0:
            raise ValueError("scale, power, rates, segment and quiet of the spectral loss are > 0")

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        config = asdict(self)
        if not self.segmental:  # as models that were stored before it have it
            del config["segmental"], config["segment"]
        if self.quiet == 1e-6:
            del config["quiet"]
        return config

    def __call__(self, estimate: Tensor, truth: Tensor) -> Tensor:
        """(B, C, F, T) complex, twice -> (B,)."""
        z, x = estimate / self.scale, truth / self.scale
        loss = self.complex * _power(z - x).mean(1)
        if self.magnitude:
            loss = loss + self.magnitude * (z.abs() - x.abs()).square().flatten(1).mean(1)
        if not (self.snr or self.segmental or self.loudness):
            return loss
        z, x = (v * v.abs().clamp_min(_TINY) ** (self.power - 1) for v in (z, x))
        if self.snr:
            error, signal = (_power(v).mean(1) + self.quiet for v in (z - x, x))
            loss = loss + self.snr * (error / signal).log()
        if self.segmental:
            error, signal = (self._segments(v) + self.quiet for v in (z - x, x))
            loss = loss + self.segmental * (error / signal).log().mean(1)
        if self.loudness:
            z, x = (v.real.square() + v.imag.square() for v in (z, x))
            each = loudness_distance(z.flatten(0, 1), x.flatten(0, 1), self.rate, self.frame_rate)
            heard = (x.flatten(1).mean(1) > _QUIET).to(each.dtype)
            loss = loss + self.loudness * heard * each.unflatten(0, z.shape[:2]).mean(1)
        return loss

    def _segments(self, v: Tensor) -> Tensor:
        """Mean power of each whole segment of frames (B, K); of all frames if there is none."""
        power = (v.real.square() + v.imag.square()).flatten(1, 2).mean(1)
        count = power.shape[-1] // self.segment
        if count == 0:
            return power.mean(-1, keepdim=True)
        out: Tensor = power[:, : count * self.segment].unflatten(1, (count, -1)).mean(2)
        return out


_QUIET = 1e-6  # power of a truth that is silent
_TINY = 1e-8  # |v|^(p-1) with p < 2 has no finite slope at 0


def _power(v: Tensor) -> Tensor:
    return (v.real.square() + v.imag.square()).flatten(1)
