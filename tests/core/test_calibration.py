"""Conformal calibration: its finite-sample law, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sciddm.uncertainty.calibration import conformal_factor, coverage, scores_of


@pytest.mark.parametrize(("n", "level"), [(9, 0.9), (19, 0.9), (24, 0.8), (50, 0.87)])
def test_a_new_score_is_held_with_the_promised_probability(n, level):
    """k / (n + 1), for scores of any continuous law: the mean over many calibrations."""
    rng = np.random.default_rng(0)
    draws = rng.standard_cauchy((20_000, n + 1)) ** 2
    factors = np.array([conformal_factor(row[:-1], level) for row in draws])
    promised = math.ceil((n + 1) * level - 1e-9) / (n + 1)
    assert promised >= level - 1e-9
    error = 4 * math.sqrt(promised * (1 - promised) / len(draws))
    assert (draws[:, -1] <= factors).mean() == pytest.approx(promised, abs=error)


def test_the_gaussian_interval_of_a_known_width_needs_no_factor():
    rng = np.random.default_rng(1)
    half = stats.norm.ppf(0.95) * rng.uniform(0.5, 2, 200_000)
    error = rng.normal(size=half.size) * half / stats.norm.ppf(0.95)
    scores = scores_of(error, half)
    assert conformal_factor(scores, 0.9) == pytest.approx(1, abs=0.01)
    assert conformal_factor(scores_of(error, half / 3), 0.9) == pytest.approx(3, abs=0.03)
    assert coverage(scores) == pytest.approx(0.9, abs=0.003)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(0.05, 0.99))
def test_the_factor_is_the_smallest_of_the_scores_that_holds_enough(scores, level):
    q = conformal_factor(scores, level)
    needed = math.ceil((len(scores) + 1) * level - 1e-9)
    if needed > len(scores):
        assert q == math.inf
        return
    assert sum(s <= q for s in scores) >= needed
    assert sum(s < q for s in scores) < needed


def test_a_width_of_nothing_misses_or_hits():
    np.testing.assert_array_equal(scores_of([0.0, 1.0, 3j], [0.0, 0.0, 2.0]), [0, np.inf, 1.5])


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, math.nan])
def test_impossible_levels(level):
    with pytest.raises(ValueError, match="level"):
        conformal_factor([1.0, 2.0], level)


def test_no_scores_or_nan():
    for scores in ([], [1.0, math.nan]):
        with pytest.raises(ValueError, match="scores"):
            conformal_factor(scores, 0.5)
    with pytest.raises(ValueError, match="widths"):
        scores_of([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        scores_of([math.inf], [1.0])
