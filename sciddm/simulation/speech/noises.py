"""Noise made from formulas, for training: coloured noise with hum, machines, crowds.

Recorded noises are few, and a network learns those few by heart; these have no end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["at_ratio", "coloured", "crowd", "filtered", "machine", "random_response"]

Wave = NDArray[Any]


def coloured(samples: int, rate: int, rng: np.random.Generator) -> Wave:
    """(samples,) noise of spectrum f^-slope, sometimes with hum or a slowly changing level."""
    white = np.asarray(fft.rfft(rng.standard_normal(samples, np.float32)))
    frequency = np.maximum(fft.rfftfreq(samples, 1 / rate), 20.0)
    shape = frequency ** (-rng.uniform(-0.5, 2.0) / 2) * random_response(samples, rate, rng, 10.0)
    noise = np.asarray(fft.irfft(white * shape, samples))
    t = np.arange(samples) / rate
    if rng.random() < 0.2:
        base = rng.uniform(45, 240)
        waves = (
            rng.uniform(0, 1) / k * np.sin(2 * np.pi * (k * base * t + rng.random()))
            for k in range(1, 16)
        )
        hum = sum(waves, np.zeros(samples))
        noise = noise + at_ratio(hum, noise, -rng.uniform(-6, 12))
    if rng.random() < 0.5:
        knots = rng.uniform(-20, 0, int(rng.integers(4, 24)))
        level = np.interp(t, np.linspace(0, t[-1], len(knots)), knots)
        noise = noise * 10 ** (level / 20)
    out: Wave = noise.astype(np.float32)
    return out


def machine(samples: int, rate: int, rng: np.random.Generator) -> Wave:
    """(samples,) knocks of something that rings, at a beat or at random, over coloured noise.

    The knocks' times t_i and strengths a_i excite the same K damped modes::

        sum_i a_i h(t - t_i),     h(t) = sum_k c_k exp(-t / d_k) sin(2 pi f_k t)

    f_k from 100 Hz to 0.45 of the rate and d_k from 2 to 200 ms, both uniform in their logarithm:
    rattling wheels, keys, cutlery, motors.
    """
    t = np.arange(samples) / rate
    beat = np.exp(rng.uniform(np.log(1.5), np.log(60.0)))  # knocks per second
    if rng.random() < 0.5:
        gaps = np.full(int(beat * t[-1]) + 2, 1 / beat)
        gaps *= 1 + rng.uniform(0, 0.1) * rng.standard_normal(len(gaps))
    else:
        gaps = rng.exponential(1 / beat, int(2 * beat * t[-1]) + 8)
    times = np.cumsum(gaps) - gaps[0] * rng.random()
    at = np.round(times[(times >= 0) & (times < t[-1])] * rate).astype(int)
    knocks = np.zeros(samples)
    np.add.at(knocks, at, np.exp(rng.uniform(0, 1.2) * rng.standard_normal(len(at))))
    ring = np.zeros(samples)
    for _ in range(int(rng.integers(2, 9))):
        pitch = np.exp(rng.uniform(np.log(100.0), np.log(0.45 * rate)))
        decay = np.exp(rng.uniform(np.log(0.002), np.log(0.2)))
        ring += rng.uniform(-1, 1) * np.exp(-t / decay) * np.sin(2 * np.pi * pitch * t)
    # Twice the length, so that the end does not ring into the beginning.
    spectra = [np.asarray(fft.rfft(wave, 2 * samples)) for wave in (knocks, ring)]
    sound = np.asarray(fft.irfft(spectra[0] * spectra[1]))[:samples]
    under = coloured(samples, rate, rng)
    out: Wave = (sound + at_ratio(under, sound, rng.uniform(0, 25))).astype(np.float32)
    return out


def crowd(babble: Wave, rng: np.random.Generator) -> Wave:
    """(samples,) many more talkers: a few, with copies of them shifted in time (circularly)."""
    out = babble.copy()
    for _ in range(int(rng.integers(2, 7))):
        sign = 1 if rng.random() < 0.5 else -1
        out += sign * rng.uniform(0.5, 1.0) * np.roll(babble, int(rng.integers(len(babble))))
    return out.astype(np.float32)


def random_response(
    samples: int, rate: int, rng: np.random.Generator, decibels: float
) -> NDArray[np.float32]:
    """A smooth random gain for each frequency of a real transform of so many samples."""
    octaves = np.log2(np.maximum(fft.rfftfreq(samples, 1 / rate), 60.0))
    knots = np.linspace(octaves[0], octaves[-1], 6)
    levels = np.interp(octaves, knots, rng.uniform(-decibels, decibels, 6))
    out: NDArray[np.float32] = (10 ** (levels / 20)).astype(np.float32)
    return out


def filtered(wave: Wave, response: Wave) -> Wave:
    """(samples,) the wave with its real transform multiplied by a response."""
    return np.asarray(fft.irfft(np.asarray(fft.rfft(wave)) * response, len(wave)))


def at_ratio(noise: Wave, signal: Wave, decibels: float) -> Wave:
    """The noise at a level so many decibels below the signal's (mean power over the crop)."""
    power = max(float(np.mean(np.square(noise, dtype=float))), 1e-12)
    wanted = float(np.mean(np.square(signal, dtype=float))) * 10 ** (-decibels / 10)
    out: Wave = noise * np.sqrt(wanted / power)
    return out
