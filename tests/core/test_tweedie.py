"""Noise2Score's formulas against conjugate priors, whose posterior means are known."""

from __future__ import annotations

import math

import pytest
import torch

from sciddm.classical.tweedie import (
    gamma_mean,
    gaussian_mean,
    poisson_mean,
    poisson_mean_from_ratio,
)

F64 = torch.float64


def score(log_p, y):
    y = y.clone().requires_grad_(True)
    (g,) = torch.autograd.grad(log_p(y).sum(), y)
    return g


def test_gaussian_with_a_gaussian_prior():
    y = torch.linspace(-3, 5, 50, dtype=F64)
    m, tau, sigma = 0.7, 1.3, 0.4
    total = tau**2 + sigma**2
    l1 = score(lambda v: -((v - m) ** 2) / (2 * total), y)
    exact = (tau**2 * y + sigma**2 * m) / total
    assert torch.allclose(gaussian_mean(y, l1, sigma), exact)


def test_gaussian_with_a_mixture():
    """Two levels of tissue: the mean is the levels' mean with their posterior odds."""
    y = torch.linspace(-2, 4, 50, dtype=F64)
    levels, weights, sigma = torch.tensor([0.0, 2.0]), torch.tensor([0.3, 0.7]), 0.6

    def joint(v):
        return weights.log() - (v[:, None] - levels) ** 2 / (2 * sigma**2)

    l1 = score(lambda v: joint(v).logsumexp(1), y)
    exact = joint(y).softmax(1) @ levels.double()
    assert torch.allclose(gaussian_mean(y, l1, sigma), exact)


def log_gamma_poisson(z, shape, rate):
    """Probability of counts whose rate is Gamma(shape, rate), up to a constant."""
    return torch.lgamma(z + shape) - torch.lgamma(z + 1) - z * math.log1p(rate)


def test_poisson_with_a_gamma_prior():
    eta, shape, rate = 0.05, 3.0, 0.5
    z = torch.arange(0, 200, dtype=F64)
    log_p = [log_gamma_poisson(z + k, shape, rate) for k in (0, 1)]
    exact = eta * (z + shape) / (1 + rate)
    assert torch.allclose(poisson_mean_from_ratio(eta * z, log_p[1] - log_p[0], eta), exact)
    approximate = poisson_mean(eta * z, score(lambda v: log_gamma_poisson(v, shape, rate), z), eta)
    assert float(exact[12]) == pytest.approx(0.5)
    assert float(approximate[12]) == pytest.approx(0.4833, abs=5e-5)
    # It gets better with more counts.
    off = (approximate / exact - 1).abs()
    assert off[12] > off[50] > off[150]
    assert off[150] < 4e-3


def test_poisson_score_is_per_count():
    """With the score with respect to y = eta z, eta times it is what is asked for."""
    eta, y = 0.05, torch.tensor([0.6], dtype=F64)
    per_y = score(lambda v: log_gamma_poisson(v / eta, 3.0, 0.5), y)
    assert float(poisson_mean(y, eta * per_y, eta)) == pytest.approx(0.4833, abs=5e-5)


def test_gamma_with_an_inverse_gamma_prior():
    """1/x ~ Gamma(c, rate d) and y ~ Gamma(a, mean x): 1/x | y ~ Gamma(a + c, rate d + a y)."""
    a, c, d = 5.0, 3.0, 2.5
    y = torch.cat([torch.tensor([1.7], dtype=F64), torch.linspace(0.05, 20, 60, dtype=F64)])
    l1 = score(lambda v: (a - 1) * v.log() - (a + c) * (d + a * v).log(), y)
    x = gamma_mean(y, l1, a)
    assert float(x[0]) == pytest.approx(1.375)
    assert torch.allclose(x, (d + a * y) / (a + c))
    assert (x <= (d + a * y) / (a + c - 1)).all()  # E[x | y]
