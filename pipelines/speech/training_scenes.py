"""Training pairs of scenes as recordings are: pauses, bursts, music, bad microphones.

`SpeechMixtures` fills its crops with speech and lets steady and recorded noises lie under it. A
model of it has never heard a pause, a bang, or noise alone, and lets them pass. Here

1. speech: none at all in a fifth of the scenes; else utterances between pauses of up to three
   quarters of the scene, at levels that differ by up to 24 dB. What lies between the words of a
   noisy "clean" recording is taken down, so that the target's pauses are quiet;
2. room: a recorded or simulated response; the target is what arrives within the first 50 ms;
3. noise: recorded, coloured, a machine's, babble, music, transients, a second talker far away;
   one or two at a time, that begin, end and swell, -10 to 25 dB below the speech;
4. bangs of up to 30 dB above the speech;
5. microphone and recorder: frequency response, band limit, clipping, few bits, companding, codecs;
6. editor: some begin or end in digital silence.

The pair's level means nothing to a network that is equivariant in level: it is set so that the
speech, or the noise where there is none, has an RMS of 0.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from sciddm.pipelines.speech.training_data import (
    RATE,
    SpeechMixtures,
    Wave,
    convolve,
    cut,
    microphone,
    respeed,
)
from sciddm.simulation.speech.music import music
from sciddm.simulation.speech.noises import at_ratio
from sciddm.simulation.speech.recorders import (
    CODECS,
    clipped,
    coded,
    low_passed,
    mu_law,
    quantised,
)
from sciddm.simulation.speech.rooms import random_room, split_direct
from sciddm.simulation.speech.transients import bang, transients

__all__ = ["SpeechScenes", "expanded"]

_EARLY_S = 0.05
_RMS = 0.1
# Shares of the kinds of noise, in the order of `_kinds`.
_SHARES = (0.38, 0.13, 0.1, 0.1, 0.12, 0.12, 0.05)


class SpeechScenes(SpeechMixtures):
    """Pairs {"x0", "y"} as those of `SpeechMixtures`, of scenes; see the module's docstring.

    Args:
        speechless: share of the scenes without speech.
        pauses: share of the others with a long pause.
        bangs: share of the scenes with one.
        arguments: of `SpeechMixtures`; its task is to denoise.
    """

    def __init__(
        self,
        root: str | None = None,
        split: str = "train",
        frames: int = 512,
        length: int = 20_000,
        snr: tuple[float, float] = (-10.0, 25.0),
        stft: dict[str, Any] | None = None,
        silent: float = 0.05,
        more: tuple[str, ...] = (),
        speechless: float = 0.2,
        pauses: float = 0.5,
        bangs: float = 0.08,
        seed: int = 0,
    ) -> None:
        super().__init__(
            task="denoise",
            root=root,
            split="validate" if split == "validate" else "train",
            frames=frames,
            length=length,
            snr=snr,
            stft=stft,
            silent=silent,
            more=more,
            seed=seed,
        )
        self.speechless, self.pauses, self.bangs = speechless, pauses, bangs

    def waves(self, rng: np.random.Generator) -> tuple[Wave, Wave]:
        """(target, noisy) waveforms of one scene, (samples,) each."""
        if rng.random() < self.speechless:
            target = speech = np.zeros(self.samples, np.float32)
            noise = self._noise(rng)
        else:
            target, speech = self._room(self._speech(rng), rng)
            noise = self._noise(rng)
            noise = at_ratio(noise, _active(speech), rng.uniform(*self.snr))
        if rng.random() < self.bangs:
            noise = noise + self._bang(speech if speech.any() else noise, rng)
        noisy = (speech + noise).astype(np.float32)
        target, noisy = microphone(target, noisy, rng)
        loud = _active(target if target.any() else noisy)
        gain = _RMS / max(float(np.sqrt(np.mean(np.square(loud)))), 1e-5)
        target, noisy = (np.asarray(w * gain, np.float32) for w in (target, noisy))
        target, noisy = _recorder(target, noisy, rng)
        if self.silent and rng.random() < self.silent:
            cut((target, noisy), rng)
        return target, noisy

    def _speech(self, rng: np.random.Generator) -> Wave:
        """Utterances of random speed and level, and pauses."""
        out = np.zeros(self.samples, np.float32)
        if rng.random() >= self.pauses:
            begin, end, gap = 0, self.samples, 0.5
        else:
            quiet = int(rng.uniform(0.2, 0.75) * self.samples)
            begin = int(rng.choice([0, quiet // 2, quiet]))
            end, gap = self.samples - (quiet - begin), 1.0
        while begin < end:
            whole = self.utterances[int(rng.choice(len(self.utterances), p=self.share))]
            missing = end - begin
            start = int(rng.integers(0, max(1, len(whole) - missing // 2)))
            piece = expanded(whole)[start : start + 2 * missing]
            wave = _soft_edges(respeed(piece, rng)[:missing])
            level = rng.uniform(-3, 3) if rng.random() < 0.85 else rng.uniform(-24, 0)
            gain = np.float32(10 ** (level / 20) / max(float(np.sqrt(np.mean(wave**2))), 1e-3))
            out[begin : begin + len(wave)] = 0.1 * gain * wave
            begin += len(wave)
            if rng.random() < 0.5:
                begin += int(rng.uniform(0, gap) * RATE)
        return out

    def _room(self, dry: Wave, rng: np.random.Generator) -> tuple[Wave, Wave]:
        """(its early part, speech in the room)."""
        if rng.random() >= 0.3:
            return dry, dry
        if rng.random() < 0.3:
            response = self.rooms[int(rng.integers(len(self.rooms)))]
        else:
            response = random_room(RATE, rng, (0.1, 0.8))
        whole, early, delay = split_direct(response, RATE, early=_EARLY_S)
        return convolve(dry, early, delay), convolve(dry, whole, delay)[: self.samples]

    def _noise(self, rng: np.random.Generator) -> Wave:
        kinds = self._kinds()
        noise = kinds[int(rng.choice(len(kinds), p=_SHARES))](rng)
        if rng.random() < 0.25:  # two sources at once
            second = kinds[int(rng.integers(len(kinds)))](rng)
            noise = noise + at_ratio(second, noise, rng.uniform(-10, 15))
        if rng.random() < 0.2:
            noise = noise * _swell(len(noise), rng)
        return np.asarray(noise, np.float32)

    def _kinds(self) -> list[Callable[[np.random.Generator], Wave]]:
        return [
            self._recorded,
            self._coloured,
            self._machine,
            self._babble,
            lambda rng: music(self.samples, RATE, rng),
            self._transients,
            self._far_talker,
        ]

    def _transients(self, rng: np.random.Generator) -> Wave:
        """Transients, often over a bed of something steady."""
        events = transients(self.samples, RATE, rng)
        bed = self._coloured(rng) if rng.random() < 0.5 else self._recorded(rng)
        return events + at_ratio(bed, events, rng.uniform(0, 40))

    def _far_talker(self, rng: np.random.Generator) -> Wave:
        """Somebody else, in a reverberant room and without the high frequencies."""
        response, _, delay = split_direct(random_room(RATE, rng, (0.4, 1.2)), RATE, 0.0025)
        response[: delay + 40] *= rng.uniform(0, 0.3)
        wave = convolve(super()._speech(rng), response, delay)
        return low_passed(wave, RATE, rng.uniform(1500, 5000), 1500.0)

    def _bang(self, beside: Wave, rng: np.random.Generator) -> Wave:
        out = np.zeros(self.samples, np.float32)
        peak = float(np.abs(beside).max()) * 10 ** (rng.uniform(0, 30) / 20)
        for _ in range(int(rng.integers(1, 3))):
            event = np.float32(peak) * bang(RATE, rng)
            start = int(rng.integers(self.samples))
            part = out[start : start + len(event)]
            part += event[: len(part)]
        return out


def expanded(utterance: NDArray[np.int16]) -> Wave:
    """An utterance in which what is within 10 dB of its noise floor is taken down by up to 20 dB.

    The floor is the 10th percentile of the levels of 20 ms; a recording whose floor is 50 dB below
    its speech is left as it is.
    """
    wave = utterance.astype(np.float32) / np.float32(32768)
    count = len(wave) // 320
    if count < 4:
        return wave
    levels = 10 * np.log10(np.square(wave[: count * 320]).reshape(-1, 320).mean(1) + 1e-10)
    floor, speech = np.percentile(levels, [10, 95])
    if speech - floor > 50:
        return wave
    above = uniform_filter1d(levels, 3) - floor
    gain = 10 ** (-np.clip(2 * (10 - above), 0, 20) / 20)
    centres = 160 + 320 * np.arange(count)
    out: Wave = wave * np.interp(np.arange(len(wave)), centres, gain).astype(np.float32)
    return out


def _soft_edges(wave: Wave, samples: int = 120) -> Wave:
    """The wave faded in and out: a cut within a word is no click that the target should keep."""
    ramp = np.linspace(0, 1, samples, dtype=np.float32)[: len(wave) // 2]
    out = wave.copy()
    out[: len(ramp)] *= ramp
    out[len(out) - len(ramp) :] *= ramp[::-1]
    return out


def _active(wave: NDArray[Any]) -> NDArray[Any]:
    """The wave where its level over 30 ms is within 30 dB of its largest."""
    power = uniform_filter1d(np.square(wave, dtype=np.float32), 480)
    return wave[power > 1e-3 * power.max()] if power.max() > 0 else wave


def _swell(samples: int, rng: np.random.Generator) -> Wave:
    """Gains that step, or glide, by up to 30 dB a few times."""
    knots = np.sort(rng.uniform(0, samples, int(rng.integers(1, 5))))
    levels = rng.uniform(-30, 0, len(knots) + 1)
    at = np.arange(samples)
    if rng.random() < 0.5:
        decibels = levels[np.searchsorted(knots, at)]
    else:
        decibels = np.interp(at, np.linspace(0, samples, len(levels)), levels)
    out: Wave = (10 ** (uniform_filter1d(decibels, 160) / 20)).astype(np.float32)
    return out


def _recorder(target: Wave, noisy: Wave, rng: np.random.Generator) -> tuple[Wave, Wave]:
    """One fault, or none, of a recorder on the noisy wave; band limits are on both."""
    fault = rng.random()
    peak = max(float(np.abs(noisy).max()), 1e-6)
    headroom = np.float32(rng.uniform(0.1, 1.0) / peak)
    if fault < 0.06:
        return target, clipped(noisy, rng.uniform(1, 9))
    if fault < 0.10:
        return target, quantised(noisy * headroom, int(rng.integers(8, 12))) / headroom
    if fault < 0.14:
        edge = float(rng.choice([3400.0, 7000.0]))
        narrow = low_passed(noisy, RATE, edge)
        return low_passed(target, RATE, edge), mu_law(narrow * headroom) / headroom
    if fault < 0.22:
        codec = CODECS[int(rng.choice(len(CODECS), p=[0.4, 0.2, 0.4]))]
        return target, coded(noisy * headroom, RATE, codec, rng.uniform(0, 0.9)) / headroom
    return target, noisy
