"""Probabilities and per-lesion ranges of PET/CT against masks: by patient, one command, one table.

    sciddm train recipes/petct-sarcoma.yaml name=petct-held-out -o RUN \
        'data.arguments.train_patients=[1,24]' 'data.arguments.validate_patients=[25,36]'
    python -m benchmarks.petct_calibration --held-out RUN/model [--into MODEL]

``--held-out`` is a model of the same recipe that was trained without patients 025-036: on these a
temperature is fitted (all voxels alike), and the law of the ranges is checked. The
validation patients 037-042 are those of the bundled model; nothing is fitted on them.
``--into`` gets the temperature; its weights and card stay as they are.

A lesion is a connected part of the reader's mask of 1 ml or more. Its estimate is the lesion that
shares most voxels with it; without one it counts as not held. What the pipeline made of a patient
is kept in benchmarks/.cache/petct, and a second call makes what is missing. Writes
benchmarks/results/petct_calibration.md and .csv.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from benchmarks.mri import CACHE
from benchmarks.publish import publish
from sciddm import zoo
from sciddm.geometry.grid import grid_of, resample
from sciddm.metrics.masks import calibration_error, dice
from sciddm.physics.petct.lesions import Lesion, measure_lesions
from sciddm.pipelines.petct.calibrate import fit_temperature
from sciddm.pipelines.petct.pipeline import TumourSegmentation, lesions_of, tempered
from sciddm.pipelines.petct.representation import Representation
from sciddm.pipelines.petct.sarcoma import sarcoma_volumes

HELD_OUT, VALIDATION = (25, 36), (37, 42)
LEAST_ML = 1.0
QUANTITIES = {
    "mtv": ("mtv_ml", "mtv_low_ml", "mtv_high_ml"),
    "suv_max": ("suv_max", "suv_max_low", "suv_max_high"),
    "tlg": ("tlg", "tlg_low", "tlg_high"),
}
Row = dict[str, Any]
Mask = NDArray[Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", help="model trained on 001-024")
    parser.add_argument("--model", default="petct-sarcoma", help="of the validation patients")
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--into", type=Path, help="model folder that gets the temperature")
    args = parser.parse_args()
    groups = [("validation", args.model, VALIDATION)]
    if args.held_out:
        groups.insert(0, ("held out", args.held_out, HELD_OUT))
    rows: list[Row] = []
    lesions: list[Row] = []
    temperature = math.nan
    for group, model, patients in groups:
        table = list(results(model, patients, args.quality))
        if group == "held out":
            temperature = fit_temperature((p for *_, p, _ in table), (m for *_, m in table))
        for case, pet, ct, probability, truth in table:
            row = {"case": case, "group": group, "dice": dice(probability >= 0.5, truth)}
            row["ece"] = calibration_error(probability, truth)
            row["ece_tempered"] = (
                calibration_error(tempered(probability, temperature), truth)
                if math.isfinite(temperature)
                else math.nan
            )
            rows.append(row)
            for lesion in lesion_rows(pet, ct, probability, truth):
                lesions.append({"case": case, "group": group, **lesion})
    publish("petct_calibration", report(rows, lesions, temperature, args), lesions)
    if args.into is not None and args.held_out:
        store(args.into, temperature)


def results(
    model: str, patients: tuple[int, int], quality: str
) -> Iterator[tuple[str, xr.DataArray, xr.DataArray, Mask, Mask]]:
    """Case, PET, CT, P(tumour) at temperature 1 and the reader's mask."""
    pipeline = TumourSegmentation.from_pretrained(model)
    pipeline.representation = replace(pipeline.representation, temperature=1.0)
    digest = pipeline.provenance["weights_sha256"][:12]
    folder = CACHE.parent / "petct" / f"{digest}-{quality}"
    folder.mkdir(parents=True, exist_ok=True)
    for case, pet, ct, truth in sarcoma_volumes(None, patients):
        path = folder / f"{case}.npy"
        if not path.exists():
            probability = pipeline(pet, ct, quality=quality)["probability"].values
            np.save(path, probability.astype(np.float32))
            print(f"{case}: Dice {dice(probability >= 0.5, truth):.3f}", flush=True)
        yield case, pet, ct, np.load(path), truth


def lesion_rows(
    pet: xr.DataArray, ct: xr.DataArray, probability: Mask, truth: Mask
) -> Iterator[Row]:
    """What was measured of each of the reader's lesions, with its range, and what is true."""
    attrs = {"affine": ct.attrs["affine"]}
    mask = (probability >= 0.5).astype(np.uint8)
    variables = {"mask": (ct.dims, mask), "probability": (ct.dims, probability)}
    found, labels = lesions_of(xr.Dataset(variables, attrs=attrs), pet)
    grids = grid_of(ct), grid_of(pet)
    true, numbers = measure_lesions(truth, grids[0], np.asarray(pet.values), grids[1])
    on_pet = resample(numbers, *grids, method="nearest")
    for lesion in true:
        if lesion.mtv_ml < LEAST_ML or not (on_pet == lesion.lesion).any():
            continue
        shared = np.bincount(labels[numbers == lesion.lesion], minlength=len(found) + 1)[1:]
        match = found[int(shared.argmax())] if shared.any() else None
        row: Row = {"lesion": lesion.lesion, "found": match is not None}
        for name, keys in QUANTITIES.items():
            row |= compared(name, keys, lesion, match)
        yield row


def compared(name: str, keys: Sequence[str], lesion: Lesion, match: Lesion | None) -> Row:
    """The true value of a quantity, the estimate and its range, and whether this holds it."""
    true = getattr(lesion, keys[0])
    value, low, high = (math.nan if match is None else getattr(match, k) for k in keys)
    inside = low <= true <= high
    return {f"{name}_true": true, name: value, f"{name}_low": low, f"{name}_high": high,
            f"{name}_held": inside}  # fmt: skip


def report(
    rows: list[Row], lesions: list[Row], temperature: float, args: argparse.Namespace
) -> str:
    """The tables in Markdown."""
    groups = list(dict.fromkeys(r["group"] for r in rows))
    lines = [
        "# PET/CT: probabilities and ranges",
        "",
        "Held out: training patients 025-036, by a model that was trained on 001-024 alone. "
        "Validation: 037-042, by the bundled model. ECE: expected calibration error of P(tumour) "
        f"in 15 bins, all voxels of a patient; tempered: with T = {temperature:.3f}, fitted on the "
        "held-out patients.",
        "",
        "| patient | group | Dice | ECE | ECE, tempered |",
        "|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['case'][-3:]} | {r['group']} | {r['dice']:.3f} | {r['ece']:.4f} | "
            f"{r['ece_tempered']:.4f} |"
        )
    for group in groups:
        own = [r for r in rows if r["group"] == group]
        mean = {k: float(np.mean([r[k] for r in own])) for k in ("dice", "ece", "ece_tempered")}
        worst = min(own, key=lambda r: r["dice"])
        lines.append(
            f"| mean | {group} | {mean['dice']:.3f} (worst {worst['dice']:.3f}, "
            f"{worst['case'][-3:]}) | {mean['ece']:.4f} | {mean['ece_tempered']:.4f} |"
        )
    lines += [
        "",
        "| lesion | group | true volume / ml | volume | range | held | SUVmax held | TLG held |",
        "|---|---|---|---|---|---|---|---|",
    ]
    words = {True: "yes", False: "NO"}
    for r in lesions:
        cells = [
            f"{r['case'][-3:]}-{r['lesion']}", r["group"], f"{r['mtv_true']:.1f}",
            *([f"{r['mtv']:.1f}", f"{r['mtv_low']:.1f} to {r['mtv_high']:.1f}"]
              if r["found"] else ["missed", ""]),
            *(words[r[f"{q}_held"]] for q in QUANTITIES),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for group in groups:
        own = [r for r in lesions if r["group"] == group]
        widths = [r["mtv_high"] / r["mtv_low"] for r in own if r["found"] and r["mtv_low"] > 0]
        shares = ", ".join(f"{q} {sum(r[f'{q}_held'] for r in own)}/{len(own)}" for q in QUANTITIES)
        lines.append(
            f"- {group}: held {shares}; a range of volume ends at {np.median(widths):.1f} times "
            "its beginning (median)"
        )
    command = f"python -m benchmarks.petct_calibration --quality {args.quality}"
    if args.held_out:
        steps = zoo.from_pretrained(args.held_out).card.training.get("steps", "unknown")
        lines += ["", f"The model of the held-out patients was trained for {steps} steps."]
        command += " --held-out RUN/model"
    lines += ["", f"Made on {datetime.date.today()} by `{command}`, {os.cpu_count()} cores.", ""]
    return "\n".join(lines)


def store(folder: Path, temperature: float) -> None:
    """Writes the temperature into a model folder; weights and card stay as they are."""
    model = zoo.from_pretrained(folder)
    seen = replace(
        Representation.from_config(model.representation, model.name),
        temperature=round(temperature, 3),
    )
    card = json.loads((folder / "card.json").read_text())
    zoo.save_model(model.model, folder, card=card, representation=seen.config)


if __name__ == "__main__":
    main()
