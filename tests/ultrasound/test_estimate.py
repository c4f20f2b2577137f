"""What is written of the samples: their phase, and their power."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.errors import ModelError
from sciddm.physics.ultrasound.estimate import Widening, estimate
from sciddm.physics.ultrasound.waves import envelope

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


def test_a_standard_deviation_allows_for_a_share_of_what_was_taken():
    std, taken = np.array([[0.3, 0.0]], np.float32), np.array([[0.8, 0.5]], np.float32)
    wide = Widening.of_card({"fast": {"spread": 2.0, "taken": 0.5}}, "fast")(std, taken)
    assert np.allclose(wide, [[1.0, 0.5]])
    assert np.array_equal(Widening.of_card({}, "fast")(std, taken), std)
    wide = Widening(2.0, 0.5, 0.4)(std, np.array([[0.0, 0.6]], np.float32))
    assert np.allclose(wide, [[1.0, 1.0]])


@pytest.mark.parametrize(
    "entry", [{"spread": 0.0}, {"taken": -1.0}, {"floor": -0.1}, {"width": 2.0}]
)
def test_a_card_that_widens_by_nothing_sensible_is_refused(entry):
    with pytest.raises(ModelError, match="calibration of fast"):
        Widening.of_card({"fast": entry}, "fast")
