"""A discrepancy between samples and a posterior that needs no truth: kernel Stein.

For a density p with score s = grad log p the Stein kernel of k(x, y) = (c^2 + |x - y|^2)^(-1/2) is

    u(x, y) = s(x).s(y) k + s(x).grad_y k + s(y).grad_x k + tr(grad_x grad_y k)

whose mean over pairs of independent draws of q is 0 for q = p and positive otherwise, to the extent
that scores tell: modes far apart with wrong weights have nearly the right score everywhere, and
are hardly seen. The score of a posterior is that of its prior at a noise level that is small
beside its detail, and that of the data::

    s(x) = (D(x, t) - x) / sigma^2 + A^H (y - A x) / sigma_y^2

References:
    Liu, Lee, Jordan, A Kernelized Stein Discrepancy for Goodness-of-fit Tests, 2016.
    Gorham, Mackey, Measuring Sample Quality with Kernels, 2017 (the kernel).
    Chwialkowski, Strathmann, Gretton, A Kernel Test of Goodness of Fit, 2016 (wild bootstrap).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.physics.measurement import Measurement

__all__ = ["SteinTest", "posterior_score", "stein_discrepancy"]


@dataclass(frozen=True)
class SteinTest:
    """``discrepancy`` is the mean of u over pairs of different samples, per dimension, in units of
    the mean squared score; ``p_value`` is how often samples of p itself would show as much."""

    discrepancy: float
    p_value: float


@torch.no_grad()
def posterior_score(denoiser: Denoiser, measurement: Measurement, x: Tensor, t: float) -> Tensor:
    """grad log p(x | y) at a small noise level, with respect to (re, im) for complex data.

    Args:
        denoiser: the prior, of a process without an endpoint.
        measurement: of all samples.
        x: samples (N, ...).
        t: time whose sigma = s/a is small beside the detail of x.

    Returns:
        (N, ...).
    """
    a, _, s = denoiser.process(t)
    prior = (denoiser(a * x, t) - x) / (s / a) ** 2
    score = prior - measurement.at(x).grad(x)
    out: Tensor = 2 * score if x.is_complex() else score
    return out


def stein_discrepancy(
    samples: Tensor, scores: Tensor, *, bootstrap: int = 500, seed: int = 0
) -> SteinTest:
    """Tests whether independent samples have the law that the scores belong to.

    Args:
        samples: (N, ...), real or complex, N >= 2.
        scores: as ``posterior_score`` gives them.
        bootstrap: how often signs are drawn for the p-value.
        seed: of those.

    Returns:
        ``SteinTest``.

    Raises:
        ValueError: fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError("a discrepancy between pairs of samples needs two of them")
    x, s = (_vectors(v) for v in (samples, scores))
    n, d = x.shape
    apart = torch.cdist(x, x).square()
    off = ~torch.eye(n, dtype=torch.bool, device=x.device)
    c2 = apart[off].median().clamp(min=torch.finfo(x.dtype).tiny)
    q = c2 + apart
    # With d = x - y: grad_x k = -q^(-3/2) d, grad_y k = q^(-3/2) d.
    own = (s * x).sum(1)
    along = s @ x.T  # s(x) . y
    towards = own[:, None] - along  # s(x) . (x - y)
    u = (
        (s @ s.T) * q**-0.5
        + (towards + towards.T) * q**-1.5  # s(y).grad_x k = -s(y).(x - y) = s(y).(y - x)
        + d * q**-1.5
        - 3 * apart * q**-2.5
    )
    u = torch.where(off, u, 0.0)
    statistic = u.sum() / (n * (n - 1))
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (bootstrap, n), generator=generator).to(u) * 2 - 1
    null = ((signs @ u) * signs).sum(1) / (n * (n - 1))
    scale = s.square().sum(1).mean() * c2**-0.5
    p_value = (1 + int((null >= statistic).sum())) / (1 + bootstrap)
    return SteinTest(float(statistic / scale), p_value)


def _vectors(v: Tensor) -> Tensor:
    return (torch.view_as_real(v) if v.is_complex() else v).flatten(1).double()
