"""A denoiser whose mean is the end of the flow: DAPS's estimate."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.process import Scalar
from sciddm.sampling.grids import karras
from sciddm.sampling.steps import DDIM, Step
from sciddm.sampling.transition import Leg

__all__ = ["ODESolve"]


class ODESolve(Denoiser):
    """x0 at the end of the probability flow from x_t, in place of E[x0 | x_t].

    A point of the data's law and not a blurred mean. With ``refine=measurement.draw`` and fresh
    noise, ``sample(ODESolve(prior), ..., Ancestral(fresh))`` is DAPS: Zhang et al., Improving
    Diffusion Inverse Problem Solving with Decoupled Noise Annealing, 2025, algorithm 1. ``inner``
    evaluations for each of its own.

    Args:
        denoiser: the prior.
        inner: steps of the flow, on Karras's grid down to ``sigma_min``.
        step: of the flow.
        sigma_min: where the flow ends; the process's own if not given.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        inner: int = 5,
        step: Step | None = None,
        sigma_min: float | None = None,
    ) -> None:
        super().__init__()
        self.denoiser, self.inner, self.step = denoiser, inner, step or DDIM()
        self.process, self.data_std = denoiser.process, denoiser.data_std
        lowest = float(self.process.sigma(self.process.t_min))
        self.sigma_min = lowest if sigma_min is None else sigma_min

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        t = float(t)
        start = float(self.process.sigma(t))
        if self.inner == 1 or start <= self.sigma_min:
            out: Tensor = self.denoiser(x_t, t, y, cond)
            return out
        grid = [t, *karras(self.process, self.inner - 1, start, self.sigma_min)[1:]]
        x, memory = x_t, None
        for now, then in pairwise(grid):
            leg = Leg(self.process, now, then, y, _no_noise)
            x, memory = self.step(leg, lambda v, at: self.denoiser(v, at, y, cond), x, memory)
        out = self.denoiser(x, grid[-1], y, cond)
        return out


def _no_noise(like: Tensor) -> Tensor:
    raise ValueError("the flow draws no noise: choose a step of an ODE")
