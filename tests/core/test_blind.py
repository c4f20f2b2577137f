"""Operators with unknown parameters: their equations, adjoints, and what a run finds."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import Bulk, measured_mixture
from support import F64, randn
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance import Blind, PiGDM
from sciddm.ledger import tally
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import (
    GaussianBlur,
    Mask,
    Matrix,
    Measurement,
    blurs,
    frequency_offsets,
    gains,
    phase_ramps,
)
from sciddm.physics.operator import inner
from sciddm.process import EDM
from sciddm.sampling import DPMSolver2M, karras, sample

C128 = torch.complex128


def families():
    eye = Mask(torch.ones(6, 5), ndim=2)
    phi = torch.tensor([[0.7, 0.2, -0.4], [1.4, -0.9, 0.3]], dtype=F64)
    times = torch.linspace(0, 2, 5, dtype=F64)
    return {
        "gain": (gains(eye), phi[:, :1], F64),
        "ramp": (phase_ramps(eye, (6, 5)), phi, C128),
        "blur": (blurs((6, 5), 2), phi[:, :1], F64),
        "blurred mask": (
            blurs((6, 5), 2, Mask(torch.arange(5) % 2 == 0, ndim=2)),
            phi[:, :1],
            F64,
        ),
        "offset": (frequency_offsets(eye, times), phi[:, :1], C128),
    }


@pytest.mark.parametrize("name", families())
def test_every_family_has_its_adjoint_and_keeps_items_apart(name):
    family, phi, dtype = families()[name]
    A, x, v = family(phi), randn(2, 6, 5, dtype=dtype), randn(2, 6, 5, seed=1, dtype=dtype)
    assert torch.allclose(inner(A(x), v, 2), inner(x, A.adjoint(v), 2))
    alone = family(phi[1:])(x[1:])
    assert torch.allclose(alone[0], A(x)[1])


def test_families_by_their_equations():
    x = randn(1, 4, 3, dtype=C128)
    eye = Mask(torch.ones(4, 3), ndim=2)
    phi = torch.tensor([[0.5, 0.2, -0.3]], dtype=F64)
    u = torch.linspace(-1, 1, 4, dtype=F64)[:, None]
    v = torch.linspace(-1, 1, 3, dtype=F64)
    ramp = torch.exp(1j * (0.5 + 0.2 * u - 0.3 * v))
    assert torch.allclose(phase_ramps(eye, (4, 3))(phi)(x), ramp * x)
    assert torch.allclose(gains(eye)(phi[:, :1])(x), 0.5 * x)
    times = torch.tensor([0.0, 1.0, 4.0], dtype=F64)
    turned = frequency_offsets(eye, times)(phi[:, :1])(x)
    assert torch.allclose(turned, torch.exp(2j * math.pi * 0.5 * times) * x)


def test_a_blur_is_the_convolution_of_its_width():
    """An impulse becomes exp(-d^2 / (2 w^2)) / (w sqrt(2 pi)); widths add in squares."""
    x = torch.zeros(1, 64, dtype=F64)
    x[0, 32] = 1
    d = torch.arange(64) - 32
    w = 2.5
    expected = torch.exp(-0.5 * (d / w) ** 2) / (w * math.sqrt(2 * math.pi))
    assert torch.allclose(GaussianBlur(w, (64,), 1)(x)[0], expected.double(), atol=1e-9)
    both = GaussianBlur(1.5, (64,), 1)(GaussianBlur(2.0, (64,), 1)(x))
    assert torch.allclose(both[0], expected.double(), atol=1e-9)
    A, rhs = GaussianBlur(1.2, (64,), 1), randn(2, 64)
    solved = A.solve(rhs, 0.3)
    assert torch.allclose(A.gram(solved) + 0.3 * solved, rhs)


def run(family, y: Tensor, prior: Denoiser, shape, std: float, sigma: float, **options) -> Tensor:
    start = torch.tensor([1.0], dtype=F64)
    blind = Blind(prior, y, family, sigma, start, torch.tensor([std], dtype=F64), **options)
    grid = karras(prior.process, 30, 20.0, 0.02)
    sample(blind, 20 * randn(*shape, seed=7), grid, DPMSolver2M(sde=True), generator=Bulk(5))
    return blind.phi


@pytest.mark.parametrize("gain", [0.8, 1.3])
def test_a_gain_of_many_measurements(gain):
    """64 items of one instrument; .77 and 1.23 from a start at 1 +- .3."""
    o = measured_mixture("random")
    truth = o.prior.sample(64, torch.Generator().manual_seed(5))
    y = gain * truth @ o.H.T + 0.1 * randn(64, 4, seed=6)
    found = run(gains(Matrix(o.H)), y, o.prior, (64, 8), 0.3, 0.1, shared=True)
    assert float(found[0]) == pytest.approx(gain, rel=0.07)
    assert torch.equal(found, found[:1].expand_as(found))


def smooth(n: int) -> GaussianDenoiser:
    k = torch.arange(n)
    apart = ((k[:, None] - k + n // 2) % n - n // 2).abs()
    cov = torch.exp(-apart / 2).double() + 0.01 * torch.eye(n, dtype=F64)
    return GaussianDenoiser(EDM(sigma_max=20.0), torch.zeros(n, dtype=F64), cov)


@pytest.mark.parametrize("width", [0.6, 2.0])
def test_the_width_of_a_point_spread_function(width):
    """.65 and 2.14 from a start at 1 +- .5."""
    prior = smooth(32)
    truth = prior.sample(30, torch.Generator().manual_seed(2))
    y = GaussianBlur(width, (32,), 1)(truth) + 0.05 * randn(30, 32, seed=4)
    found = run(blurs((32,), 1), y, prior, (30, 32), 0.5, 0.05, shared=True)
    assert float(found[0]) == pytest.approx(width, rel=0.12)


class Bright(Denoiser):
    """The exact denoiser of circular complex pixels about 1."""

    def __init__(self, v: float) -> None:
        super().__init__()
        self.v, self.process, self.data_std = v, EDM(sigma_max=20.0), v**0.5

    def forward(self, x_t, t, y=None, cond=None):
        gain = self.v / (self.v + float(t) ** 2)
        return 1 + gain * (x_t - 1)


def test_a_phase_and_a_frequency_offset_of_one_item_each():
    """Three items with angles and offsets of their own, from 0."""
    prior, n = Bright(0.1), 24
    truth = 1 + 0.1**0.5 * randn(3, n, dtype=C128)
    eye, times = Mask(torch.ones(n), ndim=1), torch.linspace(0, 1, n, dtype=F64)
    offsets = torch.tensor([[0.1], [-0.15], [0.05]], dtype=F64)
    family = frequency_offsets(eye, times)
    y = family(offsets)(truth) + 0.1 * randn(3, n, seed=1, dtype=C128)
    start = torch.zeros(1, dtype=F64)
    blind = Blind(prior, y, family, 0.1, start, start + 0.3)
    grid = karras(prior.process, 25, 20.0, 0.02)
    x = 20 * randn(3, n, seed=7, dtype=C128)
    sample(blind, x, grid, DPMSolver2M(sde=True), generator=Bulk(5))
    assert (blind.phi - offsets).abs().max() < 0.03
    ramp = torch.tensor([[0.4, -0.6], [-0.5, 0.2], [0.1, 0.7]], dtype=F64)
    family = phase_ramps(eye, (n,))
    y = family(ramp)(truth) + 0.1 * randn(3, n, seed=1, dtype=C128)
    start = torch.zeros(2, dtype=F64)
    blind = Blind(prior, y, family, 0.1, start, start + 1)
    sample(blind, x, grid, DPMSolver2M(sde=True), generator=Bulk(5))
    assert (blind.phi - ramp).abs().max() < 0.25


def test_the_step_is_that_of_its_equation():
    """One gain: (J W e + (1 - g)/s^2) / (J W J + 1/s^2) at the prior's mean, and no network JVP."""
    prior = smooth(5)
    y, sigma, t = randn(3, 5, seed=2), 0.3, 0.8
    std = torch.tensor([0.2], dtype=F64)
    family = gains(Mask(torch.ones(5), ndim=1))
    blind = Blind(prior, y, family, sigma, torch.ones(1, dtype=F64), std)
    x = randn(3, 5)
    with tally() as cost:
        first = blind(x, t)
    assert (cost.nfe, cost.nvjp) == (3, 3)
    assert torch.allclose(
        first, PiGDM(prior, Measurement(y, family(torch.ones(3, 1, dtype=F64)), sigma))(x, t)
    )
    m = prior(x, t)
    weight = 1 / (sigma**2 + prior.spread(t))
    normal = weight * m.square().sum(1) + 1 / 0.04
    expected = 1 + weight * (m * (y - m)).sum(1) / normal
    assert torch.allclose(blind.phi[:, 0], expected)
