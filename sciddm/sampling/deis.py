"""DEIS's rho-AB: a polynomial of the noise in sigma, integrated exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from sciddm.sampling.edm_space import log_snr_at, to_state, to_w
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg

__all__ = ["DEIS"]


@dataclass(frozen=True)
class DEIS:
    """w_r = w_t + int_{sigma_t}^{sigma_r} P(sigma) d sigma, with P through the last z^.

    dw/d sigma = z^ exactly, and P is the Lagrange polynomial of the last ``order`` values, so steps
    may be uneven. One evaluation a step. Zhang and Chen, Fast Sampling of Diffusion Models with
    Exponential Integrator, 2023, section 3.3 (rho-AB-DEIS). From high noise the order shows only
    with many steps: forms in D, such as ``UniPC``, are better there.

    Args:
        order: 1 (DDIM) to 4.
    """

    order: int = 3

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        past: tuple[tuple[float, Tensor], ...] = memory or ()
        x0 = mean(x, leg.t)
        if not math.isfinite(log_snr_at(leg.process, leg.t)):
            return leg.transition(x, x0, 0.0), past
        z = leg.noise_estimate(x, x0)
        assert isinstance(z, Tensor)
        sigma_t, sigma_r = (float(leg.process.sigma(v)) for v in (leg.t, leg.r))
        past = ((sigma_t, z), *past)[: self.order]
        weights = _integrals([v for v, _ in past], sigma_t, sigma_r)
        moved = sum((w * e for w, (_, e) in zip(weights, past, strict=True)), 0.0 * z)
        return to_state(leg, to_w(leg, x, leg.t) + moved, leg.r), past


def _integrals(nodes: list[float], start: float, end: float) -> list[float]:
    """Integrals from ``start`` to ``end`` of the Lagrange polynomials of ``nodes``."""
    # Gauss-Legendre quadrature is exact for them, and loses no digits to high powers of sigma.
    points, weights = np.polynomial.legendre.leggauss(len(nodes))
    at = 0.5 * (end - start) * points + 0.5 * (end + start)
    integrals = []
    for node in nodes:
        basis = np.ones_like(at)
        for other in nodes:
            if other != node:
                basis = basis * (at - other) / (node - other)
        integrals.append(float(0.5 * (end - start) * (weights @ basis)))
    return integrals
