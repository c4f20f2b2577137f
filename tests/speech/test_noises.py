"""Noise made from formulas."""

import numpy as np
import pytest

from sciddm.simulation.speech.noises import at_ratio, coloured, crowd, filtered, machine

RATE = 16_000


def test_ratio_is_of_mean_powers():
    rng = np.random.default_rng(0)
    signal, noise = rng.standard_normal(4000), 7 * rng.standard_normal(4000)
    scaled = at_ratio(noise, signal, 6.0)
    assert 10 * np.log10(np.mean(signal**2) / np.mean(scaled**2)) == pytest.approx(6.0, abs=1e-9)
    assert np.allclose(scaled / scaled[0], noise / noise[0])


def test_filter_of_one_frequency_leaves_that_frequency():
    t = np.arange(RATE) / RATE
    low, high = np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 3000 * t)
    response = (np.fft.rfftfreq(RATE, 1 / RATE) < 1000).astype(float)
    assert np.allclose(filtered(low + high, response), low, atol=1e-9)


def test_crowd_of_independent_samples_has_the_sum_of_their_powers():
    rng = np.random.default_rng(1)
    white = rng.standard_normal(200_000)
    powers = [np.mean(crowd(white, np.random.default_rng(s)) ** 2) for s in range(40)]
    # One original and 2 to 6 copies (4 on average) of mean power E u^2 = 7/12, u in [0.5, 1].
    assert np.mean(powers) == pytest.approx(1 + 4 * 7 / 12, rel=0.15)
    assert min(powers) > 1 + 2 * 0.25 - 0.1


def test_machine_knocks_stand_out_of_its_hiss():
    # Impulsive noise has a kurtosis far above 3, that of a Gaussian.
    kurtosis = []
    for seed in range(30):
        wave = machine(2 * RATE, RATE, np.random.default_rng(seed)).astype(float)
        assert np.isfinite(wave).all()
        wave -= wave.mean()
        kurtosis.append(np.mean(wave**4) / np.mean(wave**2) ** 2)
    assert np.median(kurtosis) > 5


def test_coloured_noise_is_reproducible_and_without_end():
    first, again, other = (coloured(RATE, RATE, np.random.default_rng(s)) for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.2
