"""What is written of the samples: their phase, and their power."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.pipelines.ultrasound.estimate import estimate
from sciddm.pipelines.ultrasound.waves import envelope

Z = np.arange(256)


def wave(amplitude: float, phase: float) -> np.ndarray:
    """A tone of 64 whole periods: its analytic signal is exact."""
    return (amplitude * np.cos(np.pi / 2 * Z + phase))[:, None].astype(np.float32)


def test_samples_that_agree_are_the_answer():
    x = wave(0.3, 0.4)
    tissue, std = estimate(np.stack([x, x]), echoes=True)
    assert np.allclose(tissue, x, atol=1e-6)
    assert np.abs(std).max() < 1e-4


def test_the_power_is_that_of_the_samples_and_the_phase_that_of_their_mean():
    """Two tones of amplitudes 1 and 1, phases +-60 degrees: the mean has amplitude 1/2."""
    samples = np.stack([wave(1, np.pi / 3), wave(1, -np.pi / 3)])
    tissue, std = estimate(samples, echoes=True)
    assert np.allclose(envelope(samples.mean(axis=0)), 0.5, atol=1e-5)
    assert np.allclose(envelope(tissue), 1, atol=1e-5)
    assert np.allclose(tissue, wave(1, 0), atol=1e-5)
    assert np.allclose(std, np.sqrt(3) / 2, atol=1e-5)


def test_envelopes_have_their_root_mean_square():
    samples = np.array([3.0, 4.0], np.float32)[:, None, None]
    tissue, std = estimate(samples, echoes=False)
    assert tissue.item() == pytest.approx(np.sqrt(12.5))
    assert std.item() == pytest.approx(0.5)


def test_silence_stays():
    tissue, std = estimate(np.zeros((2, 8, 3), np.float32), echoes=True)
    assert not tissue.any()
    assert not std.any()
