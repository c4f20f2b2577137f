"""A prior of CT of one's own: contract and checks.

Slices of patients that training has not seen are scanned in simulation by the standard fan beam, at
a quarter of the dose and with 60 views, and reconstructed with the model, with the model that
training began with, and by filtered back-projection.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from sciddm import zoo
from sciddm.data_adapters.ct.volume import build_volume
from sciddm.denoiser import NetworkDenoiser
from sciddm.pipelines.ct.own_slices import KIND, read_slices
from sciddm.pipelines.ct.pipeline_reconstruction import CTReconstruction
from sciddm.pipelines.ct.simulate import keep_views, low_dose_projections
from sciddm.pipelines.engine.pipeline import provenance_of
from sciddm.pipelines.own_prior.comparison import (
    Outcome,
    coverage_entry,
    in_words,
    outcome_of,
    psnr_row,
)
from sciddm.pipelines.own_prior.contract import Checks, Contract
from sciddm.pipelines.own_prior.split import Part
from sciddm.posterior import half_width
from sciddm.zoo.pretrained import Model

__all__ = ["CONTRACT", "check"]

_DOSE, _VIEWS, _LEVEL, _SLICES = 0.25, 60, 0.9, 6
#: HU: from where on a pixel is body, and the range that PSNR is of.
_BODY_HU, _RANGE = -300.0, 2000.0


def check(checks: Checks) -> dict[str, Any]:
    """Quality beside the start and FBP, and coverage of the intervals."""
    part: Part = "test" if checks.prepared.of("test") else "validate"
    pipelines = {"own": _pipeline(str(checks.model))}
    if checks.start is not None:
        pipelines["start"] = _pipeline(checks.start)
    problems = {"a quarter of the dose": None, f"{_VIEWS} views": _VIEWS}
    outcomes: dict[str, dict[str, list[Outcome]]] = {
        name: {label: [] for label in (*pipelines, "fbp")} for name in problems
    }
    begin = time.monotonic()
    for number, (hu, pixel_mm) in enumerate(_slices(checks, part)):
        if number and time.monotonic() - begin > checks.seconds:
            break
        side = min(hu.shape)
        truth = hu[:side, :side]
        attrs = {
            "voxel_size_mm": [pixel_mm] * 3,
            "affine": np.diag([pixel_mm] * 3 + [1.0]).tolist(),
        }
        volume = build_volume(Path("slice"), truth[None], attrs)
        scan = low_dose_projections(volume, _DOSE, seed=number)
        for name, views in problems.items():
            data = scan if views is None else keep_views(scan, views)
            for label, pipeline in pipelines.items():
                result = pipeline(data, quality="fast", seed=number)
                half = half_width(int(result.attrs["samples"]), _LEVEL) * result["std"].values[0]
                estimate = result["reconstruction"].values[0]
                outcomes[name][label].append(
                    outcome_of(estimate, truth, _RANGE, half, truth > _BODY_HU)
                )
            fbp = outcome_of(result["fbp"].values[0], truth, _RANGE)
            outcomes[name]["fbp"].append(fbp)
            checks.progress(
                f"slice {number + 1}, {name}: PSNR {in_words(psnr_row(outcomes[name]))} dB"
            )
    metrics: dict[str, Any] = {
        "what": f"PSNR dB (range {_RANGE:g} HU) of slices of the {part} patients, fan beam, fast"
    }
    return {
        "metrics": metrics | {name: psnr_row(rows) for name, rows in outcomes.items()},
        "coverage": {
            f"{_LEVEL:.0%} interval, in the body, {name}, fast": coverage_entry(rows["own"])
            for name, rows in outcomes.items()
        },
    }


def _slices(checks: Checks, part: Part) -> list[tuple[np.ndarray, float]]:
    """The middle slice of each volume of a part, with the size of its pixels in mm."""
    entries = checks.prepared.of(part)[:_SLICES]
    return [
        (np.array(checks.prepared.values(e)[e.shape[0] // 2]), e.about["pixel_mm"]) for e in entries
    ]


def _pipeline(source: str) -> CTReconstruction:
    model = zoo.from_pretrained(source)
    return CTReconstruction(model.denoiser, model.representation, provenance_of(model))


def _accepts(model: Model) -> str:
    if not isinstance(model.model, NetworkDenoiser):
        return "it is no prior of images alone"
    kind = model.representation.get("kind")
    plain = not (model.model.complex_data or model.model.process.has_endpoint)
    return "" if plain and kind == "ct-prior" else "it is no prior of CT in HU"


CONTRACT = Contract(
    kind=KIND,
    recipe="ct-prior",
    dataset="sciddm.pipelines.ct.own_slices.OwnCTSlices",
    read=read_slices,
    check=check,
    sizes=(
        {},
        {"channels": [32, 56, 80], "norm_num_groups": 8},
        {"channels": [16, 32, 48], "norm_num_groups": 8},
    ),
    crop=64,
    stride=8,
    accepts=_accepts,
)
