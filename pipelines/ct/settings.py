"""What `fast`, `balanced` and `best` mean for each method; results hold every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from sciddm.errors import InputError
from sciddm.pipelines.engine.quality import Quality, of_quality

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
        spread: factor on the draws' standard deviation that a Gaussian p(x0 | y) needs for so many
            steps and antithetic pairs.
        error: a further one for the network's own error, of which its draws know nothing, so that
            +-1.645 standard deviations hold the truth in 90 % of the pixels on average.
        grain: share of what was taken away that the estimate keeps.
    """

    samples: int
    steps: int
    spread: float = 1.0
    error: float = 1.0
    grain: float = 0.0


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
        error: HU; the step takes the prior's error for error / (r - 1) at most, where an image of
            N pixels a side needs r = pi N / 2 / views times the views there are; any for r <= 1.
        iterations: conjugate gradient steps of that step, at most,
        tolerance: until its residual is so small a part of what it began with, both in the norm of
            the preconditioner.
        spread: as of `ResidualSettings`, times r^(1/4) for r > 1.
    """

    samples: int
    steps: int
    sigma_max: float = 800.0
    sigma_min: float = 15.0
    krylov: int = 0
    inflation: float = 0.1
    lam: float = 3.0
    error: float = 400.0
    iterations: int = 24
    tolerance: float = 0.01
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
# slices of training patients that of `posterior` made the 90 % interval (`posterior.half_width`)
# hold 90 %. With its error `residual` held 93 % on average of 39 images: training patients,
# phantoms without noise of their own, water, and projections by another simulator with ramp and
# Hann filters at 1 and 3 mm (balanced: 81 to 100 % of each).
# On 29 slices of other training patients a grain of .04 brought the noise power spectrum nearer to
# that of the full dose, from .235, .200 and .135 to .196, .182 and .129 (`texture_distance`; 10, 25
# and 50 % dose), for 1.1, .3 and 0 % more error; twice as much to .170, .166 and .124, for 3.1, 1.0
# and .2 %.
RESIDUAL: dict[Quality, ResidualSettings] = {
    "fast": ResidualSettings(samples=2, steps=3, spread=1.35, error=1.5, grain=0.04),
    "balanced": ResidualSettings(samples=4, steps=3, spread=1.8, error=1.35, grain=0.04),
    "best": ResidualSettings(samples=8, steps=8, spread=1.2, error=1.35, grain=0.04),
}
# Chosen on slices of training patients, at low dose and with 60 views. With 60 views a start at
# 800 HU was worth .5 dB more than one at 300, 20 conjugate gradient steps .3 dB more than 12 and .8
# more than 6, and 24 up to .1 more than 20. Fewer in the first half of the levels, to save time,
# cost up to .3 dB. A bound of 400 / (r - 1) on the error was worth .3 dB on one body, none on
# another, and 3.6 dB on one that fills 300 pixels, with 6 steps from 300 HU. At low dose with all
# views none of it matters. lam 3 was worth up to .5 dB more than 1; beyond 3 images of few views
# leave their data.
POSTERIOR: dict[Quality, PosteriorSettings] = {
    "fast": PosteriorSettings(samples=2, steps=8, spread=0.75),
    "balanced": PosteriorSettings(samples=4, steps=14, spread=1.1),
    "best": PosteriorSettings(samples=8, steps=20, spread=1.1),
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
        out: S = settings
        return out
    if not hasattr(settings, "samples"):
        raise InputError("this method draws no samples: leave their number out")
    if samples < 1:
        raise InputError(f"{samples} samples: at least 1 is needed")
    out = replace(settings, samples=samples)
    return out
