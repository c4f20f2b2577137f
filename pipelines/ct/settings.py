"""What `fast`, `balanced` and `best` mean for each method; results hold every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from sciddm.errors import InputError
from sciddm.pipelines.qualities import Quality, of_quality

__all__ = [
    "FILTER",
    "POSTERIOR",
    "RESIDUAL",
    "SCORE",
    "TV",
    "FilterSettings",
    "NoiseLaw",
    "PosteriorSettings",
    "Quality",
    "ResidualSettings",
    "ScoreSettings",
    "TVSettings",
    "chosen",
]

NoiseLaw = Literal["gaussian", "poisson", "gamma"]


@dataclass(frozen=True)
class ResidualSettings:
    """Residual diffusion.

    Attributes:
        samples: draws of the posterior; the estimate is the mean of their first evaluations.
        steps: network evaluations of each.
        spread: factor on the draws' standard deviation that makes the 90 % interval hold the truth
            in 90 % of the pixels, on slices kept for that.
    """

    samples: int
    steps: int
    spread: float = 1.0


@dataclass(frozen=True)
class ScoreSettings:
    """Noise2Score.

    Attributes:
        iterations: training steps on the volume.
        noise: its law: Gaussian, or Poisson or Gamma of the values above air.
        parameter: of the law: sigma in HU, eta in HU, or the shape a; None to find it.
    """

    iterations: int
    noise: NoiseLaw = "gaussian"
    parameter: float | None = None


@dataclass(frozen=True)
class FilterSettings:
    """Filter2Noise: training steps on the volume."""

    iterations: int


@dataclass(frozen=True)
class PosteriorSettings:
    """Posterior sampling from projections.

    Attributes:
        samples: posterior samples K, at least 2; the estimate is their mean.
        steps: noise levels of each, so NFE per sample is steps + 1.
        sigma_max: level at which sampling starts, HU, from a regularised reconstruction.
        sigma_min: level at which it ends, HU.
        krylov: conjugate gradient steps of MMPS, one VJP each; 0 for none.
        inflation: noise added for MMPS, in units of the noise level.
        lam: weight of the prior in the proximal step that follows it.
        iterations: conjugate gradient steps of that step.
        spread: as of `ResidualSettings`.
    """

    samples: int
    steps: int
    sigma_max: float = 300.0
    sigma_min: float = 15.0
    krylov: int = 0
    inflation: float = 0.1
    lam: float = 3.0
    iterations: int = 6
    spread: float = 1.0


@dataclass(frozen=True)
class TVSettings:
    """Statistically weighted least squares with total variation.

    Attributes:
        weight: of the total variation, per HU.
        iterations: outer ones; each solves a quadratic problem in a few steps.
    """

    weight: float = 0.03
    iterations: int = 30


# The spreads are those that a Gaussian p(x0 | y) needs for so many steps and antithetic pairs; on
# slices of training patients the same made the 90 % interval (`posterior.half_width`) hold 90 %.
RESIDUAL: dict[Quality, ResidualSettings] = {
    "fast": ResidualSettings(samples=2, steps=3, spread=1.35),
    "balanced": ResidualSettings(samples=4, steps=4, spread=1.4),
    "best": ResidualSettings(samples=8, steps=8, spread=1.2),
}
# Chosen on slices of training patients, at low dose and with 60 views. There a start at 300 HU was
# worth .5 dB more than one at 150 with 60 views, and lam 3 to 10 up to .5 dB more than 1; beyond 3
# images of few views leave their data.
POSTERIOR: dict[Quality, PosteriorSettings] = {
    "fast": PosteriorSettings(samples=2, steps=8, spread=0.7),
    "balanced": PosteriorSettings(samples=4, steps=14, spread=1.05),
    "best": PosteriorSettings(samples=8, steps=20, spread=1.15),
}
TV: dict[Quality, TVSettings] = {
    "fast": TVSettings(iterations=15),
    "balanced": TVSettings(),
    "best": TVSettings(iterations=60),
}
SCORE: dict[Quality, ScoreSettings] = {
    "fast": ScoreSettings(200),
    "balanced": ScoreSettings(600),
    "best": ScoreSettings(2000),
}
FILTER: dict[Quality, FilterSettings] = {
    "fast": FilterSettings(50),
    "balanced": FilterSettings(100),
    "best": FilterSettings(300),
}


S = TypeVar("S")


def chosen(levels: Mapping[Quality, S], quality: str, samples: int | None = None) -> S:
    """The settings of a quality level, perhaps with another number of samples.

    Raises:
        InputError: an unknown quality, samples of a method that draws none, or fewer than one.
    """
    settings: Any = of_quality(levels, quality)
    if samples is None:
        return settings
    if not hasattr(settings, "samples"):
        raise InputError("this method draws no samples: leave their number out")
    if samples < 1:
        raise InputError(f"{samples} samples: at least 1 is needed")
    return replace(settings, samples=samples)
