"""What a quality level means, for a prior and for a model that sees the measurement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.errors import InputError
from sciddm.guidance import MMPS, DiffPIR, Guided, Informed
from sciddm.physics import Measurement
from sciddm.pipelines.qualities import of_quality
from sciddm.symmetric import Symmetric, conjugate, mirror

__all__ = [
    "CONDITIONAL",
    "QUALITIES",
    "ConditionalSettings",
    "PriorSettings",
    "Settings",
    "settings_for",
]


@dataclass(frozen=True, kw_only=True)
class Settings(ABC):
    """What a quality level means; every value is written into the result.

    Attributes:
        samples: posterior samples K; the estimate is their mean.
        steps: noise levels of each after the first.
        start: iterations of the total variation image that sampling starts from (``start``); 0 for
            regularised least squares.
        sigma_max: level at which it starts.
        sigma_min: level at which it ends.
        approach: what an antithetic pair of samples does before, as (levels after the first, level
            at which they start): each starts from the mean of the one before, and the samples
            from that of the last.
        iterations: conjugate gradient steps that put the data into an estimate.
        krylov: conjugate gradient steps of MMPS, one VJP each.
        inflation: noise added for MMPS, in units of the noise level.
        finer: pixels of the image that is sampled for each of the scan's, along an axis, in scans
            of small matrices; see ``sampling.grid_of``.
        spread: factor on the samples' standard deviation that makes the 90 % interval hold the
            truth in 90 % of the pixels of the head; the model's card may say it for the model.
    """

    samples: int
    steps: int
    start: int
    sigma_max: float
    sigma_min: float = 0.02
    approach: tuple[tuple[int, float], ...] = ()
    iterations: int = 8
    krylov: int = 3
    inflation: float = 0.0
    finer: float = 1.0
    spread: float = 1.0

    @property
    def evaluations(self) -> int:
        """Network evaluations and VJPs of all samples together; a VJP costs about as much."""
        before = 2 * sum(steps + 1 for steps, _ in self.approach)
        return (before + self.samples * (self.steps + 1)) * self.each

    @property
    def levels(self) -> int:
        """Noise levels one after the other, those of the approach among them."""
        pairs = -(-self.samples // 2)
        return pairs * (self.steps + 1) + sum(steps + 1 for steps, _ in self.approach)

    def attributes(self) -> dict[str, Any]:
        """As a result holds them: numbers and text."""
        told = ", ".join(f"{steps} from {sigma:g}" for steps, sigma in self.approach)
        return {**asdict(self), "approach": told or "none"}

    def prior(self, denoiser: Denoiser, levels: Tensor, first: int = 0) -> Denoiser:
        """The denoiser as sampling uses it: through ``levels``, from the ``first`` item on.

        Seen in a mirror and with the phase turned round: heads are as likely that way.
        """
        return Symmetric(denoiser, (mirror, conjugate), levels, first)

    @property
    def each(self) -> int:
        """Network evaluations and VJPs at each noise level."""
        return 1 + self.krylov

    @abstractmethod
    def guide(self, denoiser: Denoiser, measurement: Measurement, first: Tensor) -> Guided:
        """The denoiser, told of the measurement, for one chain that begins at an estimate."""


@dataclass(frozen=True, kw_only=True)
class PriorSettings(Settings):
    """With a prior, which knows nothing of scans.

    Attributes:
        lam: weight of the prior in the proximal step that follows it.
    """

    start: int = 250
    sigma_max: float = 0.2
    finer: float = 1.25
    lam: float = 2.0

    def guide(self, denoiser: Denoiser, measurement: Measurement, first: Tensor) -> Guided:
        """See ``Settings``.

        MMPS knows how the prior ties what was not measured to what was, but its few conjugate
        gradient steps do not reach the data; the proximal step does.
        """
        informed = MMPS(denoiser, measurement, self.krylov, self.inflation)
        return DiffPIR(informed, measurement, self.lam)


@dataclass(frozen=True, kw_only=True)
class ConditionalSettings(Settings):
    """With a model that sees the measurement."""

    start: int = 200
    sigma_max: float = 0.2
    inflation: float = 0.15

    def guide(self, denoiser: Denoiser, measurement: Measurement, first: Tensor) -> Guided:
        """See ``Settings``.

        MMPS takes what the data say of the network's own error to where nothing was measured.
        """
        corrected = MMPS(denoiser, measurement, self.krylov, self.inflation)
        return Informed(corrected, measurement, first=first)


# Chosen on tuning slices of the validation patients, away from those of the benchmark, at R = 8 and
# with the phase of a gradient echo at R = 6. There starting from total variation was worth 0 to
# 3 dB, the approach 0.5 to 1.3 dB for a fifth more evaluations (fast: 0 to 0.3 dB for none), the
# proximal step after MMPS 0.3 dB, symmetries of the prior 0.1 dB for nothing, and two antithetic
# pairs 0.15 dB more than one; a fifth Krylov step diverged unless the noise was inflated. Inflating
# it gains 0.1 to 0.5 dB where the prior fits badly and loses 0.3 dB in the cleanest scans at R = 8.
QUALITIES: dict[str, PriorSettings] = {
    "fast": PriorSettings(
        samples=4, steps=2, sigma_max=0.15, approach=((2, 0.35),), start=100, krylov=1, spread=1.6
    ),
    "balanced": PriorSettings(
        samples=4,
        steps=4,
        sigma_max=0.15,
        approach=((7, 0.5), (5, 0.35), (4, 0.25)),
        start=200,
        inflation=0.15,
        spread=1.25,
    ),
    "best": PriorSettings(
        samples=8,
        steps=8,
        approach=((12, 0.5), (10, 0.35), (8, 0.25)),
        krylov=4,
        inflation=0.1,
        spread=1.3,
    ),
}

# Ten evaluations of the network in all, and ten for each sample. On the tuning slices at R = 8, by
# a network trained for half an hour, MMPS with three steps was worth 0.8 dB, and four samples that
# approach the image first another 1 dB, for four times the evaluations.
CONDITIONAL: dict[str, ConditionalSettings] = {
    "fast": ConditionalSettings(samples=2, steps=4, start=100, sigma_max=0.5, krylov=1),
    "balanced": ConditionalSettings(samples=4, steps=4, approach=((4, 0.5), (3, 0.35)), spread=1.5),
    "best": ConditionalSettings(
        samples=8, steps=8, approach=((12, 0.5), (10, 0.35), (8, 0.25)), spread=1.5
    ),
}


def settings_for(denoiser: NetworkDenoiser, quality: str, samples: int | None = None) -> Settings:
    """What a quality level means with a model.

    Raises:
        InputError: no such quality, or a single sample.
    """
    levels: Mapping[str, Settings] = CONDITIONAL if denoiser.sees_estimate else QUALITIES
    settings = of_quality(levels, quality)
    if samples is None:
        return settings
    if samples < 2:
        raise InputError("at least 2 samples are needed: one has no standard deviation")
    return replace(settings, samples=samples)
