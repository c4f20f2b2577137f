"""Denoisers: every parametrization against a network that returns its exact target."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import F64, all_processes, randn
from torch import Tensor, nn

from sciddm.denoiser import (
    PARAMETRIZATIONS,
    NetworkDenoiser,
    complex_to_real,
    real_to_complex,
)
from sciddm.ledger import tally
from sciddm.oracles import GaussianDenoiser, MixtureDenoiser
from sciddm.process import EDM, OUVE, SBVE, FlowSE, Process, VPLinear


class Oracle(nn.Module):
    """Returns what it was told to; remembers what it was given."""

    answer: Tensor
    inputs: Tensor
    level: Tensor

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        self.inputs, self.level, self.cond = x, level, cond
        return self.answer if hasattr(self, "answer") else torch.zeros_like(x)


def interior(process: Process, n: int) -> Tensor:
    """n times away from both ends, where every parametrization is well conditioned."""
    share = torch.linspace(0.2, 0.8, n, dtype=F64)
    top = min(process.t_max, 5.0)
    return process.t_min + share * (top - process.t_min)


def exact_target(name, process, t, x0, y, z, s_scale, data_std):
    """What a network should predict, written out per item from the definitions.

    x0, y, z are in the network's coordinates, where the noise is (s / s_scale) z.
    """
    out = []
    for i, time in enumerate(t.tolist()):
        a, _, s = process(time)
        s = s / s_scale
        h = 1e-6 * max(1.0, process.t_max)
        rate = [
            (u - v) / (2 * h) for u, v in zip(process(time + h), process(time - h), strict=True)
        ]
        sigma, d = s / a, data_std / s_scale
        w = x0[i] + sigma * z[i]
        out.append(
            {
                "x0": x0[i],
                "eps": z[i],
                "v": (a * z[i] - s * x0[i]) / math.hypot(a, s),
                "velocity": rate[0] * x0[i] + rate[1] * y[i] + rate[2] / s_scale * z[i],
                "score": -z[i] / s,
                "residual": y[i] - x0[i],
                "edm": (x0[i] - d**2 / (sigma**2 + d**2) * w)
                / (sigma * d / math.sqrt(sigma**2 + d**2)),
            }[name]
        )
    return torch.stack(out)


CASES = [
    (process, name)
    for process in [*all_processes(), FlowSE()]
    for name in PARAMETRIZATIONS
    # "logit" is for masks of voxels (test_masks), "mask" for spectra with conditioning (below).
    if (process.has_endpoint or name != "residual") and name not in ("logit", "mask")
]


@pytest.mark.parametrize("complex_data", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize(
    ("process", "name"), CASES, ids=[f"{type(p).__name__}-{n}" for p, n in CASES]
)
def test_an_exact_network_gives_x0_and_no_loss(process, name, complex_data):
    scale, center, data_std = 2.5, 0.0 if complex_data else 0.7, 1.3
    dtype = torch.complex128 if complex_data else F64
    x0, y, z = (randn(4, 2, 3, 5, seed=i, dtype=dtype) for i in range(3))
    if not process.has_endpoint:
        y = None
    t = interior(process, 4)
    network = Oracle()
    denoiser = NetworkDenoiser(
        network,
        process,
        name,
        data_std=data_std,
        scale=scale,
        center=center,
        complex_data=complex_data,
    )

    def seen(x: Tensor) -> Tensor:
        if complex_data:  # a real channel has half the variance: unit variance needs sqrt(2)
            return torch.cat([x.real, x.imag], 1) * math.sqrt(2) / scale
        return (x - center) / scale

    z_seen = torch.cat([z.real, z.imag], 1) * math.sqrt(2) if complex_data else z
    y_seen = torch.zeros_like(z_seen) if y is None else seen(y)
    network.answer = exact_target(name, process, t, seen(x0), y_seen, z_seen, scale, data_std)

    x_t = process.add_noise(x0, t, y, z)
    assert torch.allclose(denoiser(x_t, t, y), x0, atol=2e-6)
    assert denoiser.loss(x0, t, y, z=z).max() < 1e-11
    # One time for all items, as a sampler gives it.
    network.answer = network.answer[2:3]
    y_one = None if y is None else y[2:3]
    one = denoiser(x_t[2:3], float(t[2]), y_one)
    assert one.dtype == dtype
    assert torch.allclose(one, x0[2:3], atol=2e-6)


def test_a_wrong_network_has_the_loss_that_its_error_deserves():
    """EDM's loss is (sigma^2 + d^2)/(sigma d)^2 times the squared error of x0."""
    process, d = EDM(), 0.6
    x0, z = randn(3, 2, 8, 8, seed=1), randn(3, 2, 8, 8, seed=2)
    t = torch.tensor([0.05, 0.4, 2.0], dtype=F64)
    network = Oracle()
    network.answer = randn(3, 2, 8, 8, seed=3)
    denoiser = NetworkDenoiser(network, process, "edm", data_std=d)
    error = denoiser(process.add_noise(x0, t, z=z), t) - x0
    weight = (t**2 + d**2) / (t * d) ** 2
    expected = weight * error.square().flatten(1).mean(1)
    assert torch.allclose(denoiser.loss(x0, t, z=z), expected, rtol=1e-10)


def test_masks_multiply_the_endpoint_and_the_conditioning():
    """(1 + m) y + n c + r with complex products, whatever the units; 0 gives y."""
    process, scale = SBVE(), 0.2
    x0, y, cond, m, n, rest = (randn(3, 1, 4, 5, seed=i, dtype=torch.complex128) for i in range(6))
    t = interior(process, 3)
    network = Oracle()
    network.answer = torch.zeros(3, 6, 4, 5, dtype=F64)
    denoiser = NetworkDenoiser(network, process, "mask", scale=scale, complex_data=True)
    x_t = process.add_noise(x0, t, y, randn(3, 1, 4, 5, seed=9, dtype=torch.complex128))
    assert torch.allclose(denoiser(x_t, t, y, cond), y, atol=1e-12)
    network.answer = torch.cat([complex_to_real(v) for v in (m, n, rest)], dim=1)
    expected = y + m * y + n * cond + rest * scale / math.sqrt(2)
    assert torch.allclose(denoiser(x_t, t, y, cond), expected, atol=1e-12)
    error = complex_to_real(expected - x0) * math.sqrt(2) / scale
    assert torch.allclose(denoiser.loss(x0, t, y, cond), error.square().flatten(1).mean(1))
    with pytest.raises(ValueError, match="complex cond"):
        denoiser(x_t, t, y)


def test_masks_need_complex_data_and_an_endpoint():
    with pytest.raises(ValueError, match="complex data"):
        NetworkDenoiser(Oracle(), SBVE(), "mask")
    with pytest.raises(ValueError, match="needs an endpoint"):
        NetworkDenoiser(Oracle(), EDM(), "mask", complex_data=True)


@given(
    channels=st.integers(1, 4),
    size=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    double=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_complex_real_round_trip(channels, size, double):
    dtype = torch.complex128 if double else torch.complex64
    x = randn(2, channels, *size, dtype=dtype)
    real = complex_to_real(x)
    assert torch.equal(real[:, :channels], x.real)
    assert torch.equal(real[:, channels:], x.imag)
    assert torch.equal(real_to_complex(real), x)
    assert real_to_complex(real).dtype == dtype


@pytest.mark.parametrize("complex_data", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("process", [EDM(), VPLinear(), OUVE()], ids=lambda p: type(p).__name__)
def test_noise_has_unit_variance_in_every_channel_of_the_network(process, complex_data):
    """A complex z has variance 1/2 in each part; a network's channel must still see s z, z ~ 1."""
    torch.manual_seed(0)
    dtype = torch.complex64 if complex_data else torch.float32
    scale, t, n = 3.0, 0.6, 60_000
    zero = torch.zeros(n, 1, 1, 1, dtype=dtype)
    network = Oracle()
    denoiser = NetworkDenoiser(network, process, "x0", scale=scale, complex_data=complex_data)
    y = zero if process.has_endpoint else None
    denoiser(process.add_noise(zero, t, y), t, y)
    _, _, s = process(t)
    channels = 2 if complex_data else 1
    for c in range(channels):
        variance = float((network.inputs[:, c] / (s / scale)).square().mean())
        assert variance == pytest.approx(1, abs=4 * math.sqrt(2 / n))
    if complex_data:  # the loss's own z follows the same convention: the oracle's answer is z
        z = torch.randn(n, 1, 1, 1, dtype=dtype)
        eps = NetworkDenoiser(network, process, "eps", scale=scale, complex_data=True)
        network.answer = torch.zeros(n, 2, 1, 1)
        loss = eps.loss(zero, torch.full((n,), t), y, z=z).mean()
        assert float(loss) == pytest.approx(1, abs=4 * math.sqrt(1 / n))


@pytest.mark.parametrize("complex_data", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("process", [EDM(), VPLinear(), OUVE()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("t", [0.05, 0.5, 0.95])
def test_edm_network_sees_and_predicts_unit_variance(process, complex_data, t):
    torch.manual_seed(1)
    dtype = torch.complex128 if complex_data else F64
    d, scale, n = 0.37, 2.0, 100_000
    x0 = d * torch.randn(n, 1, 1, 1, dtype=dtype)
    y = torch.full_like(x0, 0.8) if process.has_endpoint else None
    network = Oracle()
    channels = 2 if complex_data else 1
    network.answer = torch.zeros(n, channels, 1, 1, dtype=F64)
    denoiser = NetworkDenoiser(
        network, process, "edm", data_std=d, scale=scale, complex_data=complex_data
    )
    # A network that answers 0 has the power of its target as its loss.
    power = denoiser.loss(x0, torch.full((n,), t), y)
    margin = 4 * math.sqrt(2 / n)
    assert float(network.inputs[:, :channels].square().mean()) == pytest.approx(1, abs=margin)
    assert float(power.mean()) == pytest.approx(1, abs=margin)


def test_network_gets_its_level_endpoint_and_conditioning():
    process, network = OUVE(), Oracle()
    denoiser = NetworkDenoiser(network, process, "x0", scale=2.0, center=0.5)
    x, y, cond = randn(3, 2, 4, seed=1), randn(3, 2, 4, seed=2), randn(3, 1, 4, seed=3)
    t = torch.tensor([0.1, 0.4, 0.9], dtype=F64)
    network.answer = torch.zeros(3, 2, 4, dtype=F64)
    denoiser(x, t, y, cond)
    levels = [math.log(process.sigma(float(v)) / 2.0) for v in t]
    assert network.level.tolist() == pytest.approx(levels, rel=1e-5)
    assert torch.allclose(network.inputs[:, 2:], (y - 0.5) / 2.0)  # y stands behind x
    assert network.cond is cond
    denoiser(x, 0.4, y, cond)
    assert network.level.tolist() == pytest.approx([levels[1]] * 3, rel=1e-5)


def test_network_at_the_end_of_a_bridge():
    """At t = 1 s and a are 0: the level stays finite, close to that just before."""
    process, network = SBVE(), Oracle()
    denoiser = NetworkDenoiser(network, process, "x0", data_std=0.6)
    x = randn(2, 1, 4)
    network.answer = 0.25 * x
    for t in (1.0, torch.ones(2, dtype=F64)):
        assert torch.equal(denoiser(x, t, x), 0.25 * x)
        assert torch.isfinite(network.level).all()
    assert (network.level - math.log(process.sigma(0.999))).abs().max() < 1.5
    assert denoiser.spread(1.0) == pytest.approx(0.36)  # nothing of x0 is left in x: the prior's


def test_precision_of_network_and_state():
    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv1d(2, 2, 1)

        def forward(self, x, level, cond=None):
            out = self.layer(x)
            self.dtype = out.dtype
            return out

    spy = Spy()
    x = torch.randn(2, 1, 8, dtype=torch.complex64)
    out = NetworkDenoiser(spy, EDM(), complex_data=True, precision="bfloat16")(x, 0.3)
    assert (spy.dtype, out.dtype) == (torch.bfloat16, torch.complex64)
    full = NetworkDenoiser(spy, EDM(), complex_data=True)(x, 0.3)
    assert (spy.dtype, full.dtype) == (torch.float32, torch.complex64)
    assert 0 < (out - full).abs().max() < 0.02  # rounding of 8 bits, not another computation


def test_arguments_that_cannot_work():
    network = Oracle()
    with pytest.raises(ValueError, match="unknown parametrization 'noise'"):
        NetworkDenoiser(network, EDM(), "noise")
    with pytest.raises(ValueError, match="center must be 0"):
        NetworkDenoiser(network, EDM(), complex_data=True, center=0.5)
    with pytest.raises(ValueError, match="residual"):
        NetworkDenoiser(network, EDM(), "residual")


# Exact denoisers --------------------------------------------------------------------------------


def golden_mixture(process: Process) -> MixtureDenoiser:
    return MixtureDenoiser(
        process,
        torch.tensor([0.3, 0.7], dtype=F64),
        torch.tensor([[-1.0], [0.8]], dtype=F64),
        torch.tensor([[[0.1]], [[0.3]]], dtype=F64),
    )


def test_mixture_golden():
    denoiser = golden_mixture(EDM())
    mean, vjp = denoiser.mean_and_vjp(torch.tensor([[0.2]], dtype=F64), 0.6)
    assert mean.item() == pytest.approx(0.3708151, abs=6e-8)
    # Tweedie's second moment: Cov = (s^2 / a) J.
    assert 0.36 * vjp(torch.ones(1, 1, dtype=F64)).item() == pytest.approx(0.3267481, abs=6e-8)
    posterior = denoiser.posterior(
        torch.tensor([0.4], dtype=F64),
        torch.tensor([[1.3]], dtype=F64),
        torch.tensor([[0.25]], dtype=F64),
    )
    assert posterior.weights.tolist() == pytest.approx([0.0234376, 0.9765624], abs=6e-8)
    assert posterior.means[:, 0].tolist() == pytest.approx([-0.4725537, 0.4702774], abs=6e-8)
    assert posterior.covariances.flatten().tolist() == pytest.approx(
        [0.0596659, 0.0990753], abs=6e-8
    )
    mean, cov = posterior.moments()
    assert (mean.item(), cov.item()) == pytest.approx((0.4481797, 0.1184977), abs=6e-8)


@pytest.mark.parametrize(
    "process", [EDM(), VPLinear(), OUVE(), SBVE()], ids=lambda p: type(p).__name__
)
def test_mixture_denoiser_against_quadrature(process):
    """E[x0 | x_t] = int x0 p(x_t | x0) p(x0) / int p(x_t | x0) p(x0), on a fine grid of x0."""
    denoiser, t = golden_mixture(process), 0.55
    a, b, s = process(t)
    x_t, y = torch.tensor([[-1.1], [0.2], [1.4]], dtype=F64), torch.full((3, 1), 0.9, dtype=F64)
    grid = torch.linspace(-8, 8, 40001, dtype=F64)
    prior = sum(
        w * torch.exp(-((grid - m) ** 2) / (2 * v)) / math.sqrt(v)
        for w, m, v in ((0.3, -1.0, 0.1), (0.7, 0.8, 0.3))
    )
    for i in range(3):
        shift = b * 0.9 if process.has_endpoint else 0.0
        weight = prior * torch.exp(-((x_t[i] - shift - a * grid) ** 2) / (2 * s**2))
        expected = float((weight * grid).sum() / weight.sum())
        assert denoiser(x_t, t, y)[i].item() == pytest.approx(expected, abs=1e-8)


def test_gaussian_denoiser_in_several_dimensions():
    root = randn(4, 4, seed=5)
    cov, mean = root @ root.T + 0.1 * torch.eye(4, dtype=F64), randn(4, seed=6)
    denoiser, process, t = GaussianDenoiser(VPLinear(), mean, cov), VPLinear(), 0.4
    a, _, s = process(t)
    u = randn(7, 4, seed=7)
    gain = a * cov @ torch.linalg.inv(a**2 * cov + s**2 * torch.eye(4, dtype=F64))
    assert torch.allclose(denoiser(u, t), mean + (u - a * mean) @ gain.T)
    # J is the gain, symmetric, and Cov[x0 | u] = (s^2 / a) J.
    _, vjp = denoiser.mean_and_vjp(u[:4], t)
    jacobian = vjp(torch.eye(4, dtype=F64))
    assert torch.allclose(jacobian, gain)
    assert torch.allclose(s**2 / a * gain, cov - a * gain @ cov)
    assert denoiser.data_std**2 == pytest.approx(float(cov.diagonal().mean()))


def test_mixture_samples_have_its_moments():
    denoiser = golden_mixture(EDM())
    n = 40_000
    x = denoiser.sample(n, torch.Generator().manual_seed(0))
    mean, cov = denoiser.moments()
    assert float(x.mean()) == pytest.approx(mean.item(), abs=4 * math.sqrt(cov.item() / n))
    assert float(x.var()) == pytest.approx(cov.item(), rel=4 * math.sqrt(2 / n))
    assert float((x < -0.2).double().mean()) == pytest.approx(0.32205, abs=4 * 0.47 / math.sqrt(n))


def test_costs_of_evaluations_and_products():
    denoiser = golden_mixture(EDM())
    x = randn(5, 1)
    with tally() as outer:
        denoiser(x, 0.3)
        with tally() as inner:
            _, vjp = denoiser.mean_and_vjp(x, 0.3)
            vjp(x)
            vjp(x)
    assert (inner.nfe, inner.nvjp) == (5, 10)
    assert (outer.nfe, outer.nvjp) == (10, 10)
    network = NetworkDenoiser(Oracle(), EDM())
    with tally() as cost:
        network(randn(3, 1, 4), 0.3)
    assert cost.nfe == 3
