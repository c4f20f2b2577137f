"""Posterior samplers: each step against its equation, each run against the exact posterior."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import Bulk, measured_mixture
from support import F64, Impulses, law, randn, sliced_w2
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance import MMPS, TMPD, ClassifierFree, DiffPIR, Extrapolated, LossGuidance
from sciddm.ledger import record, tally
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import CartesianMRI, Diagonal, Mask, Matrix, Measurement
from sciddm.physics.spectrum import spectrum
from sciddm.process import EDM, OUVE, VPLinear
from sciddm.random.streams import Streams
from sciddm.sampling import (
    DDIM,
    DDRM,
    SITCOM,
    Ancestral,
    DPMSolver2M,
    FlowChef,
    Leg,
    ODESolve,
    RePaint,
    fresh,
    karras,
    pnp_dm,
    sample,
)

C128 = torch.complex128


class White(Denoiser):
    """The exact denoiser of N(0, v I), real or complex, of any shape."""

    def __init__(self, v: float, process=None) -> None:
        super().__init__()
        self.v, self.process, self.data_std = v, process or EDM(), v**0.5

    def forward(self, x_t, t, y=None, cond=None):
        record(nfe=x_t.shape[0])
        a, b, s = self.process(t)
        u = x_t - self.process.shift(b, y)
        return a * self.v / (a**2 * self.v + s**2) * u


class Delta(White):
    """Knows the truth."""

    def __init__(self, truth: Tensor, process=None) -> None:
        super().__init__(1.0, process)
        self.truth = truth

    def forward(self, x_t, t, y=None, cond=None):
        return self.truth.expand_as(x_t)


# Whole runs -------------------------------------------------------------------------------------


def distance(kind: str, steps: int, step, prior=None, n: int = 500, **options) -> float:
    o = measured_mixture(kind)
    x, grid = 20 * randn(n, 8, seed=7), karras(o.prior.process, steps, 20.0, 0.02)
    denoiser = prior(o) if prior else o.prior
    out = sample(denoiser, x, grid, step(o.measurement), generator=Bulk(5), **options)
    return sliced_w2(out, o.draws[:n])


@pytest.mark.parametrize(
    ("kind", "steps", "step", "bound"),
    [
        ("random", 20, DDRM, 0.45),
        ("mask", 20, DDRM, 0.1),
        ("mask", 100, DDRM, 0.062),
        ("mask", 20, lambda m: FlowChef(m, 1.0), 0.085),
        ("mask", 50, lambda m: RePaint(m, 3), 0.065),
        ("random", 20, lambda m: SITCOM(m, 4, 10, 0.3), 0.22),
    ],
    ids=["DDRM random", "DDRM mask", "DDRM mask 100", "FlowChef", "RePaint", "SITCOM"],
)
def test_distance_to_the_exact_posterior(kind, steps, step, bound):
    """Bounds 10 to 20 % above what was measured; two exact sets differ by .033 and .019."""
    assert distance(kind, steps, step) < bound


def test_daps_is_gibbs_with_the_end_of_the_flow():
    o = measured_mixture("mask")
    refine = o.measurement.draw
    inner = distance(
        "mask",
        50,
        lambda m: Ancestral(fresh),
        lambda o: ODESolve(o.prior, 5, sigma_min=0.02),
        refine=refine,
    )
    assert inner < 0.12
    # One evaluation of the flow is the mean: split Gibbs, bit by bit.
    one, gibbs = (
        distance("mask", 8, lambda m: Ancestral(fresh), d, 50, refine=refine)
        for d in (lambda o: ODESolve(o.prior, 1), None)
    )
    assert one == gibbs


def test_noise_of_the_prior_lowers_the_bias_of_the_proximal_step():
    """FlowDPS: .28 in place of .44 with the same evaluations."""
    both = [
        distance(
            "random",
            60,
            lambda m: Ancestral(),
            lambda o: DiffPIR(o.prior, o.measurement),
            noise_from_prior=flag,
        )
        for flag in (False, True)
    ]
    assert both[0] > 0.38
    assert both[1] < 0.33


def test_pnp_dm_needs_a_small_last_level():
    """.042 down to rho = .1, .12 down to .3; the flow in the chains' place is worse."""
    o = measured_mixture("mask")

    def run(last: float, step=None) -> float:
        levels = [max(10 * 0.9**k, last) for k in range(50)]
        x = torch.zeros(400, 8, dtype=F64)
        out = pnp_dm(o.prior, o.measurement, x, levels, steps=8, generator=Bulk(5), step=step)
        return sliced_w2(out, o.draws[:400])

    assert run(0.1) < 0.065
    assert run(0.3) > 0.09


def test_pnp_dm_is_exact_for_a_white_gaussian():
    """At a fixed rho the stationary law is that of data with noise R + rho^2 H H^T."""
    v, sigma, n = 0.6, 0.4, 2
    prior = White(v)
    y, H = torch.tensor([0.8, -0.3], dtype=F64), torch.tensor([[1.0, 0.4], [0.0, 0.7]], dtype=F64)
    m = Measurement(y, Matrix(H), sigma)

    rho = 0.4

    def run(x: Tensor, noise: Impulses) -> Tensor:
        return pnp_dm(
            prior, m, x, [rho] * 14, steps=40, generator=noise, step=DPMSolver2M(sde=True)
        )

    mean, cov = law(run, torch.zeros(n, dtype=F64), torch.eye(n, dtype=F64))
    R = sigma**2 * torch.eye(n, dtype=F64) + rho**2 * H @ H.T
    P = torch.linalg.inv(torch.eye(n, dtype=F64) / v + H.T @ torch.linalg.inv(R) @ H)
    assert torch.allclose(mean, P @ H.T @ torch.linalg.solve(R, y), atol=0.01)
    assert torch.allclose(cov, P, atol=0.015)


# Steps ------------------------------------------------------------------------------------------


def test_tmpd_is_exact_for_denoising_of_independent_elements():
    variances = torch.tensor([0.2, 0.9, 3.0], dtype=F64)
    prior = GaussianDenoiser(EDM(), randn(3, seed=4), torch.diag(variances))
    y, sigma, t = randn(3, seed=1), 0.3, 0.7
    m = Measurement(y, Matrix(torch.eye(3, dtype=F64)), sigma)
    x = randn(5, 3)
    precision = 1 / variances + 1 / t**2 + 1 / sigma**2
    expected = (prior.means[0] / variances + x / t**2 + y / sigma**2) / precision
    assert torch.allclose(TMPD(prior, m)(x, t), expected)


def test_tmpd_row_sums_below_zero_do_not_count():
    """Two elements of correlation -.99: their row sums vanish, and the clamp keeps R."""
    S = torch.tensor([[1.0, -1.5], [-1.5, 2.6]], dtype=F64)  # first row sums to -.5
    prior = GaussianDenoiser(EDM(), torch.zeros(2, dtype=F64), S)
    y, sigma, t = torch.tensor([1.0, -1.0], dtype=F64), 0.1, 50.0
    m = Measurement(y, Matrix(torch.eye(2, dtype=F64)), sigma)
    x = torch.zeros(1, 2, dtype=F64)
    gain = S @ torch.linalg.inv(S + t**2 * torch.eye(2, dtype=F64))
    V = S - gain @ S
    rows = (V.sum(1)).clamp(min=0) + sigma**2
    assert V.sum(1)[0] < -0.3
    published = V @ (y / rows)  # 130 times as long as the data ask for
    alpha = (published @ y) / (published @ published)
    assert torch.allclose(TMPD(prior, m)(x, t), alpha * published[None], atol=1e-6)


@pytest.mark.parametrize("dtype", [F64, C128], ids=["real", "complex"])
@pytest.mark.parametrize("jacobian", [False, True])
def test_loss_guidance_is_exact_for_denoising_of_a_white_prior(dtype, jacobian):
    """k = sigma_y^2 / (r^2 + sigma_y^2) with the negative log-likelihood; J = V / s^2 there."""
    v, sigma, t = 0.6, 0.4, 0.7
    y, x = randn(4, seed=1, dtype=dtype), randn(3, 4, dtype=dtype)
    half = 1.0 if dtype.is_complex else 0.5

    def loss(x0: Tensor) -> Tensor:
        return half * (y - x0).abs().square().sum(1) / sigma**2

    guided = LossGuidance(White(v), loss, lambda r2: sigma**2 / (r2 + sigma**2), jacobian=jacobian)
    expected = (x / t**2 + y / sigma**2) / (1 / v + 1 / t**2 + 1 / sigma**2)
    with tally() as cost:
        assert torch.allclose(guided(x, t), expected)
    assert (cost.nfe, cost.nvjp) == (3, 3 if jacobian else 0)


def test_loss_guidance_takes_several_gradients_of_each_item_alone():
    def loss(x0: Tensor) -> Tensor:
        return (x0**4).sum(1)

    prior, x = White(0.6), randn(2, 3)
    got = LossGuidance(prior, loss, 0.1, gradients=2)(x, 0.5)
    x0, r2 = prior(x, 0.5), prior.spread(0.5)
    for _ in range(2):
        x0 = x0 - 0.1 * r2 * 4 * x0**3
    assert torch.allclose(got, x0)


def test_extrapolation_and_classifier_free_guidance():
    good, bad, x = White(0.6), White(0.9), randn(3, 2)
    got = Extrapolated(good, bad, 1.5)(x, 0.5)
    assert torch.allclose(got, 2.5 * good(x, 0.5) - 1.5 * bad(x, 0.5))

    class Conditional(White):
        def forward(self, x_t, t, y=None, cond=None):
            mean = super().forward(x_t, t)
            return mean if cond is None else mean + cond

    c = torch.tensor([[0.3, -0.2]], dtype=F64)
    guided = ClassifierFree(Conditional(0.6), 3.0)
    assert torch.allclose(guided(x, 0.5, cond=c), good(x, 0.5) + 3 * c)
    with tally() as cost:
        ClassifierFree(Conditional(0.6), 1.0)(x, 0.5, cond=c)
    assert cost.nfe == 3  # the conditional mean alone


@pytest.mark.parametrize("process", [EDM(), VPLinear(), OUVE()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_noise_from_the_prior_is_that_of_its_mean(process, eta):
    """x_r = a_r x0_y + b_r y + s_r (sqrt(1 - tau) z_prior + sqrt(tau) w)."""
    prior = White(0.6, process)
    H = randn(2, 3, seed=4)
    guided = MMPS(DiffPIR(prior, Measurement(randn(2), Matrix(H), 0.3)), _measure(H), 2)
    x, end, t, r = randn(4, 3, seed=5), randn(4, 3, seed=6), 0.6, 0.4
    y = end if process.has_endpoint else None
    w = Streams(0, 4).at(0)(x)
    out = sample(
        guided,
        x,
        [t, r],
        DDIM(eta),
        generator=Streams(0, 4),
        y=y,
        denoise_last=False,
        noise_from_prior=True,
    )
    (a_t, b_t, s_t), (a_r, b_r, s_r) = process(t), process(r)
    shift_t, shift_r = process.shift(b_t, y), process.shift(b_r, y)
    z = (x - a_t * prior(x, t, y) - shift_t) / s_t
    tau = eta**2 * (1 - (a_t * s_r / (a_r * s_t)) ** 2)
    noise = math.sqrt(1 - tau) * z + math.sqrt(tau) * w
    assert torch.allclose(out, a_r * guided(x, t, y) + shift_r + s_r * noise)
    # A denoiser without guidance is its own prior.
    same = [
        sample(prior, x, [t, r], DDIM(eta), generator=Streams(0, 4), y=y, noise_from_prior=flag)
        for flag in (False, True)
    ]
    assert torch.equal(*same)


def _measure(H: Tensor) -> Measurement:
    return Measurement(randn(2, seed=8), Matrix(H), 0.5)


def test_flowchef_moves_the_state():
    prior, H, y = White(0.6, VPLinear()), randn(2, 3, seed=4), randn(2, seed=1)
    step = FlowChef(Measurement(y, Matrix(H), 0.1), 0.4, times=2)
    t, r = 0.5, 0.3
    a = prior.process(t)[0]
    x = expected = randn(4, 3)
    leg = Leg(prior.process, t, r, None, lambda v: v)
    for _ in range(2):
        expected = expected + 0.4 * a * (y - prior(expected, t) @ H.T) @ H
    expected = leg.transition(expected, prior(expected, t), 0.0)
    with tally() as cost:
        out, _ = step(leg, prior, x, None)
    assert torch.allclose(out, expected)
    assert cost.nfe == 4 * 3


@pytest.mark.parametrize("process", [EDM(), VPLinear(), OUVE()], ids=lambda p: type(p).__name__)
def test_repaint_states_have_the_variance_of_their_level(process):
    """With the true x0: mean a_r x0 + b_r y, variance s_r^2, measured or not, after any rounds."""
    truth = torch.tensor([0.7, -0.4], dtype=F64)
    sigma, n, t, r = 0.05, 40_000, 0.6, 0.5
    data = torch.zeros(n, 2, dtype=F64)
    data[:, 0] = truth[0] + sigma * randn(n, seed=3)
    m = Measurement(data, Mask(torch.tensor([True, False]), ndim=1), sigma)
    (a_t, b_t, s_t), (a_r, b_r, s_r) = process(t), process(r)
    end = torch.full((n, 2), 0.5, dtype=F64)
    y = end if process.has_endpoint else None
    x = a_t * truth + process.shift(b_t, y) + s_t * randn(n, 2, seed=5)
    for rounds in (1, 3):
        leg = Leg(process, t, r, y, Bulk(6).at(0))
        out, _ = RePaint(m, rounds)(leg, Delta(truth, process), x, None)
        apart = out - (a_r * truth + process.shift(b_r, y))
        assert apart.mean(0).abs().max() < 5 * s_r / math.sqrt(n)
        assert torch.allclose(apart.std(0), torch.full((2,), s_r, dtype=F64), rtol=0.02)
    with pytest.raises(ValueError, match="Mask"):
        RePaint(_measure(randn(2, 3)))


def test_sitcom_stops_at_the_noise_and_not_before():
    """An item that fits within m sigma^2 keeps its state; others approach the data."""
    prior, H, sigma = White(1.0), torch.eye(3, dtype=F64), 0.2
    x, t = randn(2, 3), 0.5
    y = prior(x, t).clone()
    y[1] += 5.0  # the second item's data are far off
    step = SITCOM(Measurement(y, Matrix(H), sigma), 3, inner=40, rate=0.6)
    leg = Leg(EDM(), t, 0.4, None, torch.zeros_like)
    with tally() as cost:
        out, _ = step(leg, prior, x, None)
    assert (cost.nfe, cost.nvjp) == (2 * 41, 2 * 40)
    assert torch.allclose(out[0], prior(x, t)[0])  # a_r D(v) + s_r 0
    left = float((y[1] - out[1]).square().sum())
    assert left < 3 * sigma**2
    assert left > 0.2 * 3 * sigma**2  # not down to 0: it has stopped


def test_the_end_of_the_flow():
    """Of a Gaussian: w (v / (v + sigma^2))^(1/2), and not the mean w v / (v + sigma^2)."""
    prior, t = White(0.5), 2.0
    x = randn(5, 2)
    solved = ODESolve(prior, 400, sigma_min=0.01)(x, t)
    assert torch.allclose(solved, x * (0.5 / (0.5 + t**2)) ** 0.5, atol=0.01)
    with tally() as cost:
        ODESolve(prior, 5)(x, t)
    assert cost.nfe == 5 * 5
    with pytest.raises(ValueError, match="no noise"):
        ODESolve(prior, 5, Ancestral())(x, t)


# DDRM -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.0, 0.85])
@pytest.mark.parametrize("dtype", [F64, C128], ids=["real", "complex"])
def test_every_branch_of_ddrm_has_the_variance_of_its_level(eta, dtype):
    """Singular values 0, small and large: mean x0, variance q^2, by exact linear propagation."""
    values = torch.tensor([0.0, 0.05, 3.0], dtype=F64)
    truth, sigma_y, t, q, n = randn(3, seed=4, dtype=dtype), 0.1, 1.5, 0.8, 60_000
    A = Diagonal(values.to(dtype), ndim=1)
    y = A(truth) + sigma_y * randn(n, 3, seed=1, dtype=dtype)
    step = DDRM(Measurement(y, A, sigma_y), eta, data_std=None)
    x = truth + t * randn(n, 3, seed=2, dtype=dtype)
    out, _ = step(Leg(EDM(), t, q, None, Bulk(3).at(0)), Delta(truth), x, None)
    apart = out - truth
    assert apart.mean(0).abs().max() < 5 * q / math.sqrt(n)
    power = apart.abs().square().mean(0).sqrt()
    assert torch.allclose(power, torch.full((3,), q, dtype=F64), rtol=0.02)


def test_ddrm_branches_by_their_equations():
    values = torch.tensor([0.0, 0.05, 3.0], dtype=F64)
    A, sigma_y, t, q = Diagonal(values, ndim=1), 0.1, 1.5, 0.8
    y, x, w, x0 = (randn(1, 3, seed=i) for i in range(4))
    leg = Leg(EDM(), t, q, None, lambda _: w)
    measurement = Measurement(y, A, sigma_y)
    out, _ = DDRM(measurement, 0.85, 0.9, data_std=None)(leg, Delta(x0), x, None)
    own, _ = DDRM(measurement, 0.85, 0.9, data_std=0.5)(leg, Delta(x0), x, None)
    kept = math.sqrt(1 - 0.85**2) * q
    free = x0[0, 0] + kept * (x[0, 0] - x0[0, 0]) / t + 0.85 * q * w[0, 0]
    weak = x0[0, 1] + kept * (y[0, 1] / 0.05 - x0[0, 1]) / 2.0 + 0.85 * q * w[0, 1]
    rest = math.sqrt(q**2 - (0.9 * sigma_y / 3) ** 2)
    strong = 0.1 * x0[0, 2] + 0.9 * y[0, 2] / 3 + rest * w[0, 2]
    assert out[0].tolist() == pytest.approx([float(free), float(weak), float(strong)])
    spread = 1.5**2 * 0.5**2 / (1.5**2 + 0.5**2)
    both = x0[0, 1] + spread / (spread + 2.0**2) * (y[0, 1] / 0.05 - x0[0, 1])
    informed = both + kept * (x[0, 1] - both) / t + 0.85 * q * w[0, 1]
    assert own[0].tolist() == pytest.approx([float(free), float(informed), float(strong)])
    with pytest.raises(ValueError, match="between 0 and 1"):
        DDRM(Measurement(y, A, sigma_y), 1.5)


def test_draws_of_ddrm_keep_their_width_with_more_steps():
    """A moving mean of white data, 100 steps: variance over the exact one .72, as published .14."""
    H = torch.nn.functional.avg_pool1d(torch.eye(16, dtype=F64)[:, None], 3, 1, 1)[:, 0].T
    y = (randn(20, 16, seed=1) @ H.T + 0.1 * randn(20, 16, seed=2)).repeat(16, 1)
    prior, measurement = White(1.0), Measurement(y, Matrix(H), 0.1)
    covariance = torch.linalg.inv(torch.eye(16, dtype=F64) + H.T @ H / 0.01)
    exact = (y[:20] @ H / 0.01) @ covariance
    grid, x = karras(prior.process, 100, 20.0, 0.02), 20 * randn(320, 16, seed=7)

    def law_of(step: DDRM) -> tuple[float, float]:
        draws = sample(prior, x, grid, step, generator=Bulk(5)).reshape(16, 20, 16)
        width = draws.var(0).mean() / covariance.diagonal().mean()
        apart = (draws.mean(0) - exact).square().mean() / covariance.diagonal().mean()
        return float(width), float(apart.sqrt())

    width, apart = law_of(DDRM(measurement))
    assert 0.6 < width < 0.85
    assert apart < 0.35
    width, apart = law_of(DDRM(measurement, data_std=None))
    assert width < 0.2
    assert apart > 0.7


def operators():
    mask = torch.rand(6, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    return {
        "wide": (Matrix(randn(3, 5)), (5,), F64),
        "tall": (Matrix(randn(5, 3)), (3,), F64),
        "complex": (Matrix(randn(3, 5, dtype=C128)), (5,), C128),
        "mask": (Mask(torch.tensor([True, False, True]), ndim=1), (3,), F64),
        "phases": (Diagonal(randn(3, dtype=C128), ndim=1), (3,), C128),
        "MRI": (CartesianMRI(mask), (1, 6, 5), C128),
    }


@pytest.mark.parametrize("name", operators())
def test_spectrum_is_that_of_the_operator(name):
    """V is unitary, V s^2 V^H is A^H A, and the data of A x are V^H x where s is not 0."""
    A, shape, dtype = operators()[name]
    v, x = spectrum(A), randn(2, *shape, dtype=dtype)
    assert torch.allclose(v.synthesise(v.analyse(x)), x, atol=1e-6)
    assert torch.allclose(v.synthesise(v.values**2 * v.analyse(x)), A.gram(x), atol=1e-5)
    seen = (v.values > 0).expand_as(x)
    assert torch.allclose(v.data(A(x))[seen], v.analyse(x)[seen], atol=1e-5)
    assert (v.data(A(x))[~seen] == 0).all()


def test_other_operators_have_no_spectrum():
    maps = torch.ones(2, 6, 5, dtype=C128)
    A = CartesianMRI(torch.ones(6, 5), maps)
    with pytest.raises(ValueError, match="CartesianMRI has no singular value"):
        DDRM(Measurement(randn(2, 6, 5, dtype=C128), A, 0.1))


# Items ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["DDRM", "FlowChef", "RePaint", "SITCOM", "PnP-DM", "FlowDPS"])
def test_an_item_does_not_depend_on_its_batch(name):
    o = measured_mixture("mask")
    m, grid = o.measurement, karras(o.prior.process, 5, 5.0, 0.05)
    steps = {
        "DDRM": DDRM(m),
        "FlowChef": FlowChef(m),
        "RePaint": RePaint(m, 2),
        "SITCOM": SITCOM(m, 4, 3),
        "FlowDPS": Ancestral(),
    }

    def run(x: Tensor, items) -> Tensor:
        if name == "PnP-DM":
            return pnp_dm(o.prior, m, x, [1.0, 0.3], steps=3, generator=Streams(4, items))
        denoiser = DiffPIR(o.prior, m) if name == "FlowDPS" else o.prior
        flag = name == "FlowDPS"
        return sample(
            denoiser, x, grid, steps[name], generator=Streams(4, items), noise_from_prior=flag
        )

    x = 5 * randn(3, 8)
    together = run(x, range(3))
    for i in range(3):
        assert torch.allclose(run(x[i : i + 1], [i])[0], together[i], atol=1e-9)
