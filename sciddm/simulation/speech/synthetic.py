"""Sound that resembles speech, and noise, made from formulas: for demonstrations and tests.

Syllables are made as the source-filter model makes vowels (Fant 1960): pulses at the pitch, whose
spectrum falls by 12 dB per octave, through two-pole resonances at the formants,

    H(z) = 1 / (1 - 2 r cos(2 pi f / rate) z^-1 + r^2 z^-2),       r = exp(-pi bandwidth / rate)

preceded by a burst of high-passed noise where a syllable begins with a consonant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from scipy.signal import windows

__all__ = ["mix", "pink_noise", "speech_like"]

Wave = NDArray[np.float64]

#: First three formants of vowels, Hz (Peterson and Barney 1952, men), and their bandwidths.
_VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)
_BANDWIDTHS = (60, 90, 120)


def speech_like(seconds: float, rate: int, seed: int) -> Wave:
    """(time,) with a peak of 0.5: phrases of syllables, and pauses between them."""
    rng = np.random.default_rng(seed)
    out = np.zeros(round(seconds * rate))
    position = round(0.2 * rate)
    pitch = rng.uniform(95, 190)
    while position < len(out):
        for _ in range(rng.integers(3, 7)):
            syllable = _syllable(rate, pitch * rng.uniform(0.85, 1.15), rng)
            part = out[position : position + len(syllable)]
            part += syllable[: len(part)]
            position += round(len(syllable) * 0.92)
        position += round(rng.uniform(0.2, 0.5) * rate)
    return 0.5 * out / max(float(np.abs(out).max()), 1e-12)


def pink_noise(samples: int, seed: int) -> Wave:
    """(time,) of unit variance, its power falling as 1/f."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, samples)
    out: Wave = noise / noise.std()
    return out


def mix(speech: Wave, noise: Wave, snr_db: float) -> Wave:
    """speech + g noise, with g such that 10 log10(mean speech^2 / mean (g noise)^2) = snr_db."""
    gain = np.sqrt(np.mean(speech**2) / np.mean(noise**2) / 10 ** (snr_db / 10))
    out: Wave = speech + gain * noise
    return out


def _syllable(rate: int, pitch: float, rng: np.random.Generator) -> Wave:
    length = round(rng.uniform(0.14, 0.28) * rate)
    glide = pitch * np.linspace(1.06, 0.92, length) * (1 + 0.01 * rng.standard_normal())
    phase = np.cumsum(glide) / rate
    pulses = np.diff(np.floor(phase), prepend=0.0)
    source = signal.lfilter([1.0], [1.0, -0.96], pulses)
    source = source + 0.01 * rng.standard_normal(length)
    voiced = source
    for formant, bandwidth in zip(_VOWELS[rng.integers(len(_VOWELS))], _BANDWIDTHS, strict=True):
        f, r = formant * rng.uniform(0.95, 1.05), np.exp(-np.pi * bandwidth / rate)
        voiced = signal.lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * f / rate), r**2], voiced)
    voiced = np.diff(voiced, prepend=0.0) * windows.tukey(length, 0.4)
    voiced /= np.abs(voiced).max() + 1e-12
    if rng.random() < 0.5:
        out: Wave = voiced
        return out
    burst = rng.standard_normal(round(0.07 * rate))
    sos = signal.butter(4, min(2500, 0.3 * rate), "highpass", fs=rate, output="sos")
    burst = signal.sosfilt(sos, burst) * windows.hann(len(burst))
    return np.concatenate([0.25 * burst / (np.abs(burst).max() + 1e-12), voiced])
