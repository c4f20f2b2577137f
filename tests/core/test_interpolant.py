"""Unpaired transport between two Gaussians, whose two outputs are known exactly."""

from __future__ import annotations

import pytest
import torch
from oracle import Bulk
from support import F64, randn
from torch import Tensor

from sciddm.priors.interpolant import Interpolant, InterpolantModel, transport
from sciddm.process import BrownianBridge

M0, V0, M1, V1 = -1.0, 0.2, 1.5, 0.9


def exact(interpolant: Interpolant, sign: float = 1.0):
    """(v, n) of x_t = alpha x0 + beta x1 + gamma z for independent Gaussians."""

    def model(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        a, b, g = (float(c[0]) for c in interpolant(t))
        da, db, dg = (float(c[0]) for c in interpolant.rates(t))
        total = a * a * V0 + b * b * V1 + g * g
        apart = x - a * M0 - b * M1
        v = da * M0 + db * M1 + (da * a * V0 + db * b * V1 + dg * g) / total * apart
        return v, sign * g / total * apart

    return model


def ends(interpolant: Interpolant, diffusion: float, steps: int = 256, sign: float = 1.0):
    x1 = M1 + V1**0.5 * randn(20_000, 1, seed=1)
    grid = torch.linspace(0.999, 0.001, steps + 1, dtype=F64).tolist()
    model = exact(interpolant, sign)
    return transport(model, interpolant, x1, grid, generator=Bulk(2), diffusion=diffusion)


@pytest.mark.parametrize("path", ["linear", "trigonometric"])
def test_flow_and_diffusion_reach_the_same_law(path):
    """W2 of sorted values below .01 between both, and below .02 to N(-1, .2), of 20 000 draws."""
    interpolant = Interpolant(path)
    flow, sde = (ends(interpolant, e).flatten().sort().values for e in (0.0, 0.3))
    assert float((flow - sde).square().mean().sqrt()) < 0.012
    for x in (flow, sde):
        assert float(x.mean()) == pytest.approx(M0, abs=0.015)
        assert float(x.var()) == pytest.approx(V0, rel=0.04)


def test_the_wrong_sign_of_the_score_is_seen():
    wrong = ends(Interpolant(), 0.3, sign=-1.0)
    assert abs(float(wrong.var()) / V0 - 1) > 0.2


def test_the_flow_converges_with_second_order():
    interpolant = Interpolant("trigonometric")
    fine = ends(interpolant, 0.0, 800)
    coarse, half = (float((ends(interpolant, 0.0, n) - fine).abs().mean()) for n in (25, 50))
    assert coarse / half > 3


def test_rates_are_derivatives_and_the_loss_has_its_minimum_at_the_exact_outputs():
    for path in ("linear", "trigonometric"):
        interpolant, h = Interpolant(path, 0.7), 1e-6
        t = torch.tensor([0.2, 0.6], dtype=F64)
        up, down = interpolant(t + h), interpolant(t - h)
        for u, d, r in zip(up, down, interpolant.rates(t), strict=True):
            assert torch.allclose((u - d) / (2 * h), r, atol=1e-6)
    interpolant = Interpolant()
    x0, x1 = M0 + V0**0.5 * randn(40_000, 1, seed=3), M1 + V1**0.5 * randn(40_000, 1, seed=4)
    t, z = torch.full((40_000,), 0.4, dtype=F64), randn(40_000, 1, seed=5)

    def loss(scale: float, offset: float) -> float:
        def network(x: Tensor, at: Tensor) -> Tensor:
            v, n = exact(interpolant)(x, t)
            return torch.cat([scale * v + offset, scale * n + offset], 1)

        return float(InterpolantModel(network, interpolant).loss(x0, x1, t, z).mean())

    best = loss(1.0, 0.0)
    for scale, offset in ((0.9, 0.0), (1.1, 0.0), (1.0, 0.1), (1.0, -0.1)):
        assert loss(scale, offset) > best


def test_with_pairs_it_is_a_bridge():
    """x_t of the linear path with c is BrownianBridge(c / 2)'s: its denoiser needs one output."""
    t = torch.tensor([0.1, 0.5, 0.8], dtype=F64)
    alpha, beta, gamma = Interpolant("linear", 0.6)(t)
    a, b, s = BrownianBridge(0.3)(t)
    assert torch.allclose(torch.stack([alpha, beta, gamma]), torch.stack([a, b, s]))
    with pytest.raises(ValueError, match="linear or trigonometric"):
        Interpolant("cubic")  # type: ignore[arg-type]
