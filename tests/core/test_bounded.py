"""Corrections by a Jacobian that is no covariance."""

from __future__ import annotations

import torch
from support import F64, randn

from sciddm.denoiser import Denoiser
from sciddm.guidance import PiGDM
from sciddm.guidance.bounded import bounded
from sciddm.physics import Matrix, Measurement
from sciddm.process import EDM


def test_a_step_beyond_the_data_ends_at_them() -> None:
    """The residual that is left is orthogonal to what the step changes; each item by itself."""
    A, y = Matrix(randn(5, 8, seed=1)), randn(5, seed=2)
    m = Measurement(y, A, 0.1)
    mean = randn(3, 8, seed=3)
    e = m.residual(mean)
    back = A.adjoint(e)
    exact = (A(back) * e).sum(1) / (A(back) ** 2).sum(1)  # a step of this length ends at the data
    lengths = exact * torch.tensor([100.0, 3.9, -100.0], dtype=F64)
    out = bounded(lengths[:, None] * back, e, m)
    assert torch.allclose(out[0], exact[0] * back[0])
    assert torch.equal(out[1], (lengths[:, None] * back)[1])
    assert torch.equal(out[2], torch.zeros(8, dtype=F64))  # away from the data
    remainder = m.residual(mean + out)[0]
    assert abs(float(A(back)[0] @ remainder)) < 1e-9 * float(e[0].norm() ** 2)
    assert torch.equal(bounded(0 * back, e, m), 0 * back)


class Overconfident(Denoiser):
    """The denoiser of a white prior of variance v, whose Jacobian a network gets wrong by 40."""

    def __init__(self, v: float) -> None:
        super().__init__()
        self.process, self.data_std, self.v = EDM(), v**0.5, v

    def forward(self, x_t, t, y=None, cond=None):  # type: ignore[no-untyped-def]
        return self.v / (self.v + t**2) * x_t

    def mean_and_vjp(self, x_t, t, y=None, cond=None):  # type: ignore[no-untyped-def]
        return self(x_t, t), lambda v: 40 * self.v / (self.v + t**2) * v


def test_guidance_by_a_wrong_jacobian_stays_at_the_data() -> None:
    """Without the bound its mean lies 30 residuals beyond them."""
    m = Measurement(randn(6, seed=4), Matrix(torch.eye(6, dtype=F64)), 0.1)
    prior, x = Overconfident(0.5), randn(4, 6, seed=5)
    before = m.residual(prior(x, 2.0)).norm(dim=1)
    guided = PiGDM(prior, m)
    for mean in (guided(x, 2.0), guided.twist(x, 2.0).guided):
        assert bool((m.residual(mean).norm(dim=1) < 1e-6 * before).all())
