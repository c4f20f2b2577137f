"""Solvers of the probability flow: golden errors, orders, exactness on polynomials, laws."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from oracle import Bulk
from support import F64, Impulses, law, randn
from torch import Tensor

from sciddm.ledger import tally
from sciddm.oracles import GaussianDenoiser, MixtureDenoiser
from sciddm.process import EDM, Process, RectifiedFlow, VPCosine
from sciddm.random.brownian import BrownianStreams
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
    DPMSolverV3,
    EVODiff,
    Heun,
    Leg,
    Restart,
    Step,
    TimeShift,
    UniPC,
    karras,
    log_snr,
    sample,
    solver_statistics,
)
from sciddm.sampling.edm_space import log_snr_at, phis


def golden_mixture(process: Process | None = None) -> MixtureDenoiser:
    return MixtureDenoiser(
        process or EDM(),
        torch.tensor([0.3, 0.7], dtype=F64),
        torch.tensor([[-1.0], [0.8]], dtype=F64),
        torch.tensor([[[0.1]], [[0.3]]], dtype=F64),
    )


PRIOR = golden_mixture()
START = 10 * torch.linspace(-2, 2, 41, dtype=F64)[:, None]


def end_state(step: Step, n: int) -> Tensor:
    """From sigma 10 to .05 on a log-uniform grid, not denoised."""
    grid = log_snr(PRIOR.process, n, 10.0, 0.05)
    return sample(PRIOR, START, grid, step, generator=Impulses(99), denoise_last=False)


@cache
def exact_end() -> Tensor:
    return end_state(DPMSolver3S(), 256)


def rms(step: Step, n: int) -> float:
    return float((end_state(step, n) - exact_end()).square().mean().sqrt())


def test_golden_end_states():
    at = [0, 15, 20, 25, 40]
    expected = [-1.465795, -0.406991, 0.464519, 0.862099, 1.794515]
    assert exact_end()[at, 0].tolist() == pytest.approx(expected, abs=1e-6)


GOLDEN = {
    "DDIM": (DDIM(), (1.33e-1, 6.76e-2, 3.41e-2, 1.71e-2)),
    "2M": (DPMSolver2M(), (2.60e-2, 6.59e-3, 1.60e-3, 3.94e-4)),
    "2S": (DPMSolver2S(), (2.00e-2, 5.42e-3, 1.41e-3, 3.60e-4)),
    "Heun": (Heun(), (5.58e-2, 1.25e-2, 2.98e-3, 7.27e-4)),
    "F-PNDM": (PNDM("runge-kutta"), (2.40e-2, 4.27e-3, 9.86e-4, 2.40e-4)),
    "PLMS": (PNDM(), (6.70e-3, 3.15e-3, 8.42e-4, 2.12e-4)),
    "3M published": (DPMSolver3M(published=True), (9.58e-3, 1.59e-3, 3.91e-4, 9.95e-5)),
    "3M": (DPMSolver3M(), (8.67e-3, 1.47e-3, 2.15e-4, 3.49e-5)),
    "3M from 3S": (DPMSolver3M(single_start=True), (1.05e-2, 1.34e-3, 1.76e-4, 2.19e-5)),
    "3S": (DPMSolver3S(), (4.34e-4, 5.44e-5, 6.74e-6, 8.37e-7)),
    "DEIS 3": (DEIS(3), (5.62e-2, 1.19e-2, 2.00e-3, 2.97e-4)),
    "EVODiff": (EVODiff(), (6.83e-2, 4.52e-2, 2.45e-2, 1.26e-2)),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_errors(name):
    """Rms over 41 starts after 8, 16, 32, 64 steps."""
    step, expected = GOLDEN[name]
    assert [rms(step, n) for n in (8, 16, 32, 64)] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("order", "expected"),
    [(2, (1.51e-2, 2.01e-3, 2.74e-4, 3.59e-5)), (3, (9.69e-3, 6.46e-4, 3.81e-5, 2.35e-6))],
)
def test_golden_errors_of_unipc(order, expected):
    """The golden end is corrected with the estimate there, which ``denoise_last`` evaluates."""
    step, errors = UniPC(order), []
    for n in (8, 16, 32, 64):
        grid, x, memory = log_snr(PRIOR.process, n, 10.0, 0.05), START, None
        for t, r in pairwise(grid):
            x, memory = step(Leg(PRIOR.process, t, r, None, lambda v: v), PRIOR, x, memory)
        end = log_snr_at(PRIOR.process, grid[-1])
        estimates = memory.estimates[: memory.order]
        corrected = step._update(memory.w, estimates, end, PRIOR(x, grid[-1]))
        errors.append(float((corrected - exact_end()).square().mean().sqrt()))
    assert errors == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("step", "order"),
    [
        (DDIM(), 1),
        (EVODiff(), 1),
        (DPMSolver2M(), 2),
        (Heun(), 2),
        (PNDM("runge-kutta"), 2),
        (DPMSolver2S(), 2),
        (DPMSolver3S(), 3),
        (DPMSolver3M(single_start=True), 3),
        (DPMSolver3M(published=True), 2),
        (PNDM(), 2),
        (PNDM("improved-euler"), 2),
        (DEIS(1), 1),
        (DEIS(2), 2),
        (UniPC(1), 2),
        (UniPC(2), 3),
        (UniPC(3), 4),
        (UniPC(3, "bh1"), 4),
    ],
)
def test_order(step, order):
    coarse, fine = rms(step, 64), rms(step, 128)
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.35)


# Exactness --------------------------------------------------------------------------------------


def polynomial(degree: int, process: Process):
    """A mean that is a polynomial in lambda, and the exact w at the end of a run from w."""
    coefficients = [0.7, -0.4, 0.25, -0.15][: degree + 1]

    def value(level: float) -> float:
        return sum(c * level**k for k, c in enumerate(coefficients))

    def mean(x: Tensor, t: float) -> Tensor:
        return torch.full_like(x, value(log_snr_at(process, t)))

    def exact(w: Tensor, start: float, end: float) -> Tensor:
        nodes, weights = np.polynomial.legendre.leggauss(40)
        at = 0.5 * (end - start) * nodes + 0.5 * (end + start)
        integral = sum(
            0.5 * (end - start) * q * math.exp(-(end - v)) * value(v)
            for q, v in zip(weights, at, strict=True)
        )
        return math.exp(start - end) * w + integral

    return mean, exact


@pytest.mark.parametrize("process", [EDM(), VPCosine(), RectifiedFlow()], ids=str)
@pytest.mark.parametrize(
    ("step", "degree", "warm"),
    [
        (DPMSolver3M(), 2, 2),
        (DPMSolver3M(single_start=True), 2, 0),
        (DPMSolver3S(), 2, 0),
        (UniPC(4), 3, 3),
        (UniPC(3), 2, 2),
    ],
    ids=["3M", "3M from 3S", "3S", "UniPC 4", "UniPC 3"],
)
def test_exact_for_polynomials_in_lambda(process, step, degree, warm):
    """Uneven steps; the first ``warm`` ones have too few estimates for the degree."""
    mean, exact = polynomial(degree, process)
    levels = [-1.2, -1.0, -0.3, 0.1, 0.2, 0.9]
    times = [process.time(math.exp(-v)) for v in levels]
    x, memory = randn(3, 1), None
    for i, (t, r) in enumerate(pairwise(times)):
        (a_t, _, _), (a_r, _, _) = process(t), process(r)
        before = x / a_t
        x, memory = step(Leg(process, t, r, None, lambda v: v), mean, x, memory)
        if i >= warm:
            # UniPC goes on from the corrected state.
            start = memory.w if isinstance(step, UniPC) else before
            expected = exact(start, levels[i], levels[i + 1])
            assert torch.allclose(x / a_r, expected, atol=1e-9)


def test_the_published_3m_is_not_exact_for_a_parabola():
    mean, exact = polynomial(2, EDM())
    levels = [-1.2, -0.9, -0.5, 0.1]
    x, memory, step = randn(3, 1), None, DPMSolver3M(published=True)
    for t, r in pairwise([math.exp(-v) for v in levels]):
        before = x
        x, memory = step(Leg(EDM(), t, r, None, lambda v: v), mean, x, memory)
    assert (x - exact(before, levels[-2], levels[-1])).abs().max() > 1e-3


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_deis_is_exact_for_noise_polynomial_in_sigma(order):
    """z^ = sum c_k sigma^k of degree order - 1, on uneven steps."""
    c = [0.5, -0.2, 0.03, 0.004][:order]

    def noise(sigma: float) -> float:
        return sum(v * sigma**k for k, v in enumerate(c))

    def mean(x: Tensor, t: float) -> Tensor:
        return x - t * noise(t)

    x, memory = randn(3, 1), None
    for i, (t, r) in enumerate(pairwise([9.0, 7.0, 6.5, 3.0, 2.0, 0.4])):
        before = x
        x, memory = DEIS(order)(Leg(EDM(), t, r, None, lambda v: v), mean, x, memory)
        if i >= order - 1:
            integral = sum(v * (r ** (k + 1) - t ** (k + 1)) / (k + 1) for k, v in enumerate(c))
            assert torch.allclose(x, before + integral, atol=1e-10)


@pytest.mark.parametrize("h", [1e-4, 9e-3, 1.1e-2, 0.3, 2.0])
def test_integrals_of_powers(h):
    """phi1, phi2, phi3 by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(30)
    v, q = 0.5 * (nodes + 1), 0.5 * weights
    kernel = h * np.exp(-(h - v * h)) * q
    one, two, three = phis(h)
    assert -one == pytest.approx(kernel.sum(), rel=1e-9)
    assert two == pytest.approx((kernel * v).sum(), rel=1e-9)
    assert -2 * three == pytest.approx((kernel * v**2).sum(), rel=1e-8)


# DPM-Solver-v3 ----------------------------------------------------------------------------------


def test_v3_is_exact_for_one_gaussian():
    """N(.3, .04), four steps: DDIM .11, 2M .03, v3 of order 1 to rounding of its statistics."""
    prior = GaussianDenoiser(
        EDM(), torch.tensor([0.3], dtype=F64), torch.tensor([[0.04]], dtype=F64)
    )
    levels = np.linspace(-math.log(10) - 0.1, -math.log(0.05) + 0.1, 300)
    data = prior.sample(8, torch.Generator().manual_seed(0))
    statistics = solver_statistics(prior, data, levels, generator=Bulk(1))
    grid = log_snr(prior.process, 4, 10.0, 0.05)
    start = 0.3 + (0.04 + 100) ** 0.5 * torch.linspace(-2, 2, 5, dtype=F64)[:, None]
    expected = 0.3 + (start - 0.3) * ((0.04 + 0.05**2) / (0.04 + 100)) ** 0.5

    def error(step: Step) -> float:
        out = sample(prior, start, grid, step, generator=Impulses(9), denoise_last=False)
        return float((out - expected).abs().max())

    assert error(DDIM()) > 0.1
    assert error(DPMSolverV3(statistics, 1)) < 2e-6
    assert error(DPMSolverV3(statistics, 3)) < 2e-6


@cache
def mixture_statistics():
    levels = np.linspace(-math.log(10) - 0.05, -math.log(0.05) + 0.05, 300)
    data = PRIOR.sample(1500, torch.Generator().manual_seed(1))
    return solver_statistics(PRIOR, data, levels, generator=Bulk(3))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (1, (3.9e-2, 1.9e-2, 9.6e-3, 4.8e-3)),
        (2, (1.0e-2, 2.6e-3, 7.1e-4, 1.9e-4)),
        (3, (9.2e-3, 1.7e-3, 2.2e-4, 2.7e-5)),
    ],
)
def test_golden_errors_of_v3(order, expected):
    """The golden statistics are of other draws: within 15 %."""
    step = DPMSolverV3(mixture_statistics(), order)
    assert [rms(step, n) for n in (8, 16, 32, 64)] == pytest.approx(expected, rel=0.15)


def test_statistics_per_channel_by_probes():
    """Two channels of images with variances of their own: l = sigma^2 / (v + sigma^2)."""
    v = torch.tensor([0.5, 2.0], dtype=F64)

    class White(GaussianDenoiser):
        def forward(self, x_t, t, y=None, cond=None):
            a, _, s = self.process(t)
            gain = a * v / (a**2 * v + s**2)
            return gain.reshape(1, 2, 1, 1) * x_t

    prior = White(VPCosine(), torch.zeros(1, dtype=F64), torch.ones(1, 1, dtype=F64))
    levels = np.linspace(-1, 1, 9)
    data = v.sqrt().reshape(1, 2, 1, 1) * randn(4, 2, 5, 5)
    with tally() as cost:
        got = solver_statistics(prior, data, levels, generator=Streams(0, 4), probes=2)
    sigma2 = np.exp(-2 * levels)[:, None]
    assert got.slope == pytest.approx(sigma2 / (v.numpy() + sigma2))
    assert cost.nvjp == 4 * 9 * 2


# Stochastic -------------------------------------------------------------------------------------


def end_std(step: Step, scale: float = 1.0, n: int = 60) -> float:
    """Exact standard deviation, relative to the right one, of a run that starts with ``scale``."""
    prior = GaussianDenoiser(EDM(), torch.zeros(1, dtype=F64), torch.tensor([[0.25]], dtype=F64))
    grid = karras(prior.process, n, 10.0, 0.02)

    def run(x: Tensor, noise: Impulses) -> Tensor:
        return sample(prior, x, grid, step, generator=noise, denoise_last=False)

    root = torch.tensor([[scale * math.sqrt(0.25 + 100)]], dtype=F64)
    _, cov = law(run, torch.zeros(1, dtype=F64), root)
    return math.sqrt(cov.item() / (0.25 + 0.02**2))


def test_churn_keeps_the_law_and_excess_noise_does_not():
    assert end_std(Churn(20.0, 60)) == pytest.approx(1, abs=0.012)
    assert end_std(Churn(20.0, 60, noise=1.05)) > 1.04
    assert end_std(Churn(20.0, 60, low=1e9)) == end_std(Heun())
    # A wrong start is forgotten with the noise that carried it.
    assert end_std(Heun(), 1.3) == pytest.approx(1.3, abs=0.02)
    assert end_std(Churn(60.0, 60), 1.3) < 1.1


def test_restart_forgets_a_wrong_start():
    """Variance x 1.3^2 at sigma 10: within 3 % after four restarts from 2, kept by the flow."""
    step = Restart(low=0.05, high=2.0, times=4, steps=20)
    assert end_std(step, 1.0) == pytest.approx(1, abs=0.01)
    assert end_std(Heun(), 1.3) > 1.25
    assert end_std(step, 1.3) == pytest.approx(1, abs=0.03)
    with pytest.raises(ValueError, match="low < high"):
        Restart(low=2.0, high=0.05)


def test_restart_costs_what_it_says():
    n, x = 10, randn(2, 1)
    with tally() as cost:
        sample(
            PRIOR,
            x,
            karras(PRIOR.process, n, 10.0, 0.02),
            Restart(0.3, 2.0, times=3, steps=4),
            generator=Streams(0, 2),
            denoise_last=False,
        )
    assert cost.nfe == 2 * (2 * n + 3 * 2 * 4)


def test_time_shift_tells_the_network_the_noise_of_the_state():
    """Noise that is 10 % too strong at one level: the error of the final variance falls."""

    class White(GaussianDenoiser):
        def forward(self, x_t, t, y=None, cond=None):
            sigma2 = torch.as_tensor(t, dtype=F64).reshape(-1, 1) ** 2
            return 0.25 / (0.25 + sigma2) * x_t

    prior = White(EDM(), torch.zeros(1, dtype=F64), torch.ones(1, 1, dtype=F64))
    grid = karras(prior.process, 100, 10.0, 0.02)

    def std(step: Step, factor: float) -> float:
        x = factor * math.sqrt(0.25 + 100) * randn(4, 50_000, seed=1)
        out = sample(prior, x, grid, step, generator=Bulk(2), denoise_last=False)
        return float(out.std())

    shift = TimeShift(DDIM(), 0.25)
    plain, right = std(DDIM(), 1.1), std(DDIM(), 1.0)
    assert plain / right == pytest.approx(1.1, abs=0.001)
    assert abs(std(shift, 1.1) / right - 1) < 0.7 * (plain / right - 1)
    # Left alone, nothing changes but by the scatter of |w|^2 and the step itself.
    assert std(shift, 1.0) == pytest.approx(right, rel=5e-3)
    # Without the data's variance, as published, it does: the state is taken for noisier.
    assert std(TimeShift(DDIM(), 0.0, cutoff=0.1), 1.0) < 0.98 * right


def test_time_shift_is_per_item_and_stops_at_its_cutoff():
    seen = []

    def mean(x: Tensor, t) -> Tensor:
        seen.append(t)
        return 0 * x

    w = torch.ones(3, 1000, dtype=F64) * torch.tensor([[2.0], [2.2], [9.0]], dtype=F64)
    leg = Leg(EDM(), 2.0, 1.0, None, lambda v: v)
    TimeShift(DDIM(), 0.25, window=1.5)(leg, mean, w, None)
    expected = [math.sqrt(4 - 0.25), math.sqrt(4.84 - 0.25), 3.0]
    assert seen[0].tolist() == pytest.approx(expected)
    TimeShift(DDIM(), 0.25, cutoff=5.0)(leg, mean, w, None)
    assert seen[1] == 2.0


def test_brownian_noise_adds_up_over_parts_of_a_leg():
    process, grid = EDM(), [5.0, 3.0, 1.0, 0.5, 0.1]
    like = torch.zeros(3, 4, dtype=F64)
    path = BrownianStreams(7, 3, process, grid)
    clock = [1 / t**2 for t in grid]
    whole = BrownianStreams(7, 3, process, [grid[0], grid[-1]]).at(0)(like)
    parts = sum(math.sqrt(clock[i + 1] - clock[i]) * path.at(i)(like) for i in range(len(grid) - 1))
    assert torch.allclose(parts, math.sqrt(clock[-1] - clock[0]) * whole, atol=1e-6)
    # An item's path is its own; a second draw of a step is not the path's.
    alone = BrownianStreams(7, [1], process, grid).at(2)(like[:1])
    assert torch.equal(alone[0], path.at(2)(like)[1])
    source = path.at(1)
    assert not torch.allclose(source(like), source(like))


def test_brownian_increments_are_unit_normal_and_independent():
    grid = [20.0, 2.0, 1.9, 0.3, 0.02]
    noise = BrownianStreams(1, 4, EDM(), grid)
    like = torch.zeros(4, 2500, dtype=F64)
    draws = torch.stack([noise.at(i)(like).flatten() for i in range(4)])
    assert torch.allclose(draws @ draws.T / 10_000, torch.eye(4, dtype=F64), atol=4e-2)
    assert draws.mean(1).abs().max() < 4e-2
    assert BrownianStreams(1, 2, EDM(), grid).at(0)(like[:2].to(torch.complex64)).is_complex()


def test_refining_the_grid_refines_the_path():
    """Ancestral samples of one path differ far less than two samples do, the less the finer."""
    x, ends = 10 * randn(12, 1), []
    for n in (16, 64, 128):
        grid = log_snr(PRIOR.process, n, 10.0, 0.05)
        noise = BrownianStreams(3, 12, PRIOR.process, grid)
        ends.append(sample(PRIOR, x, grid, Ancestral(), generator=noise, denoise_last=False))
    coarse, fine = (float((v - ends[-1]).square().mean().sqrt()) for v in ends[:2])
    other = BrownianStreams(4, 12, PRIOR.process, grid)
    apart = sample(PRIOR, x, grid, Ancestral(), generator=other, denoise_last=False) - ends[-1]
    assert fine < 0.2 * float(apart.square().mean().sqrt())
    assert fine < 0.6 * coarse
