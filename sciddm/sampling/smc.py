"""Twisted sequential Monte Carlo: particles that guide themselves, and the evidence of the data.

K particles of one item go down the reverse chain together. A twist

    p~(y | x_t) = N(y; A D(x_t), R + r^2 A A^H),     r^2 = ``Denoiser.spread``

guides each of them, x0^ = D + V A^H (R + r^2 A A^H)^-1 (y - A D), and says how well each fits the
data. Guidance alone cannot give two modes their right weights; the particles' own weights do:

    w <- w  p~(y | x_r) / p~(y | x_t)  N(x_r; the prior's transition) / N(x_r; the guided one)

Where they become uneven (effective sample size below ``threshold`` K) particles are drawn anew in
proportion to them. Twists cancel from step to step: as K grows the particles' law becomes the
posterior under the denoiser's own chain, whatever the twist. The product of the weights' means is
an unbiased estimate of p(y).

Guidance errs by a little at every datum, and log weights add that up: over thousands of data they
differ by hundreds of nats from particle to particle, whatever these are worth. All but one would be
discarded at every step, and K draws would be one. ``collapse`` notices it by the power that weights
had to be taken to, and lets such an item's particles go on unweighed to the end.

References:
    Wu, Trippe, Naesseth, Blei, Cunningham, Practical and Asymptotically Exact Conditional Sampling
    in Diffusion Models, 2023, algorithm 1 (twisted diffusion sampler).
    Douc and Cappe, Comparison of Resampling Schemes for Particle Filtering, 2005 (systematic).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from sciddm.guidance.pigdm import PiGDM, Twist
from sciddm.physics.measurement import Measurement
from sciddm.process import Process
from sciddm.random.streams import Streams
from sciddm.sampling.edm_space import log_snr_at
from sciddm.sampling.rejuvenation import rejuvenated
from sciddm.sampling.transition import Leg, Randn, markov

__all__ = ["Particles", "smc"]


@dataclass(frozen=True)
class Particles:
    """What sequential Monte Carlo found.

    Attributes:
        x0: draws (K B, ...), of equal weight, particle k of item b at k B + b.
        log_evidence: log p(y) of each item (B,), nats.
        ess: effective sample size of each item at each level (N + 1, B), from 1 to K.
        tempering: the smallest power that weights were taken to (B,); 1 where none was, 0 where
            weights were set aside, which leaves the law of guidance and no evidence.
    """

    x0: Tensor
    log_evidence: Tensor
    ess: Tensor
    tempering: Tensor


@torch.no_grad()
def smc(
    guided: PiGDM,
    x: Tensor,
    grid: Sequence[float],
    *,
    particles: int,
    generator: Streams,
    y: Tensor | None = None,
    cond: Tensor | None = None,
    measured: int | Tensor | None = None,
    threshold: float = 0.5,
    multistep: bool = True,
    temper: bool = False,
    collapse: float = 0.0,
    rejuvenation: float = 0.0,
    callback: Callable[[int, int, Tensor, Tensor], None] | None = None,
) -> Particles:
    """Runs K particles of each item along ``grid`` with the Markov transition.

    Args:
        guided: the prior and the measurement, of linear A and noise that is white. Its data are
            those of one item, or repeated for all K B particles.
        x: states at ``grid[0]`` (K B, ...), particle k of item b at k B + b.
        grid: decreasing times. The noise of the last should be well below the data's.
        particles: K. 4 to 8 suffice for samples, evidence within .3 nats needs hundreds.
        generator: one stream of noise per particle.
        y: second endpoint of the process, the same for all particles of an item.
        cond: conditioning of the network, the same for all particles of an item.
        measured: how many entries of y are measured, one number or one for each item; those that
            are not 0 if not given. Only the evidence depends on it.
        threshold: resample where the effective sample size is below this share of K.
        multistep: both transitions with means that are extrapolated as by ``DPMSolver2M``: the
            prior's own chain is then second order, and draws of few steps are not too narrow.
        temper: where the effective sample size would fall below ``threshold`` K, take weights to
            the power that keeps it there. Data of many dimensions leave one particle otherwise.
            The law is then between guidance's and the posterior, and the evidence is biased:
            ``Particles.tempering`` says by what.
        collapse: set an item's weights aside from the step on where even this power of them leaves
            fewer than ``threshold`` K effective particles: errors of guidance made them.
            In a problem of eight unknowns with competing modes the power is .2 or more in nine of
            ten steps, on a slice of 64 x 64 pixels .01.
        rejuvenation: noise level, in standard deviations of the prior's data, from which draws
            that copy another one come down anew (``rejuvenated``); 0 leaves copies. It costs the
            steps below that level once more.
        callback: called after every step.

    Returns:
        ``Particles``.

    Raises:
        ValueError: the batch is not a multiple of K.
    """
    process = guided.process
    if particles < 1 or x.shape[0] % particles:
        raise ValueError(f"a batch of {x.shape[0]} does not hold sets of {particles} particles")
    items = x.shape[0] // particles
    weights = _Weights(particles, items, threshold, temper, collapse, x)
    steps = len(grid) - 1
    before: Tensor | None = None
    past: tuple[Twist, float] | None = None
    for i, (t, r) in enumerate(pairwise(grid)):
        source = generator.at(i)
        w, uniform = source(x), _uniform(source, x, items)
        now = guided.twist(x, t, y, cond)
        weights.add(now.log_likelihood if before is None else now.log_likelihood - before)
        chosen = weights.resample(uniform)
        if chosen is not None:
            x = x[chosen]  # an item's particles share y and cond
            now = now.take(chosen)
            past = None if past is None else (past[0].take(chosen), past[1])
        h = log_snr_at(process, r) - log_snr_at(process, t)
        moved = _extrapolated(now, h, past) if multistep else now
        past = (now, h)
        x, ratio = _propose(process, t, r, y, x, moved, w)
        weights.add(ratio)
        before = now.log_likelihood
        if callback is not None:
            callback(i + 1, steps, x, now.guided)
    last = guided.twist(x, grid[-1], y, cond)
    m = guided.measurement.at(last.mean)
    assert isinstance(m, Measurement)
    weights.add(m.log_likelihood(last.mean, measured) - (0.0 if before is None else before))
    x0 = last.guided
    chosen = weights.resample(_uniform(generator.at(steps), x, items), 1.0)
    if chosen is not None:
        x0 = x0[chosen]
    if rejuvenation > 0:
        level = rejuvenation * guided.data_std
        x0 = rejuvenated(
            guided, x0, grid, level, particles=particles, generator=generator, y=y, cond=cond
        )
    return Particles(x0, weights.log_evidence, torch.stack(weights.ess), weights.tempering)


def _extrapolated(now: Twist, h: float, past: tuple[Twist, float] | None) -> Twist:
    """Both means at the middle of the step; see ``DPMSolver2M``."""
    if past is None or not (math.isfinite(h) and math.isfinite(past[1])):
        return now
    q = 0.5 * h / past[1]
    mean = (1 + q) * now.mean - q * past[0].mean
    return Twist(mean, (1 + q) * now.guided - q * past[0].guided, now.log_likelihood)


def _propose(
    process: Process, t: float, r: float, y: Tensor | None, x: Tensor, now: Twist, w: Tensor
) -> tuple[Tensor, Tensor]:
    """x_r of the guided transition, and log N(x_r; prior's) - log N(x_r; guided one) (B,)."""
    tau = markov(process, t, r)
    a_t, _, s_t = process(t)
    a_r, _, s_r = process(r)
    x_r = Leg(process, t, r, y, lambda _: w).transition(x, now.guided, tau)
    scale = s_r * tau**0.5
    carried = 0.0 if s_t == 0 else s_r * (1 - tau) ** 0.5 * a_t / s_t
    apart = (a_r - carried) / scale * (now.guided - now.mean)
    # |w + apart|^2 - |w|^2, which loses no digits to |w|^2
    change = (2 * (w.conj() * apart).real + apart.abs().square()).flatten(1).sum(1)
    return x_r, -(1.0 if x.is_complex() else 0.5) * change


class _Weights:
    """Log weights (K, B) of the particles since they were last drawn anew."""

    def __init__(
        self,
        particles: int,
        items: int,
        threshold: float,
        temper: bool,
        collapse: float,
        like: Tensor,
    ) -> None:
        self.particles, self.threshold, self.temper = particles, threshold, temper
        self.collapse = collapse
        real = torch.float64
        self.log = torch.zeros(particles, items, dtype=real, device=like.device)
        self.log_evidence = torch.zeros(items, dtype=real, device=like.device)
        self.tempering = torch.ones(items, dtype=real, device=like.device)
        self.ess: list[Tensor] = []

    def add(self, change: Tensor) -> None:
        self.log = self.log + change.double().reshape(self.log.shape)

    def resample(self, uniform: Tensor, threshold: float | None = None) -> Tensor | None:
        """Places (K B,) in the batch that particles are copied from; None where all stay.

        Systematic: particle k of an item is the one at (k + u) / K of the cumulated weights.
        """
        floor = (self.threshold if threshold is None else threshold) * self.particles
        ess = _ess(self.log)
        self.ess.append(ess)
        if self.particles > 1 and self.collapse > 0:
            lost = _power(self.log, self.threshold * self.particles) < self.collapse
            lost |= self.tempering == 0
            self.log = torch.where(lost, 0.0, self.log)
            self.tempering = torch.where(lost, 0.0, self.tempering)
            ess = torch.where(lost, float(self.particles), ess)
        uneven = ess < floor * (1 - 1e-12)
        if self.temper:
            power = _power(self.log, self.threshold * self.particles)
            self.tempering = torch.minimum(self.tempering, torch.where(uneven, power, 1.0))
            self.log = torch.where(uneven, power * self.log, self.log)
        mean = self.log.logsumexp(0) - math.log(self.particles)
        if threshold is not None:  # the last: the evidence is complete
            self.log_evidence = self.log_evidence + mean
        elif not bool(uneven.any()):
            return None
        else:
            self.log_evidence = self.log_evidence + torch.where(uneven, mean, 0.0)
        if self.particles == 1:
            self.log = torch.where(uneven, 0.0, self.log)
            return None
        cumulated = self.log.softmax(0).cumsum(0)
        k = torch.arange(self.particles, device=uniform.device, dtype=uniform.dtype)[:, None]
        places = ((k + uniform) / self.particles).clamp(max=1 - 1e-12)
        chosen = torch.searchsorted(cumulated.T.contiguous(), places.T.contiguous()).T
        chosen = torch.where(uneven, chosen.clamp(max=self.particles - 1), k.long())
        self.log = torch.where(uneven, 0.0, self.log)
        items = self.log.shape[1]
        return (chosen * items + torch.arange(items, device=chosen.device)).reshape(-1)


def _ess(log: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2 over the particles."""
    return (2 * log.logsumexp(0) - (2 * log).logsumexp(0)).exp()


def _power(log: Tensor, ess: float) -> Tensor:
    """The largest power of the weights, up to 1, that keeps the effective sample size (B,)."""
    low, high = torch.zeros_like(log[0]), torch.ones_like(log[0])
    for _ in range(30):
        middle = 0.5 * (low + high)
        enough = _ess(middle * log) >= ess
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return torch.where(_ess(log) >= ess, 1.0, low)


def _uniform(source: Randn, x: Tensor, items: int) -> Tensor:
    """One number in (0, 1) for each item (B,), of its first particle's stream."""
    numbers = torch.zeros(x.shape[0], 1, dtype=torch.float64, device=x.device)
    normal = source(numbers)[:items, 0]
    out: Tensor = torch.special.ndtr(normal)
    return out
