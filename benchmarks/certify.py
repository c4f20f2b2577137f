"""Whether a model's shortcuts leave the posterior what it is: each alone, and all together.

    python -m benchmarks.certify MODEL [--quality balanced] [--cases 4] [--plan FILE] [--write]

Validation cases are solved with and without each shortcut of a plan (a JSON file in the form of a
card's ``acceleration``; that of the card if not given). A row is a quality and a shortcut: PSNR and
SSIM of the head, the share of the truth in the 90 % intervals (without the widening that the scan's
own lines ask for), the misfit of the data in units of the noise, each beside what it is without the
shortcut, the case that loses most, and processor seconds. Cases lie in
benchmarks/results/certify.csv, and those that are there are not measured again; the table is
benchmarks/results/certify-MODEL.md, or named
after the plan's file.

``--write`` puts the plan into the card if no row loses more than .1 dB or .005 in SSIM, and if
coverage moves by no more than .01. Else it says which row refuses it, with exit code 1.

``benchmarks/plans`` holds plans that are no part of a card. `mri-brain-preconditioned` is
accepted on four cases (.78 of the time), near the limit of SSIM. `mri-brain-balanced`, with
shorter chains, takes .6 of the time and is refused.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from time import process_time
from typing import Any

import torch

from sciddm.acceleration import NO_PLAN, Plan
from sciddm.acceleration.certificate import Certificate, Measured, certify, shortcuts

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results" / "certify.csv"
#: Solves case i of a quality under a plan.
Solve = Callable[[Plan, str, int], Measured]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--quality", nargs="+", default=["balanced"])
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()

    from sciddm import zoo

    model = zoo.from_pretrained(args.model)
    entry = model.card.acceleration if args.plan is None else json.loads(args.plan.read_text())
    solve = _cached(model.weights_sha256, _solver(model))
    certificates: list[Certificate] = []
    for quality in args.quality:
        without = [solve(NO_PLAN, quality, i) for i in range(args.cases)]
        for name, plan in shortcuts(Plan.from_card(entry), quality).items():
            values = [solve(plan, quality, i) for i in range(args.cases)]
            certificates.append(certify(f"{quality}, {name}", without, values))
            print(certificates[-1], flush=True)
    name = model.name if args.plan is None else args.plan.stem
    (RESULTS.parent / f"certify-{name}.md").write_text(_page(model.name, certificates))
    refused = [c.name for c in certificates if not c.holds]
    if refused:
        sys.exit(f"refused: {'; '.join(refused)}")
    if args.write:
        folder = zoo.find(args.model)
        card = json.loads((folder / "card.json").read_text())
        card["acceleration"] = entry
        (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")


def _page(name: str, found: list[Certificate]) -> str:
    """The certificates in Markdown."""
    return "\n".join(
        [
            f"# Shortcuts of {name}",
            "",
            f"Each alone and all together against the pipeline without them, means over "
            f"{found[0].cases} validation cases; processor seconds of one thread.",
            "",
            "| quality, shortcut | PSNR | with | worst case | SSIM | with | coverage | with "
            "| misfit / noise | with | seconds | with | verdict |",
            "|" + "---|" * 13,
            *map(str, found),
            "",
            f"Made by `python -m benchmarks.certify {name}` on "
            f"{datetime.date.today().isoformat()}, torch {torch.__version__}.",
            "",
        ]
    )


def _cached(weights: str, solve: Solve) -> Solve:
    """``solve``, whose answers are stored and not computed again."""

    def stored(plan: Plan, quality: str, case: int) -> Measured:
        parts = {f.name: getattr(plan, f.name) for f in fields(plan)}
        parts["settings"] = dict(plan.settings.get(quality, {}))  # of other qualities is no matter
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
        key = {"weights": weights[:12], "plan": digest, "quality": quality, "case": str(case)}
        for row in _rows():
            if all(row[k] == v for k, v in key.items()):
                return Measured(**{f.name: float(row[f.name]) for f in fields(Measured)})
        answer = solve(plan, quality, case)
        values = {f.name: round(getattr(answer, f.name), 5) for f in fields(Measured)}
        new = not RESULTS.exists()
        with RESULTS.open("a", newline="") as file:
            writer = csv.DictWriter(file, [*key, *values])
            if new:
                writer.writeheader()
            writer.writerow(key | values)
        return answer

    return stored


def _rows() -> Iterable[Mapping[str, str]]:
    if not RESULTS.exists():
        return []
    with RESULTS.open(newline="") as file:
        return list(csv.DictReader(file))


def _solver(model: Any) -> Solve:
    """Solves validation cases with a model of MRI, the domain whose models have plans."""
    import numpy as np

    from benchmarks.validation_scans import FIT, HELD_OUT, Drawn, drawn, problems_of
    from sciddm.allocator import keep_freed_memory
    from sciddm.metrics.images import ssim
    from sciddm.pipelines.mri.pipeline import MRIReconstruction

    keep_freed_memory()
    torch.set_num_threads(1)
    denoiser = model.denoiser
    # At first one of each patient and contrast, at R = 4 and 8 in turn.
    order = (HELD_OUT[0], FIT[3], HELD_OUT[2], HELD_OUT[5], *FIT[:3], *HELD_OUT[1:5:2])
    problems = [p for i, p in enumerate(problems_of(order)) if i % 4 in (0, 3)]
    pipeline = MRIReconstruction(denoiser, None, model.card.calibration)

    def misfit(out: Drawn) -> float:
        m = out.measurement
        error = m.residual(out.draws.mean(0))
        count = int((m.y != 0).sum())
        return float((error.abs().square().sum() / count).sqrt() / m.sigma)

    def solve(plan: Plan, quality: str, case: int) -> Measured:
        denoiser.plan = plan
        problem = problems[case]
        settings = pipeline.settings(quality, None, problem.info["acceleration"])
        start = process_time()
        out = drawn(denoiser, problem, settings)
        seconds = process_time() - start
        head, truth = problem.head, out.reference
        peak = float(truth[head].max())
        error = np.abs(out.image - truth)
        # The card's factor is of the standard deviation as ``drawn`` pools it.
        inside = error[head] <= 1.645 * settings.spread * out.std[head]
        return Measured(
            psnr=float(10 * np.log10(peak**2 / (error[head] ** 2).mean())),
            ssim=ssim(out.image, truth, peak),
            coverage=float(inside.mean()),
            misfit=misfit(out),
            seconds=seconds,
        )

    return solve


if __name__ == "__main__":
    main()
