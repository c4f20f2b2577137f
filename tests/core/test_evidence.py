"""Evidence from the means of guidance, and the discrepancy of samples, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import Bulk, measured_mixture
from support import F64, randn

from sciddm.denoiser import Denoiser
from sciddm.guidance import MMPS, DiffPIR, Guided
from sciddm.ledger import record
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import Matrix, Measurement
from sciddm.process import EDM, VPCosine, VPLinear
from sciddm.sampling import Ancestral, Heun, karras, sample
from sciddm.uncertainty.evidence import EvidenceMeter, divergence
from sciddm.uncertainty.stein import posterior_score, stein_discrepancy


class Exact(Guided):
    """The exact E[x0 | x_t, y], beside an evaluation of the prior."""

    def __init__(self, denoiser: Denoiser, measurement: Measurement, posterior: Denoiser) -> None:
        super().__init__(denoiser, measurement)
        self.posterior = posterior

    def forward(self, x_t, t, y=None, cond=None):
        self.denoiser(x_t, t)
        return self.posterior(x_t, t)


@pytest.mark.parametrize("kind", ["random", "mask"])
def test_evidence_of_exact_means(kind):
    """Exact states at 60 levels: what is left is quadrature and scatter."""
    o = measured_mixture(kind)
    meter = EvidenceMeter(Exact(o.prior, o.measurement, o.posterior))
    for i, t in enumerate(karras(o.prior.process, 60, 20.0, 0.02)):
        meter(o.draws + t * randn(1000, 8, seed=20 + i), t)
    assert float(meter.log_evidence(o.draws[:, None])) == pytest.approx(o.log_evidence, abs=0.15)


@pytest.mark.parametrize("process", [EDM(), VPCosine(), VPLinear()], ids=lambda p: str(p))
@pytest.mark.parametrize("complex_data", [False, True], ids=["real", "complex"])
def test_evidence_of_a_gaussian_in_every_process(process, complex_data):
    """log N(y; 0, v + sigma^2), with the posterior's own states at each level."""
    v, sigma = 0.6, 0.5
    dtype = torch.complex128 if complex_data else F64

    class Shrink(Denoiser):
        def __init__(self, v: float, mean: complex) -> None:
            super().__init__()
            self.v, self.mean, self.process = v, mean, process

        def forward(self, x_t, t, y=None, cond=None):
            a, _, s = process(t)
            return self.mean + a * self.v / (a**2 * self.v + s**2) * (x_t - a * self.mean)

    y = complex(0.7, -1.1) if complex_data else 0.7
    gain = v / (v + sigma**2)
    m = Measurement(torch.tensor([y], dtype=dtype), Matrix(torch.ones(1, 1, dtype=dtype)), sigma)
    meter = EvidenceMeter(Exact(Shrink(v, 0.0), m, Shrink(gain * sigma**2, gain * y)))
    n = 4000
    z = randn(n, 1, dtype=dtype)
    z = (z - z.mean()) / z.std()  # what is left is the integral's own error
    draws = gain * y + (gain * sigma**2) ** 0.5 * z
    for i, t in enumerate(karras(process, 80, 20.0, 0.02)):
        a, _, s = process(t)
        meter(a * draws + s * randn(n, 1, seed=20 + i, dtype=dtype), t)
    total = v + sigma**2
    if complex_data:
        exact = -(abs(y) ** 2) / total - math.log(math.pi * total)
    else:
        exact = -(y**2) / (2 * total) - 0.5 * math.log(2 * math.pi * total)
    assert float(meter.log_evidence(draws[:, None])) == pytest.approx(exact, abs=0.05)


def test_the_integral_and_its_ends():
    """gap = sigma^4 / (1 + sigma^2)^2 has the integral 1/2 over all levels."""
    levels = torch.logspace(-1, 1, 60, dtype=F64)
    gaps = levels**4 / (1 + levels**2) ** 2
    exact = 0.5
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    got = divergence(levels[order].tolist(), gaps[order])
    assert float(got) == pytest.approx(exact, rel=0.01)
    # A level that several evaluations share counts once, with their mean.
    twice = torch.cat([levels, levels])
    both = torch.cat([0.5 * gaps, 1.5 * gaps])
    assert float(divergence(twice.tolist(), both)) == pytest.approx(float(got))


def test_guidance_ranks_gains_as_the_exact_evidence_does():
    """Five gains of the operator: the same best, and the same order where they differ by .3."""
    o = measured_mixture("random")
    exact, ours = [], []
    for gain in (0.7, 0.85, 1.0, 1.15, 1.3):
        H = gain * o.H
        exact.append(float(o.prior.log_evidence(o.y, H, 0.01 * torch.eye(4, dtype=F64))))
        meter = EvidenceMeter(MMPS(o.prior, Measurement(o.y, Matrix(H), 0.1), 3))
        x, grid = 20 * randn(400, 8, seed=7), karras(o.prior.process, 20, 20.0, 0.02)
        out = sample(meter, x, grid, Ancestral(), generator=Bulk(5))
        ours.append(float(meter.log_evidence(out[:, None])))
    assert max(range(5), key=exact.__getitem__) == max(range(5), key=ours.__getitem__)
    for i in range(5):
        for j in range(5):
            assert exact[i] < exact[j] + 0.3 or ours[i] > ours[j]
    assert max(abs(u - v) for u, v in zip(exact, ours, strict=True)) < 0.6


def test_a_meter_changes_nothing_and_costs_nothing():
    """Nested guidance, two evaluations a step: the same result, the same counts."""
    from sciddm.ledger import tally

    o = measured_mixture("random")
    guided = DiffPIR(MMPS(o.prior, o.measurement, 2), o.measurement)
    x, grid = 20 * randn(6, 8), karras(o.prior.process, 5, 20.0, 0.05)
    with tally() as plain:
        expected = sample(guided, x, grid, Heun(), generator=Bulk(0))
    meter = EvidenceMeter(guided)
    with tally() as metered:
        out = sample(meter, x, grid, Heun(), generator=Bulk(0))
    assert torch.equal(out, expected)
    assert plain == metered
    # The gap is that to the prior's own mean, under all guidance.
    level = EvidenceMeter(guided)
    level(x, 0.7)
    gap = (guided(x, 0.7) - o.prior(x, 0.7)).square().sum(1).mean()
    assert float(level.divergence(6)) == pytest.approx(float(gap) / 0.7**2)
    assert len(level.divergence(2)) == 3  # two samples of three items


def test_exact_draws_pass_the_stein_test_and_others_fail():
    """Draws of the posterior, of the prior, and with half the standard deviation."""
    o = measured_mixture("random")
    level = 1e-3

    def test(x):
        return stein_discrepancy(x, posterior_score(o.prior, o.measurement, x, level))

    draws = o.draws[:300]
    assert test(draws).p_value > 0.05
    narrow = draws.mean(0) + 0.5 * (draws - draws.mean(0))
    assert test(narrow).p_value < 0.01
    prior = o.prior.sample(300, torch.Generator().manual_seed(3))
    assert test(prior).p_value < 0.01
    assert test(prior).discrepancy > 10 * abs(test(draws).discrepancy)


def test_the_stein_test_keeps_its_level_and_has_power():
    """Forty sets of 150 draws of a Gaussian: 5 % refused, within three standard errors; nearly all
    where the mean is .4, or the standard deviation 1.6 times, what the score says."""
    x = randn(40, 150, 3, seed=4)

    def refused(scores) -> int:
        pairs = zip(x, scores, strict=True)
        return sum(stein_discrepancy(v, s, bootstrap=200).p_value < 0.05 for v, s in pairs)

    assert refused(-x) <= 40 * 0.05 + 3 * math.sqrt(40 * 0.05 * 0.95)
    assert refused(-(x + 0.4)) > 35
    assert refused(-2.5 * x) > 35


def test_the_stein_kernel_is_that_of_its_derivatives():
    """u(x, y) of two points by automatic differentiation of k."""
    points, scores = randn(2, 3, seed=1), randn(2, 3, seed=2)
    c2 = (points[0] - points[1]).square().sum()  # the median of one distance

    def k(x, y):
        return (c2 + (x - y).square().sum()) ** -0.5

    x, y = points
    grad_x, grad_y = torch.func.grad(k, 0)(x, y), torch.func.grad(k, 1)(x, y)
    mixed = torch.func.jacrev(torch.func.grad(k, 0), 1)(x, y).trace()
    u = scores[0] @ scores[1] * k(x, y) + scores[0] @ grad_y + scores[1] @ grad_x + mixed
    scale = scores.square().sum(1).mean() * c2**-0.5
    got = stein_discrepancy(points, scores).discrepancy
    assert got == pytest.approx(float(u / scale))


def test_scores_of_complex_posteriors_act_on_parts():
    """grad of log N with respect to (re, im) of a circular Gaussian posterior."""
    v, sigma = 0.6, 0.5

    class Prior(Denoiser):
        process = EDM()

        def forward(self, x_t, t, y=None, cond=None):
            record(nfe=len(x_t))
            return v / (v + t**2) * x_t

    y = torch.tensor([0.3 - 0.2j], dtype=torch.complex128)
    m = Measurement(y, Matrix(torch.ones(1, 1, dtype=torch.complex128)), sigma)
    x = randn(5, 1, dtype=torch.complex128)
    parts = torch.view_as_real(x).requires_grad_(True)
    z = torch.view_as_complex(parts)
    log_p = -(z.abs() ** 2) / v - (y - z).abs() ** 2 / sigma**2
    (expected,) = torch.autograd.grad(log_p.sum(), parts)
    got = torch.view_as_real(posterior_score(Prior(), m, x, 1e-4))
    assert torch.allclose(got, expected, atol=1e-5)


def test_exact_evidence_of_a_mixture():
    """By quadrature over x0 in one dimension."""
    prior = GaussianDenoiser(
        EDM(), torch.tensor([0.3], dtype=F64), torch.tensor([[0.5]], dtype=F64)
    )
    x = torch.linspace(-8, 8, 4001, dtype=F64)[:, None]
    y, H, R = torch.tensor([0.9], dtype=F64), torch.tensor([[1.3]], dtype=F64), 0.25
    like = torch.exp(-((y - 1.3 * x) ** 2) / (2 * R)) / math.sqrt(2 * math.pi * R)
    total = (prior.log_density(x).exp() * like[:, 0]).sum() * (16 / 4000)
    got = prior.log_evidence(y, H, torch.tensor([[R]], dtype=F64))
    assert float(got) == pytest.approx(math.log(float(total)), abs=1e-6)
