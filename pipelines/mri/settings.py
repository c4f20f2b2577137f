"""What a quality level means, for a prior and for a model that sees the measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.errors import InputError
from sciddm.guidance import MMPS, DiffPIR, Guided, Informed
from sciddm.physics import Measurement

__all__ = ["CONDITIONAL", "QUALITIES", "ConditionalSettings", "Quality", "Settings", "settings_for"]

Quality = Literal["fast", "balanced", "best"]


@dataclass(frozen=True)
class Settings:
    """What a quality level means with a prior; every value is written into the result.

    Attributes:
        samples: posterior samples K; the estimate is their mean.
        steps: noise levels of each, so NFE per sample is steps + 1.
        start: iterations of the total variation image that sampling starts from (``start``).
        sigma_max: level at which it starts.
        sigma_min: level at which it ends.
        krylov: conjugate gradient steps of MMPS, one VJP each.
        inflation: noise added for MMPS, in units of the noise level.
        lam: weight of the prior in the proximal step that follows it.
        iterations: conjugate gradient steps of that step.
        spread: factor on the samples' standard deviation that makes the 90 % interval hold the
            truth in 90 % of the pixels of the head; the model's card may say it for the model.
    """

    samples: int
    steps: int
    start: int = 250
    sigma_max: float = 0.5
    sigma_min: float = 0.02
    krylov: int = 3
    inflation: float = 0.0
    lam: float = 2.0
    iterations: int = 8
    spread: float = 1.0

    @property
    def evaluations(self) -> int:
        """Network evaluations and VJPs of all samples together; a VJP costs about as much."""
        return self.samples * (self.steps + 1) * (1 + self.krylov)

    def guide(self, denoiser: Denoiser, measurement: Measurement) -> Guided:
        """The prior's denoiser, told of the measurement.

        MMPS knows how the prior ties what was not measured to what was, but its few conjugate
        gradient steps do not reach the data; the proximal step does.
        """
        informed = MMPS(denoiser, measurement, self.krylov, self.inflation)
        return DiffPIR(informed, measurement, self.lam)


@dataclass(frozen=True)
class ConditionalSettings:
    """What a quality level means with a model that sees the measurement.

    Attributes:
        samples: posterior samples K; the estimate is their mean.
        steps: noise levels of each.
        rounds: network evaluations at each, so NFE per sample is rounds * (steps + 1).
        start: as of ``Settings``.
        sigma_max: level at which sampling starts.
        sigma_min: level at which it ends.
        iterations: conjugate gradient steps that put the data into an estimate.
        spread: as of ``Settings``.
    """

    samples: int
    steps: int
    rounds: int = 1
    start: int = 0
    sigma_max: float = 1.0
    sigma_min: float = 0.02
    iterations: int = 8
    spread: float = 1.0

    @property
    def evaluations(self) -> int:
        """Network evaluations of all samples together."""
        return self.samples * (self.steps + 1) * self.rounds

    def guide(self, denoiser: Denoiser, measurement: Measurement) -> Guided:
        """The denoiser with the measurement before its eyes."""
        return Informed(denoiser, measurement, self.rounds)


# Chosen on tuning slices of the validation patients, away from those of the benchmark.
# There starting from total variation was worth 0 to 3 dB at R = 8 (fast pays for it with a step),
# the proximal step after MMPS was worth 0.3 dB, eight steps more 0.2 dB, and two antithetic
# pairs 0.15 dB more than one; a fifth Krylov step diverged unless the noise was inflated.
QUALITIES: dict[str, Settings] = {
    "fast": Settings(samples=4, steps=4, start=100, krylov=1, spread=1.6),
    "balanced": Settings(samples=4, steps=10, spread=1.25),
    "best": Settings(samples=8, steps=16, krylov=4, inflation=0.1, spread=1.3),
}

CONDITIONAL: dict[str, ConditionalSettings] = {
    "fast": ConditionalSettings(samples=4, steps=4),
    "balanced": ConditionalSettings(samples=8, steps=4, rounds=2),
    "best": ConditionalSettings(samples=16, steps=9, rounds=2),
}


def settings_for(
    denoiser: NetworkDenoiser, quality: str, samples: int | None = None
) -> Settings | ConditionalSettings:
    """What a quality level means with a model.

    Raises:
        InputError: no such quality, or a single sample.
    """
    table: dict[str, Settings] | dict[str, ConditionalSettings]
    table = CONDITIONAL if denoiser.about_cond else QUALITIES
    if quality not in table:
        raise InputError(f"unknown quality {quality!r}: take one of {', '.join(table)}")
    settings = table[quality]
    if samples is None:
        return settings
    if samples < 2:
        raise InputError("at least 2 samples are needed: one has no standard deviation")
    return replace(settings, samples=samples)
