"""Processes: golden values, the stated SDEs, rates, noise levels, configuration."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import F64, all_processes, randn

from sciddm.process import (
    DDPM,
    EDM,
    IRSDE,
    OUVE,
    RDDM,
    SBVE,
    VE,
    BrownianBridge,
    DDPMCosine,
    FlowSE,
    RectifiedFlow,
    Resfusion,
    ResShift,
    SubVP,
    VPCosine,
    VPLinear,
    process_from_config,
)

PROCESSES = all_processes()
named = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


# Golden values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("t", "s"),
    [
        (0.03, 0.018830),
        (0.1, 0.035746),
        (0.25, 0.063813),
        (0.5, 0.121657),
        (0.75, 0.218431),
        (1.0, 0.388983),
    ],
)
def test_ouve_golden(t, s):
    a, b, got = OUVE()(t)
    assert got == pytest.approx(s, abs=6e-7)
    assert (a, b) == pytest.approx((math.exp(-1.5 * t), 1 - math.exp(-1.5 * t)))


@pytest.mark.parametrize(("t", "s"), [(0.03, 0.037390), (0.5, 0.229765), (1.0, 0.731481)])
def test_ouve_golden_48_khz(t, s):
    assert OUVE(2.0, 0.1, 1.0)(t)[2] == pytest.approx(s, abs=6e-7)


@pytest.mark.parametrize(
    ("t", "a", "s"),
    [(0.25, 0.893672, 0.338471), (0.5, 0.722222, 0.491804), (0.75, 0.445768, 0.545769)],
)
def test_sbve_golden(t, a, s):
    assert SBVE()(t) == pytest.approx((a, 1 - a, s), abs=6e-7)


def test_sbve_is_pinned_at_both_ends():
    process = SBVE()
    assert process(0.0) == (1.0, 0.0, 0.0)
    assert process(1.0) == (0.0, 1.0, 0.0)
    # The base process's standard deviation at the end: s^2 = total b a.
    a, b, s = process(0.5)
    assert s / math.sqrt(a * b) == pytest.approx(1.098015, abs=6e-7)


@pytest.mark.parametrize(
    ("t", "a", "s"),
    [
        (0.0, 0.95, 0.31225),
        (0.25, 0.810454, 0.585802),
        (0.5, 0.59448, 0.804111),
        (0.75, 0.322444, 0.946589),
        (1.0, 0.02, 0.9998),
    ],
)
def test_cosine_golden_of_active_subsampling(t, a, s):
    assert VPCosine(0.95, 0.02)(t) == pytest.approx((a, 0.0, s), abs=6e-7)


@pytest.mark.parametrize("t", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_cosine_default_is_nichol_and_dhariwal_without_offset(t):
    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    a, _, _ = VPCosine()(t)
    assert a**2 == pytest.approx(f(t) / f(0.0), abs=0.015)


def test_vp_linear_is_the_limit_of_ddpm():
    # DDPM: 1000 betas from 1e-4 to 0.02; the SDE has beta_min 0.1, beta_max 20.
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=F64)
    t = torch.arange(1, 1001, dtype=F64) / 1000
    a, _, s = VPLinear()(t)
    # A sum of left ends against an integral: they differ by at most (beta_N - beta_1) / 2.
    assert (2 * a.log() + beta.cumsum(0)).abs().max() < 0.0101
    # log(1 - beta) = -beta - beta^2/2 - ...: DDPM's own product is a little smaller yet.
    abar = (1 - beta).cumprod(0)
    assert float(abar[-1]) == pytest.approx(4.0358e-5, rel=1e-4)
    assert float(a[-1] ** 2) == pytest.approx(math.exp(-10.05), rel=1e-12)
    assert torch.allclose(a**2 + s**2, torch.ones_like(a))


def test_resshift_schedule_is_the_published_one():
    process, steps = ResShift(kappa=2.0, power=0.3, eta_min=0.0004, eta_max=0.999), 15
    b0 = math.exp(1 / (2 * (steps - 1)) * math.log(0.999 / 0.0004))
    for i in range(1, steps + 1):
        beta = ((i - 1) / (steps - 1)) ** 0.3 * (steps - 1)
        root_eta = math.sqrt(0.0004) * b0**beta
        a, b, s = process((i - 1) / (steps - 1))
        assert b == pytest.approx(root_eta**2)
        assert (a, s) == pytest.approx((1 - root_eta**2, 2.0 * root_eta))


def test_rddm_schedules_sum_linear_steps():
    # alpha_i decreasing and beta_i^2 increasing linearly, summing to 1 (Liu et al., section 3.2).
    n = 50
    i = torch.arange(1, n + 1, dtype=F64)
    alpha, beta2 = (2 * (n - i) + 1) / n**2, (2 * i - 1) / n**2
    a, b, s = RDDM(noise=0.7)(i / n)
    assert torch.allclose(b, alpha.cumsum(0))
    assert torch.allclose(s, 0.7 * beta2.cumsum(0).sqrt())
    assert torch.allclose(a, 1 - b)


def test_ve_edm_and_flow_coefficients():
    assert VE(0.01, 50.0)(0.5) == pytest.approx((1.0, 0.0, math.sqrt(0.01 * 50.0)))
    assert EDM()(3.25) == (1.0, 0.0, 3.25)
    assert RectifiedFlow()(0.3) == pytest.approx((0.7, 0.0, 0.3))


@pytest.mark.parametrize(
    ("t", "a", "s"),
    [(0.1, 0.9467218, 0.1037178), (0.5, 0.2811829, 0.9209362), (1.0, 0.006571586, 0.9999568)],
)
def test_sub_vp_golden(t, a, s):
    """s is 1 - a^2, and not its root: at t = .1 VP has .322."""
    assert SubVP()(t) == pytest.approx((a, 0.0, s), abs=6e-8)


def test_brownian_bridge_golden():
    for t, variance in ((0.25, 0.375), (0.5, 0.5), (0.9, 0.18)):
        a, b, s = BrownianBridge()(t)
        assert (a, b, s**2) == pytest.approx((1 - t, t, variance))
    assert BrownianBridge()(0.0) == (1.0, 0.0, 0.0)
    assert BrownianBridge()(1.0) == (0.0, 1.0, 0.0)


def test_resfusion_starts_at_half_of_y():
    a, b, s = Resfusion()(1.0)
    assert (a, b, s) == pytest.approx((0.0, 0.5, math.sqrt(3) / 2), abs=1e-12)
    # a + b = q, 1 - q^2 = s^2: a mean of x0 and y - x0, with what is missing to a power of 1.
    a, b, s = Resfusion()(0.4)
    assert (a + b) ** 2 + s**2 == pytest.approx(1)
    assert a + 2 * b == pytest.approx(1)


@pytest.mark.parametrize(
    ("process", "sigmas"),
    [
        (DDPM(), (0.0100005, 3.424137, 157.4073)),
        (DDPM(0.00085, 0.012, 2.0), (0.0291672, 1.612886, 14.61464)),
        (DDPMCosine(), (0.0064254, 1.012390, 20291.0)),
    ],
)
def test_discrete_schedules_golden(process, sigmas):
    """sqrt((1 - abar_k)/abar_k) at k = 0, 499, 999, and the index that says so."""
    for k, sigma in zip((0, 499, 999), sigmas, strict=True):
        t = (k + 1) / 1000
        assert process.sigma(t) == pytest.approx(sigma, rel=2e-5)
        assert process.index(process.time(process.sigma(t))) == pytest.approx(k, abs=1e-6)
        a, _, s = process(t)
        assert a**2 + s**2 == pytest.approx(1)
    # Between two indices ln sigma is linear.
    low, mid, high = (math.log(process.sigma(t)) for t in (0.5, 0.5005, 0.501))
    assert mid == pytest.approx(0.5 * (low + high))
    assert process(0.0) == (1.0, 0.0, 0.0)


# The stated SDEs -------------------------------------------------------------------------------


def _growth(process, t):
    k = math.log(process.sigma_max / process.sigma_min)
    return process.sigma_min * math.exp(k * t) * math.sqrt(2 * k)


def _vp_beta(process, t):
    return process.beta_min + t * (process.beta_max - process.beta_min)


# name: process, pull(t) towards the endpoint, g(t): dx = pull (y - x) dt + g dw
SDES = {
    "OUVE": (OUVE(), lambda p, t: p.theta, _growth),
    "OUVE 48k": (OUVE(2.0, 0.1, 1.0), lambda p, t: p.theta, _growth),
    "IRSDE": (IRSDE(), lambda p, t: p.theta, lambda p, t: p.lam * math.sqrt(2 * p.theta)),
    "VPLinear": (
        VPLinear(),
        lambda p, t: _vp_beta(p, t) / 2,
        lambda p, t: math.sqrt(_vp_beta(p, t)),
    ),
}


@pytest.mark.parametrize("name", SDES)
def test_moments_are_those_of_the_simulated_sde(name):
    """Euler-Maruyama with 20000 paths; its own bias is kept below the sampling error by 800 steps.

    The mean is affine in (x0, y): a and b are read from simulations of (1, 0) and (0, 1) that
    share their noise.
    """
    process, pull, g = SDES[name]
    paths, steps, end = 20000, 800, 0.6
    dt = end / steps
    start, y = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    x = start.to(F64).repeat(paths, 1)
    y = y.to(F64) if process.has_endpoint else torch.zeros(3, dtype=F64)
    generator = torch.Generator().manual_seed(3)
    for i in range(steps):
        t = (i + 0.5) * dt
        w = torch.randn(paths, 1, dtype=F64, generator=generator)
        x = x + pull(process, t) * (y - x) * dt + g(process, t) * math.sqrt(dt) * w
    a, b, s = process(end)
    noise = x[:, 2]
    # Shared noise cancels in the differences, so that only the step's bias is left.
    assert float((x[:, 0] - noise).mean()) == pytest.approx(a, abs=3e-3)
    assert float((x[:, 1] - noise).mean()) == pytest.approx(b, abs=3e-3)
    assert float(noise.std()) == pytest.approx(s, rel=4 / math.sqrt(2 * paths))
    assert abs(float(noise.mean())) < 4 * s / math.sqrt(paths)


@pytest.mark.parametrize("name", SDES)
def test_moment_equations_of_the_sde(name):
    """a' = -pull a, (s^2)' = -2 pull s^2 + g^2: no simulation error at all."""
    process, pull, g = SDES[name]
    for t in (0.05, 0.3, 0.7, 0.99):
        a, _, s = process(t)
        da, db, ds = (float(v) for v in process.rates(t))
        assert da == pytest.approx(-pull(process, t) * a)
        assert db == pytest.approx(pull(process, t) * a if process.has_endpoint else 0.0)
        assert 2 * s * ds == pytest.approx(-2 * pull(process, t) * s**2 + g(process, t) ** 2)


def test_sbve_moments_are_those_of_a_brownian_bridge():
    """dx = sqrt(c) k^t dw tied to x0 at 0 and y at 1: a free path minus its share of the gap."""
    process, paths, steps = SBVE(), 20000, 400
    generator = torch.Generator().manual_seed(4)
    t = (torch.arange(steps, dtype=F64) + 0.5) / steps
    g2 = process.c * process.k ** (2 * t)
    steps_w = torch.randn(paths, steps, dtype=F64, generator=generator) * (g2 / steps).sqrt()
    free = steps_w.cumsum(1)
    variance = (g2 / steps).cumsum(0)
    share = variance / variance[-1]
    x0, y = 0.4, -1.1
    bridge = x0 + free + share * (y - x0 - free[:, -1:])
    for index in (99, 199, 299, 379):
        a, b, s = process((index + 1) / steps)
        x = bridge[:, index]
        assert float(x.mean()) == pytest.approx(a * x0 + b * y, abs=4 * s / math.sqrt(paths))
        assert float(x.std()) == pytest.approx(s, rel=4 / math.sqrt(2 * paths))


def test_ouve_markov_kernel_variance_is_its_integral():
    process, r, t = OUVE(), 0.35, 0.6
    (a_r, _, s_r), (a_t, _, s_t) = process(r), process(t)
    q = r + (t - r) * (torch.arange(20000, dtype=F64) + 0.5) / 20000
    k = math.log(process.sigma_max / process.sigma_min)
    g2 = (process.sigma_min * torch.exp(k * q)) ** 2 * 2 * k
    integral = float((g2 * torch.exp(-2 * process.theta * (t - q))).mean()) * (t - r)
    assert s_t**2 - (a_t / a_r) ** 2 * s_r**2 == pytest.approx(integral, rel=1e-8)


# What every process must obey -------------------------------------------------------------------


@named
def test_rates_are_the_derivatives(process):
    h = 1e-5 * process.t_max
    for share in (0.1, 0.35, 0.6, 0.9):
        t = process.t_min + share * (process.t_max - process.t_min)
        high, low = process(t + h), process(t - h)
        for rate, up, down in zip(process.rates(t), high, low, strict=True):
            assert float(rate) == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-8)


@named
def test_sigma_grows_and_time_inverts_it(process):
    grid = torch.linspace(process.t_min, 0.999 * process.t_max, 200, dtype=F64)
    sigma = process.sigma(grid)
    assert (sigma.diff() > 0).all()
    for t in (grid[3], grid[77], grid[150]):
        t = float(t)
        assert process.time(process.sigma(t)) == pytest.approx(t, rel=1e-9)


@named
def test_times_of_many_levels(process):
    t = torch.linspace(process.t_min, 0.99 * process.t_max, 7, dtype=F64)[1:]
    assert torch.allclose(process.times(process.sigma(t)), t)
    assert torch.allclose(process.times(process.sigma(t).reshape(2, 3)), t.reshape(2, 3))


@named
def test_time_stays_within_the_process(process):
    assert process.time(1e9) == pytest.approx(process.t_max)
    assert 0 <= process.time(1e-12) <= max(process.t_min, 1e-9)


@named
def test_a_network_can_be_told_the_level_at_both_ends(process):
    """ln(s/a) is finite at t_min, and at t_max unless that is the end of a bridge."""
    assert process.sigma(process.t_min) > 0
    assert math.isfinite(process.sigma(process.t_max)) or isinstance(process, SBVE | BrownianBridge)
    assert float(process.sigma(torch.tensor([process.t_max], dtype=F64))) == process.sigma(
        process.t_max
    )


@named
def test_floats_and_tensors_agree(process):
    t = process.t_min + 0.37 * (process.t_max - process.t_min)
    for one, many in zip(process(t), process(torch.tensor([t, t], dtype=F64)), strict=True):
        assert isinstance(one, float)
        assert many.tolist() == pytest.approx([one, one])


@named
def test_config_round_trip(process):
    copy = process_from_config(process.config())
    assert type(copy) is type(process)
    t = 0.5 * (process.t_min + process.t_max)
    assert copy(t) == process(t)
    assert (copy.t_min, copy.t_max) == (process.t_min, process.t_max)


@given(
    theta=st.floats(0.1, 5),
    low=st.floats(0.01, 0.2),
    ratio=st.floats(1.5, 50),
    t=st.floats(0.01, 1.0),
)
@settings(max_examples=30, deadline=None)
def test_config_keeps_every_parameter(theta, low, ratio, t):
    process = OUVE(theta, low, low * ratio)
    assert process_from_config(process.config())(t) == process(t)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"name": "VPQuadratic"}, "VPQuadratic"),
        ({}, "unknown process"),
        ({"name": "OUVE", "thetta": 1.0}, "thetta"),
        ({"name": "OUVE", "theta": "steep"}, "steep"),
    ],
)
def test_bad_configuration_is_named(config, says):
    with pytest.raises(ValueError, match=says):
        process_from_config(config)


def test_numbers_that_yaml_reads_as_text():
    assert process_from_config({"name": "EDM", "sigma_min": "2e-3"}).t_min == 0.002


# Adding noise -----------------------------------------------------------------------------------


@named
def test_add_noise_per_item_times_and_endpoint(process):
    x0, y, z = (randn(3, 2, 5, seed=i) for i in range(3))
    share = torch.tensor([0.1, 0.5, 0.9], dtype=F64)
    t = process.t_min + share * (process.t_max - process.t_min)
    x_t = process.add_noise(x0, t, y, z)
    for i in range(3):
        a, b, s = process(float(t[i]))
        expected = a * x0[i] + b * y[i] + s * z[i]
        assert torch.allclose(x_t[i], expected, rtol=1e-12)
        assert torch.allclose(process.add_noise(x0[i], float(t[i]), y[i], z[i]), expected)


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex64, torch.complex128])
def test_noise_has_unit_power_and_keeps_the_type(dtype):
    torch.manual_seed(1)
    n, t = 200_000, 0.7
    a, b, s = OUVE()(t)
    x0, y = torch.full((n,), 0.3, dtype=dtype), torch.full((n,), -0.8, dtype=dtype)
    x_t = OUVE().add_noise(x0, t, y)
    assert x_t.dtype == dtype
    noise = (x_t - a * x0 - b * y) / s
    # Var |z|^2 is 2 for real noise and 1 for circular complex noise.
    assert float(noise.abs().square().mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / n))
    if dtype.is_complex:
        assert float(noise.real.square().mean()) == pytest.approx(0.5, abs=4 * math.sqrt(0.5 / n))
        assert abs(float((noise.real * noise.imag).mean())) < 4 * 0.5 / math.sqrt(n)


def test_prior_starts_where_the_process_ends():
    z, y = randn(4, 3, seed=1), randn(4, 3, seed=2)
    a, _, s = OUVE()(1.0)
    assert torch.allclose(OUVE().prior(z, y), y + s * z)  # a + b = 1: the mean is replaced by y
    assert torch.equal(SBVE().prior(z, y), y)
    assert torch.allclose(EDM(sigma_max=7.0).prior(z), 7.0 * z)
    assert torch.allclose(FlowSE().prior(z, y, t=0.5), y + 0.487 * 0.5 * z)
    assert a == pytest.approx(0.22313, abs=5e-6)


def test_missing_endpoint_is_an_error():
    with pytest.raises(ValueError, match="OUVE needs its second endpoint"):
        OUVE().add_noise(torch.zeros(2, 3), 0.5)


def test_noise_per_frequency_is_a_diagonal_operator():
    """s may be a tensor beside the data: a process whose noise differs between bands."""
    band = torch.tensor([0.5, 1.0, 2.0], dtype=F64)

    class Banded(VE):
        def coefficients(self, t):
            a, b, s = super().coefficients(t)
            return a, b, s * band[None]

    x0, z = randn(4, 3, seed=1), randn(4, 3, seed=2)
    s = VE()(0.4)[2]
    assert torch.allclose(Banded().add_noise(x0, 0.4, z=z), x0 + s * band * z)
