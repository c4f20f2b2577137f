"""What `fast`, `balanced` and `best` mean for each kind of model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sciddm.errors import InputError
from sciddm.method_choice import OWN, MethodChoice
from sciddm.pipelines.engine.quality import Quality, of_quality

__all__ = ["QUALITIES", "Kind", "Quality", "Settings", "settings_for"]

Kind = Literal["predictor", "diffusion", "regeneration"]


@dataclass(frozen=True)
class Settings:
    """How a spectrogram is estimated; every value is written into the result.

    Attributes:
        sampler: "predictor" (no diffusion), "ode" (DDIM, tau = 0), "sde" (the reverse Markov
            chain), "dpm++" (DPM-Solver++ 2M) or "pc" (the published predictor-corrector of
            SGMSE+: reverse diffusion with one Langevin correction, two evaluations a step); or the
            name of a solver in `sciddm.methods`.
        steps: network evaluations of the diffusion model for each sample; "pc" takes twice.
        samples: draws of the posterior K; the estimate is their mean.
        views: forms of the recording that each estimate is the mean of; see `views`.
    """

    sampler: str
    steps: int = 0
    samples: int = 1
    views: int = 1


# A bridge is random between its ends only: the estimate of its first step is the same every time.
_STEPS_OF_A_DRAW = 4

QUALITIES: dict[Kind, dict[Quality, Settings]] = {
    # A predictor has one answer, of which more views of the recording make a better one.
    "predictor": {
        "fast": Settings("predictor"),
        "balanced": Settings("predictor", views=2),
        "best": Settings("predictor", views=4),
    },
    "diffusion": {
        "fast": Settings("dpm++", 5),
        "balanced": Settings("dpm++", 15),
        "best": Settings("pc", 30),
    },
    "regeneration": {
        "fast": Settings("predictor"),
        "balanced": Settings("sde", 1, views=2),
        "best": Settings("sde", 4, samples=4, views=2),
    },
}


def settings_for(
    kind: Kind, quality: str, samples: int | None, choice: MethodChoice = OWN
) -> Settings:
    """The settings of a quality level.

    Args:
        kind: of the model.
        quality: fast, balanced or best.
        samples: in place of the quality's own number of draws; several draws of a diffusion model
            take several steps each.
        choice: another solver, or another number of noise levels after the first.

    Raises:
        InputError: an unknown quality, or no sample.
        OptionError: a choice for a model that answers at once.
    """
    settings = of_quality(QUALITIES[kind], quality)
    if not choice.own:
        if kind == "predictor":
            choice.refuse("this model answers in one evaluation")
        own = settings.sampler if settings.steps else "sde"
        settings = replace(settings, sampler=choice.sampler or own)
        steps = max(settings.steps, _STEPS_OF_A_DRAW)
        if choice.steps is not None:
            # The last estimate is made at the last level; "pc" steps from there to 0.
            steps = choice.steps + (settings.sampler != "pc")
        settings = replace(settings, steps=steps)
    if samples is None:
        return settings
    if samples < 1:
        raise InputError(f"{samples} samples: at least 1 is needed")
    if samples > 1 and settings.steps:
        settings = replace(settings, steps=max(settings.steps, _STEPS_OF_A_DRAW))
    return replace(settings, samples=samples)
