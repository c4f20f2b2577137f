"""Weighted prediction error: late reverberation taken away before any network sees the recording.

In every frequency bin the late reverberation of a frame is a linear function of frames some time
ago, whose K coefficients g are found from the recording alone, in turn with the speech's power::

    x_t = y_t - sum_k conj(g_k) y_{t - delay - k},     g = argmin sum_t |x_t|^2 / lambda_t,
    lambda_t = max(|x_t|^2, floor),  x_t = y_t at first

The delay spares the direct sound and speech's own correlation. The result is linear in the
recording, so it has none of a mask's artefacts, and takes off early what no mask can: echoes in
phase with the speech. What is left is the network's task.

T. Nakatani, T. Yoshioka, K. Kinoshita, M. Miyoshi and B.-H. Juang, "Speech Dereverberation Based
on Variance-Normalized Delayed Linear Prediction", 2010, for one channel. It agrees with nara-wpe
0.0.11 to 1e-7 after one iteration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from sciddm.errors import InputError
from sciddm.physics.speech.chunks import Chunking, join, windows

__all__ = ["LinearPrediction"]

# Power below which a frame's weight no longer grows, relative to the bin's largest.
_FLOOR = 1e-6
# Diagonal loading of the normal equations, relative to their mean diagonal.
_LOADING = 1e-6


@dataclass(frozen=True)
class LinearPrediction:
    """Dereverberation by delayed linear prediction, each channel for itself.

    The room may change slowly: a recording longer than `seconds` gets its coefficients piece by
    piece, in pieces that half overlap and fade into each other.

    Args:
        taps: K, frames that predict.
        delay: frames between a frame and the latest one that predicts it.
        iterations: estimates of the power.
        n_fft: samples of the (Hann) window.
        hop: samples between frames.
        seconds: of a piece, at `rate`.
        rate: of the waveform in Hz.
    """

    taps: int = 20
    delay: int = 2
    iterations: int = 2
    n_fft: int = 512
    hop: int = 128
    seconds: float = 8.0
    rate: int = 16_000

    def __post_init__(self) -> None:
        if min(self.taps, self.delay, self.iterations, self.hop) < 1:
            raise InputError(f"{self}: taps, delay, iterations and hop are at least 1")
        if not self.hop <= self.n_fft // 2 or self.seconds * self.rate < 4 * self.n_fft:
            raise InputError(f"{self}: windows must overlap, and a piece hold several of them")

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that make this prediction again."""
        return asdict(self)

    def __call__(self, wave: Tensor) -> Tensor:
        """The waveform (..., L) without its late reverberation, by one set of coefficients.

        Waves of fewer frames than twice the coefficients are given back as they are.
        """
        length = wave.shape[-1]
        if 1 + length // self.hop < 2 * self.taps + self.delay or length <= self.n_fft // 2:
            return wave
        window = torch.hann_window(self.n_fft, dtype=wave.dtype, device=wave.device)
        Y = torch.stft(
            wave.reshape(-1, length), self.n_fft, self.hop, window=window, return_complex=True
        )
        X = self.predict(Y)
        out = torch.istft(X, self.n_fft, self.hop, window=window, length=length)
        return out.reshape(wave.shape)

    def predict(self, Y: Tensor) -> Tensor:
        """The spectrogram (..., F, T), complex, less what is predicted of it."""
        past = torch.stack([_delayed(Y, self.delay + k) for k in range(self.taps)], dim=-2)
        floor = _FLOOR * Y.abs().square().amax(-1, keepdim=True) + torch.finfo(Y.real.dtype).tiny
        X = Y
        for _ in range(self.iterations):
            # Scaled to weights of at most 1, which changes no solution.
            power = torch.maximum(X.abs().square(), floor)
            weighted = past * (power.amin(-1, keepdim=True) / power)[..., None, :]
            R = weighted @ past.mH
            trace = R.diagonal(dim1=-2, dim2=-1).real.mean(-1)[..., None, None]
            eye = torch.eye(self.taps, dtype=torch.complex128, device=Y.device)
            # A bin that is silent has nothing to solve: the 1 makes its coefficients 0.
            R = R + (_LOADING * trace + (trace == 0).to(trace.dtype)) * eye
            g = torch.linalg.solve(R, (weighted @ Y.conj()[..., None]).to(R.dtype))
            X = Y - (g.mH.to(Y.dtype) @ past)[..., 0, :]
        return X

    def stream(self, blocks: Iterable[Tensor], length: int) -> Iterator[Tensor]:
        """The same of blocks (..., n) read one after another, `length` samples in all, in constant
        memory: consecutive blocks, not of the same sizes."""
        frames = int(self.seconds * self.rate) // self.hop
        chunking = Chunking(frames, frames // 2, frames // 4, step=1)
        pieces = windows(blocks, chunking.cut(length, self.hop))
        return join((chunk, self(wave)) for chunk, wave in pieces)


def _delayed(Y: Tensor, frames: int) -> Tensor:
    return torch.nn.functional.pad(Y, (frames, 0))[..., : Y.shape[-1]]
