"""Sentences on the methods of a dehazed scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciddm.pipelines.engine.report.methods import Statement

__all__ = ["statements"]

_GUIDANCE = {"pigdm": "song2023pigdm", "mmps": "rozet2024", "dps": "chung2023dps"}


def statements(attrs: Mapping[Any, Any]) -> Iterator[Statement]:
    """What was done, from the attributes of the result."""
    if attrs.get("unchanged"):
        yield Statement("The scan showed no evidence of haze and is returned unchanged.")
        return
    yield Statement(
        "Tissue and haze were sampled jointly, each under a diffusion prior of its own, so that "
        "their sum gives the scan.",
        ("stevens2024", "song2021score"),
    )
    guidance = str(attrs.get("guidance", ""))
    if guidance in _GUIDANCE:
        yield Statement(
            f"The likelihood step was that of {guidance.upper().replace('PIGDM', 'PiGDM')}.",
            (_GUIDANCE[guidance],),
        )
    yield Statement("The estimate is the mean of the samples of tissue.")
    share = attrs.get("haze_share")
    if isinstance(share, int | float):
        yield Statement(f"{100 * share:.3g} % of the power was taken away.")
