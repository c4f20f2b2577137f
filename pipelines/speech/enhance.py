"""The way of a recording through the model: rate, level, spectrogram, and all of it back.

    recording -> minus mean, over peak -> model's rate -> (linear prediction) -> chunks
              -> spectrogram -> estimate -> waveform -> cross-fade -> recording's rate
              -> plus upper band -> times peak, plus mean

What lies above the model's band (`band_gain`) is kept at the gain that the model gave the highest
part of its own.

Each channel goes this way alone. Memory is that of a chunk, however long the recording is: it is
read twice from its start, once for its levels, once to be enhanced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciddm.classical.linear_prediction import LinearPrediction
from sciddm.data_adapters.audio import Recording, resample_blocks
from sciddm.device import current
from sciddm.physics.speech.chunks import Chunk, Chunking, join, windows
from sciddm.physics.speech.clean_input import CleanInput
from sciddm.physics.speech.clipping import FlatTops
from sciddm.physics.speech.level import LocalLevel
from sciddm.physics.speech.pause_gate import PauseGate
from sciddm.physics.speech.steady_tones import SteadyTones
from sciddm.physics.speech.stft import STFT
from sciddm.physics.speech.talkers import RATE as TALKER_RATE
from sciddm.physics.speech.talkers import TalkerCount
from sciddm.physics.speech.upper_band import band_gain
from sciddm.progress import Progress
from sciddm.random.streams import Streams
from sciddm.random.tiled_streams import TiledStreams

__all__ = ["Block", "Draw", "Front", "Levels", "enhanced_blocks", "measure"]

#: (spectrogram (1, 1, F, T), one stream per sample) -> one estimate of its shape for each.
Draw = Callable[[Tensor, Sequence[Streams]], Sequence[Tensor]]

_BLOCK = 2**17  # samples read at a time
#: Noise of channel c, sample k has the identity c * _CHANNEL + k.
_CHANNEL = 10_000


@dataclass(frozen=True)
class Levels:
    """What a first pass over a recording finds.

    Attributes:
        mean: of each channel: its DC offset.
        peak: largest |y - mean| of each channel; 0 where it is silent.
        clipped: share of the samples in flat tops at a channel's extremes.
        tones: share of frames that are music; None for too little sound.
        talkers: share of loud frames with several talkers; None for too little sound, or if not
            counted.
    """

    mean: NDArray[np.float64]
    peak: NDArray[np.float64]
    clipped: float
    tones: float | None = None
    talkers: float | None = None

    @property
    def silent(self) -> NDArray[np.bool_]:
        """Channels without any sound."""
        return np.asarray(self.peak == 0)


@dataclass(frozen=True)
class Front:
    """What stands between a recording and the model.

    Attributes:
        stft: the model's representation.
        rate: the model's rate in Hz.
        chunking: how long recordings are cut.
        prediction: takes late reverberation away first, for a model that was trained behind it.
        level: brings every moment to the level that the model was trained at.
        gate: takes more away where the model finds no speech.
        clean: gives the recording back where it has no noise.
    """

    stft: STFT
    rate: int
    chunking: Chunking = field(default_factory=Chunking)
    prediction: LinearPrediction | None = None
    level: LocalLevel | None = None
    gate: PauseGate | None = None
    clean: CleanInput | None = None

    @property
    def representation(self) -> dict[str, Any]:
        """What a model folder keeps of it for `SpeechEnhancement.from_pretrained`."""
        before = self.prediction
        return {
            **self.stft.config,
            "rate": self.rate,
            **({} if before is None else {"linear_prediction": before.config}),
            **({} if self.level is None else {"local_level": self.level.config}),
            **({} if self.gate is None else {"pause_gate": self.gate.config}),
            **({} if self.clean is None else {"clean_input": self.clean.config}),
        }

    def gains(self, y: Tensor) -> Tensor:
        """Factors (..., 1, T), or 1, that bring a spectrogram (..., F, T) to the model's level."""
        if self.level is None:
            return torch.ones((), device=y.device)
        return self.level.gains(y, self.stft, self.rate)


@dataclass(frozen=True)
class Block:
    """Consecutive samples of a result, all (channel, n) float32 at the recording's rate.

    Attributes:
        noisy: what was recorded.
        enhanced: mean of the samples.
        std: standard deviation of the samples, calibrated; None for one sample.
    """

    noisy: NDArray[np.float32]
    enhanced: NDArray[np.float32]
    std: NDArray[np.float32] | None


def measure(recording: Recording, talkers: TalkerCount | None = None) -> Levels:
    """Levels of a recording from a pass over it, and its talkers from another."""
    total = np.zeros(recording.channels)
    low = np.full(recording.channels, np.inf)
    high = -low
    tops, tones, count = FlatTops(recording.channels), SteadyTones(recording.rate), 0
    for block in recording.blocks(_BLOCK):
        total += block.sum(1, dtype=np.float64)
        low, high = np.minimum(low, block.min(1)), np.maximum(high, block.max(1))
        tops.push(block)
        tones.push(block)
        count += block.shape[1]
    mean = total / count
    # A constant is its own mean, whatever rounding made of the sum.
    mean = np.where(low == high, low, mean)
    peak = np.maximum(high - mean, mean - low)
    share = None
    if talkers is not None and peak.any():
        blocks = (torch.from_numpy(b - mean[:, None]).float() for b in recording.blocks(_BLOCK))
        share = talkers.share(resample_blocks(blocks, recording.rate, TALKER_RATE))
    return Levels(mean, peak, tops.share, tones.finish(), share)


def enhanced_blocks(
    recording: Recording,
    levels: Levels,
    front: Front,
    draw: Draw,
    *,
    samples: int = 1,
    seed: int = 0,
    attenuation_limit: float | None = None,
    spread: float = 1.0,
    unchanged: list[float] | None = None,
    progress: Progress | None = None,
) -> Iterator[Block]:
    """The enhanced recording, block by block, as many samples as the recording has.

    Args:
        recording: read once, from its start.
        levels: of `measure`.
        front: representation, rate and chunking.
        draw: the model.
        samples: number of draws K.
        seed: of all noise. Channel, sample and frame fix a number, chunks do not matter.
        attenuation_limit: at most so many dB are taken away anywhere:
            out = e + 10^(-limit / 20) (y - e); None for no limit.
        spread: factor on the samples' standard deviation.
        unchanged: gets the mean weight of the recording itself in each channel of each chunk.
        progress: called after each channel of a chunk.
    """
    length = math.ceil(recording.frames * front.rate / recording.rate)
    chunks = front.chunking.cut(length, front.stft.hop)
    mean = torch.from_numpy(levels.mean)[:, None].float()
    scale = torch.from_numpy(np.where(levels.silent, 1.0, levels.peak))[:, None].float()
    beyond = recording.rate > front.rate
    seen = resample_blocks(_normalised(recording, mean, scale), recording.rate, front.rate)
    if front.prediction is not None:
        seen = front.prediction.stream(seen, length)
    estimates = _estimates(
        windows(seen, chunks),
        front,
        draw,
        samples,
        seed,
        len(chunks),
        progress,
        unchanged if unchanged is not None else [],
        beyond=beyond,
    )
    back = resample_blocks(join(estimates), front.rate, recording.rate)
    kept = 0.0 if attenuation_limit is None else 10 ** (-attenuation_limit / 20)
    silent = torch.from_numpy(levels.silent)[:, None]
    beside: Iterable[Tensor] = (torch.from_numpy(b)[None] for b in recording.blocks(_BLOCK))
    if beyond:
        beside = _with_upper_band(recording, mean, scale, front.rate)
    for waves, both in _beside(back, beside):
        noisy, whole = both[0], waves[:samples] * scale + mean
        if beyond:
            whole = whole + waves[samples].clamp(0, 1) * both[1] * scale
        out = torch.where(silent, noisy, whole.mean(0) + kept * (noisy - whole.mean(0)))
        std = spread * (1 - kept) * whole.std(0) if samples > 1 else None
        yield Block(noisy.numpy(), out.numpy(), None if std is None else std.numpy())


def _normalised(recording: Recording, mean: Tensor, scale: Tensor) -> Iterator[Tensor]:
    """The recording's blocks without offset, at a peak of 1."""
    return ((torch.from_numpy(b) - mean) / scale for b in recording.blocks(_BLOCK))


def _with_upper_band(
    recording: Recording, mean: Tensor, scale: Tensor, rate: int
) -> Iterator[Tensor]:
    """Pieces (2, channel, n): the recording; what ``rate`` cannot hold of it, normalised."""
    low = resample_blocks(_normalised(recording, mean, scale), recording.rate, rate)
    passed = resample_blocks(low, rate, recording.rate)
    for below, noisy in _beside(passed, map(torch.from_numpy, recording.blocks(_BLOCK))):
        yield torch.stack([noisy, (noisy - mean) / scale - below])


def _estimates(
    waves: Iterable[tuple[Chunk, Tensor]],
    front: Front,
    draw: Draw,
    samples: int,
    seed: int,
    total: int,
    progress: Progress | None,
    unchanged: list[float],
    *,
    beyond: bool,
) -> Iterator[tuple[Chunk, Tensor]]:
    """Each chunk with its enhanced waves (sample, channel, n).

    Behind the last sample comes, if there is a band ``beyond`` the model's, the gain for it.
    """
    stft = front.stft
    for number, (chunk, piece) in enumerate(waves):
        wave = piece.to(current())
        channels, length = wave.shape
        out = wave.new_zeros(samples + beyond, channels, length)
        for c in range(channels):
            if wave[c].any():  # silence stays silence, whatever a network would make of it
                y = stft.analyse(wave[c])[None, None]
                gains = front.gains(y)
                first = chunk.start // stft.hop
                streams = [TiledStreams(seed, [c * _CHANNEL + k], [first]) for k in range(samples)]
                estimates = [(e / gains)[0, 0] for e in draw(y * gains, streams)]
                if front.gate is not None:
                    estimates = [front.gate(e, y[0, 0], stft, front.rate) for e in estimates]
                if front.clean is not None:
                    mean = torch.stack(estimates).mean(0)
                    weights = front.clean.weights(mean, y[0, 0], stft, front.rate)
                    unchanged.append(float(weights.mean()))
                    if weights.any():
                        estimates = [
                            front.clean.blend(e, y[0, 0], weights, stft) for e in estimates
                        ]
                for k, estimate in enumerate(estimates):
                    out[k, c] = stft.synthesise(estimate, length)
                if beyond:
                    mean = torch.stack(estimates).mean(0)
                    out[samples, c] = band_gain(mean, y[0, 0], stft, length)
            if progress is not None:
                done = number * channels + c + 1
                progress(done, total * channels, f"part {number + 1} of {total}")
        yield chunk, out.cpu()


def _beside(waves: Iterable[Tensor], noisy: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Pieces of equal length of two signals; the first may go on for longer."""
    source = iter(noisy)
    held = torch.zeros(0)
    for wave in waves:
        while wave.shape[-1]:
            if held.shape[-1] == 0:
                held = next(source, held)
                if held.shape[-1] == 0:
                    return
            n = min(wave.shape[-1], held.shape[-1])
            yield wave[..., :n], held[..., :n]
            wave, held = wave[..., n:], held[..., n:]
