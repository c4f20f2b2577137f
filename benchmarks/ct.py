"""The CT benchmark: one command, one table.

    python -m benchmarks.ct [--qualities fast balanced] [--methods residual] [--with-bm3d]
        [--fresh] [--tiny]

Makes the problems and every method's images, of methods that are given the low-dose image and of
methods that are given the projections; prints RMSE (HU), PSNR (dB) and SSIM in the window
[-160, 240] HU, the HU bias in uniform tissue, how much the texture of the noise differs from that
of a full dose, and seconds; writes benchmarks/results/ct.md and, case by case, ct.csv. Results that
are still valid are kept from the last run, and with ``--methods`` the rows of all others stay as
they were published; ``--fresh`` makes all of them again, which is needed for
seconds that compare (run it on an idle machine). ``--tiny`` takes two small phantoms and writes no
results: it tries the benchmark itself.
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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import sciddm
from benchmarks import ct_classical, ct_ours
from benchmarks.ct_ours import FBP, LOW_DOSE
from benchmarks.ct_problems import CTProblem, build, load_problems
from benchmarks.publish import publish
from benchmarks.results import load_result
from sciddm.errors import InputError
from sciddm.metrics.hounsfield import hu_bias, psnr, rmse, ssim
from sciddm.metrics.texture import (
    noise_texture,
    texture_distance,
    uniform_tissue,
)

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "benchmarks" / ".cache"
FILTERS = ("Gaussian", "TV", "NLM")
PATCHES = (32, 24, 16, 12, 8)  # pixels: the largest that fits is taken
Row = dict[str, Any]
_PARTLY = [
    "Rows of methods that the command does not name, and their seconds, are those of an earlier "
    "run on an idle machine; its own seconds were taken beside other work.",
    "",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--denoiser", default="ct-denoise", help="name or folder of the model")
    parser.add_argument("--prior", default="ct-prior", help="name or folder of the model")
    parser.add_argument("--regression", default="ct-regression", help="name or folder of the model")
    parser.add_argument("--qualities", nargs="+", default=["fast", "balanced", "best"])
    parser.add_argument("--methods", nargs="+", help="make and show only these")
    parser.add_argument("--with-bm3d", action="store_true", help="non-commercial licence")
    parser.add_argument("--fresh", action="store_true", help="use no result of an earlier run")
    parser.add_argument("--tiny", action="store_true", help="small phantoms, nothing published")
    args = parser.parse_args()

    cache = CACHE / ("ct-tiny" if args.tiny else "ct")
    if args.fresh:
        shutil.rmtree(cache, ignore_errors=True)
    problems, results = cache / "problems", cache / "results"
    _say("problems")
    build(problems, tiny=args.tiny)
    _say("classical filters")

    def wanted(method: str) -> bool:
        return not args.methods or method in args.methods

    filters = [m for m in FILTERS if wanted(m)]
    ct_classical.main(problems, results, filters)
    if args.with_bm3d:
        _say("BM3D")
        _bm3d(problems, results)
        filters.append("BM3D")
    methods = [LOW_DOSE, *filters, FBP, *(f"{FBP} + {name}" for name in filters)]
    own = ct_ours.main(
        problems,
        results,
        args.qualities,
        args.denoiser,
        args.prior,
        args.regression,
        wanted,
        _say,
    )
    methods += [m for m in own if m not in methods]
    rows = score(load_problems(problems, "test"), results, methods)
    if args.methods and not args.tiny:
        rows, methods = with_published(rows, methods)
    text = report(rows, methods, sys.argv[1:])
    if args.tiny:
        print(text)
    else:
        publish("ct", text, rows)


def with_published(rows: list[Row], methods: list[str]) -> tuple[list[Row], list[str]]:
    """The rows, and those of other methods in results/ct.csv, in the order of that table."""
    path = ROOT / "benchmarks" / "results" / "ct.csv"
    if not path.exists():
        return rows, methods
    with path.open(newline="") as file:
        published = [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(file)]
    others = [row for row in published if row["method"] not in methods]
    order = list(dict.fromkeys([*(row["method"] for row in published), *methods]))
    merged = sorted([*others, *rows], key=lambda row: order.index(row["method"]))
    return merged, order


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _bm3d(problems: Path, results: Path) -> None:
    subprocess.run([ROOT / "benchmarks" / "peers_ct.sh"], check=True)
    python = ROOT / ".venv-peers-ct" / "bin" / "python"
    command = [str(python), "-m", "benchmarks.ct_classical", str(problems), str(results), "BM3D"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


def score(problems: list[CTProblem], results: Path, methods: Iterable[str]) -> list[Row]:
    """One row for each case and method that has a result of it."""
    rows = []
    for method in methods:
        for p in problems:
            try:
                r = load_result(results, method, p.info["name"])
            except FileNotFoundError:  # image methods are not for sparse scans
                continue
            rows.append(
                {
                    "case": p.info["name"],
                    "group": p.info["group"],
                    "setting": p.setting,
                    "method": method,
                    "rmse_hu": rmse(r.image, p.reference),
                    "psnr_db": psnr(r.image, p.reference),
                    "ssim": ssim(r.image, p.reference),
                    "hu_bias": bias(r.image, p),
                    "texture": texture(r.image, p),
                    "seconds": r.seconds,
                    "nfe": r.nfe,
                    "nvjp": r.nvjp,
                    "coverage90": r.extra.get("coverage", ""),
                    "consistency": r.extra.get("consistency", ""),
                    "settings": "; ".join(f"{k}={v}" for k, v in r.settings.items()),
                }
            )
    return rows


def bias(image: np.ndarray, p: CTProblem) -> float:
    """Mean difference where the reference is uniform tissue; NaN where it is nowhere."""
    regions = uniform_tissue(p.reference[None], p.info["voxel_size_mm"][2])[0]
    return hu_bias(image, p.reference, regions) if regions.any() else float("nan")


def texture(image: np.ndarray, p: CTProblem) -> float:
    """How much the shape of the noise power spectrum in uniform tissue differs from that of the
    image of full dose, in the same squares; NaN where none fits."""
    pixel = p.info["voxel_size_mm"][2]
    inside = uniform_tissue(p.reference[None], pixel)
    for size in PATCHES:
        try:
            f, power = noise_texture(image[None], inside, pixel, size)
        except InputError:
            continue
        _, full = noise_texture(p.reference[None], inside, pixel, size)
        return texture_distance(power, full, f) if power.sum() > 0 < full.sum() else float("nan")
    return float("nan")


def report(rows: list[Row], methods: list[str], arguments: list[str]) -> str:
    """The tables in Markdown, with what is needed to make them again."""
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    lines = [
        "# Low-dose CT",
        "",
        "Means over all test slices. RMSE (HU) / PSNR (dB) / SSIM in the window [-160, 240] HU. "
        "Doses are fractions of one that leaves 20 HU of noise in the middle of the body; "
        "electronic noise 10 quanta. Methods that are given the low-dose image, which has the "
        "resolution of the reference, and methods that are given the projections stand apart: "
        "filtered back-projection of the latter loses resolution before there is any noise. "
        "Filters are tuned on other slices of the same dose or number of views.",
        "",
    ]
    for name in settings:
        lines += [f"## {name}", ""]
        for title, given in (("image", False), ("projections", True)):
            there = [m for m in methods if any(_is(r, name, m) for r in rows)]
            there = [m for m in there if from_projections(m) == given]
            if there:
                lines += [f"From the {title}:", "", *_table(rows, name, there), ""]
    lines += [*_differences(rows, settings, methods)]
    lines += [
        "HU bias: mean difference in uniform tissue. Texture: half of the sum of |differences| of "
        "the normalised noise power spectra in uniform tissue, of the image and of that of full "
        "dose; 0 is the same texture.",
        "",
        *_coverage(rows, methods),
        *_origin(arguments),
        "",
    ]
    return "\n".join(lines)


def from_projections(method: str) -> bool:
    """Whether a method is given the projections, not the low-dose image."""
    return method.startswith((FBP, "TV-iterative", "posterior"))


def _ours(method: str) -> bool:
    return method.startswith(("residual", "posterior", "filter2noise", "noise2score"))


def _table(rows: list[Row], name: str, methods: list[str]) -> list[str]:
    lines = [
        "| method | RMSE | PSNR | SSIM | HU bias | texture | seconds | NFE |",
        "|---|---|---|---|---|---|---|---|",
    ]
    best = min(_mean(rows, name, m, "rmse_hu") for m in methods)
    for m in methods:
        value = _mean(rows, name, m, "rmse_hu")
        shown = f"**{value:.2f}**" if value == best else f"{value:.2f}"
        others = [
            _mean(rows, name, m, key).__format__(form)
            for key, form in (
                ("psnr_db", ".2f"),
                ("ssim", ".4f"),
                ("hu_bias", "+.2f"),
                ("texture", ".3f"),
                ("seconds", ".1f"),
                ("nfe", ".0f"),
            )
        ]
        lines.append(f"| {m} | {shown} | {' | '.join(others)} |")
    return lines


def _differences(rows: list[Row], settings: list[str], methods: list[str]) -> list[str]:
    """Ours against the best classical method that is given the same."""
    lines = [
        "| method | setting | best classical, given the same | RMSE | PSNR / dB |",
        "|---|---|---|---|---|",
    ]
    for m in filter(_ours, methods):
        for name in settings:
            rivals = [
                r
                for r in methods
                if not _ours(r)
                and r != "regression"
                and from_projections(r) == from_projections(m)
                and any(_is(row, name, r) for row in rows)
            ]
            if not rivals or not any(_is(row, name, m) for row in rows):
                continue
            best = min(rivals, key=lambda r: _mean(rows, name, r, "rmse_hu"))
            ratio = _mean(rows, name, m, "rmse_hu") / _mean(rows, name, best, "rmse_hu") - 1
            more = _mean(rows, name, m, "psnr_db") - _mean(rows, name, best, "psnr_db")
            lines.append(f"| {m} | {name} | {best} | {ratio:+.1%} | {more:+.2f} |")
    return [*lines, ""]


def _is(row: Row, name: str, method: str) -> bool:
    return bool(row["setting"] == name and row["method"] == method)


def _mean(rows: list[Row], name: str, method: str, key: str) -> float:
    values = [row[key] for row in rows if _is(row, name, method)]
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else float("nan")


def _coverage(rows: list[Row], methods: list[str]) -> list[str]:
    lines = []
    for m in methods:
        known = [r["coverage90"] for r in rows if r["method"] == m and r["coverage90"] != ""]
        if known:
            lines.append(
                f"Coverage of the 90 % interval in the body, {m}: {np.mean(known):.3f} (cases "
                f"{min(known):.3f} to {max(known):.3f})."
            )
    return [*lines, ""] if lines else []


def _origin(arguments: list[str]) -> list[str]:
    command = " ".join(["python -m benchmarks.ct", *arguments])
    return [
        *(_PARTLY if "--methods" in arguments else []),
        f"Made by `{command}` on {datetime.date.today().isoformat()}, {platform.machine()}, "
        f"{os.cpu_count()} cores; sciddm {sciddm.__version__}, torch "
        f"{importlib.metadata.version('torch')}, scikit-image "
        f"{importlib.metadata.version('scikit-image')}, Python {platform.python_version()}. "
        "Every case: [ct.csv](ct.csv).",
    ]


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
