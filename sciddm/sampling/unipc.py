"""UniPC: a predictor, and a corrector that costs no evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import Tensor

from sciddm.sampling.edm_space import log_snr_at, to_state, to_w
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg

__all__ = ["UniPC"]


class _Past(NamedTuple):
    """The last step's start w, its (lambda, D) newest first, and the order it had."""

    w: Tensor
    estimates: tuple[tuple[float, Tensor], ...]
    order: int


@dataclass(frozen=True)
class UniPC:
    """UniPC-p: order p as a predictor, p + 1 with its corrector. One evaluation a step.

    From the step's start i - 1 with D_0, h = lambda_i - lambda_{i-1}, hh = -h, earlier estimates at
    r_k = (lambda_k - lambda_{i-1}) / h and D_k = (D(lambda_k) - D_0) / r_k::

        w_i = e^hh w_{i-1} - (e^hh - 1) D_0 - B sum_k rho_k D_k
        sum_k rho_k r_k^(j-1) = b_j,    b_j = j! hh phi_{j+1}(hh) / B

    The estimate D_i is evaluated at the predicted state. It then also stands in the sum (r = 1),
    which corrects the state that the next step starts from; D is not evaluated again. The state
    that a step returns is the predicted one, so the last is not corrected. Zhao et al., UniPC: A
    Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models, 2023, algorithms 5
    and 6; p = 1 corrects, and p = 2 predicts, with rho = 1/2.

    Args:
        order: p, 1 to 4. The first steps have lower orders.
        variant: B = hh ("bh1") or e^hh - 1 ("bh2").
    """

    order: int = 3
    variant: Literal["bh1", "bh2"] = "bh2"

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        past: _Past | None = memory
        x0 = mean(x, leg.t)
        start, end = log_snr_at(leg.process, leg.t), log_snr_at(leg.process, leg.r)
        if not math.isfinite(start):
            return leg.transition(x, x0, 0.0), None
        w = to_w(leg, x, leg.t)
        estimates: tuple[tuple[float, Tensor], ...] = ((start, x0),)
        if past is not None:
            w = self._update(past.w, past.estimates[: past.order], start, x0)
            estimates = (*estimates, *past.estimates)[: self.order]
        if not math.isfinite(end):
            return leg.transition(to_state(leg, w, leg.t), x0, 0.0), None
        order = min(self.order, len(estimates))
        x_r = to_state(leg, self._update(w, estimates[:order], end, None), leg.r)
        return x_r, _Past(w, estimates, order)

    def _update(
        self,
        w: Tensor,
        estimates: tuple[tuple[float, Tensor], ...],
        end: float,
        new: Tensor | None,
    ) -> Tensor:
        """w at lambda = ``end``: predicted, or corrected with the ``new`` estimate there."""
        start, d_0 = estimates[0]
        h = end - start
        nodes = [(level - start) / h for level, _ in estimates[1:]]
        differences = [(d - d_0) / r for (_, d), r in zip(estimates[1:], nodes, strict=True)]
        if new is not None:
            nodes.append(1.0)
            differences.append(new - d_0)
        out = math.exp(-h) * w - math.expm1(-h) * d_0
        if not nodes:
            return out
        scale = -h if self.variant == "bh1" else math.expm1(-h)
        for rho, difference in zip(self._weights(nodes, h, scale), differences, strict=True):
            out = out - scale * rho * difference
        return out

    @staticmethod
    def _weights(nodes: list[float], h: float, scale: float) -> list[float]:
        if len(nodes) == 1:
            return [0.5]
        system = np.array([[r**j for r in nodes] for j in range(len(nodes))])
        orders = range(1, len(nodes) + 1)
        right = [math.factorial(j) * -h * _phi(j + 1, -h) / scale for j in orders]
        return [float(v) for v in np.linalg.solve(system, np.array(right))]


def _phi(k: int, z: float) -> float:
    """phi_1 = (e^z - 1)/z, phi_{k+1} = (phi_k - 1/k!)/z; sum of z^n/(n + k)! where z is small."""
    if abs(z) < 1:
        return sum(z**n / math.factorial(n + k) for n in range(20))
    value = math.expm1(z) / z
    for j in range(1, k):
        value = (value - 1 / math.factorial(j)) / z
    return value
