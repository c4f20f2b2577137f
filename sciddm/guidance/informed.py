"""A network that was trained to see the measurement: the conditional mean itself."""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.guidance.base import AnyMeasurement, Guided
from sciddm.physics.measurement import Measurement
from sciddm.process import Process, Scalar, expand

__all__ = ["Informed", "informed_loss"]

# Variance about zero of the image that the first estimate is pulled to; data are near 1.
_BLANK = 0.1
# Natural logarithm of the largest factor between two noise levels of a chain in training.
_LONGEST_STEP = 1.6


class Informed(Guided):
    """E[x0 | x_t, y] of a network whose condition is an image that agrees with the data.

    With prox(m, r^2) = argmin_z |y - A z|^2 / sigma_y^2 + |z - m|^2 / r^2, evaluation k is

        m_k = D(x_t, t, c_k),    c_{k+1} = prox(m_k, r^2)

    and its mean c_{k+1}. The next evaluation, of this noise level or of the one after it, is shown
    what this one found: through a whole chain of sampling the estimate gets better, at no cost. An
    ``Informed`` therefore belongs to one chain. The first is shown prox(first, e^2), or without an
    estimate to begin with prox(0, 0.1). An exact D would need neither the last prox nor to be shown
    more than the data; the error of a trained one has been near to white, which is what prox takes
    it for, and data consistency in every step is what keeps the samples to the scan.

    A denoiser of the prior alone has to be corrected towards the data by an approximation of
    p(y | x_t) (``DPS``, ``MMPS``, ``DiffPIR``); this one was trained (``informed_loss``) on the
    answer. Feeding the estimate back is the self-conditioning of Chen et al., Analog Bits, 2023,
    section 3, with the data put into it; unrolled networks (Hammernik et al., Variational Network,
    2018) alternate in the same way.

    Args:
        denoiser: D, which takes ``cond`` in the units of x0.
        measurement: linear, x0 near 1 in size.
        error: standard deviation e of the error of m, 0 for an exact D; r^2 is that of what both m
            and the state know, 1 / (1 / sigma^2 + 1 / e^2).
        first: an estimate of x0, the shape of x_t but for the batch.
    """

    measurement: Measurement

    def __init__(
        self,
        denoiser: Denoiser,
        measurement: AnyMeasurement,
        error: float = 0.1,
        first: Tensor | None = None,
    ) -> None:
        super().__init__(denoiser, measurement)
        self.error = error
        self._first = first
        self._agreeing: Tensor | None = None

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean = self.denoiser(x_t, t, None, self.shown(x_t))
        self._agreeing = self.measurement.prox(mean, self._variance(t, x_t))
        return self._agreeing

    def shown(self, like: Tensor) -> Tensor:
        """The condition of the next evaluation, of the shape of ``like``."""
        if self._agreeing is not None:
            return self._agreeing
        if self._first is None:
            return self.measurement.prox(torch.zeros_like(like), _BLANK)
        return self.measurement.prox(self._first.expand_as(like), self.error**2)

    def _variance(self, t: Scalar, like: Tensor) -> Scalar:
        known = self.process.sigma(t) ** 2
        return expand(known * self.error**2 / (known + self.error**2), like)


def informed_loss(
    denoiser: NetworkDenoiser,
    measurement: Measurement,
    x0: Tensor,
    t: Tensor,
    rounds: int,
    first: Tensor | None = None,
) -> Tensor:
    """The denoiser's loss per item (B,) after ``rounds`` evaluations of ``Informed``.

    Those are at noisier levels of the same chain, as in sampling: each has up to five times the
    noise of the one after it. They are not differentiated, which makes a step cheap and of one
    network's depth; a training draws ``rounds`` anew in every step.

    Args:
        denoiser: the network.
        measurement: of ``x0``.
        x0: truth (B, C, ...), in data units.
        t: one time per item (B,).
        rounds: evaluations before.
        first: the estimate that the chain begins with (B, C, ...).
    """
    process, z = denoiser.process, torch.randn_like(x0)
    with torch.no_grad():
        chain = [(process.add_noise(x0, t, None, z), t)]
        for _ in range(rounds):
            chain.append(_noisier(process, *chain[-1]))
        guided = Informed(denoiser, measurement, first=first)
        for x, level in reversed(chain[1:]):
            guided(x, level)
        cond = guided.shown(x0)
    return denoiser.loss(x0, t, cond=cond, z=z)


def _noisier(process: Process, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """A state x_t of the process some way further on, and its time."""
    more = (torch.rand(t.shape, dtype=t.dtype) * _LONGEST_STEP).exp().to(t.device)
    a, _, s = process(t)
    later = process.times(process.sigma(t) * more).clamp(max=process.t_max)
    a_later, _, s_later = process(later)
    kept = a_later / a
    added = (s_later**2 - (kept * s) ** 2).clamp(min=0).sqrt()
    return expand(kept, x) * x + expand(added, x) * torch.randn_like(x), later
