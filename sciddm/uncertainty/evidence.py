"""Evidence of a measurement, log p(y), from the means that guidance knows anyway.

A guided run evaluates D = E[x0 | x_t] and D_y = E[x0 | x_t, y] at each noise level sigma = s/a. The
gap between them is what the data add to the prior, and its integral over the levels is the
divergence of the posterior from the prior::

    log p(y) = E_post[log N(y; A x0, R)] - KL(p(x0|y) || p(x0))
    KL = int E_post |D_y(x_t) - D(x_t)|^2 / sigma^3 d sigma        (complex data: twice that)

(de Bruijn's identity for the relative Fisher information; Guo, Shamai, Verdu, 2005). No evaluation
is added. The evidence ranks noise levels, operators and priors without a ground truth. Its error is
that of guidance, which adds up over elements: exact for exact means, about half a nat for a mixture
in eight dimensions with MMPS, and more than the difference of two noise levels (a factor of 1.4)
for a trained network with thousands of pixels. For an unbiased value of few data take
``sampling.smc``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import Guided, prior_means
from sciddm.physics.measurement import Measurement
from sciddm.process import Scalar

__all__ = ["EvidenceMeter", "divergence"]


class EvidenceMeter(Denoiser):
    """Guidance that keeps book of how far the data move the mean; sampling is not changed.

    Sample with it in place of the guidance, then ask for ``log_evidence``. One meter belongs to one
    run.

    Args:
        guided: guidance whose mean stands for E[x0 | x_t, y], such as ``MMPS``. Guidance may wrap
            guidance; the innermost denoiser is the prior.
    """

    def __init__(self, guided: Guided) -> None:
        super().__init__()
        self.guided = guided
        self.process, self.data_std = guided.process, guided.data_std
        self._levels: list[float] = []
        self._gaps: list[Tensor] = []

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        with prior_means(self.guided) as means:
            guided = self.guided(x_t, t, y, cond)
        gap = (guided.detach() - means[0]).abs().square().flatten(1).sum(1)
        self._levels.append(float(self.process.sigma(float(t))))
        self._gaps.append(gap.double())
        out: Tensor = guided
        return out

    def divergence(self, chains: int) -> Tensor:
        """KL(p(x0|y) || p(x0)) of each item (B,), nats of real data.

        Args:
            chains: K, samples of each item; sample k of item b is at k B + b of the batch.
        """
        gaps = torch.stack(self._gaps).reshape(len(self._levels), chains, -1).mean(1)
        return divergence(self._levels, gaps)

    def log_evidence(self, samples: Tensor, measured: int | Tensor | None = None) -> Tensor:
        """log p(y) of each item (B,), in nats.

        Args:
            samples: the run's result (K, B, ...).
            measured: entries of y that are measured; see ``Measurement.log_likelihood``.
        """
        flat = samples.flatten(0, 1)
        m = self.guided.measurement.at(flat)
        assert isinstance(m, Measurement)
        fit = m.log_likelihood(flat, measured).reshape(samples.shape[:2]).mean(0)
        weight = 2.0 if samples.is_complex() else 1.0
        return fit - weight * self.divergence(samples.shape[0])


def divergence(levels: list[float], gaps: Tensor) -> Tensor:
    """int gap / sigma^3 d sigma over all levels, from values at some.

    Trapezoid in ln sigma between the levels. Below them the gap goes with sigma^4, above them it is
    constant, as it is for smooth priors: both ends then have closed forms.

    Args:
        levels: N noise levels sigma > 0, in any order; several evaluations may share one.
        gaps: E|D_y - D|^2 at each (N, ...).

    Returns:
        (...,).
    """
    sigma = torch.tensor(levels, dtype=torch.float64, device=gaps.device)
    unique, place = sigma.unique(return_inverse=True)
    shape = (len(unique), *gaps.shape[1:])
    total = torch.zeros(shape, dtype=gaps.dtype, device=gaps.device).index_add(0, place, gaps)
    rate = total / place.bincount().view(-1, *[1] * (gaps.ndim - 1))
    keep = unique.isfinite() & (unique > 0)
    unique, rate = unique[keep], rate[keep]
    rate = rate / unique.square().view(-1, *[1] * (gaps.ndim - 1))  # per unit of ln sigma
    inside = torch.trapezoid(rate, unique.log(), dim=0)
    out: Tensor = inside + 0.5 * rate[0] + 0.5 * rate[-1]
    return out
