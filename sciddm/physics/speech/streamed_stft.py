"""The transform of ``STFT`` of a waveform that is still coming in.

Frames are those of ``STFT.analyse`` for the whole waveform, its ends reflected, each as soon as
its last sample is there. The way back is the weighted overlap-add of ``STFT.synthesise``,

    x_n = sum_k w_{n-k} u_{k,n} / sum_k w_{n-k}^2,     u_k the inverse transform of frame k

where the first ``skip`` samples of every frame may be left out of both sums. A sample is complete
when no later frame reaches back to it, so that leaving them out shortens the delay by as much. The
window is small there, and what is lost of the averaging is little.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sciddm.physics.speech.stft import STFT

__all__ = ["StreamedAnalysis", "StreamedSynthesis"]


class StreamedAnalysis:
    """Compressed spectrogram frames (C, F, t) of waves (C, n) that come block by block."""

    def __init__(self, stft: STFT) -> None:
        self.stft = stft
        self.length = 0  # samples so far
        self._half = stft.n_fft // 2
        self._held: Tensor | None = None  # begins where the next frame does
        self._begun = False

    def push(self, wave: Tensor) -> Tensor:
        """The frames that these samples complete."""
        self.length += wave.shape[-1]
        self._held = wave if self._held is None else torch.cat([self._held, wave], dim=-1)
        if not self._begun:
            if self._held.shape[-1] <= self._half:
                return self._frames()[..., :0]
            self._begin()
        return self._frames()

    def finish(self) -> Tensor:
        """The frames at the end."""
        assert self._held is not None, "push something first"
        if not self._begun:  # as STFT.analyse: what is too short to reflect is extended by zeros
            self._held = functional.pad(self._held, (0, self._half + 1 - self._held.shape[-1]))
            self._begin()
        tail = self._held[..., -self._half - 1 : -1].flip(-1)
        self._held = torch.cat([self._held, tail], dim=-1)
        return self._frames()

    def _begin(self) -> None:
        assert self._held is not None
        lead = self._held[..., 1 : self._half + 1].flip(-1)
        self._held = torch.cat([lead, self._held], dim=-1)
        self._begun = True

    def _frames(self) -> Tensor:
        assert self._held is not None
        count = (self._held.shape[-1] - self.stft.n_fft) // self.stft.hop + 1
        if not self._begun or count < 1:
            return torch.zeros(len(self._held), self.stft.bins, 0, dtype=torch.complex64)
        window = torch.hann_window(self.stft.n_fft, dtype=self._held.dtype)
        seen = self._held[..., : (count - 1) * self.stft.hop + self.stft.n_fft]
        X = torch.stft(
            seen, self.stft.n_fft, self.stft.hop, window=window, center=False, return_complex=True
        )
        self._held = self._held[..., count * self.stft.hop :].clone()
        return self.stft.compress(X)


class StreamedSynthesis:
    """Waves (C, n) of compressed spectrogram frames (C, F, t) that come block by block.

    Args:
        stft: their transform.
        skip: samples at the beginning of every frame that are not used, less than n_fft / 2.
    """

    def __init__(self, stft: STFT, skip: int = 0) -> None:
        if not 0 <= skip < stft.n_fft // 2:
            raise ValueError(f"skip = {skip}: must be 0 ... {stft.n_fft // 2 - 1}")
        self.stft, self.skip = stft, skip
        self._sum: Tensor | None = None  # (C, n), begins where the next frame does
        self._weight = torch.zeros(0)
        self._given = 0  # so many samples of the sum have been given out
        self._lead = stft.n_fft // 2  # samples before time 0 that are still to be dropped

    def push(self, Z: Tensor) -> Tensor:
        """The samples that no later frame changes."""
        n_fft, hop = self.stft.n_fft, self.stft.hop
        if self._sum is None:
            self._sum = Z.real.new_zeros(len(Z), n_fft - hop)
            self._weight = Z.real.new_zeros(n_fft - hop)
        count = Z.shape[-1]
        if count == 0:
            return self._sum[:, :0]
        window = torch.hann_window(n_fft, dtype=self._sum.dtype)
        window[: self.skip] = 0
        waves = torch.fft.irfft(self.stft.expand(Z), n_fft, dim=1) * window[:, None]
        size = (count - 1) * hop + n_fft
        squares = window.square()[None, :, None].expand(1, n_fft, count)
        total, weight = (
            functional.fold(v, (1, size), (1, n_fft), stride=(1, hop))[:, 0, 0]
            for v in (waves, squares)
        )
        total[:, : n_fft - hop] += self._sum
        weight[0, : n_fft - hop] += self._weight
        # The next frame begins `done` later, and is not used before its first `skip`.
        done = count * hop
        wave = self._ready(total[:, : done + self.skip], weight[0, : done + self.skip])
        self._sum, self._weight = total[:, done:].clone(), weight[0, done:].clone()
        self._given = self.skip
        return wave

    def finish(self) -> Tensor:
        """The samples that are left."""
        assert self._sum is not None, "push something first"
        return self._ready(self._sum, self._weight)

    def _ready(self, total: Tensor, weight: Tensor) -> Tensor:
        wave = (total / weight.clamp_min(1e-9))[:, self._given :]
        dropped = min(self._lead, wave.shape[-1])
        self._lead -= dropped
        return wave[:, dropped:]
