"""Pooled standard deviations: right on average, and without pixels that have next to none."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.posterior import half_width
from sciddm.uncertainty.pooled_std import pooled_std


def draws(true_std: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return true_std * rng.standard_normal((count, *true_std.shape))


def test_mean_variance_is_kept_and_its_scatter_falls():
    std = draws(np.full((96, 80), 0.3), 4).std(axis=0, ddof=1)
    pooled = pooled_std(std)
    assert (pooled**2).mean() == pytest.approx((std**2).mean(), rel=0.01)
    assert pooled.std() < 0.2 * std.std()
    assert pooled.min() > 0.6 * 0.3
    assert std.min() < 0.1 * 0.3


def test_a_slope_of_the_true_deviation_is_followed():
    true = np.broadcast_to(np.linspace(0.1, 1.0, 96), (80, 96))
    pooled = pooled_std(draws(true, 4).std(axis=0, ddof=1))
    assert np.corrcoef(pooled.ravel(), true.ravel())[0, 1] > 0.97


def test_an_error_is_no_longer_many_half_widths():
    """The mean of four draws against a fifth: without pooling some pixel is 5 half widths off."""
    true = np.full((128, 128), 0.05)
    five = draws(true, 5)
    error = np.abs(five[:4].mean(0) - five[4])
    std = five[:4].std(axis=0, ddof=1)
    half = half_width(4, 0.9)
    assert (error / (half * std)).max() > 5
    assert (error / (half * pooled_std(std))).max() < 3


def test_slices_are_pooled_apart_and_nothing_is_pooled_over_no_pixels():
    std = np.zeros((2, 32, 32))
    std[1] = 1
    pooled = pooled_std(std)
    np.testing.assert_array_equal(pooled[0], 0)
    np.testing.assert_allclose(pooled[1], 1, rtol=1e-6)
    np.testing.assert_array_equal(pooled_std(std, 0), std)
