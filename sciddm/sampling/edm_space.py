"""The coordinates in which solvers of the probability flow are written.

Any process is the variance-exploding one in w = u/a with sigma = s/a, u = x - b y. With
lambda = ln(a/s) = -ln sigma and D = E[x0 | x_t] its flow is::

    dw/d lambda = D - w,        w_r = e^-h w_t + int_0^h e^(-(h - v)) D(lambda_t + v) dv

over a step h = lambda_r - lambda_t. If D were constant, w_r = e^-h w_t + (1 - e^-h) D, which is the
transition with tau = 0. A solver is a better estimate of the D that stands there.
"""

from __future__ import annotations

import math

from torch import Tensor

from sciddm.process import Process
from sciddm.sampling.transition import Leg

__all__ = ["between", "log_snr_at", "phis", "to_state", "to_w"]


def log_snr_at(process: Process, t: float) -> float:
    """lambda = ln(a/s); infinite where s or a is 0."""
    a, _, s = process(t)
    if a == 0:
        return -math.inf
    return math.inf if s == 0 else math.log(a / s)


def between(leg: Leg, share: float) -> float:
    """The time at lambda_t + share h of a leg."""
    start, end = log_snr_at(leg.process, leg.t), log_snr_at(leg.process, leg.r)
    return leg.process.time(math.exp(-(start + share * (end - start))))


def to_w(leg: Leg, x: Tensor, t: float) -> Tensor:
    """w = (x - b y) / a."""
    a, b, _ = leg.process(t)
    return (x - leg.process.shift(b, leg.y)) / a


def to_state(leg: Leg, w: Tensor, t: float) -> Tensor:
    """x = a w + b y."""
    a, b, _ = leg.process(t)
    return a * w + leg.process.shift(b, leg.y)


def phis(h: float) -> tuple[float, float, float]:
    """(e^-h - 1, phi1/h + 1, phi2/h - 1/2): integrals of e^(-(h - v)) times 1, v/h, v^2/h^2.

    The first with the other sign, the third times -2. By their series where h is small.
    """
    if abs(h) > 1e-2:
        first = math.expm1(-h)
        second = first / h + 1
        return first, second, second / h - 0.5
    third = -h / 6 + h**2 / 24 - h**3 / 120 + h**4 / 720 - h**5 / 5040
    second = h * (third + 0.5)
    return h * (second - 1), second, third
