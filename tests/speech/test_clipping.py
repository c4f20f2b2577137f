"""Flat tops tell clipping, at any level; full scale, rounding and overs do not."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.physics.speech.clipping import FlatTops

RATE = 16_000


def _speech(peak: float = 1.0) -> np.ndarray:
    """Noise with the spectrum and swells of speech."""
    rng = np.random.default_rng(0)
    wave = np.convolve(rng.standard_normal(2 * RATE), np.hanning(12), "same")
    wave *= 1 + np.sin(np.arange(2 * RATE) / 1500)
    return (peak * wave / np.abs(wave).max())[None]


def _share(wave: np.ndarray, size: int = 10**6) -> float:
    tops = FlatTops(len(wave))
    for start in range(0, wave.shape[1], size):
        tops.push(wave[:, start : start + size])
    return tops.share


@pytest.mark.parametrize("gain", [1.0, 0.2, 3.0])
def test_clipping_is_found_at_any_level(gain: float) -> None:
    wave = gain * np.clip(_speech(), -0.4, 0.4)
    share = _share(wave)
    assert share == pytest.approx(np.mean(np.abs(wave) >= 0.4 * gain), rel=0.4)
    assert share > 1e-3
    # One side only, as of a circuit with an offset.
    assert _share(gain * np.minimum(_speech(), 0.4)) > 5e-4


@pytest.mark.parametrize("size", [1, 7, 100, 4096])
def test_blocks_do_not_matter(size: int) -> None:
    wave = np.clip(_speech(), -0.4, 0.4)[:, :4000]
    whole = _share(wave)
    assert _share(wave, size) == pytest.approx(whole, rel=0.05)


def test_what_is_not_clipped_is_not_called_so() -> None:
    assert _share(_speech(1.0)) == 0  # normalised to full scale
    assert _share(_speech(2.5)) == 0  # floating point beyond it
    t = np.arange(RATE) / RATE
    for hz in (20, 50, 440):
        sine = np.round(np.sin(2 * np.pi * hz * t) * 2000) / 32768
        assert _share(sine[None]) == 0
    for bits, peak in ((8, 0.6), (16, 0.0015)):  # steps of a percent of the peak
        full = 2.0 ** (bits - 1)
        for hz in (50, 100, 200, 440, 700, 1500):
            sine = np.round(np.sin(2 * np.pi * hz * t) * peak * full) / full
            assert _share(sine[None]) == 0, (bits, hz)
    assert _share(np.zeros((2, RATE))) == 0
    assert _share(np.full((1, RATE), 0.5)) == 0


def test_a_louder_peak_later_takes_the_count_back() -> None:
    quiet = 0.2 * np.clip(_speech(), -0.4, 0.4)
    assert _share(np.concatenate([quiet, _speech()], axis=1), 1000) == 0


def test_clipping_under_dither_and_in_eight_bits() -> None:
    clipped = 0.3 * np.clip(_speech(), -0.4, 0.4) / 0.4
    dither = np.random.default_rng(1).uniform(-1, 1, (2, *clipped.shape)).sum(0) / 32768
    assert _share(clipped + dither) > 1e-3
    assert _share(np.round(clipped * 128) / 128) > 1e-3


def test_one_bang_at_full_scale_is_no_clipping() -> None:
    quiet = 0.02 * _speech()
    quiet[:, 8000:8050] = 1
    assert _share(quiet) == 0
    for at in (9000, 10_000, 11_000):
        quiet[:, at : at + 50] = 1
    assert _share(quiet) > 1e-4
