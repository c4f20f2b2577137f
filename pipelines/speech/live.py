"""A causal model on sound that is still coming in: any blocks in, the same sound later out.

    block -> minus running offset -> model's rate -> frames -> network with its state -> waveform
          -> recording's rate -> plus upper band, plus offset

Every stage keeps what it needs of the past, and none needs more of the future than the delay: the
window of a frame less the hop that its synthesis leaves out, one patch of frames, and the reach of
the two resampling filters. Files and pipes go through the same object, so both give the same
output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter
from torch import Tensor

from sciddm.classical.log_mmse import LogMMSE
from sciddm.data_adapters.audio import Recording
from sciddm.data_adapters.audio.resampling import live_resampler
from sciddm.device import current, placed
from sciddm.errors import InputError
from sciddm.physics.speech.stft import STFT
from sciddm.physics.speech.streamed_stft import StreamedAnalysis, StreamedSynthesis
from sciddm.physics.speech.upper_band import BAND
from sciddm.pipelines.speech.enhance import Block, Levels
from sciddm.priors.predictor import Predictor
from sciddm.progress import Progress

__all__ = ["Classical", "LiveEnhancement", "LiveModel", "Network", "live_blocks"]

_OFFSET_S = 2.0  # memory of the running offset
_FIRST_S = 0.02  # whose mean it begins with
_TINY = 1e-12
_BLOCK = 2**16  # samples of a file that are enhanced together

Samples = NDArray[np.float32]


class LiveModel(Protocol):
    """What estimates frames as they come.

    Attributes:
        patch: frames that it takes together.
    """

    patch: int

    def run(self, Z: Tensor) -> Tensor:
        """The estimate of the next frames (C, F, T), compressed; T is a multiple of ``patch``."""
        ...


class Network:
    """A causal predictor with its state.

    Raises:
        InputError: the model sees the future.
    """

    def __init__(self, model: object, channels: int) -> None:
        if not (isinstance(model, Predictor) and model.causal):
            raise InputError(
                "this model sees the future, so it cannot be used live: give log-mmse, "
                "speech-live or the folder of a causal model (recipes/speech-live.yaml)"
            )
        self._device = current()
        self._model, self._state = placed(model), model.start(channels)
        self.patch = int(getattr(model.network, "stride", 1))

    def run(self, Z: Tensor) -> Tensor:
        """See `LiveModel`."""
        estimate, self._state = self._model.run(Z[:, None].to(self._device), self._state)
        return estimate[:, 0].cpu()


class Classical:
    """`LogMMSE`, which no data have trained."""

    patch = 1

    def __init__(self, stft: STFT, channels: int) -> None:
        self._stft, self._model = stft, LogMMSE()
        self._state = self._model.start(channels, stft.bins)

    def run(self, Z: Tensor) -> Tensor:
        """See `LiveModel`."""
        estimate, self._state = self._model.run(self._stft.expand(Z), self._state)
        return self._stft.compress(estimate)


class LiveEnhancement:
    """Enhances consecutive blocks of one recording.

    Args:
        model: with the state of as many channels.
        stft: its representation.
        model_rate: its rate in Hz.
        rate: of the recording in Hz.
        channels: their number; each is enhanced alone.
        attenuation_limit: the most that is taken away, in dB; None for no limit.
    """

    def __init__(
        self,
        model: LiveModel,
        stft: STFT,
        model_rate: int,
        rate: int,
        channels: int,
        attenuation_limit: float | None = None,
    ) -> None:
        self.model, self.stft, self.channels = model, stft, channels
        self.model_rate, self.rate = model_rate, rate
        self._kept = 0.0 if attenuation_limit is None else 10 ** (-attenuation_limit / 20)
        self._offset = _RunningOffset(rate, channels)
        same = rate == model_rate
        self._down = None if same else live_resampler(rate, model_rate)
        self._up = None if same else live_resampler(model_rate, rate)
        self._analysis = StreamedAnalysis(stft)
        # A hop less of delay, where enough frames still overlap.
        self._skip = stft.hop if stft.n_fft >= 3 * stft.hop else 0
        self._synthesis = StreamedSynthesis(stft, self._skip)
        self._patch = model.patch
        self._frames: Tensor | None = None  # that wait for their patch
        self._beyond = rate > model_rate
        self._gains = _BandGains(stft, channels)
        # At the model's rate: the enhanced wave, the wave as it was, and the gain above the band.
        self._waiting = [torch.zeros(channels, 0) for _ in range(3)]
        self._recorded = torch.zeros(channels, 0)  # at the recording's rate, not yet given back
        self._offsets = torch.zeros(channels, 0)
        self.frames_in = self.frames_out = 0
        self.nfe = 0

    @property
    def delay_s(self) -> float:
        """Seconds between a sample's arrival and its enhanced value, computing apart."""
        stft = self.stft
        samples = stft.n_fft - self._skip + stft.hop * (self._patch - 1)
        filters = 0.0
        if self._down is not None and self._up is not None:
            filters = self._down.lookahead / self.rate + self._up.lookahead / self.model_rate
        return samples / self.model_rate + filters

    def push(self, block: Samples) -> Samples:
        """Takes samples (channel, n), full scale at 1, and gives back those that are finished."""
        if block.shape[0] != self.channels:
            raise InputError(f"{block.shape[0]} channels after {self.channels}")
        self.frames_in += block.shape[1]
        with torch.no_grad():
            return self._take(*self._offset.push(torch.from_numpy(block)))

    def finish(self) -> Samples:
        """The last samples: as many have gone out as came in."""
        with torch.no_grad():
            parts = [self._take(*self._offset.finish())]
            if self.frames_in:
                parts.append(self._last())
        return np.concatenate(parts, axis=1)

    def _take(self, wave: Tensor, offset: Tensor) -> Samples:
        if wave.shape[-1] == 0:
            return np.zeros((self.channels, 0), np.float32)
        self._recorded = torch.cat([self._recorded, wave], dim=-1)
        self._offsets = torch.cat([self._offsets, offset], dim=-1)
        low = wave if self._down is None else self._down.push(wave)
        return self._low(low, self._analysis.push(low))

    def _last(self) -> Samples:
        low = self._recorded[..., :0]
        if self._down is not None:
            low = self._down.finish()
        Z = torch.cat([self._analysis.push(low), self._analysis.finish()], dim=-1)
        parts = [self._low(low, Z, last=True)]
        if self._up is not None:
            parts.append(self._out(self._up.finish()))
        return np.concatenate(parts, axis=1)

    def _low(self, low: Tensor, Z: Tensor, last: bool = False) -> Samples:
        """Goes on with new samples and frames at the model's rate."""
        frames = Z if self._frames is None else torch.cat([self._frames, Z], dim=-1)
        count = frames.shape[-1] if last else frames.shape[-1] // self._patch * self._patch
        frames, self._frames = frames[..., :count], frames[..., count:].clone()
        new = [low[..., :0], low, low[..., :0]]
        if count:
            estimate = self.model.run(frames)
            self.nfe += 1
            new[0] = self._synthesis.push(estimate)
            new[2] = self._gains.push(estimate, frames)
        if last:
            if self._frames is not None and self._analysis.length:
                new[0] = torch.cat([new[0], self._synthesis.finish()], dim=-1)
            new[2] = torch.cat([new[2], self._gains.finish()], dim=-1)
        self._waiting = [torch.cat(v, -1) for v in zip(self._waiting, new, strict=True)]
        ready = min(v.shape[-1] for v in self._waiting)
        three = torch.stack([v[..., :ready] for v in self._waiting])
        self._waiting = [v[..., ready:].clone() for v in self._waiting]
        return self._out(three if self._up is None else self._up.push(three))

    def _out(self, three: Tensor) -> Samples:
        """Samples at the recording's rate: enhanced, as it was within the band, gain above it."""
        count = min(three.shape[-1], self._recorded.shape[-1])
        enhanced, within, gain = three[..., :count]
        recorded, offset = self._recorded[..., :count], self._offsets[..., :count]
        self._recorded = self._recorded[..., count:].clone()
        self._offsets = self._offsets[..., count:].clone()
        if self._beyond:
            enhanced = enhanced + gain.clamp(0, 1) * (recorded - within)
        out = enhanced + self._kept * (recorded - enhanced) + offset
        self.frames_out += count
        answer: Samples = out.numpy()
        return answer


def live_blocks(
    recording: Recording, levels: Levels, live: LiveEnhancement, progress: Progress | None = None
) -> Iterator[Block]:
    """The enhanced recording, block by block, read once; silent channels as they are."""
    silent = levels.silent[:, None]
    # What was read and not given back yet: the delay, and no more.
    waiting = np.zeros((recording.channels, 0), np.float32)

    def given(enhanced: Samples) -> Block:
        nonlocal waiting
        noisy, waiting = np.split(waiting, [enhanced.shape[1]], axis=1)
        return Block(noisy, np.where(silent, noisy, enhanced), None)

    for block in recording.blocks(_BLOCK):
        waiting = np.concatenate([waiting, block], axis=1)
        out = given(live.push(block))
        if out.noisy.shape[1]:
            yield out
        if progress is not None:
            progress(live.frames_in, recording.frames, "enhancing")
    yield given(live.finish())


class _RunningOffset:
    """The mean of the past, y less it, from a first estimate over 20 ms on.

    m_n = m_{n-1} + (y_n - m_{n-1}) / (memory rate)
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = math.exp(-1 / (_OFFSET_S * rate))
        self._first = max(1, round(_FIRST_S * rate))
        self._held: Tensor | None = torch.zeros(channels, 0)
        self._past: NDArray[np.float64] = np.zeros((channels, 1))

    def push(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """(y - m, m) of the samples that are ready."""
        if self._held is not None:
            block = torch.cat([self._held, block], dim=-1)
            if block.shape[-1] < self._first:
                self._held = block
                return block[..., :0], block[..., :0]
            self._begin(block)
        return self._next(block)

    def finish(self) -> tuple[Tensor, Tensor]:
        """What is left of a recording of less than 20 ms."""
        if self._held is None or self._held.shape[-1] == 0:
            empty = torch.zeros(len(self._past), 0)
            return empty, empty
        block = self._held
        self._begin(block)
        return self._next(block)

    def _begin(self, block: Tensor) -> None:
        mean = block[..., : self._first].double().mean(-1, keepdim=True)
        self._past = self._rate * mean.numpy()
        self._held = None

    def _next(self, block: Tensor) -> tuple[Tensor, Tensor]:
        r = self._rate
        mean, self._past = lfilter([1 - r], [1, -r], block.double().numpy(), zi=self._past)
        offset = torch.from_numpy(mean).float()
        return block - offset, offset


class _BandGains:
    """The gain above the model's band at every sample of its rate, as `band_gain` but causal.

    Powers are averaged over a frame and the two before it. Between the middles of two frames the
    gain is linear.
    """

    def __init__(self, stft: STFT, channels: int) -> None:
        self.stft = stft
        self._bins = slice(*(round(edge * (stft.bins - 1)) for edge in BAND))
        self._powers = torch.zeros(2, channels, 2)
        self._last: Tensor | None = None

    def push(self, estimate: Tensor, noisy: Tensor) -> Tensor:
        """Gains (C, n) between the frames so far: a hop for each but the first."""
        new = torch.stack(
            [self.stft.expand(Z[:, self._bins]).abs().square().sum(1) for Z in (estimate, noisy)]
        )
        powers = torch.cat([self._powers, new], dim=-1)
        self._powers = powers[..., -2:].clone()
        kept, all_of_it = powers.unfold(-1, 3, 1).sum(-1)
        gain = (kept / (all_of_it + _TINY)).clamp(0, 1).sqrt()
        if self._last is not None:
            gain = torch.cat([self._last, gain], dim=-1)
        self._last = gain[..., -1:].clone()
        share = torch.arange(self.stft.hop) / self.stft.hop
        steps = torch.lerp(gain[..., :-1, None], gain[..., 1:, None], share)
        return steps.flatten(-2)

    def finish(self) -> Tensor:
        """The last gain, for as long as a frame reaches."""
        if self._last is None:
            return torch.zeros(self._powers.shape[1], 0)
        return self._last.expand(-1, self.stft.n_fft + 1)
