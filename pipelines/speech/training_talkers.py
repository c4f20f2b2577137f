"""Training pairs of recordings and the frames where several talk at once.

1. speech: utterances that follow each other, in a room in half of the items;
2. in half of the items, one to four other talkers, each in a room of its own, together 8 dB below
   to 8 dB above the first;
3. in two thirds, noise: recorded, coloured, a machine's, or music;
4. a microphone's frequency response.

A frame's label is 1 where both the first talker and the others are at most 25 dB below the louder
one's level, and at most 16 dB from each other, in 64 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciddm.physics.speech.talkers import HOP, talker_features
from sciddm.pipelines.speech.training_data import (
    RATE,
    VALIDATION_SHARDS,
    SpeechMixtures,
    Wave,
    convolve,
)
from sciddm.simulation.speech.music import music
from sciddm.simulation.speech.noises import at_ratio, filtered, random_response
from sciddm.simulation.speech.rooms import random_room, split_direct

__all__ = ["TalkerMixtures", "speech_level"]

_ACTIVE_DB, _TOGETHER_DB = 25.0, 16.0
_OTHERS_DB = 8.0
# Of recorded, coloured, a machine's noise, and music.
_SHARES = (0.4, 0.15, 0.15, 0.3)


class TalkerMixtures(SpeechMixtures):
    """Items {"x0" (1, 1, T), "cond" (1, bins, T)}: labels -1 and 1, and what a classifier sees.

    Args:
        root, length, more, seed: as those of `SpeechMixtures`.
        split: "train", or "validate" with talkers that are not trained on.
        frames: T.
    """

    validation_shards = (
        *VALIDATION_SHARDS,
        "asterisk-core-sounds-it-g722",
        "asterisk-prompt-it-menardi-wav",
        "asterisk-core-sounds-ru-g722",
        "kerstin",
    )
    validates_more = True

    def __init__(
        self,
        root: str | None = None,
        split: Literal["train", "validate"] = "train",
        frames: int = 250,
        length: int = 20_000,
        more: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__("denoise", root, split, 2, length, more=more, seed=seed)
        self.frames, self.samples = frames, frames * HOP

    @property
    def representation(self) -> dict[str, Any]:
        return {"kind": "talkers", "rate": RATE}

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        rng = np.random.default_rng([self.seed, index, fresh])
        wave, several = self.mixture(rng)
        features, _ = talker_features(torch.from_numpy(wave))
        label = torch.from_numpy(2 * several.astype(np.float32) - 1)
        return {"x0": label[None, None], "cond": features[None]}

    def mixture(self, rng: np.random.Generator) -> tuple[Wave, NDArray[np.bool_]]:
        """A recording (samples,), and whether several talk in each of its frames."""
        first = self._placed(self._speech(rng), rng)
        wave, several = first, np.zeros(self.frames, bool)
        if rng.random() < 0.5:
            others = self._others(rng)
            level = speech_level(first) * 10 ** (rng.uniform(-_OTHERS_DB, _OTHERS_DB) / 20)
            others *= level / max(speech_level(others), 1e-9)
            wave = first + others
            a, b = _frame_levels(first), _frame_levels(others)
            active = 20 * np.log10(max(speech_level(first), level, 1e-9)) - _ACTIVE_DB
            several = (np.minimum(a, b) > active) & (np.abs(a - b) < _TOGETHER_DB)
        if rng.random() < 0.65:
            kind = int(rng.choice(4, p=_SHARES))
            if kind == 3:
                noise = music(self.samples, RATE, rng).astype(np.float32)
            else:
                noise = (self._recorded, self._coloured, self._machine)[kind](rng)
            ratio = rng.uniform(-2, 25)
            wave = wave + at_ratio(noise[: self.samples], first, ratio)
        if rng.random() < 0.3:
            wave = filtered(wave, random_response(self.samples, RATE, rng, 12.0))
        return np.ascontiguousarray(wave, np.float32), several

    def _placed(self, dry: Wave, rng: np.random.Generator) -> Wave:
        if rng.random() < 0.5:
            return dry
        if rng.random() < 0.25 and self.rooms:
            response = self.rooms[int(rng.integers(len(self.rooms)))]
        else:
            response = random_room(RATE, rng, (0.1, 1.0))
        whole, _, delay = split_direct(response, RATE, early=0.0025)
        return convolve(dry, whole, delay)[: self.samples]

    def _others(self, rng: np.random.Generator) -> Wave:
        """One other talker, who may begin later, or up to four."""
        out = np.zeros(self.samples, np.float32)
        for _ in range(1 if rng.random() < 0.8 else int(rng.integers(2, 5))):
            talker = self._placed(self._speech(rng), rng)
            if rng.random() < 0.3:
                talker[: int(rng.integers(self.samples))] = 0
            out += talker / np.float32(max(speech_level(talker), 1e-6))
        return out


def speech_level(wave: Wave) -> float:
    """RMS over the 20 ms that are at most 20 dB below the loudest."""
    power = np.square(wave[: len(wave) // 320 * 320], dtype=np.float64).reshape(-1, 320).mean(1)
    loud = power[power >= 0.01 * power.max(initial=0.0)]
    return float(np.sqrt(loud.mean())) if len(loud) else 0.0


def _frame_levels(wave: Wave) -> NDArray[np.float64]:
    """Level in dB of the 64 ms about each frame."""
    power = np.square(wave, dtype=np.float64).reshape(-1, HOP).mean(1)
    return np.asarray(10 * np.log10(np.convolve(power, np.full(4, 0.25), "same") + 1e-12))
