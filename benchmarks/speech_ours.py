"""Our own rows: the public pipeline on each problem, by quality or by sampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import xarray as xr

from benchmarks.results import Result, cached
from benchmarks.speech_problems import RATE, Problem, load_problems
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.pipelines.speech.settings import Settings, settings_for


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: of the line.
        model: name or folder.
        kind: of the problems it is for.
        quality: fast, balanced or best; or
        settings: sampler, steps and samples.
        groups: of problems that it is measured on.
    """

    name: str
    model: str
    kind: str
    quality: str = ""
    settings: Settings | None = None
    groups: tuple[str, ...] = ("dev", "mfa")


def main(problems: Path, results: Path, rows: Sequence[Row]) -> None:
    for row in rows:
        pipeline = SpeechEnhancement.from_pretrained(row.model)
        settings = row.settings or settings_for(pipeline.kind, row.quality, None)
        about = pipeline.front.representation
        key = [asdict(settings), pipeline.provenance["weights_sha256"], about]
        todo = [p for p in load_problems(problems, row.kind) if p.info["group"] in row.groups]
        enhance(pipeline, todo[0], settings)  # first calls allocate and choose kernels
        for p in todo:
            make = partial(enhance, pipeline, p, settings)
            cached(results, row.name, p, key, make)


def enhance(pipeline: SpeechEnhancement, p: Problem, settings: Settings) -> Result:
    noisy = xr.DataArray(
        p.noisy[None], dims=("channel", "time"), attrs={"rate": RATE, "source": p.info["name"]}
    )
    start = perf_counter()
    run = pipeline.open(noisy, settings=settings)
    wave = [block.enhanced[0] for block in run]
    seconds = perf_counter() - start
    return Result(
        np.concatenate(wave),
        seconds,
        nfe=int(run.attrs["nfe"]),
        settings={**asdict(settings), "weights_sha256": run.attrs["weights_sha256"]},
    )
