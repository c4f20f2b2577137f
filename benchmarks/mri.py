"""The MRI benchmark: one command, one table.

    python -m benchmarks.mri [--model mri-brain] [--without-deepinv] [--fresh]

Makes the problems, the peers' environment (several GB, once) and every method's images; prints
PSNR (dB) and SSIM, seconds and network evaluations, and writes benchmarks/results/mri.md and, case
by case, mri.csv. Results that are still valid are kept from the last run; ``--fresh`` makes all of
them again, which is needed for seconds that compare (run it on an idle machine). ``--update`` makes
only the rows of the network methods that are named, and takes all others from mri.csv.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.metrics import psnr, ssim
from benchmarks.problems import Problem, build, first_slices, load_problems
from benchmarks.publish import publish
from benchmarks.results import TUNED, Result, load_result

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "benchmarks" / ".cache" / "mri"
CLASSICAL = ("zero-filled", "CG-SENSE", "L1-wavelet", "TV")
CLASSICAL_TUNED = tuple(TUNED.format(m) for m in ("L1-wavelet", "TV"))
DEEPINV = ("deepinv DPS", "deepinv DiffPIR")
OURS = ("ours", "conditional")
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mri-brain", help="name or folder of the prior")
    parser.add_argument(
        "--conditional", default="mri-brain-conditional", help="a model that sees the measurement"
    )
    parser.add_argument("--without-deepinv", action="store_true")
    parser.add_argument(
        "--qualities", nargs="+", default=["fast", "balanced", "best"], help="of our own method"
    )
    parser.add_argument("--classical-only", action="store_true", help="no network at all")
    parser.add_argument("--tuning-slices", type=int, default=2, help="for deepinv's samplers")
    parser.add_argument(
        "--deepinv-slices", type=int, default=3, help="of each simulated scan, for its rows"
    )
    parser.add_argument("--best-slices", type=int, default=3, help="the same, for quality best")
    parser.add_argument(
        "--update", nargs="+", metavar="METHOD", help='for example "conditional balanced"'
    )
    parser.add_argument(
        "--kind", choices=["simulated", "real"], help="of --update, only rows of such data"
    )
    parser.add_argument("--note", default="", help="a sentence for the foot of the table")
    parser.add_argument("--fresh", action="store_true", help="use no result of an earlier run")
    args = parser.parse_args()

    if args.fresh:
        shutil.rmtree(CACHE, ignore_errors=True)
    problems, results = CACHE / "problems", CACHE / "results"
    _say("problems")
    build(problems)
    if args.update:
        _update(args, problems, results)
        return
    subprocess.run([ROOT / "benchmarks" / "peers.sh"], check=True)
    _say("classical methods")
    _peers("benchmarks.classical", problems, results)
    methods = CLASSICAL
    if not args.classical_only:
        _say("ours")
        from benchmarks import ours

        for quality in args.qualities:
            count = args.best_slices if quality == "best" else 3
            ours.main(problems, results, args.model, [quality], slices=count)
            ours.main(problems, results, args.conditional, [quality], "conditional", count)
        own = tuple(f"{m} {quality}" for m in OURS for quality in args.qualities)
        methods = (*CLASSICAL, *own)
        if not args.without_deepinv:
            _say("deepinv")
            _deepinv(problems, results, args)
            methods = (*CLASSICAL, *DEEPINV, *own)

    tests = load_problems(problems, "test")
    rows = []
    for method in methods:
        slow = args.deepinv_slices if method in DEEPINV else args.best_slices
        every = method not in DEEPINV and not method.endswith(" best")
        rows += score(tests if every else first_slices(tests, slow), results, [method])
    rows += score([p for p in tests if p.info["kind"] == "real"], results, CLASSICAL_TUNED)
    text = report(rows, methods, sys.argv[1:])
    text += f"\n{args.note}\n" if args.note else ""
    publish("mri", text, rows)


def _update(args: argparse.Namespace, problems: Path, results: Path) -> None:
    """The published rows, those of ``args.update`` made again."""
    from benchmarks import ours

    models = {"ours": args.model, "conditional": args.conditional}
    tests = load_problems(problems, "test")
    if args.kind:
        tests = [p for p in tests if p.info["kind"] == args.kind]
    with (ROOT / "benchmarks" / "results" / "mri.csv").open() as file:
        rows: list[Row] = [_read(row) for row in csv.DictReader(file)]
    for method in args.update:
        label, _, quality = method.partition(" ")
        count = args.best_slices if quality == "best" else 3
        chosen = first_slices(tests, count)
        ours.reconstruct_all(chosen, results, models[label], [quality], label)
        made = {p.info["name"] for p in chosen}
        rows = [row for row in rows if row["method"] != method or row["case"] not in made]
        rows += score(chosen, results, [method])
    order = [*CLASSICAL, *DEEPINV, *(f"{m} {q}" for m in OURS for q in args.qualities)]
    run = {row["method"] for row in rows}
    text = report(rows, tuple(m for m in order if m in run), sys.argv[1:])
    publish("mri", f"{text}\n{args.note}\n" if args.note else text, rows)


def _read(row: dict[str, str]) -> Row:
    """A row of mri.csv."""
    words = ("case", "group", "patient", "method", "settings")
    return {
        k: v if k in words or v == "" else int(v) if k in ("R", "nfe", "nvjp") else float(v)
        for k, v in row.items()
    }


def _deepinv(problems: Path, results: Path, args: argparse.Namespace) -> None:
    from sciddm import zoo
    from sciddm.pipelines.mri.pipeline import QUALITIES

    balanced = QUALITIES["balanced"]
    _peers(
        "benchmarks.deepinv_peers",
        problems,
        results,
        *("--model", zoo.find(args.model)),
        *("--nfe", balanced.evaluations),
        *("--samples", balanced.samples),
        *("--tuning-slices", args.tuning_slices),
        *("--slices", args.deepinv_slices),
    )


def _peers(module: str, *arguments: object) -> None:
    python = ROOT / ".venv-peers" / "bin" / "python"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [str(python), "-m", module, *map(str, arguments)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


def score(problems: list[Problem], results: Path, methods: Iterable[str]) -> list[Row]:
    """One row for each case and method."""
    rows = []
    for method in methods:
        for p in problems:
            r = load_result(results, method, p.info["name"])
            rows.append(
                {
                    "case": p.info["name"],
                    "group": p.info["contrast"] if p.info["kind"] == "simulated" else "real",
                    "patient": p.info["patient"],
                    "R": p.info["acceleration"],
                    "method": method,
                    "psnr": psnr(r.image, p.reference),
                    "ssim": ssim(r.image, p.reference),
                    "psnr_head": psnr(r.image, p.reference, p.head),
                    "ssim_head": ssim(r.image, p.reference, p.head),
                    "seconds": r.seconds,
                    "nfe": r.nfe,
                    "nvjp": r.nvjp,
                    "coverage90": r.extra.get("coverage", ""),
                    "consistency": r.extra.get("consistency", ""),
                    "settings": _settings(r),
                }
            )
    return rows


def report(rows: list[Row], methods: tuple[str, ...], arguments: list[str]) -> str:
    """The table in Markdown, with what is needed to make it again."""
    groups = _groups(rows)
    lines = [
        "# MRI reconstruction",
        "",
        "PSNR (dB) / SSIM of the magnitude of one slice, data range its maximum, 7 x 7 uniform "
        "window, no scale fitted. Simulated: 8 coils, 30 dB, 1D random mask with 16 calibration "
        "lines, mean over three slices of each scan, each with its own mask; with "
        "--deepinv-slices and --best-slices, the columns of deepinv and best are means over the "
        "first slices only, and so is what is compared with them. Real: 16-channel scan, mean "
        "over four masks; weights of CG-SENSE, L1-wavelet and TV chosen by the truth for each "
        "mask, a help that ours does not get (on the simulated data: on other slices; 'tuned on "
        "simulations': with those weights, absolute values in mri.csv). Seconds: mean over all "
        "cases of the whole reconstruction, noise and maps included. NFE: network evaluations in "
        "all, for all samples.",
        "",
        f"| data | {' | '.join(methods)} |",
        f"|---|{'---|' * len(methods)}",
    ]
    for label, select, metrics in groups:
        counts = {m: sum(row["method"] == m and select(row) for row in rows) for m in methods}
        every = [m for m in methods if counts[m] == max(counts.values())]
        best = max(_mean(rows, select, m, metrics[0]) for m in every)
        cells = []
        for m in methods:
            value = _mean(rows, select, m, metrics[0])
            text = f"{value:.2f} / {_mean(rows, select, m, metrics[1]):.3f}"
            cells.append(f"**{text}**" if m in every and value == best else text)
        lines.append(f"| {label} | {' | '.join(cells)} |")
    for label, field, form in (
        ("seconds", "seconds", "{:.1f}"),
        ("NFE", "nfe", "{:.0f}"),
        ("VJP", "nvjp", "{:.0f}"),
    ):
        cells = [form.format(_mean(rows, lambda row: True, m, field)) for m in methods]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    lines += ["", *_claims(rows, methods, groups), "", *_origin(arguments), ""]
    return "\n".join(lines)


Group = tuple[str, Callable[[Row], bool], tuple[str, str]]


def _groups(rows: list[Row]) -> list[Group]:
    whole, head = ("psnr", "ssim"), ("psnr_head", "ssim_head")
    groups: list[Group] = []
    for name in dict.fromkeys(row["group"] for row in rows):
        for r in sorted({row["R"] for row in rows if row["group"] == name}):

            def select(row: Row, name: str = name, r: int = r) -> bool:
                return bool(row["group"] == name and row["R"] == r)

            groups.append((f"{name} R = {r}", select, whole))
            if name == "real":
                groups.append((f"{name} R = {r}, inside the head", select, head))
    return groups


def _mean(rows: list[Row], select: Callable[[Row], bool], method: str, field: str) -> float:
    return float(np.mean([r[field] for r in rows if r["method"] == method and select(r)]))


def _claims(rows: list[Row], methods: tuple[str, ...], groups: list[Group]) -> list[str]:
    """Balanced against the best of its rivals, and the coverage of its intervals."""
    classical, prior = ("L1-wavelet", "TV"), "ours balanced"
    pairs = [(prior, classical), (prior, CLASSICAL_TUNED), (prior, DEEPINV)]
    pairs += [("ours best", (prior,))]
    pairs += [
        (f"conditional {q}", names) for q in ("fast", "balanced") for names in (classical, (prior,))
    ]
    run = {row["method"] for row in rows}
    pairs = [(m, names) for m, names in pairs if {m, *names} <= run]
    if not pairs:
        return []
    titles = [f"{m} minus the best of {', '.join(names)}" for m, names in pairs]
    lines = [f"| data | {' | '.join(titles)} |", f"|---|{'---|' * len(pairs)}"]
    for label, select, metrics in groups:
        cells = []
        for mine, names in pairs:
            same = [row for row in _on_common_cases(rows, (mine, *names)) if select(row)]
            if not same:
                cells.append("")
                continue
            gains = [
                _mean(same, select, mine, metric)
                - max(_mean(same, select, m, metric) for m in names)
                for metric in metrics
            ]
            cells.append(f"{gains[0]:+.2f} dB / {gains[1]:+.3f}")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    lines.append("")
    for m in (m for m in methods if m.startswith(OURS)):
        simulated = [r["coverage90"] for r in rows if r["method"] == m and r["group"] != "real"]
        lines.append(
            f"Coverage of the 90 % interval inside the head, {m}, simulated data: "
            f"{np.mean(simulated):.3f} (cases {min(simulated):.3f} to {max(simulated):.3f})."
        )
    return lines


def _on_common_cases(rows: list[Row], methods: Iterable[str]) -> list[Row]:
    """Rows of the cases that all of the methods have run."""
    run = [{row["case"] for row in rows if row["method"] == m} for m in methods]
    common = set.intersection(*run)
    return [row for row in rows if row["case"] in common]


def _origin(arguments: list[str]) -> list[str]:
    peers = ROOT / ".venv-peers" / ".complete"
    command = " ".join(["python -m benchmarks.mri", *arguments])
    import sciddm

    return [
        f"Made by `{command}` on {datetime.date.today().isoformat()}, {platform.machine()}, "
        f"{os.cpu_count()} cores; sciddm {sciddm.__version__}, "
        f"torch {importlib.metadata.version('torch')}, Python {platform.python_version()}; "
        f"peers: {peers.read_text().strip() if peers.exists() else 'none'}. "
        "Every case: [mri.csv](mri.csv).",
    ]


def _settings(r: Result) -> str:
    return "; ".join(
        f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}"
        for k, v in r.settings.items()
        if k != "weights_sha256"
    )


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
