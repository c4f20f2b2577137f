"""The ultrasound benchmark: one command, one table.

    python -m benchmarks.ultrasound [--qualities fast balanced] [--with-bm3d] [--tiny]
        [--tissue NAME --haze NAME] [--regression NAME]

Scans, classical filters, a supervised network of the same size, and joint posterior sampling with
every likelihood step. Prints, of log-compressed amplitude over 60 dB: PSNR (dB, range 1), gCNR of
tissue against blood, KS distance to the clean scan's tissue and blood, the correlation of what was
taken away with the true haze, and seconds. Writes benchmarks/results/ultrasound.md and, case by
case, ultrasound.csv; --tiny writes no results.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import sciddm
from benchmarks import ultrasound_classical
from benchmarks.publish import publish
from benchmarks.results import Result, cached
from benchmarks.ultrasound_problems import UltrasoundProblem, build, load_problems
from sciddm import zoo
from sciddm.companding import compand, expand_companded
from sciddm.errors import ModelError
from sciddm.metrics.images import psnr
from sciddm.metrics.ultrasound import correlation, gcnr, ks_distance
from sciddm.physics.ultrasound.representation import represent
from sciddm.physics.ultrasound.spectra import LocalSpectra
from sciddm.pipelines.ultrasound.pipeline import UltrasoundDehazing
from sciddm.pipelines.ultrasound.settings import settings_for

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "benchmarks" / ".cache"
Row = dict[str, Any]
#: Image (display values), RF or None, seconds, other numbers.
Made = tuple[NDArray[Any], NDArray[Any] | None, float, dict[str, Any]]
MEASURES = (
    ("psnr_db", "PSNR", ".2f", max),
    ("gcnr", "gCNR", ".3f", max),
    ("ks_tissue", "KS tissue", ".3f", min),
    ("ks_blood", "KS blood", ".3f", min),
    ("haze_correlation", "haze corr.", ".3f", max),
    ("seconds", "seconds", ".1f", None),
    ("nfe", "NFE", ".0f", None),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tissue", help="name or folder of the model")
    parser.add_argument("--haze", help="name or folder of the model")
    parser.add_argument("--regression", default="us-regression", help="name or folder")
    parser.add_argument("--qualities", nargs="+", default=["fast", "balanced", "best"])
    parser.add_argument("--guidance", nargs="*", default=["mmps", "dps"], help="rows at balanced")
    parser.add_argument("--with-bm3d", action="store_true", help="non-commercial licence")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--tiny", action="store_true", help="small scans, nothing published")
    args = parser.parse_args()
    cache = CACHE / ("ultrasound-tiny" if args.tiny else "ultrasound")
    _say("problems")
    build(cache / "problems", tiny=args.tiny)
    tests = load_problems(cache / "problems", "test")
    rows: list[Row] = []

    def row(name: str, make: Callable[[UltrasoundProblem], Made]) -> None:
        _say(name)
        rows.extend(score(name, p, make(p)) for p in tests)

    row("hazy", lambda p: (p.image(p.hazy), p.hazy, 0.0, {}))
    for name, images in _filtered(cache, tests, args.with_bm3d).items():
        row(name, lambda p, images=images: images[p.info["name"]])
    try:
        regression = zoo.from_pretrained(args.regression)
    except ModelError as error:
        _say(f"no row of the regression: {error}")
    else:
        row("regression", lambda p: regress(regression, p))
    pipeline = UltrasoundDehazing(args.tissue, args.haze)
    pipeline.load("rf")
    row("local spectra, where ours starts", spectra)
    asked = [(f"ours, {q}", q, None) for q in args.qualities]
    asked += [(f"ours, balanced, {g}", "balanced", g) for g in args.guidance]
    for name, quality, guidance in asked:
        row(
            name,
            lambda p, quality=quality, guidance=guidance: dehaze(
                cache, pipeline, p, quality, guidance
            ),
        )
    text = report(rows, sys.argv[1:], args.note)
    if args.tiny:
        print(text)
    else:
        publish("ultrasound", text, rows)


def dehaze(
    cache: Path,
    pipeline: UltrasoundDehazing,
    p: UltrasoundProblem,
    quality: str,
    guidance: str | None = None,
) -> Made:
    """What the pipeline makes of a scan; kept for the same weights and settings."""

    def make() -> Result:
        start = perf_counter()
        out = pipeline(p.dataset(), quality=quality, guidance=guidance, seed=0)
        seconds = perf_counter() - start
        a = out.attrs
        told = {k: a[k] for k in ("consistency", "weights_sha256", "guidance")}
        return Result(out["frames"].values[0], seconds, round(a["nfe"] * a["samples"]), 0, told)

    models = pipeline.load("rf")
    weights = [models.tissue.weights_sha256, models.haze.weights_sha256]
    key = [weights, asdict(settings_for(quality, guidance=guidance)), sciddm.__version__]
    found = cached(cache / "results", f"ours {quality} {guidance}", p, key, make)
    told = {**found.settings, "nfe": found.nfe}
    return p.image(found.image), found.image, found.seconds, told


def spectra(p: UltrasoundProblem) -> Made:
    """The first guess of ours, without any network: the mean of tissue given its local spectra."""
    start = perf_counter()
    form = represent(p.dataset())
    seen = form.to_model(p.hazy)
    rf = form.result(p.hazy, seen, LocalSpectra(torch.from_numpy(seen)).tissue()[0].numpy())
    return p.image(rf), rf, perf_counter() - start, {}


def regress(model: zoo.Model, p: UltrasoundProblem) -> Made:
    """One evaluation at the end of the process, which is all that a regression is."""
    start = perf_counter()
    form = represent(p.dataset())
    seen = form.to_model(p.hazy)
    y = compand(torch.from_numpy(seen))[None, None]
    with torch.no_grad():
        x = model.denoiser(y, model.denoiser.process.t_max, y)
    rf = form.result(p.hazy, seen, expand_companded(x)[0, 0].numpy())
    return p.image(rf), rf, perf_counter() - start, {"nfe": 1}


def _filtered(
    cache: Path, tests: list[UltrasoundProblem], with_bm3d: bool
) -> dict[str, dict[str, Made]]:
    """What the filters of images make of every test scan."""
    images: dict[str, Any] = {}
    about = {}
    for p in [*tests, *load_problems(cache / "problems", "tune")]:
        name = p.info["name"]
        images[name], images[f"{name}.clean"] = p.image(p.hazy), p.image(p.clean)
        about[name] = {k: p.info[k] for k in ("role", "haze_db")} | {"data": p.digest()}
    np.savez(cache / "images.npz", **images, about=json.dumps(about))
    digests = {n: i["data"] for n, i in about.items() if i["role"] == "test"}
    found = {}
    for method in ("NLM", *(("BM3D",) if with_bm3d else ())):
        # Tuning takes minutes: what was made of the same scans is kept.
        if _digests(cache / f"{method}.npz") != digests:
            _say(method)
            _filter(cache, method)
        with np.load(cache / f"{method}.npz") as file:
            told = json.loads(str(file["about"]))
            found[method] = {n: (file[n], None, told[n]["seconds"], told[n]) for n in told}
    return found


def _filter(cache: Path, method: str) -> None:
    """Tunes and applies a filter; BM3D in an environment of its own."""
    if method != "BM3D":
        ultrasound_classical.main(cache, method)
        return
    subprocess.run([ROOT / "benchmarks" / "peers_ct.sh"], check=True)
    python = str(ROOT / ".venv-peers-ct" / "bin" / "python")
    command = [python, "-m", "benchmarks.ultrasound_classical", str(cache), method]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


def _digests(path: Path) -> dict[str, str]:
    """The scans, by name, that a filter's file was made of; none if it is not there."""
    if not path.exists():
        return {}
    with np.load(path) as file:
        return {n: i.get("data", "") for n, i in json.loads(str(file["about"])).items()}


def score(method: str, p: UltrasoundProblem, made: Made) -> Row:
    """One row of the case by case table."""
    image, rf, seconds, told = made
    clean = p.image(p.clean)
    a, b = p.tissue_roi, p.blood_roi
    taken = None if rf is None or method == "hazy" else correlation(p.hazy - rf, p.haze)
    return {
        "case": p.info["name"],
        "haze_db": p.info["haze_db"],
        "method": method,
        "psnr_db": psnr(image, clean, 1.0),
        "gcnr": gcnr(image[a], image[b]),
        "gcnr_clean": gcnr(clean[a], clean[b]),
        "ks_tissue": ks_distance(image[a], clean[a]),
        "ks_blood": ks_distance(image[b], clean[b]),
        "haze_correlation": float("nan") if taken is None else taken,
        "seconds": seconds,
        "nfe": told.get("nfe", 0),
        "consistency": told.get("consistency", ""),
        "settings": "; ".join(f"{k}={v}" for k, v in told.items()),
    }


def report(rows: list[Row], arguments: list[str], note: str = "") -> str:
    """The tables in Markdown, with what is needed to make them again."""
    methods = list(dict.fromkeys(r["method"] for r in rows))
    lines = [
        "# Ultrasound dehazing",
        "",
        "Means over simulated scans with known tissue and haze (seeds that no training saw, from "
        "the simulation that made the training data). Log-compressed amplitude over 60 dB; PSNR of "
        "range 1; gCNR of tissue against blood, and in the heading that of the clean scans; KS "
        "distance to the clean scans' tissue and blood (0 is the same distribution); correlation "
        "of what was taken away with the true haze. NLM and BM3D are tuned with the truth of other "
        "scans of the same haze. What was made of a scan with the same weights and settings "
        "before is taken again, with its seconds.",
        "",
    ]
    lines += _table("All scans", rows, methods)
    for haze in sorted({r["haze_db"] for r in rows}):
        group = [r for r in rows if r["haze_db"] == haze]
        lines += _table(f"Haze {haze:g} dB, tissue -18 dB", group, methods)
    if note:
        lines += [note, ""]
    command = f"python -m benchmarks.ultrasound {shlex.join(arguments)}".strip()
    lines += [
        f"Made by `{command}` on {datetime.date.today().isoformat()}, {platform.machine()}, "
        f"{os.cpu_count()} cores; sciddm {sciddm.__version__}, torch "
        f"{importlib.metadata.version('torch')}, scikit-image "
        f"{importlib.metadata.version('scikit-image')}, Python {platform.python_version()}. "
        "Every case: [ultrasound.csv](ultrasound.csv).",
        "",
    ]
    return "\n".join(lines)


def _table(title: str, rows: list[Row], methods: list[str]) -> list[str]:
    """Means of all methods, the best of each column in bold."""
    clean = np.mean([r["gcnr_clean"] for r in rows])
    lines = [f"## {title} (clean gCNR {clean:.3f})", ""]
    lines += ["| method | " + " | ".join(words for _, words, _, _ in MEASURES) + " |"]
    lines += ["|---" * (len(MEASURES) + 1) + "|"]
    table = {
        m: {k: _mean([r[k] for r in rows if r["method"] == m]) for k, *_ in MEASURES}
        for m in methods
    }
    for m in methods:
        cells = []
        for key, _, form, better in MEASURES:
            value = table[m][key]
            known = [table[o][key] for o in methods if np.isfinite(table[o][key])]
            first = better is not None and known and value == better(known)
            text = format(value, form) if np.isfinite(value) else ""
            cells.append(f"**{text}**" if first else text)
        lines.append(f"| {m} | {' | '.join(cells)} |")
    return [*lines, ""]


def _mean(values: list[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else float("nan")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
