"""The one transition from time t to an earlier time r that all samplers are made of.

With z^ = (x_t - a_t x0^ - b_t y) / s_t, the noise that the state is believed to hold::

    x_r = a_r x0^ + b_r y + s_r ( sqrt(1 - tau) z^ + sqrt(tau) w ),      w ~ N(0, I)

Every tau in [0, 1] keeps the marginals (given the true x0), so tau belongs to the sampler:

* 0: the probability-flow step (DDIM; Song et al. 2021, eq. 12);
* ``markov``: 1 - (a_t s_r / (a_r s_t))^2, the reverse of the Markov chain (ancestral, DDPM);
* ``resshift``: 1 - (s_r / s_t)^2, the posterior of ResShift (Yue et al. 2023, eq. 7);
* ``resfusion``: 1 - (q_t s_r / (q_r s_t))^2 with q = (1 + a)/2 (Shi et al. 2024, eq. 11);
* 1: fresh noise (DAPS, split Gibbs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sciddm.process import Process, Scalar

__all__ = ["Leg", "Randn", "TauRule", "fresh", "markov", "ode", "resfusion", "resshift", "scaled"]

Randn = Callable[[Tensor], Tensor]
TauRule = Callable[[Process, float, float], Scalar]


def ode(process: Process, t: float, r: float) -> Scalar:
    """tau = 0."""
    return 0.0


def fresh(process: Process, t: float, r: float) -> Scalar:
    """tau = 1."""
    return 1.0


def markov(process: Process, t: float, r: float) -> Scalar:
    """tau = 1 - (a_t s_r / (a_r s_t))^2; 1 at the end of a bridge, where a_t/s_t is 0/0 -> 0."""
    (a_t, _, s_t), (a_r, _, s_r) = process(t), process(r)
    if not isinstance(s_t, Tensor) and s_t == 0:
        return 1.0
    return 1 - (a_t * s_r / (a_r * s_t)) ** 2


def resshift(process: Process, t: float, r: float) -> Scalar:
    """tau = 1 - (s_r / s_t)^2."""
    s_t, s_r = process(t)[2], process(r)[2]
    if not isinstance(s_t, Tensor) and s_t == 0:
        return 0.0
    return 1 - (s_r / s_t) ** 2


def resfusion(process: Process, t: float, r: float) -> Scalar:
    """tau = 1 - (q_t s_r / (q_r s_t))^2, q = (1 + a)/2: VP's Markov tau in Resfusion's own q."""
    (a_t, _, s_t), (a_r, _, s_r) = process(t), process(r)
    if not isinstance(s_t, Tensor) and s_t == 0:
        return 1.0
    return 1 - ((1 + a_t) * s_r / ((1 + a_r) * s_t)) ** 2


def scaled(eta: float) -> TauRule:
    """tau = eta^2 tau_markov: DDIM's eta (Song et al. 2021, eq. 16)."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is between 0 and 1, not {eta}")
    return lambda process, t, r: eta**2 * markov(process, t, r)


@dataclass(frozen=True)
class Leg:
    """The way of one step, from time t to an earlier time r, and what goes with it.

    Args:
        process: whose marginals are kept.
        t: time of the state that the step is given.
        r: time of the state that it returns.
        y: second endpoint, or None.
        randn: the step's noise, in the shape of its argument.
        noise_mean: the mean of x0 that a transition takes z^ from, where it is not the estimate
            that it moves to.
    """

    process: Process
    t: float
    r: float
    y: Tensor | None
    randn: Randn
    noise_mean: Callable[[], Tensor] | None = None

    def noise_estimate(self, x: Tensor, x0: Tensor, at: float | None = None) -> Tensor | float:
        """z^ = (x - a x0^ - b y) / s at time t, or another time ``at``.

        Its exact limit 0 where s = 0, the end of a bridge.
        """
        a, b, s = self.process(self.t if at is None else at)
        if not isinstance(s, Tensor) and s == 0:
            return 0.0
        return (x - a * x0 - self.process.shift(b, self.y)) / s

    def transition(self, x: Tensor, x0: Tensor, tau: Scalar) -> Tensor:
        """x_r from x_t and an estimate of x0; see the module's docstring."""
        a, b, s = self.process(self.r)
        mean = a * x0 + self.process.shift(b, self.y)
        certain = not isinstance(tau, Tensor)
        if certain and tau == 1:
            return mean + s * self.randn(x)
        z = self.noise_estimate(x, x0 if self.noise_mean is None else self.noise_mean())
        if certain and tau == 0:
            return mean + s * z
        return mean + s * ((1 - tau) ** 0.5 * z + tau**0.5 * self.randn(x))
