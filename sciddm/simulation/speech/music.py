"""Music made from formulas: notes of a scale in a steady tempo, plucked or sustained.

A note of pitch f is a sum of harmonics that fall with their number and, if plucked, decay the
faster the higher they are:

    n(t) = e(t) sum_k k^-s exp(-k t / d) sin(2 pi k f t + p_k)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciddm.simulation.speech.transients import tap

__all__ = ["music"]

Wave = NDArray[np.float32]

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10), (0, 2, 4, 7, 9))


def music(samples: int, rate: int, rng: np.random.Generator) -> Wave:
    """(samples,) one to four voices in one key, sometimes with percussion; RMS 1."""
    scale = _SCALES[int(rng.integers(len(_SCALES)))]
    key = 55.0 * 2 ** (rng.integers(0, 12) / 12)
    beat = 60.0 / rng.uniform(60, 180)
    out = np.zeros(samples, np.float32)
    for _ in range(int(rng.integers(1, 5))):
        _voice(out, rate, rng, scale, key * 2 ** int(rng.integers(0, 4)), beat)
    if rng.random() < 0.5:
        _percussion(out, rate, rng, beat)
    return out / np.float32(max(float(np.sqrt(np.mean(out**2))), 1e-6))


def _voice(
    out: Wave, rate: int, rng: np.random.Generator, scale: tuple[int, ...], key: float, beat: float
) -> None:
    plucked, tilt = rng.random() < 0.5, rng.uniform(0.7, 2.0)
    steps = float(rng.choice([0.5, 1.0, 2.0, 4.0]))
    gain = np.float32(10 ** (rng.uniform(-12, 0) / 20))
    at, degree = 0.0, int(rng.integers(len(scale)))
    while at * rate < len(out):
        seconds = steps * beat * (1 if rng.random() < 0.8 else 2)
        if rng.random() < 0.9:  # else a rest
            octave, tone = divmod(degree, len(scale))
            pitch = key * 2 ** (octave + scale[tone] / 12)
            start = int(at * rate)
            part = out[start : start + int(rate * seconds * rng.uniform(0.8, 1.2))]
            part += gain * _note(len(part), rate, pitch, tilt, plucked, rng)
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 2 * len(scale) - 1))
        at += seconds


def _note(
    length: int, rate: int, pitch: float, tilt: float, plucked: bool, rng: np.random.Generator
) -> Wave:
    t = np.arange(length, dtype=np.float32) / np.float32(rate)
    vibrato = 0.0 if plucked else rng.uniform(0, 0.01) / 5.5
    phase = np.float32(2 * np.pi * pitch) * (t + np.float32(vibrato) * np.sin(34.6 * t))
    decay = rng.uniform(0.3, 3.0)
    note = np.zeros(length, np.float32)
    for k in range(1, max(2, min(12, int(0.45 * rate / pitch)))):
        damping = np.exp(-k * t / np.float32(decay)) if plucked else np.float32(1)
        note += np.float32(k**-tilt) * damping * np.sin(k * phase + np.float32(rng.uniform(0, 6)))
    edge = 0.005 if plucked else 0.05
    total = length / rate
    return np.asarray(
        note * np.clip(t / edge, 0, 1) * np.clip((total - t) / 0.03, 0, 1), np.float32
    )


def _percussion(out: Wave, rate: int, rng: np.random.Generator, beat: float) -> None:
    hits = [tap(rate, rng) for _ in range(2)]
    gain = np.float32(max(float(np.abs(out).max()), 1e-3) * 10 ** (rng.uniform(-12, 6) / 20))
    for number, at in enumerate(np.arange(0, len(out), max(1, int(rate * beat / 2)))):
        if rng.random() < 0.7:
            hit = gain * hits[number % 2]
            part = out[at : at + len(hit)]
            part += hit[: len(part)]
