"""Guidance by an operator whose parameters are estimated along the run."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import AnyMeasurement, Guidance, Guided, prior_means
from sciddm.guidance.pigdm import PiGDM
from sciddm.physics.measurement import Measurement
from sciddm.physics.parametric import Family
from sciddm.process import Scalar

__all__ = ["Blind"]


class Blind(Guidance):
    """One guided evaluation with A_phi, then one Gauss-Newton step on phi; and so on.

    The step is that of the twist's likelihood, y ~ N(A_phi m, R + r^2 A A^H) about the prior's mean
    m = E[x0 | x_t], and of phi ~ N(start, std^2)::

        phi <- phi + (J^H W J + S^-1)^-1 (J^H W (y - A_phi m) + S^-1 (start - phi))

    with J = d(A_phi m)/d phi, W = 1/(sigma_y^2 + c r^2), c = |A m|^2/|m|^2 and r^2 = ``spread``:
    early steps, whose m is vague, move phi little from its prior. Fei et al., Generative Diffusion
    Prior for Unified Image Restoration and Enhancement, 2023, algorithm 2, take a gradient step of
    the misfit there. P Jacobian products of the operator, none of the network.

    It finds what the data and the prior's images together determine well: widths of blurs, phases,
    shifts. What image and operator can trade, such as a gain, is drawn to the first guess: weigh
    those by their evidence (``sciddm.hypotheses.weigh``), which integrates over images.

    It keeps book of one run: make a new one for each. ``phi`` holds the parameters (B, P).

    Args:
        denoiser: the prior.
        y: data (B, ...), one row for each item of the batch.
        family: phi (B, P) -> operator; see ``physics.parametric``.
        sigma: standard deviation of the noise.
        start: mean of phi's prior (P,), where the run begins.
        std: its standard deviations (P,).
        guidance: what guides for a given operator; ``PiGDM`` if not given.
        shared: all items of the batch are of one instrument, with one phi.
        iterations: as of ``Measurement``.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        y: Tensor,
        family: Family,
        sigma: float,
        start: Tensor,
        std: Tensor,
        guidance: Callable[[Denoiser, AnyMeasurement], Guided] = PiGDM,
        *,
        shared: bool = False,
        iterations: int = 10,
    ) -> None:
        super().__init__(denoiser)
        self.y, self.family, self.sigma = y, family, sigma
        self.start, self.std = start, std
        self.guidance, self.shared, self.iterations = guidance, shared, iterations
        self.phi = start.repeat(y.shape[0], 1)

    def measurement_at(self, phi: Tensor) -> Measurement:
        """The measurement with parameters phi (B, P)."""
        return Measurement(self.y, self.family(phi), self.sigma, iterations=self.iterations)

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        guided = self.guidance(self.denoiser, self.measurement_at(self.phi))
        with prior_means(guided) as means:
            out: Tensor = guided(x_t, t, y, cond)
        with torch.no_grad():
            self.phi = self._moved(means[0], self.spread(float(t)))
        return out

    def _moved(self, mean: Tensor, r2: float) -> Tensor:
        """phi after its step at the prior's mean."""
        phi = self.phi
        predicted = self.family(phi)(mean)
        e = (self.y - predicted).flatten(1)
        size = predicted.abs().square().flatten(1).sum(1)
        gain = size / mean.abs().square().flatten(1).sum(1).clamp(min=1e-30)
        weight = 1 / (self.sigma**2 + gain * r2)
        columns = []
        for k in range(phi.shape[1]):
            unit = torch.zeros_like(phi)
            unit[:, k] = 1
            slope: Tensor = torch.func.jvp(lambda p: self.family(p)(mean), (phi,), (unit,))[1]
            columns.append(slope.flatten(1))
        J = torch.stack(columns, 1)  # (B, P, m)
        factor = 2.0 if J.is_complex() else 1.0
        normal = factor * weight[:, None, None] * (J.conj() @ J.mT).real
        pull = factor * weight[:, None] * (J.conj() @ e[..., None]).real[..., 0]
        if self.shared:
            normal, pull = (v.sum(0, keepdim=True).expand_as(v).clone() for v in (normal, pull))
        precision = torch.diag(self.std.to(phi) ** -2)
        pull = pull.to(phi) + (self.start - phi) @ precision
        step: Tensor = torch.linalg.solve(normal.to(phi) + precision, pull[..., None])[..., 0]
        return phi + step
