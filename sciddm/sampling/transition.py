"""The one transition from time t to an earlier time r that all samplers are made of.

With z^ = (x_t - a_t x0^ - b_t y) / s_t, the noise that the state is believed to hold::

    x_r = a_r x0^ + b_r y + s_r ( sqrt(1 - tau) z^ + sqrt(tau) w ),      w ~ N(0, I)

Every tau in [0, 1] keeps the marginals (given the true x0), so tau belongs to the sampler:

* 0: the probability-flow step (DDIM; Song et al. 2021, eq. 12);
* ``markov``: 1 - (a_t s_r / (a_r s_t))^2, the reverse of the Markov chain (ancestral, DDPM);
* ``resshift``: 1 - (s_r / s_t)^2, the posterior of ResShift (Yue et al. 2023, eq. 7);
* 1: fresh noise (DAPS, split Gibbs).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sciddm.process import Process, Scalar

__all__ = ["Randn", "TauRule", "fresh", "markov", "ode", "resshift", "scaled", "transition"]

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


def scaled(eta: float) -> TauRule:
    """tau = eta^2 tau_markov: DDIM's eta (Song et al. 2021, eq. 16)."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is between 0 and 1, not {eta}")
    return lambda process, t, r: eta**2 * markov(process, t, r)


def noise_estimate(
    process: Process, x: Tensor, x0: Tensor, t: float, y: Tensor | None
) -> Tensor | float:
    """z^ = (x - a x0^ - b y) / s, with its exact limit 0 where s = 0 (the end of a bridge)."""
    a, b, s = process(t)
    if not isinstance(s, Tensor) and s == 0:
        return 0.0
    return (x - a * x0 - process.shift(b, y)) / s


def transition(
    process: Process,
    x: Tensor,
    x0: Tensor,
    t: float,
    r: float,
    y: Tensor | None,
    tau: Scalar,
    randn: Randn,
) -> Tensor:
    """x_r from x_t and an estimate of x0; see the module's docstring."""
    a, b, s = process(r)
    mean = a * x0 + process.shift(b, y)
    certain = not isinstance(tau, Tensor)
    if certain and tau == 1:
        return mean + s * randn(x)
    z = noise_estimate(process, x, x0, t, y)
    if certain and tau == 0:
        return mean + s * z
    return mean + s * ((1 - tau) ** 0.5 * z + tau**0.5 * randn(x))
