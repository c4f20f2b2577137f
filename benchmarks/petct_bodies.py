"""Tumours in whole bodies: crops of validation patients pasted into phantoms with organs.

    python -m benchmarks.petct_bodies [--seeds 10] [--anywhere 1]

Each seed is a validation patient's study (037-042 in turn), voxel for voxel, in a body of 1.3 m
with brain, heart, liver, kidneys and bladder (`sciddm.simulation.petct.body`). Without a region
the search must be refused; with the study's box as ``--roi``, and with a point of the tumour as
``--point``, Dice stands beside that of the study alone. ``--anywhere N`` searches the whole body of
the first N seeds at quality fast, which takes minutes each.

Writes benchmarks/results/petct_bodies.md and .csv after every step; a second call makes what is
missing, or what other weights made.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.publish import publish
from sciddm.errors import InputError
from sciddm.geometry.grid import grid_of
from sciddm.metrics.masks import dice
from sciddm.physics.petct.lesions import lesions_in
from sciddm.pipelines.petct.pipeline import TumourSegmentation
from sciddm.pipelines.petct.region import Region
from sciddm.pipelines.petct.sarcoma import sarcoma_volumes
from sciddm.simulation.petct.body import Body, body_about
from sciddm.uncertainty.verdict import Verdict

FIRST, PATIENTS = 37, 6
WITHIN = 0.03
Row = dict[str, Any]
_COLUMNS = {
    "seed": "{}", "case": "{}", "refused": "{}", "alone": "{:.3f}", "roi": "{:.3f}",
    "change": "{:+.3f}", "point": "{:.3f}", "anywhere": "{:.3f}", "warned": "{}",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--anywhere", type=int, default=0, help="seeds that are searched whole")
    args = parser.parse_args()
    pipeline = TumourSegmentation.from_pretrained()
    stamp = f"{pipeline.provenance['weights_sha256'][:12]} {args.quality}"
    rows = {r["seed"]: r for r in stored("petct_bodies") if r["stamp"] == stamp}

    def keep() -> None:
        table = [rows[k] for k in sorted(rows)]
        publish("petct_bodies", report(table, args), table)

    for seed in range(args.seeds):
        if seed not in rows:
            rows[seed] = {**score(pipeline, seed, args.quality), "stamp": stamp}
            keep()
    for seed in range(args.seeds):
        row = rows[seed]
        if math.isnan(row["point"]):
            body = body_of(seed)[3]
            result = pipeline(body.pet, body.ct, quality=args.quality, point=middle(body))
            row["point"] = dice(result["mask"].values, body.tumour)
            keep()
        if seed < args.anywhere and math.isnan(row["anywhere"]):
            body = body_of(seed)[3]
            whole = pipeline(body.pet, body.ct, quality="fast", anywhere=True)
            row |= anywhere(whole, body)
            keep()
    keep()


def body_of(seed: int) -> tuple[str, xr.DataArray, xr.DataArray, Body]:
    """Case, PET and CT of the study, and the body about it."""
    patient = FIRST + seed % PATIENTS
    [(case, pet, ct, tumour)] = sarcoma_volumes(None, (patient, patient))
    return case, pet, ct, body_about(pet, ct, tumour, seed)


def stored(name: str) -> list[Row]:
    """Rows of a table that an earlier call wrote."""
    path = Path(__file__).resolve().parent / "results" / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{k: _value(v) for k, v in row.items()} for row in csv.DictReader(file)]


def score(pipeline: TumourSegmentation, seed: int, quality: str) -> Row:
    """What is said and marked in one body."""
    case, pet, ct, body = body_of(seed)
    row: Row = {"seed": seed, "case": case}
    try:
        pipeline(body.pet, body.ct, quality="fast", samples=1)
        row["refused"] = "NO"
    except InputError as error:
        row["refused"] = "yes" if "--roi" in str(error) else "without a hint"
    row["alone"] = alone(pipeline, case, quality)
    if math.isnan(row["alone"]):
        mask = pipeline(pet, ct, quality=quality)["mask"].values
        inside = Region(*body.box).contains(grid_of(body.ct))
        row["alone"] = dice(mask, body.tumour[inside].reshape(mask.shape))
    ends = ",".join(f"{v:.1f}" for pair in body.box.T for v in pair)
    mask = pipeline(body.pet, body.ct, quality=quality, roi=ends)["mask"].values
    row["roi"] = dice(mask, body.tumour)
    row["change"] = row["roi"] - row["alone"]
    return (
        row
        | dict.fromkeys(("point", "anywhere", "organs_marked", "lesions"), math.nan)
        | {"warned": ""}
    )


def alone(pipeline: TumourSegmentation, case: str, quality: str) -> float:
    """Dice of the study alone, where `benchmarks.petct` has it of the same weights."""
    digest = pipeline.provenance["weights_sha256"][:12]
    for row in stored("petct"):
        own = row["method"] == f"ours, {quality}" and row["case"] == case
        if own and str(row["weights_sha256"]) == digest:
            return float(row["dice"])
    return math.nan


def middle(body: Body) -> list[float]:
    """The voxel of the tumour that is nearest to its centre, x, y, z, mm."""
    places = np.argwhere(body.tumour)
    nearest = places[np.argmin(((places - places.mean(0)) ** 2).sum(1))]
    return [float(v) for v in (grid_of(body.ct).affine @ [*nearest[::-1], 1.0])[:3]]


def anywhere(result: xr.Dataset, body: Body) -> Row:
    """Dice in the whole body, the share of hot organs that is marked, and whether it is said."""
    mask = result["mask"].values > 0
    said = Verdict.from_attributes(result.attrs).familiar.answer == "no"
    return {
        "anywhere": dice(mask, body.tumour),
        "warned": "yes" if said and "larger than" in str(result.attrs["warnings"]) else "NO",
        "organs_marked": float(mask[body.organs].mean()),
        "lesions": len(lesions_in(result)),
    }


def report(rows: list[Row], args: argparse.Namespace) -> str:
    """The table, and what is asked."""
    change = [abs(r["change"]) for r in rows]
    whole = [r for r in rows if r["warned"]]
    lines = [
        "# Tumours in whole bodies",
        "",
        "Crops of validation patients in a body with brain, heart, liver, kidneys and bladder. "
        "Refused: without a region, with a hint at `--roi`. Dice of the crop alone, with its box "
        "as `--roi`, with a point of the tumour as `--point`, and with `--anywhere`.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
    ]
    for row in rows:
        cells = [
            "" if isinstance(row[k], float) and math.isnan(row[k]) else form.format(row[k])
            for k, form in _COLUMNS.items()
        ]
        lines.append(f"| {' | '.join(cells)} |")
    refused = sum(r["refused"] == "yes" for r in rows)
    points = [r for r in rows if not math.isnan(r["point"])]
    lines += [
        "",
        f"- refused without a region: {refused} of {len(rows)}",
        f"- Dice with `--roi` within {WITHIN} of the crop alone: "
        f"{sum(c <= WITHIN for c in change)} of {len(rows)} (largest change {max(change):.3f})",
    ]
    if points:
        mean = {k: np.mean([r[k] for r in points]) for k in ("point", "alone")}
        lines.append(
            f"- Dice with `--point`, {len(points)} bodies: {mean['point']:.3f} in the mean, alone "
            f"{mean['alone']:.3f}"
        )
    lines += [
        f"- seed {r['seed']}, searched whole: {100 * r['organs_marked']:.0f} % of the organs "
        f"marked, {r['lesions']:.0f} lesions, warned: {r['warned']}"
        for r in whole
    ]
    lines += [
        "",
        f"Made on {datetime.date.today()} by `python -m benchmarks.petct_bodies --seeds "
        f"{args.seeds} --quality {args.quality} --anywhere {args.anywhere}`, {os.cpu_count()} "
        "cores.",
        "",
    ]
    return "\n".join(lines)


def _value(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
