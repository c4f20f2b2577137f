"""Posterior means from the score of noisy data alone: Noise2Score (Kim and Ye, 2021).

For noise of an exponential family the mean of the clean value given the noisy one needs nothing of
the clean data but what the density p of the noisy data tells, through its score l'(y) = d log p/dy
(Robbins, 1956; Efron, 2011). Everything is elementwise; the noise is independent in every element.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["gamma_mean", "gaussian_mean", "poisson_mean", "poisson_mean_from_ratio"]


def gaussian_mean(y: Tensor, score: Tensor, sigma: float | Tensor) -> Tensor:
    """E[x | y] = y + sigma^2 l'(y), exactly, for y ~ N(x, sigma^2).

    Args:
        y: noisy values.
        score: l'(y), in their shape.
        sigma: standard deviation of the noise.
    """
    return y + sigma**2 * score


def poisson_mean(y: Tensor, score: Tensor, eta: float | Tensor) -> Tensor:
    """E[x | y] ~ (y + eta/2) exp(l'(z)), for y = eta z with counts z ~ Poisson(x / eta).

    Approximate: the score is that of a smooth density through the counts' probabilities. Where
    those are at hand, ``poisson_mean_from_ratio`` is exact.

    Args:
        y: noisy values, eta times a count.
        score: d log p / dz, per count: eta times the score with respect to y.
        eta: size of one count in the units of y.
    """
    return (y + eta / 2) * score.exp()


def poisson_mean_from_ratio(y: Tensor, log_ratio: Tensor, eta: float | Tensor) -> Tensor:
    """E[x | y] = eta (z + 1) p(z + 1) / p(z), exactly, for y = eta z, z ~ Poisson(x / eta).

    Args:
        y: noisy values, eta times a count.
        log_ratio: log p(z + 1) - log p(z) of the probabilities of the noisy counts.
        eta: size of one count in the units of y.
    """
    return (y + eta) * log_ratio.exp()


def gamma_mean(y: Tensor, score: Tensor, shape: float | Tensor) -> Tensor:
    """1 / E[1/x | y] = a y / ((a - 1) - y l'(y)), exactly, for y ~ Gamma(shape a, mean x).

    This multiplicative noise of mean 1 and variance 1/a leaves the mean of 1/x, the natural
    parameter, in closed form; its inverse is at most E[x | y].

    Args:
        y: noisy values above 0.
        score: l'(y), in their shape.
        shape: a > 1.
    """
    return shape * y / ((shape - 1) - y * score)
