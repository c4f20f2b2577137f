"""The result of posterior sampling: samples, what they say, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from scipy.special import stdtrit
from torch import Tensor

from sciddm.ledger import Cost
from sciddm.physics.measurement import Measurement
from sciddm.uncertainty.verdict import Finding

__all__ = ["Consistency", "Posterior", "half_width", "residual_ratio"]


@dataclass(frozen=True)
class Consistency:
    """How far samples are from their own measurement.

    ``ratio`` is the root mean square of (y - A x) / sigma over the measured entries. If x is drawn
    from the posterior of the right model, (x, y) has the law of (truth, data), so the ratio is 1
    within sampling error. Above 1 the image contradicts the data by more than noise explains
    (prior against data, wrong coil maps, motion); below 1 it follows the noise.

    ``floor`` is the same ratio for the least-squares image, which knows no prior: where it is
    above 1 the operator itself (maps, trajectory) or the noise level is off, and only a residual
    well above it speaks against the prior. 0 where it was not computed.
    """

    ratio: float
    measured: int
    floor: float = 0.0
    tolerance: float = 0.25

    @property
    def model_fails(self) -> bool:
        """Whether even the image that fits best, without any prior, leaves more than the noise."""
        return self.floor > 1 + self.tolerance

    @property
    def contradicts(self) -> bool:
        """Whether the residual is beyond what the noise, or the model's own failure, explains."""
        return self.ratio > (1 + self.tolerance) * max(1.0, self.floor)

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        level = f"residual {self.ratio:.2f} times the noise"
        if self.contradicts:
            return f"The image contradicts the data: {level}."
        if self.model_fails:
            return (
                f"The operator does not explain the data ({level}, {self.floor:.2f} for the image "
                "that fits best without the prior): its parts or the noise level are off."
            )
        if self.ratio < 1 - self.tolerance:
            return f"The image follows the noise of the data, or the noise is overstated: {level}."
        return f"The image agrees with the data: {level}."


@dataclass(frozen=True)
class Posterior:
    """Samples (K, B, ...) of x0 given the data.

    For complex samples the standard deviation is sqrt(E|x - mean|^2); take ``map(torch.abs)``
    first for magnitudes.

    Attributes:
        samples: (K, B, ...), of equal weight.
        cost: what they took.
        log_evidence: log p(y) of each item (B,) in nats, where the sampler estimates it
            (``sampling.smc``, ``uncertainty.evidence``). Of two operators, noise levels or
            priors the one with the larger value explains the same data better.
        measurement: the data of all B items, or of one that they share, if the verdict is to be
            asked for.
        familiar: whether the items are like the prior's training data, where its card says what
            these are like; the median item decides.
    """

    samples: Tensor
    cost: Cost = field(default_factory=Cost)
    log_evidence: Tensor | None = None
    measurement: Measurement | None = None
    familiar: Finding = field(default_factory=Finding)

    def map(self, function: Callable[[Tensor], Tensor]) -> Posterior:
        """The posterior of function(x), such as a magnitude."""
        return replace(self, samples=function(self.samples), measurement=None)

    @property
    def mean(self) -> Tensor:
        """Posterior mean (B, ...): the estimate of least squared error."""
        return self.samples.mean(0)

    @property
    def std(self) -> Tensor:
        """Posterior standard deviation (B, ...), unbiased in the variance; needs K >= 2."""
        if len(self.samples) < 2:
            raise ValueError("a standard deviation needs at least two samples")
        return (self.samples - self.mean).abs().square().sum(0).div(len(self.samples) - 1).sqrt()

    def quantile(self, q: float) -> Tensor:
        """The q-quantile of each element (B, ...), linear between samples; real samples only."""
        return torch.quantile(self.samples, q, dim=0)

    def interval(self, level: float) -> tuple[Tensor, Tensor]:
        """Bounds (B, ...) that hold a new draw of the posterior with probability ``level``.

        The mean +- t std sqrt(1 + 1/K), t of Student's law with K - 1 degrees of freedom: unlike
        sample quantiles it is right for few samples (exactly for Gaussian marginals).
        """
        half = half_width(len(self.samples), level) * self.std
        return self.mean - half, self.mean + half

    def coverage(self, truth: Tensor, level: float = 0.9, where: Tensor | None = None) -> float:
        """Share of elements (within ``where``) whose truth lies in the ``level`` interval."""
        low, high = self.interval(level)
        inside = (truth >= low) & (truth <= high)
        return float((inside if where is None else inside[where]).float().mean())

    @property
    def verdict(self) -> str:
        """Whether the samples agree with their data, in one sentence."""
        if self.measurement is None:
            raise ValueError("these samples do not know their data: ask consistency(measurement)")
        return self.consistency(self.measurement).verdict

    def consistency(
        self, measurement: Measurement, measured: Tensor | None = None, *, floor: float = 0.0
    ) -> Consistency:
        """Residual of the samples against the noise level.

        Args:
            measurement: y, A and sigma; A takes samples (K, B, ...), y is that of all B items,
                or of one if all items share it.
            measured: entries of y that were measured; by default those where y is not 0.
            floor: the ratio for the least-squares image; see ``residual_ratio``.
        """
        seen = (measurement.y != 0) if measured is None else measured
        ratio = residual_ratio(measurement, self.samples, seen)
        return Consistency(ratio, int(seen.expand(measurement.y.shape).sum()), floor)

    @property
    def nfe(self) -> float:
        """Network evaluations per sample."""
        return self.cost.nfe / max(1, self.samples.shape[0] * self.samples.shape[1])

    @property
    def nvjp(self) -> float:
        """Vector-Jacobian products per sample."""
        return self.cost.nvjp / max(1, self.samples.shape[0] * self.samples.shape[1])


def half_width(samples: int, level: float) -> float:
    """Half of the ``level`` interval for a new draw, in standard deviations of ``samples`` draws.

    t sqrt(1 + 1/K), with t of Student's law with K - 1 degrees of freedom.
    """
    out: float = float(stdtrit(samples - 1, 0.5 + level / 2)) * (1 + 1 / samples) ** 0.5
    return out


def residual_ratio(measurement: Measurement, x: Tensor, measured: Tensor) -> float:
    """Root mean square of (y - A x) / sigma over the measured entries and all items of x."""
    residual = measurement.residual(x) / measurement.sigma
    return float(residual.abs().square()[measured.expand(residual.shape)].double().mean().sqrt())
