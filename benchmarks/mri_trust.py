"""Can the verdicts and the intervals of MRI be trusted?

    python -m benchmarks.mri_trust [--stages heads faults objects dots levels limits] [--trials 2]
        [--quality fast] [--accelerations 4 6] [--minutes 4]

Runs the public pipeline on scans with a known truth (``mri_trust_cases``) and writes what it says
of them to benchmarks/results/mri_trust.md and, case by case, mri_trust.csv:

    limits    heads of training patients: skill and ratio, by which the limits of verdicts are set
    heads     heads of validation patients and a real scan: share that is named, coverage of the
              90 % interval in the head, by slice and by tenth of the pixels by std, rank
              correlation of |error| with std, beside that of a std that knows the truth: the root
              mean square of the error over 4 pixels
    faults    planted faults that must be named
    objects   other objects: named, or coverage of at least 85 %
    dots      pixels wrong by more than 5 half widths whose four neighbours are right
    levels    the verdict "fits" for noise from 1e-1 to 1e-6 of the signal

"Named" is a scan whose result carries a warning. Cases are kept: a run goes on where the last one
stopped, from those that are published, and stages and trials add up. ``--minutes`` ends a run at a
case. ``--trials 40`` is the whole benchmark, hours on two cores.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

import sciddm
from benchmarks.mri import CACHE, ROOT
from benchmarks.mri_trust_cases import STAGES, UNTRAINED, Case, cases_of
from benchmarks.publish import publish
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.posterior import half_width

Row = dict[str, str]
_FOLDER = CACHE / "trust"
_KEPT = _FOLDER / "cases.csv"
_PUBLISHED = ROOT / "benchmarks" / "results" / "mri_trust.csv"
_LEVEL, _TENTHS, _POOL = 0.9, 10, 4
_STEPS = 60
_WRONG = 5  # half widths
_FIGURES = ("consistency", "consistency_without_prior", "prediction_skill", "prediction_ratio")


@lru_cache(maxsize=2)
def pipeline_of(model: str) -> MRIReconstruction:
    """The pipeline of a model; the untrained one is trained for 60 steps if it is not there."""
    if model != UNTRAINED:
        return MRIReconstruction.from_pretrained(model)
    folder = _FOLDER / "untrained"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        recipe = ROOT / "recipes" / "mri-brain.yaml"
        options = [f"optimisation.steps={_STEPS}", "optimisation.compile=false"]
        command = [sys.executable, "-m", "sciddm", "train", str(recipe), *options]
        subprocess.run([*command, "-o", str(folder)], check=True)
    return MRIReconstruction.from_pretrained(next(folder.rglob("card.json")).parent)


def row_of(case: Case, quality: Any) -> Row:
    """What the pipeline says of a case, and what is true."""
    trial = case.trial()
    torch.manual_seed(0)
    start = perf_counter()
    result = pipeline_of(trial.model)(trial.scan, quality=quality, **trial.options)
    seconds = perf_counter() - start
    attrs = result.attrs
    image, std = (result[name].values[0].astype(np.float64) for name in ("reconstruction", "std"))
    half = half_width(int(attrs["samples"]), _LEVEL) * std
    error = np.abs(image - trial.truth)
    inside = trial.inside
    pooled = gaussian_filter(np.where(inside, error, 0.0) ** 2, _POOL)
    share = gaussian_filter(inside.astype(float), _POOL)
    local = np.sqrt(pooled / np.maximum(share, 1e-3))
    row = {
        "case": case.name,
        "quality": quality,
        "version": sciddm.__version__,
        "stage": case.stage,
        "kind": case.kind,
        "R": str(case.acceleration),
        "named": str(int(bool(json.loads(str(attrs["warnings"]))))),
        "coverage": _text((error <= half)[inside].mean()),
        "factor": _text(np.quantile((error / np.maximum(half, 1e-30))[inside], _LEVEL)),
        "spearman": _text(spearmanr(error[inside], std[inside])[0]),
        "spearman_of_truth": _text(spearmanr(error[inside], local[inside])[0]),
        "tenths": json.dumps(_by_tenth(error[inside], half[inside], std[inside])),
        "dots": str(_dots(error, half, inside)),
        "nrmse": _text(np.linalg.norm(image - trial.truth) / np.linalg.norm(trial.truth)),
        "shift": _text(float(attrs.get("shift", np.nan))),
        "seconds": f"{seconds:.1f}",
    }
    row |= {name: _text(float(attrs.get(name, np.nan))) for name in _FIGURES}
    for name in ("fits", "calibrated", "familiar"):
        row[name] = str(attrs.get(f"verdict_{name}", ""))
    row["warnings"] = str(attrs["warnings"])
    return row


def _text(value: float) -> str:
    return f"{value:.4g}"


def _by_tenth(
    error: NDArray[np.float64], half: NDArray[np.float64], std: NDArray[np.float64]
) -> list[float]:
    """Coverage in each tenth of the pixels, from the least std to the largest."""
    order = np.argsort(std)
    return [
        round(float((error[part] <= half[part]).mean()), 3)
        for part in np.array_split(order, _TENTHS)
    ]


def _dots(error: NDArray[np.float64], half: NDArray[np.float64], inside: NDArray[np.bool_]) -> int:
    """Pixels that are wrong by 5 half widths among four neighbours that are right."""
    right = error <= half
    around = np.ones_like(right)
    for axis in (0, 1):
        for step in (-1, 1):
            around &= np.roll(right, step, axis)
    return int(((error > _WRONG * half) & around & inside).sum())


def table(rows: Sequence[Row]) -> str:
    """The report of all rows there are."""
    parts = []
    for quality in sorted({row["quality"] for row in rows}):
        mine = [row for row in rows if row["quality"] == quality]
        parts.append(f"## {quality}\n\n{_of_quality(mine)}")
    return "\n\n".join(parts)


def _of_quality(rows: Sequence[Row]) -> str:
    parts = []
    for stage, text in (
        ("heads", "Good heads: named in at most 5 %"),
        ("faults", "Planted faults: named in at least 95 %, one step of motion in 70 %"),
        ("objects", "Other objects: named, or coverage of at least 0.85"),
        ("limits", "Heads of training patients, by which limits are set"),
    ):
        mine = [row for row in rows if row["stage"] == stage]
        if mine:
            parts.append(f"{text}.\n\n{_named(mine)}")
    heads = [row for row in rows if row["stage"] == "heads" and "patient" in row["kind"]]
    if heads:
        parts.append(
            "Intervals in the heads of validation patients: coverage of the 90 % interval (mean, "
            "least slice), by tenth of the pixels by std (least, largest mean), rank correlation "
            "of |error| with std, and with the local root mean square of the error itself.\n\n"
            + _intervals(heads)
        )
    dots = [row for row in rows if row["stage"] == "dots"]
    if dots:
        parts.append(f"Pixels wrong by 5 half widths among right ones.\n\n{_dot_table(dots)}")
    levels = [row for row in rows if row["stage"] == "levels"]
    if levels:
        parts.append(f"Noise levels, exact maps: the image fits its data.\n\n{_levels(levels)}")
    return "\n\n".join(parts)


def _groups(rows: Sequence[Row]) -> dict[tuple[str, int], list[Row]]:
    found: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row["kind"], int(row["R"])), []).append(row)
    return dict(sorted(found.items()))


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(np.nanmean([float(row[name]) for row in rows]))


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    out = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*out, *(f"| {' | '.join(row)} |" for row in rows)])


def _named(rows: Sequence[Row]) -> str:
    lines = []
    for (kind, r), group in _groups(rows).items():
        skills = [float(row["prediction_skill"]) for row in group]
        skills = [skill for skill in skills if np.isfinite(skill)]
        named = sum(int(row["named"]) for row in group)
        held = sum(int(row["named"]) or float(row["coverage"]) >= 0.85 for row in group)
        lines.append([
            kind, str(r), f"{named} of {len(group)}", f"{held} of {len(group)}",
            f"{_mean(group, 'coverage'):.2f}", f"{_mean(group, 'consistency'):.2f}",
            f"{min(skills):.2f} to {max(skills):.2f}" if skills else "not checked",
            f"{_mean(group, 'nrmse'):.3f}",
        ])  # fmt: skip
    head = ("", "R", "named", "named or held", "coverage", "residual", "skill", "NRMSE")
    return _lines(head, lines)


def _intervals(rows: Sequence[Row]) -> str:
    lines = []
    for (_, r), group in _groups(rows).items():
        tenths = np.mean([json.loads(row["tenths"]) for row in group], axis=0)
        least = min(float(row["coverage"]) for row in group)
        lines.append([
            str(r), str(len(group)), f"{_mean(group, 'coverage'):.3f}", f"{least:.2f}",
            f"{tenths.min():.2f} to {tenths.max():.2f}", f"{_mean(group, 'factor'):.2f}",
            f"{_mean(group, 'spearman'):.2f}", f"{_mean(group, 'spearman_of_truth'):.2f}",
        ])  # fmt: skip
    head = (
        "R", "slices", "coverage", "least", "by tenth", "factor for 90 %", "rank correlation",
        "of the error itself",
    )  # fmt: skip
    return _lines(head, lines)


def _dot_table(rows: Sequence[Row]) -> str:
    lines = [
        [kind, str(r), str(len(group)), str(sum(int(row["dots"]) for row in group))]
        for (kind, r), group in _groups(rows).items()
    ]
    return _lines(("array", "R", "trials", "dots"), lines)


def _levels(rows: Sequence[Row]) -> str:
    lines = [
        [
            kind,
            str(r),
            f"{_mean(group, 'consistency'):.3g}",
            f"{_mean(group, 'consistency_without_prior'):.3g}",
            group[0]["fits"],
        ]
        for (kind, r), group in _groups(rows).items()
    ]
    return _lines(("", "R", "residual", "least of any image", "fits"), lines)


def _read() -> list[Row]:
    if not _KEPT.exists() and _PUBLISHED.exists():
        shutil.copy(_PUBLISHED, _KEPT)
    if not _KEPT.exists():
        return []
    with _KEPT.open(newline="") as file:
        return list(csv.DictReader(file))


def _append(row: Row) -> None:
    new = not _KEPT.exists() or not _KEPT.stat().st_size
    with _KEPT.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", nargs="+", default=[s for s in STAGES if s != "limits"])
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--accelerations", type=int, nargs="+", default=[4, 6])
    parser.add_argument("--minutes", type=float, default=1e9, help="end the run after so many")
    parser.add_argument("--kinds", nargs="+", default=[], help="only those that hold one of these")
    parser.add_argument("--anew", action="store_true", help="forget the cases of earlier runs")
    args = parser.parse_args()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    if args.anew:
        _KEPT.write_text("")
    start = perf_counter()
    for stage in args.stages:
        for case in cases_of(stage, args.trials, tuple(args.accelerations)):
            if args.kinds and not any(word in case.kind for word in args.kinds):
                continue
            done = {(row["case"], row["quality"]) for row in _read()}
            if (case.name, args.quality) in done or perf_counter() - start > 60 * args.minutes:
                continue
            row = row_of(case, args.quality)
            _append(row)
            shown = ("case", "named", "coverage", "factor", "spearman", *_FIGURES, "warnings")
            print(" | ".join(f"{name} {row[name]}" for name in shown), file=sys.stderr, flush=True)
    rows = _read()
    words = " ".join(sys.argv[1:])
    made = (
        f"Made by `python -m benchmarks.mri_trust {words}` and earlier runs on "
        f"{datetime.date.today()}, {platform.machine()}; sciddm {sciddm.__version__}. "
        "Every case: [mri_trust.csv](mri_trust.csv)."
    )
    publish("mri_trust", f"# Can MRI's verdicts be trusted?\n\n{table(rows)}\n\n{made}\n", rows)


if __name__ == "__main__":
    main()
