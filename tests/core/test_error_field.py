"""The correlation of errors: closed forms, draws, and the fit of its weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sciddm.uncertainty.error_field import ErrorField, fit_weights


def test_independent_errors_average_out_and_common_ones_do_not():
    white = ErrorField((0.0,), (1.0,))
    common = ErrorField((math.inf,), (1.0,))
    mean = np.full((1, 5, 8), 2.0 / 40)
    assert white.variance(mean) == pytest.approx(4 / 40)
    assert common.variance(mean) == pytest.approx(4)
    # What a region and its surroundings share is not in their contrast.
    contrast = mean.copy()
    contrast[:, :, 4:] *= -1
    assert common.variance(contrast) == pytest.approx(0, abs=1e-12)
    assert white.variance(contrast) == pytest.approx(4 / 40)


def test_the_variance_is_the_double_sum_over_pixels():
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, (3, 6, 7)) * (rng.random((3, 6, 7)) < 0.6)
    field = ErrorField((0.0, 2.0, math.inf), (0.5, 0.3, 0.1), layers=0.4)
    z, y, x = np.indices(values.shape).reshape(3, -1)
    d2 = (y - y[:, None]) ** 2 + (x - x[:, None]) ** 2
    inside = 0.5 * (d2 == 0) + 0.3 * np.exp(-d2 / 8) + 0.1
    covariance = inside * 0.4 ** np.abs(z - z[:, None])
    a = values.ravel()
    assert field.variance(values) == pytest.approx(a @ covariance @ a, rel=1e-6)


def test_draws_have_the_stated_variance_and_correlation():
    field = ErrorField((0.0, 3.0), (0.4, 0.8), layers=0.5)
    rng = np.random.default_rng(1)
    g = np.stack([field.draw((3, 96, 96), rng) for _ in range(24)])
    assert (g**2).mean() == pytest.approx(1.2, rel=0.03)
    assert (g[..., 3:] * g[..., :-3]).mean() == pytest.approx(0.8 * math.exp(-0.5), rel=0.08)
    assert (g[:, 1:] * g[:, :-1]).mean() == pytest.approx(0.5 * 1.2, rel=0.08)
    # The mean of a disc has the variance of the closed form.
    y, x = np.indices((96, 96))
    disc = np.zeros((3, 96, 96))
    disc[1] = np.hypot(y - 40, x - 50) < 6
    disc /= disc.sum()
    sums = np.array([(field.draw((3, 96, 96), rng) * disc).sum() for _ in range(400)])
    assert sums.var() == pytest.approx(field.variance(disc), rel=0.2)


def test_layers_may_have_a_correlation_of_their_own():
    between = np.array([[1, 0.9], [0.9, 1.0]])
    field = ErrorField((0.0,), (1.0,))
    difference = np.array([1.0, -1.0])[:, None, None]
    assert field.variance(difference, between) == pytest.approx(2 - 1.8)
    rng = np.random.default_rng(2)
    g = field.draw((2, 200, 200), rng, between)
    assert np.corrcoef(g[0].ravel(), g[1].ravel())[0, 1] == pytest.approx(0.9, abs=0.01)


def test_weights_of_simulated_errors_are_found_again():
    basis = ErrorField((0.0, 4.0, math.inf), (1.0, 1.0, 1.0))
    rng = np.random.default_rng(3)
    parts = []
    for _ in range(4000):
        side = int(rng.integers(1, 14))
        parts.append(basis.parts(np.full((1, side, side), 1 / side**2)))
    table = np.array(parts)
    errors = np.sqrt(table @ np.array([0.7, 0.2, 0.02])) * rng.standard_normal(len(table))
    weights = fit_weights(table, errors)
    assert weights == pytest.approx((0.7, 0.2, 0.02), rel=0.2)
    inside = np.abs(errors) <= 1.6449 * np.sqrt(table @ np.array(weights))
    assert inside.mean() == pytest.approx(0.9, abs=0.002)


def test_the_sentence_says_length_and_common_share():
    field = ErrorField((0.0, 2.0, math.inf), (0.0, 0.9, 0.1), source="measured on heads")
    # .9 exp(-r^2 / 8) + .1 = 1 / e
    assert field.length == pytest.approx(
        math.sqrt(8 * math.log(0.9 / (1 / math.e - 0.1))), abs=0.11
    )
    assert "10 % of their variance is common" in field.sentence
    assert "measured on heads" in field.sentence
    assert ErrorField.from_attribute(field.attribute()) == field


@pytest.mark.parametrize("text", ["{}", "[]", '{"lengths_pixels": [0], "weights": 3}'])
def test_a_damaged_attribute_is_named(text):
    with pytest.raises(ValueError, match="correlation"):
        ErrorField.from_attribute(text)
