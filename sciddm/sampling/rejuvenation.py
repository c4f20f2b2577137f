"""Rejuvenation: particles that copy each other are moved apart within the posterior.

Resampling leaves copies, whose spread is none. Each copy is taken back to the noise of a level and
comes down again with guidance and noise of its own::

    x_t = a x0 + b y + s w,    then the reverse chain of E[x0 | x_t, y] from t on

For an exact guided mean this step leaves the posterior as it is (forward kernel, then its exact
reverse), and of the copied draw there remains p^2 / (p^2 + sigma^2) in a direction of posterior
variance p^2. Guidance errs less from a low level on than from the highest, so that weights of modes
stay.

Gilks and Berzuini, Following a Moving Target: Monte Carlo Inference for Dynamic Bayesian Models,
2001 (resample-move).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.random.streams import Streams
from sciddm.sampling.sample import sample
from sciddm.sampling.steps import DPMSolver2M
from sciddm.sampling.transition import Randn

__all__ = ["copies", "rejuvenated"]


@dataclass(frozen=True)
class _Later:
    """The noise of a run's later steps."""

    streams: Streams
    first: int

    def at(self, step: int) -> Randn:
        return self.streams.at(self.first + step)


def copies(x0: Tensor, particles: int) -> Tensor:
    """Which draws (K B, ...) are the same as an earlier one of their item (K B,)."""
    sets = x0.reshape(particles, -1, *x0.shape[1:]).flatten(2)
    out = torch.zeros(sets.shape[:2], dtype=torch.bool, device=x0.device)
    for k in range(1, particles):
        out[k] = (sets[:k] == sets[k]).all(-1).any(0)
    return out.reshape(-1)


@torch.no_grad()
def rejuvenated(
    guided: Denoiser,
    x0: Tensor,
    grid: Sequence[float],
    level: float,
    *,
    particles: int,
    generator: Streams,
    y: Tensor | None = None,
    cond: Tensor | None = None,
) -> Tensor:
    """Draws with their copies moved; nothing is evaluated where there are none.

    Args:
        guided: the denoiser whose mean is E[x0 | x_t, y].
        x0: draws (K B, ...), particle k of item b at k B + b.
        grid: times of the run that gave them; those from ``level`` down are taken.
        level: noise sigma = s/a that copies are taken back to.
        particles: K.
        generator: noise of the run, of which later steps are used.
        y, cond: as for ``sample``.

    Returns:
        (K B, ...).
    """
    process = guided.process
    tail = [t for t in grid if float(process.sigma(t)) <= level * (1 + 1e-6)]
    same = copies(x0, particles)
    if len(tail) < 2 or not bool(same.any()):
        return x0
    later = _Later(generator, len(grid) + 1)
    a, b, s = process(tail[0])
    state = a * x0 + process.shift(b, y) + s * later.at(0)(x0)
    moved = sample(
        guided,
        state,
        tail,
        DPMSolver2M(sde=True),
        generator=_Later(generator, len(grid) + 2),  # type: ignore[arg-type]
        y=y,
        cond=cond,
    )
    return torch.where(same.view(-1, *[1] * (x0.ndim - 1)), moved, x0)
