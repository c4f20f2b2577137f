"""Evidence picks gains, noise levels, blurs and priors that made the data."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import measured_mixture
from support import F64, randn

from sciddm.errors import OptionError
from sciddm.hypotheses import Hypothesis, weigh
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import Matrix
from sciddm.process import EDM

SIGMA, ITEMS = 0.1, 64
SETTINGS = {"samples": 4, "steps": 15, "sigma_max": 20.0, "sigma_min": 0.02}


def scene(gain: float = 1.0):
    """64 images of the mixture, measured with one operator."""
    o = measured_mixture("random")
    truth = o.prior.sample(ITEMS, torch.Generator().manual_seed(5))
    return o, gain * truth @ o.H.T + SIGMA * randn(ITEMS, 4, seed=6)


def test_a_gain_is_found_and_least_squares_runs_away():
    """1.3 out of a grid of 8 %; the joint fit of image and gain takes the largest there is."""
    o, y = scene(1.3)
    gains = [1.1, 1.2, 1.3, 1.4, 1.5]
    ranking = weigh(
        y, {str(g): Hypothesis(Matrix(g * o.H), o.prior, SIGMA) for g in gains}, **SETTINGS
    )
    assert ranking.best == "1.3"
    assert ranking.margin > 3
    assert ranking.probabilities["1.3"] > 0.95
    exact = [
        o.prior.log_evidence(y, g * o.H, SIGMA**2 * torch.eye(4, dtype=F64)).sum() for g in gains
    ]
    ours = ranking.log_evidence.sum(1)
    # Differences between neighbours, as the exact ones within a fifth.
    for i in range(4):
        assert float(ours[i + 1] - ours[i]) == pytest.approx(
            float(exact[i + 1] - exact[i]), rel=0.35, abs=12
        )
    # A white prior's joint fit: min |y - g H x|^2/sigma^2 + |x|^2 falls as g grows.
    energy = []
    for g in gains:
        x = torch.linalg.solve(
            torch.eye(8, dtype=F64) + g**2 * o.H.T @ o.H / SIGMA**2, g * o.H.T @ y.T / SIGMA**2
        ).T
        misfit = (y - g * x @ o.H.T).square().sum() / SIGMA**2
        energy.append(float(misfit + x.square().sum()))
    assert energy == sorted(energy, reverse=True)


def test_a_noise_level_is_found():
    """Twelve data of eight unknowns; exact evidence -762, -551, -496, -543, -664."""
    o, _ = scene()
    truth = o.prior.sample(ITEMS, torch.Generator().manual_seed(5))
    H = randn(12, 8, seed=3) / 8**0.5
    y = truth @ H.T + 0.3 * randn(ITEMS, 12, seed=6)
    levels = [0.15, 0.21, 0.3, 0.42, 0.6]
    ranking = weigh(y, {str(s): Hypothesis(Matrix(H), o.prior, s) for s in levels}, **SETTINGS)
    assert ranking.best == "0.3"
    assert ranking.margin > 20
    total = ranking.log_evidence.sum(1)
    assert (total[:2].diff() > 0).all()
    assert (total[2:].diff() < 0).all()


def test_a_prior_is_found():
    """The mixture that made the data, and the Gaussian with its mean and covariance."""
    o, y = scene()
    mean, cov = o.prior.moments()
    other = GaussianDenoiser(EDM(sigma_max=20.0), mean, cov)
    ranking = weigh(
        y,
        {
            "mixture": Hypothesis(Matrix(o.H), o.prior, SIGMA),
            "Gaussian": Hypothesis(Matrix(o.H), other, SIGMA),
        },
        **SETTINGS,
    )
    assert ranking.best == "mixture"
    assert ranking.posteriors["Gaussian"].samples.shape == (4, ITEMS, 8)


def test_one_hypothesis_and_methods_without_evidence_are_refused():
    prior = GaussianDenoiser(EDM(), torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64))
    one = Hypothesis(Matrix(torch.eye(1, dtype=F64)), prior, 0.3)
    y = torch.tensor([0.4], dtype=F64)
    with pytest.raises(OptionError, match="two or more"):
        weigh(y, {"a": one})
    with pytest.raises(OptionError, match="does not estimate the evidence"):
        weigh(y, {"a": one, "b": one}, method="gibbs", steps=3)
    same = weigh(y, {"a": one, "b": one}, samples=64)
    assert same.margin == 0  # the noise is shared
    exact = -0.5 * 0.16 / 1.09 - 0.5 * math.log(2 * math.pi * 1.09)
    assert float(same.log_evidence[0]) == pytest.approx(exact, abs=0.2)


def test_too_few_particles_are_named_with_their_hypothesis():
    """Forty clean data and four steps leave one of six."""
    eye = torch.eye(40, dtype=F64)
    prior = GaussianDenoiser(EDM(), torch.zeros(40, dtype=F64), eye)
    one = Hypothesis(Matrix(eye), prior, 0.05)
    y = torch.randn(40, dtype=F64, generator=torch.Generator().manual_seed(0))
    with pytest.raises(OptionError, match="'first' one particle was left"):
        weigh(y, {"first": one, "b": one}, method="smc", samples=6, steps=4)
