"""A segmenter of PET/CT of one's own: contract and checks.

The studies of the validation patients give the temperature that makes probabilities come true; it
goes into the model's representation. Those of the test patients say how masks and probabilities
are, beside the model that training began with.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.denoiser import NetworkDenoiser
from sciddm.metrics.masks import calibration_error, dice
from sciddm.pipelines.own_prior.comparison import in_words
from sciddm.pipelines.own_prior.contract import Checks, Contract
from sciddm.pipelines.own_prior.prepared import Prepared
from sciddm.pipelines.own_prior.split import Part
from sciddm.pipelines.petct.calibrate import fit_temperature
from sciddm.pipelines.petct.own_studies import (
    KIND,
    SPACING_MM,
    find_studies,
    grid_of_array,
    read_study,
)
from sciddm.pipelines.petct.pipeline import TumourSegmentation
from sciddm.priors.segmenter import Segmenter
from sciddm.storage.durable import write_durably
from sciddm.zoo.names import CONFIG
from sciddm.zoo.pretrained import Model

__all__ = ["CONTRACT", "check"]

_DIMS = ("z", "y", "x")
_STUDIES = 8
#: Largest patch, and what its sides are multiples of.
_PATCH, _STRIDE = (48, 80, 80), (8, 16, 16)


def check(checks: Checks) -> dict[str, Any]:
    """The temperature, and Dice and calibration error of the test patients."""
    pipeline = TumourSegmentation.from_pretrained(checks.model)
    plain = TumourSegmentation(
        pipeline.model, replace(pipeline.representation, temperature=1.0), pipeline.provenance
    )
    begin = time.monotonic()
    fitted = _pairs(plain, checks, "validate", begin)
    temperature = round(fit_temperature(*zip(*fitted, strict=True)), 3)
    _store_temperature(checks, temperature)
    pipelines = {"own": TumourSegmentation.from_pretrained(checks.model)}
    if checks.start is not None:
        pipelines["start"] = TumourSegmentation.from_pretrained(checks.start)
    part: Part = "test" if checks.prepared.of("test") else "validate"
    rows: dict[str, dict[str, Any]] = {}
    for label, used in pipelines.items():
        pairs = _pairs(used, checks, part, begin)
        rows[label] = {
            "Dice": round(float(np.mean([dice(p >= 0.5, m) for p, m in pairs])), 3),
            "calibration error": round(
                float(np.mean([calibration_error(p, m) for p, m in pairs])), 4
            ),
            "studies": len(pairs),
        }
        checks.progress(f"{label}: {in_words(rows[label])}")
    return {
        "metrics": {"what": f"fast, studies of the {part} patients", **rows},
        "calibration": {
            "what": "temperature, on the validation patients",
            "temperature": temperature,
        },
    }


def _pairs(
    pipeline: TumourSegmentation, checks: Checks, part: Part, begin: float
) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Probability and truth of the first studies of a part, of one at least."""
    out: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
    for entry in checks.prepared.of(part)[:_STUDIES]:
        if out and time.monotonic() - begin > checks.seconds:
            break
        study = np.asarray(checks.prepared.values(entry)[0], np.float32)
        out.append(_predicted(pipeline, study))
    return out


def _predicted(
    pipeline: TumourSegmentation, study: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probability and truth."""
    grid = grid_of_array(study.shape[1:])
    attrs = {"affine": grid.affine.tolist(), "voxel_size_mm": list(SPACING_MM)}
    suv, hu = (
        xr.DataArray(values, dims=_DIMS, attrs={**attrs, "units": units})
        for values, units in zip(study[:2], ("SUV", "HU"), strict=True)
    )
    result = pipeline(suv, hu, quality="fast", anywhere=True)
    return np.asarray(result["probability"].values, np.float32), study[2] > 0


def _store_temperature(checks: Checks, temperature: float) -> None:
    path = checks.model / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    config["representation"]["temperature"] = temperature
    write_durably(path, (json.dumps(config, indent=2) + "\n").encode())


def _arguments(prepared: Prepared) -> Mapping[str, Any]:
    """The patch: no larger than the smallest study, in multiples of the network's stride."""
    least = np.min([entry.shape[2:] for entry in prepared.of("train")], axis=0)
    patch = [
        min(most, max(stride, int(n) // stride * stride))
        for most, stride, n in zip(_PATCH, _STRIDE, least, strict=True)
    ]
    return {"patch": patch, "representation": {"spacing_mm": list(SPACING_MM)}}


def _accepts(model: Model) -> str:
    if not isinstance(model.model, NetworkDenoiser | Segmenter):
        return "it segments nothing"
    about = model.representation
    if about.get("kind") != "petct-mask":
        return "it is no model of PET/CT"
    same = list(about.get("spacing_mm", [])) == list(SPACING_MM)
    plain = list(about.get("modalities", [])) == ["pet", "ct"]
    return "" if same and plain else "its grid or its modalities are others"


CONTRACT = Contract(
    kind=KIND,
    recipe="petct-sarcoma",
    dataset="sciddm.pipelines.petct.own_studies.OwnStudies",
    read=read_study,
    check=check,
    sizes=({}, {"channels": [24, 32, 32]}),
    crop=None,
    batches=(2,),
    sources=find_studies,
    arguments=_arguments,
    accepts=_accepts,
)
