"""How much would be learned from measuring each of several groups of data.

N particles predict the data of group g as z_i(g), each with an error of variance v in every real
component, so that together they predict the mixture

    p(y_g) = (1/N) sum_i N(y_g; z_i(g), v I)

What a measurement tells about the particles is the mixture's entropy less that of a component.
With d2_ij(g) = |z_i(g) - z_j(g)|^2, summed over the group's data, real and imaginary parts:

    entropy         H(g) = -(1/N) sum_i ln (1/N) sum_j exp(-d2_ij / 2v),      0 <= H <= ln N
    variance        (1/N) sum_i |z_i - mean z|^2 / v, which H becomes as v grows
    ads_released    sum_i ln sum_j exp(+d2_ij / 2v), the sign in the code that the paper's authors
                    published; it follows outliers

H is an upper bound (exp of minus the Kullback-Leibler divergences between components).

References:
    Nolan, Stevens, van Nierop & van Sloun, Active Diffusion Subsampling, TMLR 2025, section 3
    Kolchinsky & Tracey, Estimating mixture entropy with pairwise distances, Entropy 19:361 (2017)
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["CRITERIA", "Criterion", "choose", "resolvable_variance", "scores"]

Criterion = Literal["entropy", "variance", "ads_released"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)


def scores(criterion: Criterion, predictions: Tensor, variance: float | Tensor) -> Tensor:
    """The criterion for every group: (G,), in double precision.

    Args:
        criterion: entropy, variance or ads_released.
        predictions: z (N, G, D), real or complex, N >= 2.
        variance: v, of each real component of a datum given its particle; a number, or (G,).

    Raises:
        ValueError: an unknown criterion, fewer than two particles or a variance that is not above
            0.
    """
    return _score(criterion, _exponents(criterion, predictions, variance))


def choose(
    criterion: Criterion,
    predictions: Tensor,
    variance: float | Tensor,
    allowed: Tensor,
    count: int = 1,
) -> list[int]:
    """The groups to measure together next, the best first.

    One after the other, each is the best for the criterion of the data of all of them: d2 of a set
    is the sum over its groups. So the second tells what the first does not.

    Args:
        criterion, predictions, variance: as for ``scores``.
        allowed: (G,) bool, the groups that may be taken.
        count: how many; fewer if fewer are allowed.

    Raises:
        ValueError: as ``scores``, or no group is allowed.
    """
    exponents = _exponents(criterion, predictions, variance)
    allowed = allowed.to(torch.bool).clone()
    if allowed.shape != exponents.shape[:1] or not bool(allowed.any()):
        raise ValueError("no group is allowed, or their number is another than the predictions'")
    known = torch.zeros_like(exponents[0])
    chosen: list[int] = []
    for _ in range(min(count, int(allowed.sum()))):
        value = _score(criterion, exponents + known)
        # Scores can be negative: what is not allowed is -inf, not 0.
        best = int(value.masked_fill(~allowed, -math.inf).argmax())
        known = known + exponents[best]
        allowed[best] = False
        chosen.append(best)
    return chosen


def resolvable_variance(predictions: Tensor) -> float:
    """The least v at which no group's mean exponent, mean_ij d2_ij / 2v, is above ln N.

    N particles cannot tell more than ln N. With a smaller v every group with some disagreement is
    such a certain gain, and the entropy no longer tells groups apart: v is then the bandwidth that
    a density estimate from so few particles needs.
    """
    exponents = _exponents("entropy", predictions, 1.0)
    return float(exponents.mean((1, 2)).max()) / math.log(len(predictions))


def _score(criterion: Criterion, exponents: Tensor) -> Tensor:
    """(G,) of d2 / 2v (G, N, N)."""
    count = exponents.shape[-1]
    if criterion == "entropy":
        return math.log(count) - torch.logsumexp(-exponents, dim=2).mean(1)
    if criterion == "variance":  # the mean squared distance of pairs is twice the variance
        return exponents.mean((1, 2))
    return torch.logsumexp(exponents, dim=2).sum(1)


def _exponents(criterion: str, predictions: Tensor, variance: float | Tensor) -> Tensor:
    """d2 / 2v (G, N, N); about the mean, so that large values common to all cancel."""
    if criterion not in CRITERIA:
        raise ValueError(f"unknown criterion {criterion!r}; known: {', '.join(CRITERIA)}")
    if predictions.ndim != 3 or len(predictions) < 2:
        raise ValueError("predictions are (particles, groups, data) of two particles or more")
    v = torch.as_tensor(variance, dtype=torch.float64, device=predictions.device)
    if not bool((v > 0).all()):
        raise ValueError("the variance of a prediction is above 0")
    z = torch.view_as_real(predictions).flatten(2) if predictions.is_complex() else predictions
    z = (z - z.mean(0)).double().transpose(0, 1)
    product = z @ z.mT
    power = product.diagonal(dim1=1, dim2=2)
    distances = power[:, :, None] + power[:, None, :] - 2 * product
    return distances.clamp(min=0) / (2 * v[..., None, None])
