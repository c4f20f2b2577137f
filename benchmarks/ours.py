"""Our own rows: the public pipeline at each quality, on the raw undersampled k-space.

It is given what a user's file holds, k-space and mask, and estimates the rest as always. The
coverage of the 90 % interval that image and standard deviation give (Student's t over the samples)
is scored inside the head.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.problems import Problem, first_slices, load_problems
from benchmarks.results import Result, cached
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.posterior import half_width

LEVEL = 0.9


def dataset_of(p: Problem) -> xr.Dataset:
    """The problem as the pipeline's input."""
    return xr.Dataset(
        {
            "kspace": (("slice", "coil", "ky", "kx"), p.raw[None]),
            "mask": (("slice", "ky", "kx"), p.mask[None]),
        },
        attrs={"voxel_size_mm": [np.nan] * 3, "source": p.info["name"]},
    )


def reconstruct(pipeline: MRIReconstruction, p: Problem, quality: Any) -> Result:
    data = dataset_of(p)
    start = perf_counter()
    out = pipeline(data, quality=quality, seed=0)
    seconds = perf_counter() - start
    a = out.attrs
    half = half_width(a["samples"], LEVEL) * out["std"].values[0]
    inside = np.abs(out["reconstruction"].values[0] - p.reference) <= half
    coverage = float(inside[p.head].mean())
    return Result(
        image=out["reconstruction"].values[0],
        seconds=seconds,
        nfe=int(a["nfe"] * a["samples"]),
        nvjp=int(a["nvjp"] * a["samples"]),
        settings={k: a[k] for k in ("samples", "steps", "krylov", "weights_sha256") if k in a},
        extra={"coverage": coverage, "consistency": float(a["consistency"])},
    )


def main(
    problems: Path,
    results: Path,
    model: str,
    qualities: Iterable[str],
    label: str = "ours",
    slices: int = 3,
) -> None:
    """Reconstructs the test problems, of each simulated scan the first ``slices``."""
    chosen = first_slices(load_problems(problems, "test"), slices)
    reconstruct_all(chosen, results, model, qualities, label)


def reconstruct_all(
    problems: list[Problem], results: Path, model: str, qualities: Iterable[str], label: str
) -> None:
    """Results are named ``label quality``."""
    pipeline = MRIReconstruction.from_pretrained(model)
    for quality in qualities:
        for p in problems:
            settings = pipeline.settings(quality, acceleration=p.info["acceleration"])
            key = [str(settings), pipeline.provenance["weights_sha256"]]
            cached(
                results,
                f"{label} {quality}",
                p,
                key,
                lambda p=p, quality=quality: reconstruct(pipeline, p, quality),
            )
