"""Short sounds made from formulas: clicks, taps, bangs, barks and chirps.

Damped modes make things that are struck,

    h(t) = sum_k c_k exp(-t / d_k) sin(2 pi f_k t),

noise with a sharp attack and an exponential decay makes bangs, and harmonics of a gliding pitch
make animals. Noise reduction that only knows steady noise passes all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import signal

__all__ = ["TRANSIENTS", "bang", "bark", "chirp", "click", "tap", "transients"]

Wave = NDArray[np.float32]


def click(rate: int, rng: np.random.Generator) -> Wave:
    """A click of 0.1 to 3 ms, peak 1: a switch, a scratch on a record."""
    length = max(2, round(rate * _log_uniform(rng, 1e-4, 3e-3)))
    wave = rng.standard_normal(length) * np.exp(-3 * np.arange(length) / length)
    return _unit_peak(wave)


def tap(rate: int, rng: np.random.Generator) -> Wave:
    """Something struck, 0.1 to 0.4 s, peak 1: a key, a knock on wood, a cup."""
    t = np.arange(round(rate * rng.uniform(0.1, 0.4))) / rate
    wave = np.zeros(len(t))
    for _ in range(int(rng.integers(2, 9))):
        pitch, decay = _log_uniform(rng, 80.0, 0.45 * rate), _log_uniform(rng, 0.002, 0.08)
        wave += rng.uniform(-1, 1) * np.exp(-t / decay) * np.sin(2 * np.pi * pitch * t)
    contact = rng.standard_normal(len(t)) * np.exp(-t / _log_uniform(rng, 5e-4, 5e-3))
    return _faded(wave + rng.uniform(0, 1) * contact)


def bang(rate: int, rng: np.random.Generator) -> Wave:
    """A door, a shot, a dropped microphone: 0.05 to 1 s, peak 1."""
    t = np.arange(round(rate * rng.uniform(0.05, 1.0))) / rate
    noise = rng.standard_normal(len(t))
    pole = rng.uniform(0.0, 0.95)
    noise = np.asarray(signal.lfilter([1 - pole], [1, -pole], noise))
    decay = _log_uniform(rng, 0.005, 0.3)
    return _faded(noise * np.exp(-t / decay) * (1 - np.exp(-t / 5e-4)))


def bark(rate: int, rng: np.random.Generator) -> Wave:
    """A bark or a cry of an animal: 0.08 to 0.4 s, peak 1."""
    length = round(rate * rng.uniform(0.08, 0.4))
    u = np.arange(length) / length
    pitch = _log_uniform(rng, 180.0, 1200.0) * (1 + rng.uniform(0, 0.8) * np.sin(np.pi * u))
    pitch = pitch * rng.uniform(0.5, 1.0) ** u
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    count = max(1, min(24, int(0.45 * rate / float(pitch.max()))))
    tilt = rng.uniform(0.3, 1.5)
    harmonics = sum(
        (k**-tilt * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, count + 1)),
        np.zeros(length),
    )
    wave = harmonics + rng.uniform(0, 1.5) * rng.standard_normal(length)
    for _ in range(2):
        formant, width = rng.uniform(400, 3000), rng.uniform(100, 500)
        r = np.exp(-np.pi * width / rate)
        wave = signal.lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * formant / rate), r**2], wave)
    attack = np.clip(u / rng.uniform(0.02, 0.15), 0, 1)
    return _faded(wave * attack * (1 - u) ** rng.uniform(0.3, 1.5))


def chirp(rate: int, rng: np.random.Generator) -> Wave:
    """A bird's note or an electronic beep: 0.03 to 0.3 s, peak 1."""
    length = round(rate * rng.uniform(0.03, 0.3))
    u = np.arange(length) / length
    pitch = rng.uniform(800, 0.4 * rate) * (1 + rng.uniform(-0.4, 0.4) * u)
    if rng.random() < 0.4:
        pitch = pitch * (1 + rng.uniform(0, 0.15) * np.sin(2 * np.pi * rng.uniform(2, 12) * u))
    phase = 2 * np.pi * np.cumsum(np.minimum(pitch, 0.45 * rate)) / rate
    return _faded(np.sin(phase) * np.sin(np.pi * u) ** rng.uniform(0.2, 1.0))


TRANSIENTS: tuple[Callable[[int, np.random.Generator], Wave], ...] = (click, tap, bang, bark, chirp)


def transients(samples: int, rate: int, rng: np.random.Generator) -> Wave:
    """(samples,) events of one kind, alike but not equal, in an irregular rhythm, peak near 1."""
    kind = TRANSIENTS[int(rng.integers(len(TRANSIENTS)))]
    out = np.zeros(samples, np.float32)
    gap = _log_uniform(rng, 0.1, 2.0)  # seconds
    shapes = [kind(rate, rng) for _ in range(3)]
    at = rng.uniform(0, min(gap, samples / rate))
    while at * rate < samples:
        event = shapes[int(rng.integers(3))] * np.float32(10 ** (rng.uniform(-12, 0) / 20))
        start = int(at * rate)
        part = out[start : start + len(event)]
        part += event[: len(part)]
        at += gap * rng.uniform(0.5, 1.6)
    return out


def _faded(wave: NDArray[np.float64]) -> Wave:
    """Ends at zero."""
    edge = min(len(wave) // 4, 64)
    wave[len(wave) - edge :] *= np.linspace(1, 0, edge)
    return _unit_peak(wave)


def _unit_peak(wave: NDArray[np.float64]) -> Wave:
    return (wave / max(float(np.abs(wave).max()), 1e-9)).astype(np.float32)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
