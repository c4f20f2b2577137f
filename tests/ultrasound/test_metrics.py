"""Measures of contrast and closeness against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sciddm.metrics.images import cnr, psnr
from sciddm.metrics.ultrasound import cnr_db, correlation, gcnr, ks_distance


def test_gcnr_of_uniform_distributions_is_their_overlap():
    """U(0, 1) and U(s, 1 + s) overlap by 1 - s."""
    u = (np.arange(200_000) + 0.5) / 200_000
    for s in (0.0, 0.25, 0.5, 0.9):
        assert gcnr(u, u + s) == pytest.approx(s, abs=0.01)
    assert gcnr(u, u + 1.01) == 1.0
    assert gcnr([1.0, 1.0], [1.0]) == 0.0


def test_two_cnrs_differ_as_their_definitions_do():
    """m 3 and 1, v 4 and 2: 2 / sqrt(6) with sign, and 20 log10(2 / sqrt(3)) dB without."""
    a = np.array([1.0, 5.0] * 50)
    b = np.array([1 - math.sqrt(2), 1 + math.sqrt(2)] * 50)
    assert cnr(a, b) == pytest.approx(2 / math.sqrt(6))
    assert cnr(b, a) == pytest.approx(-2 / math.sqrt(6))
    assert cnr_db(a, b) == pytest.approx(20 * math.log10(2 / math.sqrt(3)))
    assert cnr_db(b, a) == cnr_db(a, b)
    assert cnr_db(a, a) == -math.inf


def test_ks_distance_of_shifted_normals():
    """sup |Phi(x) - Phi(x - d)| = 2 Phi(d / 2) - 1."""
    q = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    assert ks_distance(q, q + 1) == pytest.approx(2 * stats.norm.cdf(0.5) - 1, abs=1e-3)
    assert ks_distance(q, q) == 0


def test_psnr_and_correlation():
    x = np.zeros((4, 4))
    assert psnr(x + 0.1, x, 1.0) == pytest.approx(20)
    assert psnr(x, x, 1.0) == math.inf
    z = np.array([1 + 1j, 2.0, -1j])
    assert correlation(3j * z, z) == pytest.approx(1)
    assert correlation([1, 0], [0, 1]) == 0
    assert correlation([0, 0], [0, 1]) == 0


def test_an_empty_region_is_an_error():
    with pytest.raises(ValueError, match="no pixel"):
        gcnr([], [1.0])
