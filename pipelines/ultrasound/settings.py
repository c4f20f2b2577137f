"""What `fast`, `balanced` and `best` mean for dehazing; results hold every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from sciddm.errors import InputError
from sciddm.method_choice import OWN, MethodChoice
from sciddm.pipelines.engine.quality import of_quality

__all__ = ["GUIDANCE", "QUALITIES", "GuidanceName", "Settings", "settings_for"]

GuidanceName = Literal["mmps", "pigdm", "dps"]
GUIDANCE: tuple[str, ...] = get_args(GuidanceName)


@dataclass(frozen=True)
class Settings:
    """Joint posterior sampling of tissue and haze.

    Levels are standard deviations in companded units, where full scale is 1.

    Attributes:
        samples: posterior samples, an even number: they come in antithetic pairs.
        steps: noise levels of each, so NFE per sample is 2 (steps + 1), one per prior.
        guidance: the likelihood step. PiGDM solves it exactly at every pixel for priors of white
            spread; MMPS knows how the priors tie pixels together, but takes a few steps only.
        sigma_max: level at which sampling starts, from a first guess (`CompandedSum.begin`; a warm
            start, as in CCDF of Chung et al. 2022). The two parts share their frequencies: from
            higher levels haze takes tissue along.
        sigma_follow: the same for a frame that goes on from the one before, from midway between
            that and its own first guess.
        follow_steps: levels of such a frame.
        sigma_min: level at which sampling ends.
        noise: to which the sum of the parts is known.
        krylov: conjugate gradient steps of MMPS, one VJP each.
        inflation: noise added for MMPS, in units of the noise level.
        side: pixels a side of envelopes and B-mode that the models see, at most; None for all.
            Their estimate is a smooth gain, which a coarse grid holds.
        solver: a step of `sciddm.methods` in place of the ancestral one.
        zeta: strength of DPS, per root of the number of pixels: its norm is that of the frame.
    """

    samples: int
    steps: int
    follow_steps: int
    guidance: GuidanceName = "pigdm"
    sigma_max: float = 0.8
    sigma_follow: float = 0.5
    sigma_min: float = 0.03
    noise: float = 0.01
    krylov: int = 2
    inflation: float = 0.1
    zeta: float = 3.0
    solver: str | None = None
    side: int | None = None


QUALITIES: Mapping[str, Settings] = {
    # What the frame before says is near the answer: fewer steps from a lower level give as much.
    "fast": Settings(samples=2, steps=6, follow_steps=2, sigma_follow=0.35),
    "balanced": Settings(samples=4, steps=8, follow_steps=6),
    "best": Settings(samples=8, steps=16, follow_steps=10),
}
#: Envelopes add in power only on average: their sum is known less well. Sampling starts where the
#: priors can still say which of both parts a dark place is: from 0.3 they keep what the first guess
#: says, from 1 they take tissue for haze.
ENVELOPE_NOISE, ENVELOPE_START = 0.06, 0.6
#: Steps of pictures at a quality, of a first frame and of those that follow. Their gain is smooth:
#: more steps add nothing to it, fewer leave bright places darker.
_ENVELOPE_STEPS = {"fast": (4, 3)}
#: Pixels a side that the models see of pictures.
_SIDE = {"fast": 128, "balanced": 256, "best": None}


def settings_for(
    quality: str,
    *,
    envelopes: bool = False,
    guidance: str | None = None,
    samples: int | None = None,
    choice: MethodChoice = OWN,
) -> Settings:
    """The settings of a quality level.

    Args:
        quality: one of `QUALITIES`.
        envelopes: for envelopes in place of echoes.
        guidance: another likelihood step.
        samples: another number of samples.
        choice: another solver, or another number of levels, of all frames alike.

    Raises:
        InputError: unknown quality or guidance, or an odd number of samples.
    """
    settings = of_quality(QUALITIES, quality)
    if envelopes:
        first, following = _ENVELOPE_STEPS.get(quality, (settings.steps, settings.follow_steps))
        settings = replace(
            settings,
            steps=first,
            follow_steps=following,
            noise=ENVELOPE_NOISE,
            sigma_max=ENVELOPE_START,
            sigma_follow=ENVELOPE_START,
            side=_SIDE[quality],
        )
    if guidance is not None:
        if guidance not in GUIDANCE:
            raise InputError(f"unknown guidance {guidance!r}: take one of {', '.join(GUIDANCE)}")
        settings = replace(settings, guidance=cast(GuidanceName, guidance))
    if choice.sampler is not None:
        settings = replace(settings, solver=choice.sampler)
    if choice.steps is not None:
        settings = replace(settings, steps=choice.steps, follow_steps=choice.steps)
    if samples is not None:
        if samples < 2 or samples % 2:
            raise InputError(f"{samples} samples: they come in pairs, take 2, 4, 6 ...")
        settings = replace(settings, samples=samples)
    return settings
