"""Training pairs: clean speech and what a microphone makes of it, as compressed spectrograms.

Nothing is stored: each item is mixed anew from recordings.

1. speech: utterances at a random rate of speech, joined with pauses until the crop is full;
2. room: a recorded or simulated impulse response. To remove noise is one task and to remove
   reverberation another: for "denoise" the target keeps the room, for "dereverb" it is the
   direct sound, aligned with the dry speech;
3. noise: recorded, coloured, a machine's, or babble (several other utterances), at a random
   signal-to-noise ratio;
4. microphone: a smooth random frequency response, sometimes a limited bandwidth, on both;
5. level: divided by the largest sample of the noisy crop, as the pipeline divides a recording by
   its peak; sometimes lower, since a crop is rarely where the recording's peak is;
6. editor: some begin or end in digital silence, if asked for.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import fftconvolve
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.classical.linear_prediction import LinearPrediction
from sciddm.data_adapters.audio import open_audio, resample
from sciddm.errors import InputError
from sciddm.physics.speech.stft import STFT
from sciddm.pipelines.speech.enhance import Front
from sciddm.simulation.speech.noises import (
    at_ratio,
    coloured,
    crowd,
    filtered,
    machine,
    random_response,
)
from sciddm.simulation.speech.rooms import random_room, split_direct

__all__ = ["CLEAN_RANGE_DB", "RATE", "RESERVED_ROOMS", "SpeechMixtures", "dynamic_range"]

RATE = 16_000
#: Validation hears other voices, noises and rooms than training.
VALIDATION_SHARDS = ("ljspeech",)
VALIDATION_NOISES = ("berlin_64710754", "blanket_waves", "ibmmax_snoring", "muges_thunderstorm")
VALIDATION_ROOMS = ("audiomentations_ir0", "lhotse_sim")
#: Recorded rooms that neither training nor validation uses: for development tests.
RESERVED_ROOMS = ("speechbrain_rir3", "speechbrain_rir4")
# Recordings whose noise floor is nearer to the speech than this are not clean.
CLEAN_RANGE_DB = 33.0
# New rate : old rate, of half of the recordings.
_SPEEDS = ((10, 9), (9, 10), (20, 19), (19, 20), (20, 17))
# Shares of recorded and coloured noise, machines and babble.
_SHARES = (0.5, 0.15, 0.15, 0.2)

Wave = NDArray[np.float32]


class SpeechMixtures(Dataset[Any]):
    """Pairs {"x0", "y"} of compressed spectrograms (1, F, T), complex64: target and input.

    Args:
        task: "denoise" or "dereverb".
        root: folder of the real data, or None for $SCIDDM_DATA, else ../shared/data.
        split: "train" (endless variation) or "validate" (a fixed set of other recordings).
        frames: T of a crop.
        length: items per epoch (train).
        snr: range of the signal-to-noise ratio in dB.
        stft: arguments of STFT.
        linear_prediction: arguments of LinearPrediction, which takes late reverberation away
            before the model sees anything: from half as much again, to have enough to go by.
        silent: share of the items that begin or end in digital silence, target and input alike.
        more: folders with further recordings to train on, laid out as root's `speech`: train/ and
            noise_train/. Every folder that has a kind of sound gives an equal share of it.
        seed: with the item's index and the epoch's draw it fixes every random choice.

    Attributes:
        validation_shards: what is validated on, and never trained on.
        validates_more: whether the further folders hold some of it.
    """

    validation_shards: tuple[str, ...] = VALIDATION_SHARDS
    validates_more = False

    def __init__(
        self,
        task: Literal["denoise", "dereverb"] = "denoise",
        root: str | None = None,
        split: Literal["train", "validate"] = "train",
        frames: int = 256,
        length: int = 20_000,
        snr: tuple[float, float] = (-5.0, 20.0),
        stft: dict[str, Any] | None = None,
        linear_prediction: dict[str, Any] | None = None,
        silent: float = 0.0,
        more: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        if task not in ("denoise", "dereverb"):
            raise InputError(f"unknown task {task!r}; known: denoise, dereverb")
        self.task, self.split, self.seed = task, split, seed
        self.stft = STFT(**(stft or {}))
        self.prediction = (
            None if linear_prediction is None else LinearPrediction(**linear_prediction)
        )
        self.crop = (frames - 1) * self.stft.hop
        self.samples = self.crop if self.prediction is None else 3 * self.crop // 2
        self.length = length if split == "train" else 96
        self.snr = (float(snr[0]), float(snr[1]))
        self.silent = silent
        self._load(root, more)

    def _load(self, root: str | None, more: Sequence[str]) -> None:
        """The recordings that are mixed: utterances, noises and rooms."""
        split = self.split
        folder = Path(root or os.environ.get("SCIDDM_DATA", "../shared/data")) / "speech"
        held_out = split == "validate"
        # What is validated on stays the same whatever is trained on.
        further = more if split == "train" or self.validates_more else ()
        folders = [folder, *map(Path, further)]
        # Long utterances more often, so that every second of speech of a folder is equally likely.
        self.utterances, self.share = _pooled(
            [
                _load_utterances(f / "train", held_out, self.validation_shards)
                for f in _having(folders, "train")
            ],
            len,
        )
        self.noises, self.noise_share = _pooled(
            [_load_noises(f / "noise_train", held_out) for f in _having(folders, "noise_train")],
            lambda recording: 1,
        )
        self.rooms = _load_rooms(folder / "rirs_16k_f32.npz", held_out)

    @property
    def representation(self) -> dict[str, Any]:
        """What the model folder keeps for the pipeline."""
        return Front(self.stft, RATE, prediction=self.prediction).representation

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        # Training draws a new seed each time (from torch's global generator, which Lightning
        # seeds and restores); validation items are the same every time.
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        rng = np.random.default_rng([self.seed, index, fresh])
        target, noisy = map(torch.from_numpy, self.waves(rng))
        if self.prediction is not None:
            noisy = self.prediction(noisy)
        start = int(rng.integers(self.samples - self.crop + 1))
        crop = slice(start, start + self.crop)
        return {
            "x0": self.stft.analyse(target[crop])[None],
            "y": self.stft.analyse(noisy[crop])[None],
        }

    def waves(self, rng: np.random.Generator) -> tuple[Wave, Wave]:
        """(target, noisy) waveforms of one item, (samples,) each."""
        dry = self._speech(rng)
        target, speech = self._room(dry, rng)
        speech = speech[: self.samples]
        noisy = speech
        if self.task == "denoise" or rng.random() < 0.6:
            low, high = self.snr
            ratio = rng.uniform(low if self.task == "denoise" else max(low, 5.0), high)
            noisy = speech + at_ratio(self._noise(rng), speech, ratio)
        target, noisy = microphone(target, noisy, rng)
        gain = 1.0 / max(float(np.abs(noisy).max()), 1e-5)
        if rng.random() < 0.7:
            gain *= 10 ** (rng.uniform(-15, 0) / 20)
        pair = (target * gain).astype(np.float32), (noisy * gain).astype(np.float32)
        if self.silent and rng.random() < self.silent:
            cut(pair, rng)
        return pair

    def _speech(self, rng: np.random.Generator) -> Wave:
        """Utterances of random speed and level, with pauses, that fill a crop."""
        parts: list[Wave] = []
        missing = self.samples
        while missing > 0:
            whole = self.utterances[int(rng.choice(len(self.utterances), p=self.share))]
            start = int(rng.integers(0, max(1, len(whole) - missing // 2)))
            wave = respeed(_floats(whole[start : start + 2 * missing]), rng)
            parts.append(wave * np.float32(10 ** (rng.uniform(-3, 3) / 20)))
            missing -= len(wave)
            pause = int(rng.uniform(0, 0.5) * RATE) if rng.random() < 0.5 else 0
            parts.append(np.zeros(min(pause, max(missing, 0)), np.float32))
            missing -= pause
        return np.concatenate(parts)[: self.samples]

    def _room(self, dry: Wave, rng: np.random.Generator) -> tuple[Wave, Wave]:
        """(target, speech in the room)."""
        dereverb = self.task == "dereverb"
        if rng.random() >= (0.95 if dereverb else 0.3):
            return dry, dry
        if rng.random() < 0.25 and self.rooms:
            response = self.rooms[int(rng.integers(len(self.rooms)))]
        else:
            response = random_room(RATE, rng, (0.15, 1.2) if dereverb else (0.1, 0.6))
        whole, direct, delay = split_direct(response, RATE, early=0.0025)
        if dereverb and rng.random() < 0.6:
            # Talkers near the microphone: the same room further below the direct sound. Trained on
            # distant ones only, a network takes away what is not there.
            whole = whole * 10 ** (-rng.uniform(0, 15) / 20)
            whole[: len(direct)] = direct
        speech = convolve(dry, whole, delay)
        return (convolve(dry, direct, delay), speech) if dereverb else (speech, speech)

    def _noise(self, rng: np.random.Generator) -> Wave:
        kinds: list[Callable[[np.random.Generator], Wave]]
        kinds = [self._recorded, self._coloured, self._machine, self._babble]
        first = kinds[int(rng.choice(4, p=_SHARES))](rng)
        if rng.random() < 0.2:  # two sources at once
            second = kinds[int(rng.integers(4))](rng)
            first = first + at_ratio(second, first, rng.uniform(-10, 10))
        return first

    def _recorded(self, rng: np.random.Generator) -> Wave:
        if not self.noises:
            return self._coloured(rng)
        wave = self.noises[int(rng.choice(len(self.noises), p=self.noise_share))]
        need = 2 * self.samples  # what the fastest speed leaves of it is enough
        wave = np.resize(wave, need) if len(wave) < need else wave
        start = int(rng.integers(0, len(wave) - need + 1))
        noise = respeed(_floats(wave[start : start + need]), rng)[: self.samples]
        return (
            noise
            if rng.random() < 0.5
            else filtered(noise, random_response(self.samples, RATE, rng, 12.0))
        )

    def _coloured(self, rng: np.random.Generator) -> Wave:
        return coloured(self.samples, RATE, rng)

    def _machine(self, rng: np.random.Generator) -> Wave:
        return machine(self.samples, RATE, rng)

    def _babble(self, rng: np.random.Generator) -> Wave:
        """Three to eight talkers at once, or a crowd, sometimes in a room."""
        noise = np.zeros(self.samples, np.float32)
        for _ in range(int(rng.integers(3, 9))):
            noise += self._speech(rng) * np.float32(10 ** (rng.uniform(-6, 6) / 20))
        if rng.random() < 0.5:
            noise = crowd(noise, rng)
        if rng.random() < 0.5:
            response, _, delay = split_direct(random_room(RATE, rng, (0.2, 0.8)), RATE, 0.0025)
            noise = convolve(noise, response, delay)
        return noise


def microphone(
    target: NDArray[Any], noisy: NDArray[Any], rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """One random frequency response on both."""
    if rng.random() < 0.5:
        return target, noisy
    response = random_response(len(noisy), RATE, rng, 6.0)
    if rng.random() < 0.25:  # a recording once made at a lower rate
        frequency = fft.rfftfreq(len(noisy), 1 / RATE)
        edge = rng.uniform(3300, 7500)
        response = response * np.clip((edge - frequency) / 200 + 1, 1e-3, 1)
    return filtered(target, response), filtered(noisy, response)


def cut(pair: tuple[Wave, Wave], rng: np.random.Generator) -> None:
    """Up to half of both becomes digital silence, at the beginning or at the end."""
    length = len(pair[0])
    edge = int(rng.uniform(0, 0.5) * length)
    silent = slice(edge) if rng.random() < 0.5 else slice(length - edge, length)
    for wave in pair:
        wave[silent] = 0


def convolve(wave: NDArray[Any], response: NDArray[Any], delay: int) -> Wave:
    """The convolution without its delay, in the length of the wave."""
    out: Wave = fftconvolve(wave, response.astype(np.float32))[delay : delay + len(wave)].astype(
        np.float32
    )
    return out


def respeed(wave: Wave, rng: np.random.Generator) -> Wave:
    if rng.random() < 0.5:
        return wave
    up, down = _SPEEDS[int(rng.integers(len(_SPEEDS)))]
    return resample(torch.from_numpy(wave), down, up).numpy()


def _floats(wave: NDArray[np.int16]) -> Wave:
    return wave.astype(np.float32) / np.float32(32768)


@cache
def _read(path: Path) -> NDArray[np.int16]:
    """A mono recording at 16 kHz, kept as int16 (both splits share what is read)."""
    recording = open_audio(path)
    if recording.attrs["rate"] != RATE or recording.sizes["channel"] != 1:
        raise InputError(f"{path}: training data are mono recordings at {RATE} Hz")
    out: NDArray[np.int16] = np.clip(np.round(recording.values[0] * 32768), -32768, 32767).astype(
        np.int16
    )
    return out


def _load_utterances(
    folder: Path, held_out: bool, validation: Sequence[str]
) -> list[NDArray[np.int16]]:
    utterances = []
    for index in _files(folder, "_index.csv"):
        if (index.name.removesuffix("_index.csv") in validation) != held_out:
            continue
        for row in csv.DictReader(io.StringIO(index.read_text())):
            wave = _read(folder / row["shard"])[int(row["start"]) : int(row["stop"])]
            if dynamic_range(wave) >= CLEAN_RANGE_DB:
                utterances.append(wave)
    return utterances


def _load_noises(folder: Path, held_out: bool) -> list[NDArray[np.int16]]:
    paths = [p for p in _files(folder, "") if (p.stem in VALIDATION_NOISES) == held_out]
    return [_read(path) for path in paths]


def _having(folders: list[Path], kind: str) -> list[Path]:
    """The first folder, and those of the others that have such recordings."""
    for folder in folders[1:]:
        if not (folder / "train").is_dir() and not (folder / "noise_train").is_dir():
            raise InputError(f"{folder}: no folder train or noise_train there")
    return [folders[0], *(f for f in folders[1:] if (f / kind).is_dir())]


def _pooled(
    groups: list[list[NDArray[np.int16]]], weight: Callable[[NDArray[np.int16]], int]
) -> tuple[list[NDArray[np.int16]], NDArray[np.float64]]:
    """All recordings, and how likely each is: every group as likely as another."""
    # All of a folder's speech may be too noisy to learn from.
    groups = [group for group in groups if group]
    shares = [np.array([weight(r) for r in group], dtype=float) for group in groups]
    together = np.concatenate([s / s.sum() / len(groups) for s in shares])
    return [recording for group in groups for recording in group], together


def _load_rooms(path: Path, held_out: bool) -> list[NDArray[np.float64]]:
    try:
        with np.load(path) as file:
            responses = {name: file[name].astype(np.float64) for name in sorted(file.files)}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: training data cannot be read ({error})") from error
    return [
        response
        for name, response in responses.items()
        if (name in VALIDATION_ROOMS) == held_out and name not in RESERVED_ROOMS
    ]


def _files(folder: Path, suffix: str) -> list[Path]:
    found = sorted(folder.glob(f"*{suffix}")) if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder}: training data cannot be read (no files *{suffix} there)")
    return found


def dynamic_range(wave: NDArray[np.int16]) -> float:
    """Decibels between loud and quiet: the 95th and the 10th percentile of 20 ms levels."""
    frames = _floats(wave[: len(wave) // 320 * 320]).reshape(-1, 320)
    levels = 10 * np.log10(np.square(frames, dtype=np.float64).mean(1) + 1e-10)
    return float(np.percentile(levels, 95) - np.percentile(levels, 10)) if len(levels) else 0.0
