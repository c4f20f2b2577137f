"""Guidance and split Gibbs sampling against exact posteriors."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import Bulk, measured_mixture
from support import F64, Impulses, law, randn, random_mixture, sliced_w2
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance import DDNM, DDS, DPS, MMPS, DiffPIR, PiGDM
from sciddm.ledger import record, tally
from sciddm.oracles import GaussianDenoiser, MixtureDenoiser
from sciddm.physics import CartesianMRI, Matrix, Measurement
from sciddm.posterior import Posterior
from sciddm.process import EDM, OUVE, Process, VPLinear
from sciddm.random.streams import Streams
from sciddm.sampling import (
    DDIM,
    Ancestral,
    DPMSolver2M,
    Heun,
    fresh,
    karras,
    log_snr,
    sample,
)

C128 = torch.complex128


class ComplexGaussian(Denoiser):
    """The exact denoiser of a circular N(mean, S): m + K (u - a m), K = a S (a^2 S + s^2)^-1."""

    def __init__(self, process: Process, mean: Tensor, covariance: Tensor) -> None:
        super().__init__()
        self.process, self.mean, self.covariance = process, mean, covariance
        self.data_std = float(covariance.diagonal().real.mean() ** 0.5)

    def forward(self, x_t, t, y=None, cond=None):
        record(nfe=x_t.shape[0])
        a, b, s = self.process(t)
        u = x_t - self.process.shift(b, y)
        S = self.covariance
        gain = a * S @ torch.linalg.inv(a**2 * S + s**2 * torch.eye(len(S), dtype=S.dtype))
        return self.mean + (u - a * self.mean) @ gain.mT


def covariance(n: int, dtype: torch.dtype, seed: int = 8) -> Tensor:
    root = randn(n, n, seed=seed, dtype=dtype) / math.sqrt(n)
    return root @ root.mH + 0.2 * torch.eye(n, dtype=dtype)


def gaussian(process: Process, n: int, dtype: torch.dtype) -> Denoiser:
    mean, S = randn(n, seed=9, dtype=dtype), covariance(n, dtype)
    if dtype.is_complex:
        return ComplexGaussian(process, mean, S)
    return GaussianDenoiser(process, mean, S)


def parts(denoiser: Denoiser) -> tuple[Tensor, Tensor]:
    if isinstance(denoiser, GaussianDenoiser):
        return denoiser.means[0], denoiser.covariances[0]
    assert isinstance(denoiser, ComplexGaussian)
    return denoiser.mean, denoiser.covariance


def posterior_of_x0(denoiser, u, t, H, y, sigma) -> Tensor:
    """E[x0 | x_t, y] of a Gaussian prior by joint conditioning on (u, y), written on its own."""
    (m, S), (a, _, s) = parts(denoiser), denoiser.process(t)
    n = len(m)
    eye = torch.eye(n, dtype=S.dtype)
    precision = torch.linalg.inv(S) + a**2 / s**2 * eye + H.mH @ H / sigma**2
    right = torch.linalg.solve(S, m) + a / s**2 * u + H.mH @ y / sigma**2
    return torch.linalg.solve(precision, right.mT).mT


typed = pytest.mark.parametrize("dtype", [F64, C128], ids=["real", "complex"])
processes = pytest.mark.parametrize("process", [EDM(), VPLinear()], ids=["EDM", "VPLinear"])


def problem(dtype: torch.dtype, m: int = 4, n: int = 6) -> tuple[Tensor, Tensor, float]:
    return randn(m, n, seed=1, dtype=dtype), randn(m, seed=2, dtype=dtype), 0.3


# One evaluation, against formulas ---------------------------------------------------------------


@typed
@processes
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_mmps_is_exact_for_a_gaussian_prior(dtype, process, t):
    H, y, sigma = problem(dtype)
    denoiser = gaussian(process, 6, dtype)
    x = randn(3, 6, seed=3, dtype=dtype)
    # A complex system is 2 m real ones to a covariance that acts on (re, im) pairs.
    guided = MMPS(denoiser, Measurement(y, Matrix(H), sigma), krylov=8)
    expected = posterior_of_x0(denoiser, x, t, H, y, sigma)
    assert torch.allclose(guided(x, t), expected, atol=1e-8)
    rough = MMPS(denoiser, Measurement(y, Matrix(H), sigma), krylov=1)
    assert (rough(x, t) - expected).abs().max() > 1e-3  # one Krylov step is not enough here


@processes
def test_inflated_mmps_is_exact_for_the_noise_it_assumes(process):
    H, y, sigma = problem(F64)
    denoiser = gaussian(process, 6, F64)
    x, t, inflation = randn(3, 6, seed=3), 0.4, 0.3
    a, _, s = process(t)
    wide = (sigma**2 + (inflation * s / a) ** 2) ** 0.5
    guided = MMPS(denoiser, Measurement(y, Matrix(H), sigma), 8, inflation)
    assert torch.allclose(guided(x, t), posterior_of_x0(denoiser, x, t, H, y, wide), atol=1e-8)


def test_mmps_with_a_second_endpoint():
    process, t = OUVE(), 0.4
    H, y, sigma = problem(F64)
    denoiser = gaussian(process, 6, F64)
    end, x = randn(3, 6, seed=5), randn(3, 6, seed=3)
    u = x - process(t)[1] * end
    guided = MMPS(denoiser, Measurement(y, Matrix(H), sigma), krylov=8)
    assert torch.allclose(guided(x, t, end), posterior_of_x0(denoiser, u, t, H, y, sigma))


def covariance_of_x0(denoiser: Denoiser, t: float) -> tuple[Tensor, Tensor]:
    """V = Cov[x0 | x_t] and the denoiser's gain, of a Gaussian prior."""
    (_, S), (a, _, s) = parts(denoiser), denoiser.process(t)
    gain = a * S @ torch.linalg.inv(a**2 * S + s**2 * torch.eye(len(S), dtype=S.dtype))
    return S - a * gain @ S, gain


@typed
@processes
def test_pigdm_against_its_formula(dtype, process):
    """x0^ + V H^H (r^2 H H^H + R)^-1 e in the range of H, where the code solves in its domain."""
    t, (H, y, sigma) = 0.5, problem(dtype)
    denoiser = gaussian(process, 6, dtype)
    x = randn(3, 6, seed=3, dtype=dtype)
    V, _ = covariance_of_x0(denoiser, t)
    level, d2 = process.sigma(t), denoiser.data_std**2
    r2 = level**2 * d2 / (level**2 + d2)
    mean = denoiser(x, t)
    e = y - mean @ H.mT
    middle = r2 * H @ H.mH + sigma**2 * torch.eye(4, dtype=dtype)
    expected = mean + torch.linalg.solve(middle, e.mT).mT @ (V @ H.mH).mT
    out = PiGDM(denoiser, Measurement(y, Matrix(H), sigma))(x, t)
    assert torch.allclose(out, expected, atol=1e-9)


@typed
@processes
def test_dps_against_its_formula(dtype, process):
    """x0^ + zeta V H^H e / |e|, the norm being each item's own."""
    t, zeta, (H, y, sigma) = 0.5, 0.7, problem(dtype)
    denoiser = gaussian(process, 6, dtype)
    x = randn(3, 6, seed=3, dtype=dtype)
    V, _ = covariance_of_x0(denoiser, t)
    mean = denoiser(x, t)
    e = y - mean @ H.mT
    norm = e.abs().square().sum(1, keepdim=True).sqrt()
    expected = mean + zeta * (e / norm) @ (V @ H.mH).mT
    out = DPS(denoiser, Measurement(y, Matrix(H), sigma), zeta)(x, t)
    assert torch.allclose(out, expected, atol=1e-9)


def test_dps_is_the_gradient_step_of_its_paper():
    """Its next state x' - rho grad_x |y - A x0^(x)| with rho = zeta a_r s_t^2 / a_t (tau = 0)."""
    H, y, sigma = problem(F64)
    denoiser = MixtureDenoiser(EDM(), *random_mixture(3, 6, seed=4))
    x, t, r, zeta = randn(2, 6, seed=3), 0.8, 0.5, 0.4
    leaf = x.clone().requires_grad_(True)
    (y - denoiser(leaf, t) @ H.T).norm(dim=1).sum().backward()
    guided = DPS(denoiser, Measurement(y, Matrix(H), sigma), zeta)(x, t)
    assert torch.allclose(guided, denoiser(x, t) - zeta * t**2 * leaf.grad)
    grid = [t, r]
    stepped, plain = (
        sample(d, x, grid, DDIM(), generator=Streams(0, 2), denoise_last=False)
        for d in (DPS(denoiser, Measurement(y, Matrix(H), sigma), zeta), denoiser)
    )
    assert torch.allclose(stepped, plain - (1 - r / t) * zeta * t**2 * leaf.grad)


@typed
def test_dds_is_a_prox_of_its_weight(dtype):
    """(I + gamma H^H H)^-1 (x0^ + gamma H^H y) = prox with r^2 = gamma sigma_y^2."""
    t, gamma, (H, y, sigma) = 0.5, 1.7, problem(dtype)
    denoiser = gaussian(EDM(), 6, dtype)
    m, x = Measurement(y, Matrix(H), sigma), randn(3, 6, seed=3, dtype=dtype)
    mean = denoiser(x, t)
    left = torch.eye(6, dtype=dtype) + gamma * H.mH @ H
    expected = torch.linalg.solve(left, (mean + gamma * (H.mH @ y)).mT).mT
    out = DDS(denoiser, m, gamma)(x, t)
    assert torch.allclose(out, expected)
    assert torch.allclose(out, m.prox(mean, gamma * sigma**2))


@typed
@processes
def test_diffpir_against_its_normal_equations(dtype, process):
    t, lam, (H, y, sigma) = 0.5, 2.5, problem(dtype)
    denoiser = gaussian(process, 6, dtype)
    x = randn(3, 6, seed=3, dtype=dtype)
    r2 = process.sigma(t) ** 2 / lam
    left = H.mH @ H / sigma**2 + torch.eye(6, dtype=dtype) / r2
    right = H.mH @ y / sigma**2 + denoiser(x, t) / r2
    out = DiffPIR(denoiser, Measurement(y, Matrix(H), sigma), lam)(x, t)
    assert torch.allclose(out, torch.linalg.solve(left, right.mT).mT)
    # A finite error bounds the prior's variance.
    sigma2, error = process.sigma(t) ** 2, 0.3
    smaller = DiffPIR(denoiser, Measurement(y, Matrix(H), sigma), lam, error)(x, t)
    same = DiffPIR(denoiser, Measurement(y, Matrix(H), sigma), lam * (1 + sigma2 / error**2))(x, t)
    assert torch.allclose(smaller, same)
    assert not torch.allclose(smaller, out, rtol=1e-3)


@typed
def test_ddnm_fits_the_data_and_keeps_the_null_space(dtype):
    t, (H, y, sigma) = 0.5, problem(dtype)
    denoiser = gaussian(EDM(), 6, dtype)
    x = randn(3, 6, seed=3, dtype=dtype)
    out = DDNM(denoiser, Measurement(y, Matrix(H), sigma))(x, t)
    assert torch.allclose(out @ H.mT, y.expand(3, 4))
    null = torch.eye(6, dtype=dtype) - torch.linalg.pinv(H) @ H
    assert torch.allclose(out @ null.mT, denoiser(x, t) @ null.mT)


class Prior(Denoiser):
    """White N(0, 1) for images of any shape: D = a x / (a^2 + s^2)."""

    process = EDM()

    def forward(self, x_t, t, y=None, cond=None):
        record(nfe=x_t.shape[0])
        return x_t / (1 + t**2)


def test_every_guidance_agrees_for_a_white_prior_and_unit_singular_values():
    """With white V = r^2 I, PiGDM and MMPS are the exact posterior mean: also for MRI."""
    mask = torch.rand(8, 6, generator=torch.Generator().manual_seed(0)) < 0.5
    A, t, sigma = CartesianMRI(mask), 0.7, 0.2
    x, y = randn(2, 1, 8, 6, dtype=C128), A(randn(2, 1, 8, 6, seed=1, dtype=C128))
    m, prior = Measurement(y, A, sigma), Prior()
    r2 = t**2 / (1 + t**2)
    expected = m.prox(prior(x, t), r2)
    assert torch.allclose(PiGDM(prior, m)(x, t), expected)
    # r2 + sigma^2 on the sampled entries: one eigenvalue, one Krylov step.
    assert torch.allclose(MMPS(prior, m, krylov=1)(x, t), expected)
    assert torch.allclose(DiffPIR(prior, m, lam=1 + t**2)(x, t), expected)
    assert torch.allclose(DiffPIR(prior, m, error=1.0)(x, t), expected)


GUIDANCE = {
    "DPS": lambda d, m: DPS(d, m, 0.5),
    "PiGDM": PiGDM,
    "MMPS": lambda d, m: MMPS(d, m, 3),
    "DiffPIR": DiffPIR,
    "DDS": DDS,
    "DDNM": DDNM,
}
every_guidance = pytest.mark.parametrize("name", GUIDANCE)


@every_guidance
def test_guidance_does_not_depend_on_the_batch(name):
    """An item alone, with its own data, and beside others a thousand times larger."""
    H, _, sigma = problem(F64)
    denoiser = MixtureDenoiser(EDM(), *random_mixture(3, 6, seed=4))
    scale = torch.tensor([[1.0], [1e3], [1e-3]], dtype=F64)
    x, y = scale * randn(3, 6, seed=3), scale * randn(3, 4, seed=5)
    together = GUIDANCE[name](denoiser, Measurement(y, Matrix(H), sigma))(x, 0.4)
    for i in range(3):
        one = Measurement(y[i : i + 1], Matrix(H), sigma)
        alone = GUIDANCE[name](denoiser, one)(x[i : i + 1], 0.4)
        assert torch.allclose(alone[0], together[i], rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "products"),
    [("DPS", 1), ("PiGDM", 1), ("MMPS", 3), ("DiffPIR", 0), ("DDS", 0), ("DDNM", 0)],
)
def test_costs_equal_the_closed_form(name, products):
    H, y, sigma = problem(F64)
    denoiser = MixtureDenoiser(EDM(), *random_mixture(3, 6, seed=4))
    guided, x, n = GUIDANCE[name](denoiser, Measurement(y, Matrix(H), sigma)), randn(5, 6), 6
    for step, per_step in ((DDIM(), 1), (Heun(), 2)):
        with tally() as cost:
            sample(guided, x, karras(EDM(), n, 5.0, 0.1), step, generator=Streams(0, 5))
        evaluations = n * per_step + 1
        assert cost.nfe == 5 * evaluations
        assert cost.nvjp == 5 * evaluations * products


def test_operator_calls_of_split_gibbs():
    """Per evaluation: A for the residual, A^H for the solve's right-hand side, no VJP."""
    H, y, sigma = problem(F64)
    denoiser = MixtureDenoiser(EDM(), *random_mixture(3, 6, seed=4))
    m = Measurement(y, Matrix(H), sigma)
    with tally() as cost:
        sample(
            denoiser,
            randn(5, 6),
            karras(EDM(), 6, 5.0, 0.1),
            Ancestral(fresh),
            generator=Streams(0, 5),
            refine=m.draw,
        )
    assert (cost.nfe, cost.nvjp, cost.noperator) == (35, 0, 14)


# Whole posterior samplers, on a Gaussian: exact laws --------------------------------------------


def gaussian_posterior(m: Tensor, S: Tensor, H: Tensor, y: Tensor, sigma: float):
    precision = torch.linalg.inv(S) + H.mT @ H / sigma**2
    P = torch.linalg.inv(precision)
    return P @ (torch.linalg.solve(S, m) + H.mT @ y / sigma**2), P


@pytest.mark.parametrize("process", [EDM(), VPLinear(), OUVE()], ids=lambda p: type(p).__name__)
def test_split_gibbs_is_exact_for_a_white_gaussian(process):
    """There x0^ and r^2 are the exact conditional: every step keeps p(x_t | y), to rounding.

    A wrong r^2, tau, scale of the draw's noise, or a swapped time breaks it.
    """
    d, mean = 0.8, randn(3, seed=4)
    S, (H, y, sigma) = d**2 * torch.eye(3, dtype=F64), problem(F64, 2, 3)
    denoiser = GaussianDenoiser(process, mean, S)
    m = Measurement(y, Matrix(H), sigma)
    expected, P = gaussian_posterior(mean, S, H, y, sigma)
    grid = log_snr(process, 6, 2.0, 0.1)
    a, b, s = process(grid[0])
    end = torch.full((3,), 0.5, dtype=F64)

    def run(x: Tensor, noise: Impulses) -> Tensor:
        other = end.expand_as(x) if process.has_endpoint else None
        return sample(denoiser, x, grid, Ancestral(fresh), generator=noise, y=other, refine=m.draw)

    start = a * expected + (b * end if process.has_endpoint else 0.0)
    root = torch.linalg.cholesky(a**2 * P + s**2 * torch.eye(3, dtype=F64))
    got, cov = law(run, start, root)
    assert torch.allclose(got, expected, atol=1e-9)
    assert torch.allclose(cov, P, atol=1e-9)


def error_of_mmps(step, n: int) -> tuple[float, float]:
    """Errors of the mean and (relative) of the covariance after n steps from an exact start."""
    denoiser, (H, y, sigma) = gaussian(EDM(), 3, F64), problem(F64, 2, 3)
    guided = MMPS(denoiser, Measurement(y, Matrix(H), sigma), krylov=2)
    mean, P = gaussian_posterior(*parts(denoiser), H, y, sigma)
    grid = karras(EDM(), n, 20.0, 0.005)

    def run(x: Tensor, noise: Impulses) -> Tensor:
        return sample(guided, x, grid, step, generator=noise)

    got, cov = law(run, mean, torch.linalg.cholesky(P + 400 * torch.eye(3, dtype=F64)))
    return float((got - mean).abs().max()), float((cov - P).abs().max() / P.abs().max())


@pytest.mark.parametrize(
    ("step", "slack", "ratio"),
    [
        (Heun(), 5e-3, 3.5),
        (DPMSolver2M(), 4e-3, 2.5),
        (DDIM(), 0.07, 1.8),
        (Ancestral(), 0.14, 1.8),
    ],
    ids=["Heun", "2M", "DDIM", "Ancestral"],
)
def test_mmps_reaches_the_gaussian_posterior_with_every_sampler(step, slack, ratio):
    """Exact guidance leaves only the sampler's own error, which falls with its order."""
    (_, coarse), (mean, fine) = error_of_mmps(step, 30), error_of_mmps(step, 60)
    assert mean < 1e-6
    assert fine < slack
    assert coarse / fine > ratio


def test_the_wrong_tau_would_be_seen():
    """The bounds above separate: fresh noise in place of Markov's tau does not converge."""
    assert error_of_mmps(Ancestral(fresh), 60)[1] > 0.5
    assert error_of_mmps(Ancestral(fresh), 60)[1] > error_of_mmps(Ancestral(fresh), 30)[1] / 1.2


# On mixtures ------------------------------------------------------------------------------------


def golden_mixture() -> tuple[MixtureDenoiser, Measurement, MixtureDenoiser]:
    prior = MixtureDenoiser(
        EDM(sigma_max=20.0),
        torch.tensor([0.3, 0.7], dtype=F64),
        torch.tensor([[-1.0], [0.8]], dtype=F64),
        torch.tensor([[[0.1]], [[0.3]]], dtype=F64),
    )
    H, y, R = (torch.tensor(v, dtype=F64) for v in ([[1.3]], [0.4], [[0.25]]))
    return prior, Measurement(y, Matrix(H), 0.5), prior.posterior(y, H, R)


def test_split_gibbs_on_the_golden_mixture():
    """Posterior mean .4482, variance .1185, weight .0234 of the left mode.

    The method takes x0 given x_t for Gaussian, which a mixture is not: errors in the mean were
    -.071, -.044, -.022 for 20, 40, 80 steps. 20000 draws know it to .0025.
    """
    prior, m, exact = golden_mixture()
    mean, cov = (v.item() for v in exact.moments())
    assert (mean, cov) == pytest.approx((0.4481797, 0.1184977), abs=6e-8)
    n = 20_000
    grid = karras(prior.process, 80, 20.0, 0.02)
    x = sample(prior, 20 * randn(n, 1), grid, Ancestral(fresh), generator=Bulk(1), refine=m.draw)
    assert float(x.mean()) == pytest.approx(mean, abs=0.033)
    assert float(x.var()) == pytest.approx(cov, abs=0.015)
    draws = exact.sample(n, torch.Generator().manual_seed(3))
    assert sliced_w2(x, draws) < 0.036


def distance(kind: str, method: str, steps: int) -> float:
    o = measured_mixture(kind)
    prior, m, draws = o.prior, o.measurement, o.draws
    grid = karras(prior.process, steps, 20.0, 0.02)
    x = 20 * randn(len(draws), 8, seed=7)
    if method == "Gibbs":
        out = sample(prior, x, grid, Ancestral(fresh), generator=Bulk(5), refine=m.draw)
    else:
        guided = GUIDANCE[method](prior, m)
        out = sample(guided, x, grid, Ancestral(), generator=Bulk(5))
    return sliced_w2(out, draws)


@pytest.mark.parametrize(
    ("kind", "method", "steps", "bound"),
    [
        ("random", "Gibbs", 50, 0.41),
        ("random", "MMPS", 20, 0.30),
        ("random", "PiGDM", 20, 0.23),
        ("mask", "Gibbs", 50, 0.042),
        ("mask", "MMPS", 50, 0.037),
        ("mask", "PiGDM", 50, 0.05),
        ("mask", "DiffPIR", 50, 0.085),
    ],
)
def test_posterior_samplers_on_a_mixture(kind, method, steps, bound):
    """Sliced W2 to the exact posterior, bounds 15 to 20 % above what was measured.

    Two exact sets differ by .033 (random operator) and .019 (mask). The random operator mixes
    the modes, whose weights no method here gets right.
    """
    o = measured_mixture(kind)
    other = o.posterior.sample(1000, torch.Generator().manual_seed(2))
    assert sliced_w2(o.draws, other) < 0.034
    assert distance(kind, method, steps) < bound


# Calibration ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["Gibbs", "MMPS"])
def test_coverage_of_posterior_intervals(method):
    """400 truths from the prior, 16 posterior draws each: intervals hold q within 4 errors."""
    truths, k, d, sigma = 400, 16, 0.8, 0.4
    prior = GaussianDenoiser(
        EDM(sigma_max=20.0), torch.tensor([0.5], dtype=F64), torch.tensor([[d**2]], dtype=F64)
    )
    truth = 0.5 + d * randn(truths, 1, seed=1)
    y = 1.3 * truth + sigma * randn(truths, 1, seed=2)
    A = Matrix(torch.tensor([[1.3]], dtype=F64))
    m = Measurement(y.repeat(k, 1), A, sigma)
    grid = karras(prior.process, 25, 20.0, 0.01)
    x = 20 * randn(k * truths, 1, seed=3)
    if method == "Gibbs":
        out = sample(prior, x, grid, Ancestral(fresh), generator=Bulk(4), refine=m.draw)
    else:
        out = sample(MMPS(prior, m, 1), x, grid, Heun(), generator=Bulk(4))
    posterior = Posterior(out.reshape(k, truths, 1))
    for q in (0.5, 0.9, 0.95):
        error = math.sqrt(q * (1 - q) / truths)
        assert posterior.coverage(truth, q) == pytest.approx(q, abs=4 * error)
    consistency = posterior.consistency(Measurement(y, A, sigma))
    assert consistency.ratio == pytest.approx(1, abs=4 / math.sqrt(2 * truths))
    assert not consistency.contradicts
