"""The PET/CT benchmark: one command, one table.

    python -m benchmarks.petct [--model petct-sarcoma] [--unet runs/petct-unet/model] ...

Validation patients 037-042 of the soft-tissue sarcoma studies: Dice of every patient, and means of
HD95, surface Dice, precision, recall, volume error, DSCagg, calibration and separation of wrong
voxels by entropy; writes benchmarks/results/petct.md and, case by case, petct.csv. A reference
whose model is not there is left out, and the table says so.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

import sciddm
from benchmarks.publish import publish
from sciddm import zoo
from sciddm.errors import ModelError
from sciddm.geometry.grid import grid_of, resample
from sciddm.metrics.masks import (
    aggregated_dice,
    calibration_error,
    mask_scores,
    separation,
)
from sciddm.pipelines.petct.pipeline import TumourSegmentation, entropy
from sciddm.pipelines.petct.sarcoma import sarcoma_volumes

ROOT = Path(__file__).resolve().parent.parent
PATIENTS = (37, 42)
MEASURES = {
    "dice": "{:.3f}",
    "hd95_mm": "{:.1f}",
    "surface_dice": "{:.3f}",
    "precision": "{:.3f}",
    "recall": "{:.3f}",
    "volume_error": "{:+.1%}",
    "ece": "{:.4f}",
    "auroc": "{:.3f}",
    "seconds": "{:.1f}",
    "minutes": "{:.0f}",
}
#: The bundled model's recipe, trained for as long as its variants.
_FAIR = "diffusion, 3D, both, as long"
Row = dict[str, Any]
Masker = Callable[[xr.DataArray, xr.DataArray], tuple[NDArray[Any], NDArray[Any] | None, Row]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="petct-sarcoma", help="name or folder")
    parser.add_argument("--unet", default="runs/petct-unet/model")
    parser.add_argument("--flat", default="runs/petct-2d/model", help="the 2D variant")
    parser.add_argument("--pet-only", default="runs/petct-pet/model")
    parser.add_argument("--ct-only", default="runs/petct-ct/model")
    parser.add_argument(
        "--as-long", default="runs/petct-25/model", help="ours, trained as long as the variants"
    )
    parser.add_argument("--qualities", nargs="+", default=["fast", "balanced", "best"])
    args = parser.parse_args()

    studies = list(sarcoma_volumes(None, PATIENTS))
    methods: dict[str, Masker] = {
        "41 % of SUVmax": threshold(lambda suv: 0.41 * float(suv.max())),
        "SUV 2.5": threshold(lambda suv: 2.5),
        "Otsu": threshold(lambda suv: float(threshold_otsu(suv))),
    }
    missing = []
    for name, source, quality in [
        ("MONAI 3D U-Net", args.unet, "balanced"),
        ("diffusion, 2D", args.flat, "balanced"),
        ("diffusion, PET only", args.pet_only, "balanced"),
        ("diffusion, CT only", args.ct_only, "balanced"),
        (_FAIR, args.as_long, "balanced"),
        *((f"ours, {quality}", args.model, quality) for quality in args.qualities),
    ]:
        try:
            methods[name] = ours(source, quality)
        except ModelError as error:
            missing.append(f"{name}: {error}")
            print(f"left out: {missing[-1]}", file=sys.stderr, flush=True)
    rows, pairs = [], {}
    for name, method in methods.items():
        pairs[name] = []
        for row, pair in score(name, method, studies):
            rows.append(row)
            pairs[name].append(pair)
            print(f"{name}, {row['case']}: Dice {row['dice']:.3f}", file=sys.stderr, flush=True)
    together = {name: aggregated_dice(found) for name, found in pairs.items()}
    publish("petct", report(rows, together, missing, sys.argv[1:]), rows)


def threshold(level: Callable[[NDArray[Any]], float]) -> Masker:
    """Voxels of the CT's grid whose SUV, interpolated, reaches a level of the study."""

    def method(pet: xr.DataArray, ct: xr.DataArray) -> Any:
        suv = resample(pet.values, grid_of(pet), grid_of(ct), method="spline")
        return suv >= level(pet.values), None, {}

    return method


def ours(source: str, quality: str) -> Masker:
    """A model through the whole pipeline."""
    pipeline = TumourSegmentation.from_pretrained(source)
    minutes = 60 * zoo.from_pretrained(source).card.training.get("hours", math.nan)

    def method(pet: xr.DataArray, ct: xr.DataArray) -> Any:
        result = pipeline(pet, ct, quality=quality)
        told = {k: result.attrs[k] for k in ("model", "samples", "steps", "nfe", "sample_dice")}
        told["minutes"] = minutes
        told["weights_sha256"] = result.attrs["weights_sha256"][:12]
        return result["mask"].values > 0, result["probability"].values, told

    return method


def score(
    name: str, method: Masker, studies: Sequence[Any]
) -> Iterator[tuple[Row, tuple[NDArray[Any], NDArray[Any]]]]:
    """A row for each study, and its masks."""
    for case, pet, ct, truth in studies:
        start = time.perf_counter()
        mask, probability, told = method(pet, ct)
        seconds = time.perf_counter() - start
        row = {"case": case, "method": name, **mask_scores(mask, truth, grid_of(ct).spacing_mm)}
        row |= {"ece": math.nan, "auroc": math.nan}
        if probability is not None:
            row["ece"] = calibration_error(probability, truth)
            row["auroc"] = separation(entropy(probability), mask != truth)
        row["seconds"] = seconds
        row["minutes"] = told.get("minutes", math.nan)
        columns = ("model", "weights_sha256", "samples", "steps", "nfe", "sample_dice")
        row |= {k: told.get(k, "") for k in columns}
        yield row, (mask, truth)


def report(
    rows: list[Row], together: dict[str, float], missing: list[str], arguments: Sequence[str]
) -> str:
    """The tables in Markdown, with what is needed to make them again."""
    cases = list(dict.fromkeys(r["case"] for r in rows))
    text = [
        "# PET/CT tumour segmentation",
        "",
        "Validation patients 037-042 of the soft-tissue sarcoma studies (TCIA), cropped 5 cm round "
        "the tumour; no model saw them, and no setting was chosen on them. Masks at P = 0.5 on the "
        "grid of CT. An empty mask has Dice 0 and an infinite HD95. Surface Dice at 3 mm. ECE: "
        "expected calibration error of P(tumour), 15 bins, all voxels. AUROC: entropy of P as a "
        "sign of wrong voxels. Minutes: of training, each on one core of two; the U-Net has the "
        "time of the bundled model, the variants that of the row below them.",
        "",
        f"## Dice, {len(cases)} patients",
        "",
        f"| method | {' | '.join(c[-3:] for c in cases)} | mean | DSCagg |",
        f"|---|{'---|' * (len(cases) + 2)}",
    ]
    for method in together:
        own = {r["case"]: r["dice"] for r in rows if r["method"] == method}
        cells = " | ".join(f"{own[c]:.3f}" for c in cases)
        mean = float(np.mean(list(own.values())))
        text.append(f"| {method} | {cells} | {mean:.3f} | {together[method]:.3f} |")
    text += [
        "",
        "## Means over patients",
        "",
        f"| method | {' | '.join(MEASURES)} |",
        f"|---|{'---|' * len(MEASURES)}",
    ]
    for method in together:
        own = [r for r in rows if r["method"] == method]
        cells = []
        for measure, form in MEASURES.items():
            values = [r[measure] for r in own if not math.isnan(r[measure])]
            cells.append(form.format(np.mean(values)) if values else "")
        text.append(f"| {method} | {' | '.join(cells)} |")
    text += ["", *(f"Left out: {line}" for line in missing), *_claims(rows), *_origin(arguments)]
    return "\n".join([*text, ""])


def _claims(rows: list[Row]) -> list[str]:
    """What is asked of the model, and whether it holds."""
    means = {
        method: {m: float(np.mean([r[m] for r in rows if r["method"] == method])) for m in MEASURES}
        for method in dict.fromkeys(r["method"] for r in rows)
    }
    name = "ours, balanced"
    if name not in means:
        return []
    own = means[name]
    others = {k: v["dice"] for k, v in means.items() if not k.startswith(("ours", _FAIR))}
    best = max(others, key=lambda k: others[k])
    asked = [
        ("mean Dice >= 0.75", own["dice"] >= 0.75),
        (f"above every other row (best: {best})", own["dice"] > others[best]),
        ("expected calibration error <= 0.05", own["ece"] <= 0.05),
        ("AUROC of the entropy >= 0.85", own["auroc"] >= 0.85),
    ]
    for other in ("diffusion, 2D", "diffusion, PET only", "diffusion, CT only"):
        for mine in ("ours, balanced", _FAIR):
            if mine in means and other in others:
                asked.append((f"{mine} above {other}", means[mine]["dice"] > others[other]))
    return ["## Asked", "", *(f"- {what}: {'yes' if holds else 'NO'}" for what, holds in asked), ""]


def _origin(arguments: Sequence[str]) -> list[str]:
    command = " ".join(["python -m benchmarks.petct", *arguments])
    return [
        f"Made on {datetime.date.today()} by `{command}`, sciddm {sciddm.__version__}, "
        f"{os.cpu_count()} cores ({platform.machine()}).",
    ]


if __name__ == "__main__":
    main()
