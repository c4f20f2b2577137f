"""The representation of a model of speech, and a folder of one's own in it.

Contract of a model that ``sciddm speech enhance`` relies on:

=================  =========================================================================
array              complex, (1, F, T): the short-time Fourier transform at 16 kHz
units              magnitudes compressed by a power, over the largest sample of the recording;
                   the model folder keeps the transform's numbers
pairs              clean speech and a mixture of it with noise in a room
=================  =========================================================================

A folder holds clean recordings (WAV, FLAC, OGG, MP3, AIFF, ...), a file or a folder a speaker. They
are brought to one channel at 16 kHz; a file whose noise is within 33 dB of its speech is left out.
Rooms and noises are simulated: coloured noise, machines and babble of the folder's own speakers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sciddm.data_adapters.audio import open_audio, resample
from sciddm.pipelines.own_prior.items import TrainingPart
from sciddm.pipelines.own_prior.prepared import Stack, load_prepared
from sciddm.pipelines.own_prior.sources import Kind, Source
from sciddm.pipelines.own_prior.split import Part
from sciddm.pipelines.speech.training_data import (
    CLEAN_RANGE_DB,
    RATE,
    SpeechMixtures,
    dynamic_range,
)

__all__ = ["KIND", "OwnMixtures", "read_recording"]

_SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".w64", ".au", ".caf", ".m4a", ".opus")
KIND = Kind("speech", _SOUNDS, word="speaker")

_LEAST_SECONDS = 0.5


def read_recording(source: Source) -> Stack:
    """One item (sample,) int16, one channel at 16 kHz; none where it is not clean or too short."""
    recording = open_audio(source.path)
    wave = torch.from_numpy(recording.values.mean(0).astype(np.float32))
    rate = int(recording.attrs["rate"])
    if rate != RATE:
        wave = resample(wave, rate, RATE)
    samples = np.clip(np.round(wave.numpy() * 32768), -32768, 32767).astype(np.int16)
    clean = len(samples) >= _LEAST_SECONDS * RATE and dynamic_range(samples) >= CLEAN_RANGE_DB
    return Stack(samples[None] if clean else samples[None][:0])


class OwnMixtures(SpeechMixtures):
    """Pairs {"x0", "y"} of compressed spectrograms of a run's recordings; see ``SpeechMixtures``.

    Args:
        prepared: RUN/data, as ``own_prior.prepare`` wrote it.
        part: "train", "validate" or "test"; that of ``split`` if not given.
        split, frames, length, snr, seed: as of ``SpeechMixtures``.
    """

    def __init__(
        self,
        prepared: str,
        split: TrainingPart = "train",
        frames: int = 256,
        length: int = 2000,
        snr: tuple[float, float] = (-6.0, 16.0),
        seed: int = 0,
        part: Part | None = None,
    ) -> None:
        self.prepared, self.part = prepared, part
        super().__init__("denoise", None, split, frames, length, snr, seed=seed)

    def _load(self, root: str | None, more: Sequence[str]) -> None:
        data = load_prepared(self.prepared)
        part: Part = self.part or self.split
        self.utterances: list[NDArray[np.int16]] = [data.values(e)[0] for e in data.of(part)]
        lengths = np.array([len(wave) for wave in self.utterances], float)
        self.share = lengths / lengths.sum()
        self.noises, self.rooms = [], []
        self.noise_share = np.zeros(0)
