"""Did an estimate predict data that it was not shown?

Entries y of the measurement are kept out. K samples x_k of the posterior of the rest predict them;
with e = y - mean A x_k, v the variance of the A x_k and sigma the noise level of y,

    ratio = sqrt(mean |e|^2 / mean (f^2 (1 + 1/K) v + sigma^2))
    widening = sqrt(max(mean |e|^2 - sigma^2, 0) / mean (f^2 (1 + 1/K) v))
    skill = sqrt((mean |e|^2 - sigma^2) / (mean |e_0|^2 - sigma^2)),     e_0 = y - A x_0

f is the factor on the samples' standard deviation and x_0 the best image that needs no trained
prior. For the right model and prior the ratio is 1 within sampling error, as samples and truth have
one law: above 1 the standard deviation is too small for this very measurement. The widening is the
factor that the standard deviation alone lacks; entries where noise is all there is say nothing of
it. The log score is the logarithm of the predictive density of those entries, each Gaussian about
its mean,

    score = max_g sum ln N(y; mean A x_k, g^2 (1 + 1/K) v_b + sigma^2),

with the mean variance v_b of entries about as large in the image without a trained prior, as of few
samples a single variance says little, and a factor g of its own in place of f: samples of short
chains do not know their own scale, which would be taken for noise. The density of data that were
not shown is a proper scoring rule, largest on average for the true law: of two noise levels,
operators or priors the better has the larger score (Gneiting and Raftery, 2007).

A skill above 1 says that the prior knows less of this object than none. Ratio and skill see motion
between the parts of a scan, a wrong operator or noise level, and a worthless prior, for any linear
measurement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciddm.physics.measurement import Measurement
from sciddm.uncertainty.verdict import Finding

__all__ = ["Prediction", "prediction_finding", "prediction_of"]


#: Squared factors that are tried.
_FACTORS = (0.0, *(10 ** (k / 10) for k in range(-20, 16)))
#: Groups of entries of about the same size, and how many entries one has at least.
_GROUPS, _LEAST = 20, 20


@dataclass(frozen=True)
class Prediction:
    """How well entries that were kept out were predicted.

    Attributes:
        ratio: error in units of what the posterior and the noise explain.
        skill: error over that of the image without a trained prior, both without the noise.
        count: entries that were kept out.
        widening: by which the standard deviation would have explained the error.
        log_score: logarithm of the predictive density of all entries, nats.
    """

    ratio: float
    skill: float
    count: int
    widening: float = 1.0
    log_score: float = math.nan


def prediction_of(
    kept_out: Measurement, measured: Tensor, samples: Tensor, baseline: Tensor, factor: float = 1.0
) -> Prediction:
    """The prediction of the entries of a measurement.

    Args:
        kept_out: the measurement of the entries that the samples were not shown.
        measured: which entries of its y these are.
        samples: (K, B, ...), K >= 2, domain of A.
        baseline: x_0, (B, ...).
        factor: f.

    Raises:
        ValueError: a single sample, or no entry.
    """
    if len(samples) < 2:
        raise ValueError("a prediction needs at least two samples")
    seen = measured.expand(kept_out.y.shape)
    count = int(seen.sum())
    if not count:
        raise ValueError("no entry was kept out")
    drawn = torch.stack([kept_out.A(x) for x in samples])
    mean = drawn.mean(0)
    variance = (drawn - mean).abs().square().sum(0) / (len(drawn) - 1)
    noise = kept_out.sigma**2

    def power(values: Tensor) -> float:
        return float(values.abs().square().expand(kept_out.y.shape)[seen].double().mean())

    error, plain = power(kept_out.y - mean), power(kept_out.y - kept_out.A(baseline))
    widened = factor**2 * (1 + 1 / len(samples)) * power(variance.sqrt())
    # Where noise is all that is left, neither image is better: the noise keeps both above 0.
    skill = math.sqrt(max(error - noise, 0.0) + noise) / math.sqrt(max(plain - noise, 0.0) + noise)
    excess = max(error - noise, 0.0)
    widening = math.sqrt(excess / widened) if widened > 0 else 1.0
    wider = 1 + 1 / len(samples)
    shape = kept_out.y.shape
    residual, spread, size = (
        values.expand(shape)[seen].double()
        for values in (
            (kept_out.y - mean).abs().square(),
            variance,
            kept_out.A(baseline).abs(),
        )
    )
    score = _log_score(residual, wider * spread, size, noise, kept_out.y.is_complex())
    return Prediction(math.sqrt(error / (widened + noise)), skill, count, widening, score)


def _log_score(
    residual: Tensor, variance: Tensor, size: Tensor, noise: float, complex_data: bool
) -> float:
    """ln N of entries (n,), their variances averaged over entries of about the same size.

    Args:
        residual: |y - mean|^2.
        variance: of the prediction.
        size: magnitude by which entries are grouped.
        noise: variance of the noise.
        complex_data: the density is one of complex entries.
    """
    parts = size.argsort().tensor_split(max(1, min(_GROUPS, len(size) // _LEAST)))
    means = [(float(residual[p].mean()), float(variance[p].mean()), len(p)) for p in parts]
    # The density of circular complex entries has twice that of real ones in the exponent.
    half, area = (1.0, math.pi) if complex_data else (0.5, 2 * math.pi)

    def density(g2: float) -> float:
        scales = [(e, g2 * v + noise, n) for e, v, n in means]
        return -half * sum(n * (e / s + math.log(area * s)) for e, s, n in scales)

    return max(map(density, _FACTORS))


def prediction_finding(
    predictions: Sequence[Prediction], limit: float, skill_limit: float
) -> Finding:
    """Whether a result is calibrated, by the entries of one or several parts that were kept out.

    Args:
        predictions: of the parts; their median decides.
        limit: ratio above which the standard deviation is too small for this measurement.
        skill_limit: skill above which the prior is of no use for it.
    """
    if not predictions:
        return Finding()
    ratio = _median([p.ratio for p in predictions])
    skill = _median([p.skill for p in predictions])
    if skill > skill_limit:
        return Finding(
            "no",
            skill,
            skill_limit,
            f"Data that were kept out are predicted {skill:.2f} times as far off as without the "
            "trained model: it knows nothing of this object, or the scan contradicts itself "
            "(motion).",
        )
    if ratio > limit:
        return Finding(
            "no",
            ratio,
            limit,
            f"Data that were kept out lie {ratio:.2f} times as far from their prediction as the "
            "standard deviation and the noise explain: the intervals are too narrow for this scan.",
            "too small",
        )
    return Finding(
        "yes",
        ratio,
        limit,
        f"Data that were kept out are predicted within the standard deviation and the noise "
        f"({ratio:.2f} times).",
        "too large" if ratio * limit < 1 else "",
    )


def _median(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).quantile(0.5))
