"""Sentences on the methods of an enhanced recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciddm.pipelines.engine.report.methods import Statement

__all__ = ["statements"]


def statements(attrs: Mapping[Any, Any]) -> Iterator[Statement]:
    """What was done, from the attributes of the result."""
    sampler = str(attrs.get("sampler", ""))
    if sampler == "predictor":
        yield Statement("A network estimated the clean compressed spectrogram from the noisy one.")
    elif sampler:
        yield Statement(
            "A diffusion model whose process ends at the recording, or at an estimate of it, gave "
            "the clean compressed spectrogram.",
            ("richter2023", "lemercier2023"),
        )
    if sampler == "dpm++":
        yield Statement("Its equation was solved by DPM-Solver++.", ("lu2022",))
    rate, model_rate = attrs.get("rate"), attrs.get("model_rate")
    if isinstance(rate, int) and isinstance(model_rate, int) and rate != model_rate:
        yield Statement(f"The recording of {rate} Hz was processed at {model_rate} Hz.")
    views = attrs.get("views")
    if isinstance(views, int) and views > 1:
        yield Statement(f"Each estimate is the mean over {views} forms of the recording.")
