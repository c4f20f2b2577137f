"""Samplers against closed forms: exact laws on Gaussian priors, orders, published steps.

``law`` gives the exact mean and covariance of a sampler's result on a Gaussian prior, so these
comparisons hold to rounding; only the mixture tests sample.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from oracle import Bulk
from support import F64, Impulses, law, randn, random_mixture, sliced_w2
from torch import Tensor

from sciddm.ledger import tally
from sciddm.oracles import GaussianDenoiser, MixtureDenoiser
from sciddm.process import (
    EDM,
    IRSDE,
    OUVE,
    SBVE,
    FlowSE,
    Process,
    RectifiedFlow,
    Resfusion,
    ResShift,
    VPLinear,
)
from sciddm.random.streams import Streams
from sciddm.sampling import (
    DDIM,
    DEIS,
    PNDM,
    Ancestral,
    Churn,
    DPMSolver2M,
    DPMSolver2S,
    DPMSolver3M,
    DPMSolver3S,
    Heun,
    Leg,
    PredictorCorrector,
    Restart,
    ReverseDiffusion,
    UniPC,
    fresh,
    karras,
    log_snr,
    markov,
    ode,
    resfusion,
    resshift,
    sample,
    uniform,
)
from sciddm.sampling.transition import scaled

M0, V0, Y = 0.3, 0.04, 0.9  # scalar x0 | y ~ N(.3, .04), y = .9


def scalar_law(process: Process, step, grid, **options) -> tuple[float, float]:
    """Exact mean and standard deviation of a sampler started exactly at grid[0]."""
    denoiser = GaussianDenoiser(
        process, torch.tensor([M0], dtype=F64), torch.tensor([[V0]], dtype=F64)
    )
    a, b, s = process(grid[0])

    def run(x: Tensor, noise: Impulses) -> Tensor:
        y = torch.full_like(x, Y) if process.has_endpoint else None
        return sample(denoiser, x, grid, step, generator=noise, y=y, **options)

    start = a * M0 + (b * Y if process.has_endpoint else 0.0)
    root = math.sqrt(a * a * V0 + s * s)
    mean, cov = law(run, torch.tensor([start], dtype=F64), torch.tensor([[root]], dtype=F64))
    return mean.item(), math.sqrt(cov.item())


def marginal(process: Process, t: float) -> tuple[float, float]:
    a, b, s = process(t)
    shift = b * Y if process.has_endpoint else 0.0
    return a * M0 + shift, math.sqrt(a * a * V0 + s * s)


def errors(process, step, grids) -> list[float]:
    out = []
    for grid in grids:
        _, std = scalar_law(process, step, grid, denoise_last=False)
        out.append(abs(std - marginal(process, grid[-1])[1]))
    return out


# Golden convergence -----------------------------------------------------------------------------

GOLDEN = {
    "OUVE": (OUVE(), (0.003698, 0.001882, 0.000954), (0.00755, 0.00398, 0.00208)),
    "SBVE": (SBVE(), (0.016777, 0.009416, 0.005131), (0.02604, 0.01669, 0.01037)),
    "FlowSE": (FlowSE(), (0.004886, 0.002458, 0.001233), (0.01071, 0.00567, 0.00294)),
    "IRSDE": (IRSDE(), (0.01070, 0.00588, 0.00316), (0.01823, 0.01134, 0.00685)),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_convergence_of_the_ode(name):
    process, expected, _ = GOLDEN[name]
    grids = [uniform(process, n, 0.98, 1e-4) for n in (64, 128, 256)]
    assert errors(process, DDIM(), grids) == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_convergence_of_the_markov_chain(name):
    process, _, expected = GOLDEN[name]
    grids = [uniform(process, n, 0.98, 1e-4) for n in (64, 128, 256)]
    assert errors(process, Ancestral(), grids) == pytest.approx(expected, abs=6e-6)


# Order ------------------------------------------------------------------------------------------

STARTS = {
    "OUVE": (OUVE(), 0.98),
    "SBVE": (SBVE(), 0.95),
    "IRSDE": (IRSDE(), 0.98),
    "FlowSE": (FlowSE(), 0.9),
    "EDM": (EDM(), 5.0),
    "VPLinear": (VPLinear(), 0.6),
    "RectifiedFlow": (RectifiedFlow(), 0.9),
    "Resfusion": (Resfusion(), 0.9),
}


def smooth_grids(process: Process, start: float, counts=(32, 64, 128)) -> list[list[float]]:
    return [log_snr(process, n, process.sigma(start), 0.02) for n in counts]


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize(
    ("step", "order", "slack"),
    [(DDIM(), 1, 0.15), (Heun(), 2, 0.25), (DPMSolver2M(), 2, 0.25)],
    ids=["DDIM", "Heun", "DPM-Solver++ 2M"],
)
def test_order_of_the_ode_solvers(name, step, order, slack):
    process, start = STARTS[name]
    error = errors(process, step, smooth_grids(process, start))
    measured = [math.log2(u / v) for u, v in pairwise(error)]
    assert measured[-1] == pytest.approx(order, abs=slack)


@pytest.mark.parametrize("sde", [False, True], ids=["ODE", "SDE"])
def test_multistep_extrapolates_to_the_middle_of_uneven_steps(sde):
    """An estimate linear in ln(a/s) is used at the middle of the step, exactly."""
    process = VPLinear()

    def log_snr_at(t: float) -> float:
        return -math.log(process.sigma(t))

    def time_at(level: float) -> float:
        return process.time(math.exp(-level))

    def mean(x: Tensor, t: float) -> Tensor:
        return torch.full_like(x, 2.0 - 0.7 * log_snr_at(t))

    x, w = randn(4, 1), randn(4, 1, seed=1)
    step, memory = DPMSolver2M(sde), None
    times = [time_at(level) for level in (-1.2, -0.9, 0.1, 0.4)]  # steps .3, 1, .3
    for i, (t, r) in enumerate(pairwise(times)):
        out, memory = step(Leg(process, t, r, None, lambda _: w), mean, x, memory)
        middle = time_at(0.5 * (log_snr_at(t) + log_snr_at(r)))
        used = mean(x, t if i == 0 else middle)  # the first step knows one estimate only
        tau = (markov if sde else ode)(process, t, r)
        expected = Leg(process, t, r, None, lambda _: w).transition(x, used, tau)
        assert torch.allclose(out, expected, rtol=1e-9)
        x = out


def test_order_on_a_mixture_where_nothing_is_linear():
    denoiser = MixtureDenoiser(
        VPLinear(),
        torch.tensor([0.3, 0.7], dtype=F64),
        torch.tensor([[-1.0], [0.8]], dtype=F64),
        torch.tensor([[[0.1]], [[0.3]]], dtype=F64),
    )
    process = denoiser.process
    x = torch.linspace(-2, 2, 9, dtype=F64)[:, None]

    def run(step, n: int) -> Tensor:
        grid = log_snr(process, n, process.sigma(0.5), 0.05)
        return sample(denoiser, x, grid, step, generator=Impulses(99), denoise_last=False)

    exact = run(Heun(), 256)
    for step, order in ((DDIM(), 1), (Heun(), 2), (DPMSolver2M(), 2)):
        coarse, fine = (float((run(step, n) - exact).abs().max()) for n in (32, 64))
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize("name", ["OUVE", "SBVE", "EDM", "VPLinear"])
def test_sde_samplers_converge_to_the_law(name):
    """Ancestral and the multistep SDE: first order in the variance, the second far smaller."""
    process, start = STARTS[name]
    grids = smooth_grids(process, start)
    plain = errors(process, Ancestral(), grids)
    multi = errors(process, DPMSolver2M(sde=True), grids)
    assert plain[0] / plain[2] > 3
    assert plain[2] < 0.005
    assert multi[2] < 0.25 * plain[2]


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_estimates_have_the_law_of_x0(name, eta):
    process, start = STARTS[name]
    grid = smooth_grids(process, start, (96,))[0]
    mean, std = scalar_law(process, DDIM(eta), grid)
    # The last estimate is E[x0 | x], whose variance lacks that of x0 given x.
    sigma = process.sigma(grid[-1])
    left = V0 * sigma**2 / (V0 + sigma**2)
    assert mean == pytest.approx(M0, abs=2e-3)
    assert std == pytest.approx(math.sqrt(V0 - left), abs=7e-3)


def test_bridge_from_its_very_end():
    """t = 1, where a = s = 0: the first Markov step needs no z^, and the chain reaches the law."""
    process = SBVE()

    class FromTheEnd(GaussianDenoiser):
        def forward(self, x_t, t, y=None, cond=None):
            if t == 1.0:  # x_1 = y says nothing of x0, which leaves the prior's mean
                return torch.full_like(x_t, M0)
            return super().forward(x_t, t, y, cond)

    denoiser = FromTheEnd(process, torch.tensor([M0], dtype=F64), torch.tensor([[V0]], dtype=F64))

    def run(x: Tensor, noise: Impulses, n: int) -> Tensor:
        grid, y = uniform(process, n, 1.0, 1e-4), torch.full_like(x, Y)
        return sample(denoiser, x, grid, Ancestral(), generator=noise, y=y)

    error = []
    for n in (64, 128, 256):
        mean, cov = law(
            lambda x, noise, n=n: run(x, noise, n),
            torch.tensor([Y], dtype=F64),
            torch.zeros(1, 1, dtype=F64),
        )
        assert mean.item() == pytest.approx(M0, abs=1e-9)  # y is forgotten at once
        error.append(math.sqrt(cov.item()) - math.sqrt(V0))
    assert abs(error[2]) < 0.015
    assert error[0] / error[2] > 2


def test_markov_tau_at_the_end_of_a_bridge():
    process = SBVE()
    assert markov(process, 0.999, 0.9) == pytest.approx(0.99125, abs=6e-6)
    assert markov(process, 0.9999, 0.9) == pytest.approx(0.9991256, abs=6e-8)
    assert markov(process, 1.0, 0.9) == 1.0


def test_last_step_to_clean_data_returns_the_estimate():
    denoiser = GaussianDenoiser(EDM(), torch.zeros(3, dtype=F64), torch.eye(3, dtype=F64))
    x = randn(4, 3)
    for name, step in STEPS.items():
        if name == "Churn":  # starts at a higher level
            continue
        out = sample(denoiser, x, [0.8, 0.0], step, generator=Streams(0, 4), denoise_last=False)
        assert torch.allclose(out, x / (1 + 0.8**2))


# Published steps --------------------------------------------------------------------------------


def weights_of_step(process: Process, tau, t: float, r: float) -> tuple[float, ...]:
    """Weights on (x_t, x0^, y, noise) of one transition."""
    out = []
    for hot in range(4):
        x, x0, y, w = (torch.tensor([float(hot == i)], dtype=F64) for i in range(4))
        step = Leg(process, t, r, y, lambda _, w=w: w).transition(x, x0, tau(process, t, r))
        out.append(step.item())
    return tuple(out)


def test_sbve_published_steps():
    assert weights_of_step(SBVE(), ode, 0.6, 0.4) == pytest.approx(
        (0.826048, 0.282672, -0.108720, 0.0), abs=6e-7
    )
    assert weights_of_step(SBVE(), markov, 0.6, 0.4) == pytest.approx(
        (0.534443, 0.465557, 0.0, 0.334428), abs=6e-7
    )


@pytest.mark.parametrize(("t", "r"), [(0.9, 0.6), (0.6, 0.4), (0.2, 0.05)])
def test_irsde_optimum_reverse_step(t, r):
    """Luo et al. 2023, proposition 3.2, with theta-bar = theta t; its variance is the kernel's."""
    process = IRSDE()

    def e(u: float) -> float:
        return math.exp(-process.theta * u)

    def v(u: float) -> float:
        return 1 - e(u) ** 2

    on_x = v(r) / v(t) * e(t - r)
    on_x0 = v(t - r) / v(t) * e(r)
    noise = process.lam * math.sqrt(v(t - r) * v(r) / v(t))
    expected = (on_x, on_x0, 1 - on_x - on_x0, noise)
    assert weights_of_step(process, markov, t, r) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("t", "r"), [(1.0, 0.9), (0.5, 0.3), (0.1, 0.0)])
def test_resshift_posterior_step(t, r):
    """Yue et al. 2023, eq. 7: mean eta_r/eta_t x + (eta_t - eta_r)/eta_t x0, no y."""
    process = ResShift()
    eta_t, eta_r = process(t)[1], process(r)[1]
    alpha = eta_t - eta_r
    noise = process.kappa * math.sqrt(eta_r / eta_t * alpha)
    expected = (eta_r / eta_t, alpha / eta_t, 0.0, noise)
    assert weights_of_step(process, resshift, t, r) == pytest.approx(expected, rel=1e-9, abs=1e-14)


def test_resfusion_step_is_the_published_one():
    """With resnoise = z + (1 - sqrt(alpha)) sqrt(1 - abar)/beta (y - x0) the published step is
    DDPM's, (x - beta/sqrt(1 - abar) resnoise)/sqrt(alpha) and its posterior variance. T = 12, from
    the fifth step to the fourth: tau .4293, where Markov's of (a, s) is .5658."""
    process = Resfusion()

    def angle(k: int) -> float:
        return (k / 12 + 0.008) / 1.008 * math.pi / 2

    def q(k: int) -> float:
        return math.cos(angle(k)) / math.cos(angle(0))

    end = (math.acos(0.5 * math.cos(angle(0))) - angle(0)) / (math.pi / 2 / 1.008)
    t, r = 5 / 12 / end, 4 / 12 / end
    assert resfusion(process, t, r) == pytest.approx(0.4293, abs=6e-5)
    assert markov(process, t, r) == pytest.approx(0.5658, abs=6e-5)
    abar, before = q(5) ** 2, q(4) ** 2
    alpha = abar / before
    beta = 1 - alpha
    # z = (x - (2q - 1) x0 - (1 - q) y)/sqrt(1 - abar)
    on_noise = -beta / math.sqrt(1 - abar) / math.sqrt(alpha)
    gap = (1 - math.sqrt(alpha)) * math.sqrt(1 - abar) / beta
    root = math.sqrt(1 - abar)
    on_x = 1 / math.sqrt(alpha) + on_noise / root
    on_x0 = on_noise * (-(2 * q(5) - 1) / root - gap)
    on_y = on_noise * (-(1 - q(5)) / root + gap)
    noise = math.sqrt(beta * (1 - before) / (1 - abar))
    expected = (on_x, on_x0, on_y, noise)
    assert weights_of_step(process, resfusion, t, r) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize(("high", "low"), [(0.9, 0.5), (0.5, 0.1)])
def test_ddim_is_exponential_euler(name, high, low):
    """u_r = (s_r/s_t) u_t - a_r (e^-h - 1) x0^, h the step of ln(a/s): DPM-Solver++ (1)."""
    process, start = STARTS[name]
    t, r = high * start, low * start
    (a_t, b_t, s_t), (a_r, b_r, s_r) = process(t), process(r)
    h = math.log(a_r / s_r) - math.log(a_t / s_t)
    on_x, on_x0 = s_r / s_t, -a_r * math.expm1(-h)
    on_y = b_r - on_x * b_t if process.has_endpoint else 0.0
    assert weights_of_step(process, ode, t, r) == pytest.approx(
        (on_x, on_x0, on_y, 0.0), rel=1e-10, abs=1e-14
    )


@pytest.mark.parametrize("eta", [0.0, 0.3, 0.8, 1.0])
def test_ddim_eta_is_the_published_one(eta):
    """Song et al. 2021, eqs. 12 and 16, in abar: sigma, then the weights of x0^ and x_t."""
    process, t, r = VPLinear(), 0.6, 0.35
    abar_t, abar_r = process(t)[0] ** 2, process(r)[0] ** 2
    noise = eta * math.sqrt((1 - abar_r) / (1 - abar_t)) * math.sqrt(1 - abar_t / abar_r)
    on_x = math.sqrt((1 - abar_r - noise**2) / (1 - abar_t))
    on_x0 = math.sqrt(abar_r) - on_x * math.sqrt(abar_t)
    expected = (on_x, on_x0, 0.0, noise)
    assert weights_of_step(process, scaled(eta), t, r) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("tau", [ode, markov, resshift, fresh, scaled(0.4)])
def test_every_tau_keeps_the_marginal(name, tau):
    """Given the true x0, x_r has mean a x0 + b y and variance s^2, whatever tau."""
    process, start = STARTS[name]
    t, r = start, 0.4 * start
    if not 0 <= tau(process, t, r) <= 1:
        pytest.skip("this tau is not a variance share for this process")
    (a_t, b_t, s_t), (a_r, b_r, s_r) = process(t), process(r)
    on_x, on_x0, on_y, noise = weights_of_step(process, tau, t, r)
    assert on_x * a_t + on_x0 == pytest.approx(a_r)
    assert on_x * b_t + on_y == pytest.approx(b_r)
    assert math.hypot(on_x * s_t, noise) == pytest.approx(s_r)


def test_markov_step_is_bayes_rule():
    """x_r | x_t, x0 from x_r | x0 and the forward kernel x_t | x_r, by products of Gaussians."""
    for process, t, r in ((OUVE(), 0.8, 0.5), (VPLinear(), 0.5, 0.2), (EDM(), 3.0, 1.1)):
        (a_t, _, s_t), (a_r, _, s_r) = process(t), process(r)
        gain = a_t / a_r
        kernel = s_t**2 - gain**2 * s_r**2
        variance = 1 / (1 / s_r**2 + gain**2 / kernel)
        on_x, on_x0, _, noise = weights_of_step(process, markov, t, r)
        assert noise**2 == pytest.approx(variance)
        assert on_x == pytest.approx(variance * gain / kernel)
        assert on_x0 == pytest.approx(variance * a_r / s_r**2)


# Equivalences -----------------------------------------------------------------------------------

STEPS = {
    "DDIM": DDIM(),
    "DDIM eta .5": DDIM(0.5),
    "Ancestral": Ancestral(),
    "Heun": Heun(),
    "2M": DPMSolver2M(),
    "2M SDE": DPMSolver2M(sde=True),
    "fresh": Ancestral(fresh),
    "2S": DPMSolver2S(),
    "3S": DPMSolver3S(),
    "3M": DPMSolver3M(),
    "3M SDE": DPMSolver3M(sde=True),
    "PLMS": PNDM(),
    "F-PNDM": PNDM("runge-kutta"),
    "S-PNDM": PNDM("improved-euler"),
    "DEIS": DEIS(3),
    "UniPC": UniPC(3),
    "Churn": Churn(2.0, 8),
    "Restart": Restart(0.3, 1.0, 2, 3),
}
NOISY = ("DDIM eta .5", "Ancestral", "2M SDE", "fresh", "3M SDE", "Churn", "Restart")
every_step = pytest.mark.parametrize("name", STEPS)


@every_step
@pytest.mark.parametrize("process", [VPLinear(), RectifiedFlow()], ids=lambda p: type(p).__name__)
def test_ve_is_any_process_rescheduled(name, process):
    """In w = u/a with sigma = s/a all processes are VE: the same noise gives the same samples."""
    weights, means, covariances = random_mixture(3, 2, seed=1)
    grid = karras(process, 12, 8.0, 0.05)
    start = randn(6, 2, seed=2)
    a, _, s = process(grid[0])
    out = sample(
        MixtureDenoiser(process, weights, means, covariances),
        s * start,
        grid,
        STEPS[name],
        generator=Streams(5, 6),
        denoise_last=False,
    )
    sigmas = [process.sigma(t) for t in grid]
    ve = sample(
        MixtureDenoiser(EDM(), weights, means, covariances),
        s / a * start,
        sigmas,
        STEPS[name],
        generator=Streams(5, 6),
        denoise_last=False,
    )
    assert torch.allclose(out / process(grid[-1])[0], ve, atol=1e-7)


@every_step
def test_an_item_does_not_depend_on_its_batch(name):
    weights, means, covariances = random_mixture(3, 2, seed=1)
    denoiser = MixtureDenoiser(EDM(), weights, means, covariances)
    grid = karras(denoiser.process, 8, 5.0, 0.05)
    x = 5.0 * randn(4, 2, seed=3)
    together = sample(denoiser, x, grid, STEPS[name], generator=Streams(9, 4))
    for i in range(4):
        alone = sample(denoiser, x[i : i + 1], grid, STEPS[name], generator=Streams(9, [i]))
        assert torch.allclose(alone[0], together[i], atol=1e-10)
    other = sample(denoiser, x, grid, STEPS[name], generator=Streams(10, 4))
    # The seed matters where it must.
    assert (name in NOISY) != torch.allclose(other, together, atol=1e-10)


@every_step
def test_complex_data_is_two_real_channels(name):
    """A circular prior of variance 2 v has parts of variance v; s is that of the complex z."""
    process, v = EDM(), 0.3
    real = GaussianDenoiser(process, torch.zeros(2, dtype=F64), 2 * v * torch.eye(2, dtype=F64))

    class Circular(GaussianDenoiser):
        def forward(self, x_t, t, y=None, cond=None):
            return torch.view_as_complex(super().forward(torch.view_as_real(x_t), t, y, cond))

    grid = karras(process, 10, 4.0, 0.1)
    n = 20_000
    out = sample(
        Circular(process, torch.zeros(2, dtype=F64), real.covariances[0]),
        math.sqrt(2 * v + 16.0) * randn(n, dtype=torch.complex128),
        grid,
        STEPS[name],
        generator=Bulk(1),
        denoise_last=False,
    )
    parts = torch.view_as_real(out)

    def run(x: Tensor, noise: Impulses) -> Tensor:
        return sample(real, x, grid, STEPS[name], generator=noise, denoise_last=False)

    root = math.sqrt(2 * v + 16.0) * torch.eye(2, dtype=F64)
    _, cov = law(run, torch.zeros(2, dtype=F64), root)
    power = float(out.abs().square().mean())
    assert power == pytest.approx(cov[0, 0].item(), rel=4 / math.sqrt(n))
    assert float(parts[:, 0].var()) == pytest.approx(power / 2, rel=4 * math.sqrt(2 / n))
    assert abs(float((parts[:, 0] * parts[:, 1]).mean())) < 4 * power / 2 / math.sqrt(n)


def test_single_precision_is_close_to_double():
    weights, means, covariances = random_mixture(3, 2, seed=1)
    grid = karras(EDM(), 30, 20.0, 0.02)
    start = randn(300, 2, seed=4)
    results = []
    for dtype in (F64, torch.float32):
        denoiser = MixtureDenoiser(EDM(), weights.to(dtype), means.to(dtype), covariances.to(dtype))
        x = 20.0 * start.to(dtype)
        results.append(sample(denoiser, x, grid, Heun(), generator=Streams(0, 300)).double())
    q = torch.linspace(0.05, 0.95, 19, dtype=F64)
    exact, single = (r.quantile(q, dim=0) for r in results)
    assert (exact - single).abs().max() < 1e-3


# Predictor-corrector ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "corrected", "plain"),
    [(30, 0.0017, 0.0019), (10, 0.0023, 0.0035), (5, 0.0051, 0.0167)],
)
def test_golden_predictor_corrector(n, corrected, plain):
    """Rms error with the exact score of a delta at x0, |y - x0| = .207: golden within 10 %.

    The golden values are for complex data: |error| of a complex number, so that the noise, of
    standard deviation s, counts once.
    """
    process, x0, y0 = OUVE(), 0.0, 0.207

    class Delta(GaussianDenoiser):
        def forward(self, x_t, t, y=None, cond=None):
            return torch.full_like(x_t, x0)

    delta = Delta(process, torch.zeros(1, dtype=F64), torch.ones(1, 1, dtype=F64))
    grid = [*uniform(process, n - 1, 1.0, 0.03), 0.0]
    for step, expected in (
        (PredictorCorrector(ReverseDiffusion(), 1, 0.5), corrected),
        (ReverseDiffusion(), plain),
    ):

        def run(x: Tensor, noise: Impulses, step=step) -> Tensor:
            y = torch.full_like(x, y0)
            return sample(delta, x, grid, step, generator=noise, y=y, denoise_last=False)

        mean, cov = law(
            run, torch.tensor([y0], dtype=F64), torch.tensor([[process(1.0)[2]]], dtype=F64)
        )
        rms = math.sqrt((mean.item() - x0) ** 2 + cov.item())
        assert rms == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("snr", [0.1, 0.3, 0.5])
def test_langevin_correction_keeps_the_marginal_to_its_order(snr):
    """With the exact score of a delta, variance s^2 becomes s^2 (1 + 4 snr^4)."""
    process, t = OUVE(), 0.5
    a, b, s = process(t)

    class Delta(GaussianDenoiser):
        def forward(self, x_t, t, y=None, cond=None):
            return torch.full_like(x_t, 0.4)

    def stay(leg, mean, x, memory):
        return x, None

    delta = Delta(process, torch.zeros(1, dtype=F64), torch.ones(1, 1, dtype=F64))

    def run(x: Tensor, noise: Impulses) -> Tensor:
        step = PredictorCorrector(stay, 1, snr)
        y = torch.full_like(x, Y)
        return sample(delta, x, [t, 0.4], step, generator=noise, y=y, denoise_last=False)

    start = a * 0.4 + b * Y
    mean, cov = law(run, torch.tensor([start], dtype=F64), torch.tensor([[s]], dtype=F64))
    assert mean.item() == pytest.approx(start)
    assert cov.item() == pytest.approx(s**2 * (1 + 4 * snr**4))


# Mixture oracle ---------------------------------------------------------------------------------


@cache
def oracle():
    denoiser = MixtureDenoiser(EDM(sigma_max=20.0), *random_mixture(6, 8, seed=2, spread=1.0))
    n = 2000
    exact = denoiser.sample(n, torch.Generator().manual_seed(1))
    floors = [
        sliced_w2(exact, denoiser.sample(n, torch.Generator().manual_seed(seed)))
        for seed in range(2, 8)
    ]
    return denoiser, exact, max(floors)


@pytest.mark.parametrize(
    ("name", "steps"), [("DDIM", 40), ("Ancestral", 60), ("Heun", 20), ("2M", 20), ("2M SDE", 40)]
)
def test_mixture_oracle(name, steps):
    """Sliced W2 to exact draws: .048 to .057 here, .037 to .058 between two exact sets."""
    denoiser, exact, floor = oracle()
    assert floor < 0.06
    x = 20.0 * randn(len(exact), 8, seed=6)
    grid = karras(denoiser.process, steps, 20.0, 0.02)
    out = sample(denoiser, x, grid, STEPS[name], generator=Bulk(3))
    assert sliced_w2(out, exact) < 0.075


# Grids, counts, callback ------------------------------------------------------------------------


def test_grids():
    vp = VPLinear()
    assert uniform(vp, 4, 0.9, 0.1) == pytest.approx([0.9, 0.7, 0.5, 0.3, 0.1])
    # EDM's own schedule, n = 18: sigma_i of Karras et al., eq. 5, first, second and last.
    levels = karras(EDM(), 17)
    assert levels[0] == pytest.approx(80.0)
    assert levels[1] == pytest.approx(57.586, abs=1e-3)
    assert levels[-1] == pytest.approx(0.002)
    logs = [math.log(vp.sigma(t)) for t in log_snr(vp, 10, 5.0, 0.05)]
    assert logs == pytest.approx([math.log(5.0) + i / 10 * math.log(0.01) for i in range(11)])
    sigmas = [vp.sigma(t) for t in karras(vp, 10, 5.0, 0.05, rho=4.0)]
    assert sigmas == pytest.approx(
        [(5.0**0.25 + i / 10 * (0.05**0.25 - 5.0**0.25)) ** 4 for i in range(11)]
    )
    with pytest.raises(ValueError, match="noise levels"):
        karras(vp, 10, 0.01, 0.5)
    with pytest.raises(ValueError, match="eta"):
        DDIM(1.5)


@pytest.mark.parametrize(
    ("step", "per_step"),
    [
        (DDIM(), 1),
        (Ancestral(), 1),
        (DPMSolver2M(), 1),
        (Heun(), 2),
        (DPMSolver2S(), 2),
        (DPMSolver3S(), 3),
        (DPMSolver3M(), 1),
        (PNDM(), 1),
        (DEIS(3), 1),
        (UniPC(3), 1),
        (Churn(1.0, 7, DDIM()), 1),
        (PredictorCorrector(DDIM(), corrections=2), 3),
    ],
)
def test_network_evaluations_equal_the_closed_form(step, per_step):
    denoiser = MixtureDenoiser(EDM(), *random_mixture(2, 2, seed=1))
    x, n = randn(5, 2), 7
    for last in (True, False):
        with tally() as cost:
            sample(
                denoiser,
                x,
                karras(EDM(), n, 5.0, 0.1),
                step,
                generator=Streams(0, 5),
                denoise_last=last,
            )
        assert (cost.nfe, cost.nvjp) == (5 * (n * per_step + last), 0)


def test_callback_sees_every_step():
    denoiser = MixtureDenoiser(EDM(), *random_mixture(2, 2, seed=1))
    x, grid, seen = randn(3, 2), karras(EDM(), 5, 5.0, 0.1), []

    def callback(step: int, steps: int, x_t: Tensor, x0: Tensor) -> None:
        seen.append((step, steps, x_t.clone(), x0.clone()))

    sample(denoiser, x, grid, DDIM(), generator=Streams(0, 3), callback=callback)
    assert [s[:2] for s in seen] == [(i + 1, 5) for i in range(5)]
    # The state and the estimate of each step belong together: x_r = x0 + sigma_r z^.
    state = x
    for i, (_, _, x_t, x0) in enumerate(seen):
        assert torch.allclose(x0, denoiser(state, grid[i]))
        assert torch.allclose(x_t, x0 + grid[i + 1] / grid[i] * (state - x0))
        state = x_t


def test_refinement_gets_every_estimate_and_its_variance():
    denoiser = GaussianDenoiser(
        VPLinear(), torch.zeros(2, dtype=F64), 0.25 * torch.eye(2, dtype=F64)
    )
    grid, seen = uniform(VPLinear(), 4, 0.8, 0.1), []

    def refine(x0: Tensor, r2: float, randn) -> Tensor:
        seen.append(r2)
        return torch.full_like(x0, 7.0)

    out = sample(denoiser, randn(1, 2), grid, DDIM(), generator=Streams(0, 1), refine=refine)
    assert torch.equal(out, torch.full((1, 2), 7.0, dtype=F64))
    # Var[x0 | x_t] of this prior exactly: v s^2 / (a^2 v + s^2).
    for t, r2 in zip(grid, seen, strict=True):
        a, _, s = VPLinear()(t)
        assert r2 == pytest.approx(0.25 * s**2 / (a**2 * 0.25 + s**2))
