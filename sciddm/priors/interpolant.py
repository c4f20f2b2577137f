"""Stochastic interpolants: transport between two sets of images of which no pair is known.

    x_t = alpha(t) x0 + beta(t) x1 + gamma(t) z,    alpha(0) = beta(1) = 1, gamma(0) = gamma(1) = 0

With x1 unknown while sampling, two functions of (x_t, t) are learned::

    v = E[alpha' x0 + beta' x1 + gamma' z | x_t]      (the flow)
    n = E[z | x_t],     score = -n / gamma

and for any e >= 0 the reverse equation keeps the law of x_t at every time::

    dx = (v - e score) dt + sqrt(2 e) dW,      dt < 0

Where pairs are known x1 is the process's endpoint y, and nothing of this is needed: such an
interpolant is a ``Process`` (``BrownianBridge(c=gamma's)``) with the denoiser's one output.

Albergo, Boffi, Vanden-Eijnden, Stochastic Interpolants: A Unifying Framework for Flows and
Diffusions, 2023, eqs. 2.1, 2.13 and 2.33.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from sciddm.ledger import record
from sciddm.process import expand
from sciddm.random.streams import Streams

__all__ = ["Interpolant", "InterpolantModel", "transport"]

Path = Literal["linear", "trigonometric"]


class Coefficients(NamedTuple):
    """alpha, beta, gamma at a time."""

    alpha: Tensor
    beta: Tensor
    gamma: Tensor


class Interpolant:
    """t -> (alpha, beta, gamma): 1 - t, t or cos, sin of pi t/2; gamma = sqrt(c t (1 - t)).

    Args:
        path: "linear" or "trigonometric".
        c: the square of the noise, times 4 at the middle.
    """

    def __init__(self, path: Path = "linear", c: float = 1.0) -> None:
        if path not in ("linear", "trigonometric") or not c > 0:
            raise ValueError(f"an interpolant is linear or trigonometric with c > 0: {path}, {c}")
        self.path, self.c = path, c

    def __call__(self, t: Tensor) -> Coefficients:
        """At times t, float64, differentiable."""
        t = t.double()
        gamma = (self.c * t * (1 - t)).clamp(min=0).sqrt()
        if self.path == "linear":
            return Coefficients(1 - t, t, gamma)
        angle = math.pi / 2 * t
        return Coefficients(angle.cos(), angle.sin(), gamma)

    def rates(self, t: Tensor) -> Coefficients:
        """Derivatives in t, inside (0, 1)."""
        t = t.double()
        gamma = self.c * (1 - 2 * t) / (2 * (self.c * t * (1 - t)).sqrt())
        if self.path == "linear":
            return Coefficients(-torch.ones_like(t), torch.ones_like(t), gamma)
        angle, k = math.pi / 2 * t, math.pi / 2
        return Coefficients(-k * angle.sin(), k * angle.cos(), gamma)


class InterpolantModel(nn.Module):
    """A network of two outputs, v and n, each of the channels of x.

    Args:
        network: (x (B, C, ...), t (B,)) -> (B, 2 C, ...), v first.
        interpolant: what it is trained for.
        margin: times are kept this far from 0 and 1, where gamma' is infinite.
    """

    def __init__(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        interpolant: Interpolant,
        margin: float = 1e-3,
    ) -> None:
        super().__init__()
        if isinstance(network, nn.Module):
            self.network = network
        self._call = network
        self.interpolant, self.margin = interpolant, margin

    def forward(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(v, n) of states (B, C, ...) at times (B,)."""
        record(nfe=x.shape[0])
        v, n = self._call(x, t.to(x.dtype)).chunk(2, dim=1)
        return v, n

    def loss(self, x0: Tensor, x1: Tensor, t: Tensor, z: Tensor | None = None) -> Tensor:
        """|v - (alpha' x0 + beta' x1 + gamma' z)|^2 + |n - z|^2, mean over elements: (B,).

        Args:
            x0, x1: an image of either set (B, C, ...), in no relation to each other.
            t: times (B,).
            z: noise; drawn from the global generator if not given.
        """
        z = torch.randn_like(x0) if z is None else z
        t = t.clamp(self.margin, 1 - self.margin)
        alpha, beta, gamma = (expand(c, x0) for c in self.interpolant(t))
        d_alpha, d_beta, d_gamma = (expand(c, x0) for c in self.interpolant.rates(t))
        v, n = self(alpha * x0 + beta * x1 + gamma * z, t)
        error = (v - d_alpha * x0 - d_beta * x1 - d_gamma * z).square() + (n - z).square()
        out: Tensor = error.flatten(1).mean(1)
        return out


@torch.no_grad()
def transport(
    model: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    interpolant: Interpolant,
    x: Tensor,
    grid: Sequence[float],
    *,
    generator: Streams,
    diffusion: float = 0.0,
) -> Tensor:
    """x0 from x1, along a decreasing grid within (0, 1), which the ends stand for.

    Heun's rule for the drift (v - e score), one draw of noise for both of its evaluations: second
    order for the flow, first for the SDE, whose e fades as gamma^2 does at the ends.

    Args:
        model: (x, t (B,)) -> (v, n).
        interpolant: of the model.
        x: images of the second set (B, ...).
        grid: such as .999 down to .001.
        generator: one stream of noise per item.
        diffusion: e at the middle of the path; 0 is the flow.

    Returns:
        images of the first set (B, ...).
    """

    def drift(state: Tensor, t: float) -> Tensor:
        v, n = model(state, torch.full((state.shape[0],), t, dtype=torch.float64))
        if diffusion == 0:
            return v
        return v + _strength(diffusion, t) * n / float(interpolant(torch.tensor(t)).gamma)

    for i, (t, r) in enumerate(pairwise(grid)):
        h = r - t
        noise: Tensor | float = 0.0
        if diffusion:
            noise = math.sqrt(2 * _strength(diffusion, 0.5 * (t + r)) * -h) * generator.at(i)(x)
        first = drift(x, t)
        ahead = drift(x + h * first + noise, r)
        x = x + 0.5 * h * (first + ahead) + noise
    return x


def _strength(diffusion: float, t: float) -> float:
    """e(t) = 4 e t (1 - t)."""
    return 4 * diffusion * t * (1 - t)
