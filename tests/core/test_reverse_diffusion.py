"""The published sampler of SGMSE+, and both processes of speech against the exact posterior."""

from __future__ import annotations

import math

import pytest
import torch
from support import F64, Impulses, law, randn
from torch import Tensor

from sciddm.ledger import tally
from sciddm.oracles import GaussianDenoiser
from sciddm.process import OUVE, SBVE, VE, VPLinear
from sciddm.random.streams import Streams
from sciddm.sampling import (
    DDIM,
    Ancestral,
    Leg,
    PredictorCorrector,
    ReverseDiffusion,
    Step,
    sample,
    uniform,
)


def published_grid(process, n: int) -> list[float]:
    """linspace(1, t_eps, N), and a last step of t_eps to 0."""
    return [*uniform(process, n - 1), 0.0]


@pytest.mark.parametrize(("t", "g"), [(0.03, 0.114972), (0.5, 0.339307), (1.0, 1.072983)])
def test_a_step_is_the_published_one(t, g):
    """x - theta (y - x) dt + g^2 dt score + g sqrt(dt) w, with the golden g of OUVE."""
    process, dt = OUVE(), 0.02
    x, x0, y, w = (randn(3, 4, seed=i) for i in range(4))
    a, b, s = process(t)
    score = (a * x0 + b * y - x) / s**2
    expected = x - process.theta * (y - x) * dt + g**2 * dt * score + g * math.sqrt(dt) * w
    leg = Leg(process, t, t - dt, y, lambda like: w)
    got, memory = ReverseDiffusion()(leg, lambda x_t, t_now: x0, x, None)
    assert memory is None
    assert torch.allclose(got, expected, rtol=2e-5, atol=0)


@pytest.mark.parametrize("process", [VPLinear(), VE(0.01, 5.0)], ids=lambda p: type(p).__name__)
def test_processes_without_an_endpoint(process):
    """VP: f = -beta x / 2, g^2 = beta. VE: f = 0, g^2 = d(s^2)/dt."""
    t, dt = 0.6, 0.01
    x, x0, w = (randn(3, 4, seed=i) for i in range(3))
    a, _, s = process(t)
    if isinstance(process, VPLinear):
        g2 = process.beta_min + t * (process.beta_max - process.beta_min)
        drift = -0.5 * g2 * x
    else:
        g2, drift = 2 * s**2 * math.log(process.sigma_max / process.sigma_min), torch.zeros_like(x)
    expected = x - dt * (drift - g2 * (a * x0 - x) / s**2) + math.sqrt(g2 * dt) * w
    leg = Leg(process, t, t - dt, None, lambda like: w)
    got, _ = ReverseDiffusion()(leg, lambda x_t, t_now: x0, x, None)
    assert torch.allclose(got, expected, rtol=1e-9)


def test_the_last_step_adds_no_noise():
    process = OUVE()
    x, x0, y = (randn(2, 3, seed=i) for i in range(3))

    def refuse(like: Tensor) -> Tensor:
        raise AssertionError("noise in the last step")

    def mean(x_t: Tensor, t: float) -> Tensor:
        return x0

    out, _ = ReverseDiffusion()(Leg(process, 0.03, 0.0, y, refuse), mean, x, None)
    assert torch.isfinite(out).all()
    with pytest.raises(AssertionError, match="noise in the last step"):
        ReverseDiffusion()(Leg(process, 0.06, 0.03, y, refuse), mean, x, None)


def test_a_bridge_begins_with_its_markov_step():
    """At t = 1 a = s = 0; from there x_r = a_r x0^ + b_r y + s_r w exactly."""
    process, r = SBVE(), 0.9
    x0, y, w = (randn(2, 3, seed=i) for i in range(3))
    leg = Leg(process, 1.0, r, y, lambda like: w)
    got, _ = ReverseDiffusion()(leg, lambda x_t, t: x0, y, None)
    a, b, s = process(r)
    assert torch.allclose(got, a * x0 + b * y + s * w)


# The exact posterior ------------------------------------------------------------------------------
#
# Speech stand-in: x0 ~ N(m, S), y = x0 + n, n ~ N(0, R). A network that is trained on pairs learns
# the denoiser of p(x0 | y) = N(m', P). The samplers start from what is known, y.

MEAN = torch.tensor([0.4, -0.2, 0.1], dtype=F64)
ROOT = torch.tensor([[0.5, 0.0, 0.0], [0.2, 0.3, 0.0], [-0.1, 0.1, 0.2]], dtype=F64)
PRIOR = ROOT @ ROOT.T
NOISE = torch.diag(torch.tensor([0.04, 0.09, 0.02], dtype=F64))


def posterior(process) -> tuple[GaussianDenoiser, Tensor]:
    """(exact denoiser given y, y) for a fixed y."""
    y = MEAN + torch.tensor([0.3, 0.5, -0.35], dtype=F64)
    exact = GaussianDenoiser(process, MEAN, PRIOR).posterior(y, torch.eye(3, dtype=F64), NOISE)
    return GaussianDenoiser(process, exact.means[0], exact.covariances[0]), y


def distance(process, step: Step, grid: list[float], **options) -> float:
    """Wasserstein-2 distance of a sampler's exact law to the posterior, in its root mean square
    standard deviations."""
    denoiser, y = posterior(process)

    def run(x: Tensor, noise: Impulses) -> Tensor:
        return sample(denoiser, x, grid, step, generator=noise, y=y.expand_as(x), **options)

    a, b, s = process(grid[0])
    mean, cov = law(run, (a + b) * y, s * torch.eye(3, dtype=F64))
    true_mean, true_cov = denoiser.moments()
    root = matrix_root(true_cov)
    apart = (mean - true_mean).square().sum() + torch.trace(
        cov + true_cov - 2 * matrix_root(root @ cov @ root)
    )
    return math.sqrt(max(float(apart), 0.0) / float(torch.trace(true_cov)))


def matrix_root(m: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(m)
    return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T


@pytest.mark.parametrize(
    ("process", "step", "n", "bound"),
    [
        (OUVE(), PredictorCorrector(ReverseDiffusion(), snr=0.5), 30, 0.015),
        (OUVE(), PredictorCorrector(ReverseDiffusion(), snr=0.5), 100, 0.005),
        # The ODE keeps what the start is wrong by, a(1) (y - x0).
        (OUVE(), DDIM(), 30, 0.11),
        (SBVE(), PredictorCorrector(ReverseDiffusion(), snr=0.5), 30, 0.15),
        (SBVE(), PredictorCorrector(ReverseDiffusion(), snr=0.5), 100, 0.05),
        (SBVE(), Ancestral(), 100, 0.12),
    ],
)
def test_samplers_reach_the_posterior(process, step, n, bound):
    assert distance(process, step, published_grid(process, n), denoise_last=False) < bound


@pytest.mark.parametrize(("n", "bound"), [(30, 0.19), (100, 0.08), (300, 0.04)])
def test_the_ode_of_a_bridge_needs_noise_to_start(n, bound):
    """From t = 1, where x is y and nothing is random, it gives the posterior's mean; from .99 the
    posterior."""
    process = SBVE()
    from_end = published_grid(process, n)
    assert distance(process, DDIM(), from_end, denoise_last=False) == pytest.approx(1, abs=1e-9)
    grid = [*uniform(process, n - 1, start=0.99), 0.0]
    assert distance(process, DDIM(), grid, denoise_last=False) < bound


@pytest.mark.parametrize("process", [OUVE(), SBVE()], ids=lambda p: type(p).__name__)
def test_evaluations_are_counted(process):
    """2 N, as published; a bridge's first step has nothing to correct."""
    denoiser, y = posterior(process)
    x = y.expand(2, -1)
    step = PredictorCorrector(ReverseDiffusion())
    with tally() as cost:
        sample(
            denoiser,
            x,
            published_grid(process, 30),
            step,
            generator=Streams(0, 2),
            y=x,
            denoise_last=False,
        )
    assert cost.nfe == 2 * (60 if isinstance(process, OUVE) else 59)
