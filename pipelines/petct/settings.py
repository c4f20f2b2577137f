"""How much a quality spends."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sciddm.errors import InputError
from sciddm.method_choice import OWN, MethodChoice
from sciddm.pipelines.engine.quality import of_quality

__all__ = ["SETTINGS", "Settings", "chosen"]


@dataclass(frozen=True)
class Settings:
    """Cost of a segmentation.

    Attributes:
        samples: masks that are drawn.
        steps: network evaluations of each.
        overlap: of neighbouring windows.
    """

    samples: int
    steps: int
    overlap: float


SETTINGS = {
    "fast": Settings(2, 3, 0.125),
    "balanced": Settings(5, 5, 0.25),
    "best": Settings(8, 10, 0.5),  # every mirror image once
}


def chosen(quality: str, samples: int | None, choice: MethodChoice = OWN) -> Settings:
    """The settings of a quality, with other numbers of samples and steps where they are given.

    Raises:
        InputError: no such quality, or no sample.
    """
    settings = of_quality(SETTINGS, quality)
    if choice.steps is not None:  # noise levels after the first: one evaluation more
        settings = replace(settings, steps=choice.steps + 1)
    if samples is None:
        return settings
    if samples < 1:
        raise InputError(f"{samples} samples: at least one is needed")
    return replace(settings, samples=samples)
