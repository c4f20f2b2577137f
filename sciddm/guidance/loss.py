"""Guidance by any differentiable loss of the estimate."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import Guidance
from sciddm.process import Scalar

__all__ = ["LossGuidance"]


class LossGuidance(Guidance):
    """x0^ - k r^2 grad L(x0^), r^2 = ``spread``, several times; the Jacobian is left out.

    Generative diffusion prior (Fei et al., 2023, algorithm 1) and steered diffusion (Nair et al.,
    2023): a negative log-likelihood of data that no linear operator describes, a penalty, a network
    that scores images. With ``jacobian`` the gradient is that with respect to x_t,
    x0^ - k (s^2/a) J^H grad L, one VJP for each gradient (DPS without its normalisation).

    No k makes this exact but for a white prior: with L = |y - x|^2 / (2 sigma_y^2) it is
    k = sigma_y^2 / (r^2 + sigma_y^2). It is a guide, not a sampler of a posterior.

    Args:
        denoiser: the prior.
        loss: (B, ...) -> (B,) in nats; an item's loss depends on that item alone.
        strength: k, a number or a function of r^2.
        gradients: how many steps are made at each evaluation.
        jacobian: see above.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        loss: Callable[[Tensor], Tensor],
        strength: float | Callable[[float], float] = 1.0,
        *,
        gradients: int = 1,
        jacobian: bool = False,
    ) -> None:
        super().__init__(denoiser)
        self.loss, self.strength = loss, strength
        self.gradients, self.jacobian = gradients, jacobian

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        r2 = self.spread(float(t))
        k = self.strength(r2) if callable(self.strength) else self.strength
        if not self.jacobian:
            mean = self.denoiser(x_t, t, y, cond)
            for _ in range(self.gradients):
                mean = mean - k * r2 * self._gradient(mean)
            out: Tensor = mean
            return out
        mean, vjp = self.denoiser.mean_and_vjp(x_t, t, y, cond)
        a, _, s = self.process(t)
        for _ in range(self.gradients):
            mean = mean - k * s**2 / a * vjp(self._gradient(mean))
        return mean

    def _gradient(self, x0: Tensor) -> Tensor:
        """dL/dx0; for complex data dL/dx0*, half of what (re, im) give as a complex number."""
        with torch.enable_grad():
            leaf = x0.detach().requires_grad_(True)
            (g,) = torch.autograd.grad(self.loss(leaf).sum(), leaf)
        return g / 2 if x0.is_complex() else g
