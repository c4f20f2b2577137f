"""Transients, music and recorders: levels, spectra and error of what they make."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.simulation.speech.music import music
from sciddm.simulation.speech.recorders import (
    CODECS,
    clipped,
    coded,
    low_passed,
    mu_law,
    quantised,
)
from sciddm.simulation.speech.transients import TRANSIENTS, bang, transients

RATE = 16_000


def _snr(x: np.ndarray, y: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(x**2) / np.sum((x - y) ** 2)))


def _tone(hz: float, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)).astype(np.float32)


@pytest.mark.parametrize("kind", [*TRANSIENTS, bang])
def test_transients_are_short_end_quietly_and_have_unit_peak(kind) -> None:
    for seed in range(5):
        wave = kind(RATE, np.random.default_rng(seed))
        assert np.isfinite(wave).all()
        assert np.abs(wave).max() == pytest.approx(1, abs=1e-5)
        assert len(wave) <= RATE


def test_events_are_sparse_in_time() -> None:
    crest = []
    for seed in range(8):
        wave = transients(4 * RATE, RATE, np.random.default_rng(seed))
        crest.append(np.abs(wave).max() / np.sqrt(np.mean(wave**2)))
    assert np.median(crest) > 6  # white noise has 4


def test_music_has_unit_rms_and_lines_in_its_spectrum() -> None:
    for seed in range(4):
        wave = music(2 * RATE, RATE, np.random.default_rng(seed))
        assert np.sqrt(np.mean(wave**2)) == pytest.approx(1, rel=1e-3)
        power = np.sort(np.abs(np.fft.rfft(wave)) ** 2)[::-1]
        assert power[: len(power) // 50].sum() > 0.6 * power.sum()


def test_rounding_has_the_error_of_its_bits_and_mu_law_of_its_own() -> None:
    x = _tone(997, 0.999)
    # 6.02 dB per bit and 1.76 dB, of a full-scale sine.
    assert _snr(x, quantised(x, 10)) == pytest.approx(6.02 * 10 + 1.76, abs=0.5)
    quiet, loud = (_snr(w, mu_law(w)) for w in (_tone(997, 0.03), _tone(997, 0.9)))
    assert abs(quiet - loud) < 4
    assert 35 < loud < 41


def test_clipping_is_at_the_level_that_is_asked_for() -> None:
    assert np.abs(clipped(_tone(440), 6.0206)).max() == pytest.approx(0.25, rel=1e-4)


def test_low_pass_keeps_below_and_takes_above() -> None:
    x = _tone(1000) + _tone(6000)
    assert _snr(_tone(1000), low_passed(x, RATE, 3400.0)) > 60


@pytest.mark.parametrize("codec", CODECS)
def test_codecs_stay_aligned(codec: tuple[str, str]) -> None:
    rng = np.random.default_rng(0)
    x = low_passed(rng.standard_normal(RATE).astype(np.float32) * 0.1, RATE, 2000.0)
    y = coded(x, RATE, codec, 0.2)
    assert len(y) == len(x)
    correlation = np.fft.irfft(np.fft.rfft(x).conj() * np.fft.rfft(y))
    assert int(np.argmax(correlation)) == 0
