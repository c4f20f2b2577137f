"""The representation that the networks see: a compressed complex spectrogram.

With X the short-time Fourier transform of a waveform,

    Z = beta |X|^e exp(i arg X),        X = |Z / beta|^(1/e) exp(i arg Z)

The compression brings the loud low frequencies and the faint high ones to a similar scale, so
that one Gaussian noise level suits all bins; beta brings them to the scale of the processes.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch

from sciddm.errors import InputError

__all__ = ["STFT"]


@dataclass(frozen=True)
class STFT:
    """Short-time Fourier transform with amplitude compression, and its inverse.

    Windows are periodic Hann of `n_fft` samples, frames are centred (frame k at sample k hop,
    the ends reflected), not normalised. A waveform of L samples has F = n_fft // 2 + 1 bins and
    T = 1 + L // hop frames.

    Below |X| = `floor` (-120 dB of a bin at 1; waveforms are expected with a peak near 1) the
    power law gives way to the straight line through zero, in both directions: |X|^e has an
    infinite slope at 0 and its phase none at all, which makes NaN of the gradient of silence.
    The two directions stay exact inverses.

    Args:
        n_fft: samples of window and transform.
        hop: samples between frames.
        factor: beta > 0.
        exponent: e in (0, 1]; 1 leaves the amplitudes linear.

    References:
        J. Richter, S. Welker, J.-M. Lemercier, B. Lay and T. Gerkmann, "Speech Enhancement and
        Dereverberation with Diffusion-based Generative Models", 2023, equation (20).
    """

    n_fft: int = 510
    hop: int = 128
    factor: float = 0.15
    exponent: float = 0.5

    floor: ClassVar[float] = 1e-4

    def __post_init__(self) -> None:
        if self.n_fft < 2 or not 1 <= self.hop <= self.n_fft // 2:
            raise InputError(
                f"STFT: hop = {self.hop} with n_fft = {self.n_fft}; hop must lie in "
                "1 ... n_fft // 2, or the windows do not overlap enough to invert them"
            )
        if not (self.factor > 0 and math.isfinite(self.factor) and 0 < self.exponent <= 1):
            raise InputError(
                f"STFT: factor = {self.factor} and exponent = {self.exponent}; "
                "factor must be positive and exponent in (0, 1]"
            )

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that make this transform again: `STFT(**config)`."""
        return asdict(self)

    @property
    def bins(self) -> int:
        """F, the number of frequency bins."""
        return self.n_fft // 2 + 1

    def frames(self, length: int) -> int:
        """T, the number of frames of a waveform of `length` samples."""
        return 1 + max(length, self.n_fft // 2 + 1) // self.hop

    def analyse(self, wave: torch.Tensor) -> torch.Tensor:
        """Waveform (..., L) -> compressed spectrogram (..., F, T), complex.

        A waveform of n_fft // 2 samples or fewer, too short to be reflected, is extended by
        zeros first; `synthesise` with its length takes them away again.
        """
        shape = wave.shape[:-1]
        missing = self.n_fft // 2 + 1 - wave.shape[-1]
        if missing > 0:
            wave = torch.nn.functional.pad(wave, (0, missing))
        X = torch.stft(
            wave.reshape(-1, wave.shape[-1]),
            self.n_fft,
            self.hop,
            window=self._window(wave),
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        return self.compress(X).reshape(*shape, *X.shape[-2:])

    def synthesise(self, Z: torch.Tensor, length: int) -> torch.Tensor:
        """Compressed spectrogram (..., F, T) -> waveform (..., length), the inverse of `analyse`.

        A spectrogram that no waveform has (an estimate) gives the waveform whose transform is
        nearest to it in the least-squares sense.
        """
        X = self.expand(Z)
        wave = torch.istft(
            X.reshape(-1, *X.shape[-2:]),
            self.n_fft,
            self.hop,
            window=self._window(X.real),
            center=True,
            length=length,
        )
        return wave.reshape(*Z.shape[:-2], length)

    def compress(self, X: torch.Tensor) -> torch.Tensor:
        """X -> Z = beta X max(|X|, floor)^(e - 1)."""
        return self.factor * X * X.abs().clamp_min(self.floor) ** (self.exponent - 1)

    def expand(self, Z: torch.Tensor) -> torch.Tensor:
        """Z -> X = (Z / beta) max(|Z / beta|, floor^e)^(1/e - 1), the inverse of `compress`."""
        Z = Z / self.factor
        return Z * Z.abs().clamp_min(self.floor**self.exponent) ** (1 / self.exponent - 1)

    def _window(self, like: torch.Tensor) -> torch.Tensor:
        return torch.hann_window(self.n_fft, periodic=True, dtype=like.dtype, device=like.device)
