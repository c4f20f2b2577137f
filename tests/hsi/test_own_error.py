"""The error of an estimate from its data alone, against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.classical.spectral.own_error import own_error, variance_factors

PIXELS = 20_000


@pytest.mark.parametrize("gain", [0.2, 0.7, 1.0])
@pytest.mark.parametrize("share", [1.0, 0.9])
def test_shrinkage_of_gaussian_images(gain, share):
    """f = g w / s of data w = s c + n, Var n = s: the error is (1 - g)^2 p + g^2 / s."""
    rng = np.random.default_rng(0)
    power = np.array([3.0, 0.5])[:, None]
    clean = np.sqrt(power) * rng.standard_normal((2, PIXELS))
    data = share * clean + np.sqrt(share) * rng.standard_normal((2, PIXELS))
    direction = rng.standard_normal((2, PIXELS))
    error, chance = own_error(
        (1 - gain) * data,
        share * direction,
        share * gain * 0.1 * direction,
        0.1,
        np.full(PIXELS, share),
    )
    expected = (1 - gain) ** 2 * power[:, 0] + gain**2 / share
    assert (np.abs(error - expected) < 5 * chance).all()
    assert (chance < 0.06).all()


def test_factors_follow_errors_that_are_sure_and_the_simulated_ones_otherwise():
    variance = np.array([0.5, 0.1])
    own, common = variance_factors(2 * variance, np.full(2, 1e-4), variance, 1.5)
    np.testing.assert_allclose(own, 2, rtol=1e-2)
    assert common == pytest.approx(2, rel=1e-2)
    own, common = variance_factors(2 * variance, np.full(2, 100.0), variance, 1.5)
    np.testing.assert_allclose(own, 1.5, rtol=1e-3)
    assert common == pytest.approx(1.5, rel=1e-3)
    # One image of its own.
    own, _ = variance_factors(np.array([0.5, 0.3]), np.full(2, 1e-3), variance, 1.5)
    assert own[0] == pytest.approx(1.0, abs=0.02)
    assert own[1] == pytest.approx(3.0, abs=0.1)
    # Never without bounds.
    own, common = variance_factors(100 * variance, np.full(2, 1e-4), variance, 1.5)
    assert own.max() == common == 25.0
