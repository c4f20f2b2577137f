"""The hyperspectral benchmark: one command, one table.

    python -m benchmarks.hsi [--methods subspace finch dds2m lowrank tv] [--quality balanced]
                             [--without-peers] [--fresh] [--tiny]

Makes the problems, the peers' environment (several GB, once) and every method's cubes; prints PSNR
(dB, range 1), SSIM, SAM (degrees) and seconds, and writes benchmarks/results/hsi.md and, case by
case, hsi.csv. Each method of ours runs blind, and those of --true-noise also told the noise.
Results that are still valid are kept from the last run; `--fresh` makes all of them again, which is
needed for seconds that compare (run it on an idle machine). `--tiny` takes a small scene and writes
no results: it tries the benchmark itself.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import xarray as xr

import sciddm
from benchmarks.hsi_problems import HSIProblem, build, load_problems
from benchmarks.publish import publish
from benchmarks.results import Result, cached, load_result
from sciddm.data_adapters.hsi import build_cube
from sciddm.errors import SciddmError
from sciddm.metrics.spectral import evaluate_cube
from sciddm.pipelines.hsi.methods import METHODS
from sciddm.pipelines.hsi.methods.build import build_method
from sciddm.pipelines.hsi.pipeline import HyperspectralDenoising

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "benchmarks" / ".cache"
PEERS = ("FORPDN", "HyRes", "low rank + BM3D", "BM4D")
MAIN = "subspace"
FIGURES = {"psnr_db": "{:.2f}", "ssim": "{:.3f}", "sam_deg": "{:.2f}", "seconds": "{:.1f}"}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="of ours")
    parser.add_argument("--true-noise", nargs="*", default=[MAIN], help="told the noise as well")
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="use no result of an earlier run")
    parser.add_argument("--tiny", action="store_true", help="a small scene, nothing published")
    args = parser.parse_args()

    cache = CACHE / ("hsi-tiny" if args.tiny else "hsi")
    if args.fresh:
        shutil.rmtree(cache, ignore_errors=True)
    problems, results = cache / "problems", cache / "results"
    _say("problems")
    build(problems, tiny=args.tiny)
    if not args.without_peers:
        _say("peers")
        subprocess.run([ROOT / "benchmarks" / "peers_hsi.sh"], check=True)
        python = ROOT / ".venv-peers-hsi" / "bin" / "python"
        command = [str(python), "-m", "benchmarks.hsi_peers", str(problems), str(results)]
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    names = [*PEERS] if not args.without_peers else []
    for method in args.methods:
        for told in (False, True) if method in args.true_noise else (False,):
            name = f"{method}, told the noise" if told else method
            _say(name)
            try:
                ours(load_problems(problems), results, name, method, args.quality, told)
            except SciddmError as error:
                _say(f"{name} is left out: {error}")
                continue
            names.append(name)
    rows = score(load_problems(problems), results, names)
    text = report(rows, sys.argv[1:])
    if args.tiny:
        print(text)
    else:
        publish("hsi", text, rows)


def ours(
    problems: Iterable[HSIProblem],
    results: Path,
    name: str,
    method: str,
    quality: str,
    told: bool,
) -> None:
    """Makes the cubes of one of our methods."""
    pipeline = HyperspectralDenoising(method)
    weights = ""
    if method == MAIN:
        from sciddm import zoo

        weights = zoo.from_pretrained("hsi-subspace").weights_sha256
    settings = getattr(build_method(method, quality=quality), "settings", None)
    for p in problems:

        def make(p: HSIProblem = p) -> Result:
            start = perf_counter()
            found = pipeline(as_cube(p), quality=quality, noise_std=p.sigma if told else None)
            seconds = perf_counter() - start
            settings = {"quality": quality, "model": found.attrs.get("model", "")}
            extra = {"consistency": float(found.attrs["consistency"])}
            if "std" in found:
                miss = np.abs(found["cube"].values - p.clean)
                extra["coverage90"] = float((miss < 1.645 * found["std"].values).mean())
            return Result(
                found["cube"].values,
                seconds,
                int(found.attrs.get("nfe", 0)),
                int(found.attrs.get("nvjp", 0)),
                settings,
                extra,
            )

        cached(results, name, p, [sciddm.__version__, quality, told, weights, settings], make)


def as_cube(p: HSIProblem) -> xr.Dataset:
    """A problem in the form that pipelines take."""
    path = Path(p.info["name"])
    return build_cube(path, p.noisy, form="problem", wavelength=p.wavelength_nm, units="nm")


def score(problems: Sequence[HSIProblem], results: Path, methods: Iterable[str]) -> list[Row]:
    """One row for each case and method that has a result of it; the noisy cube first."""
    rows = []
    for method in ("noisy", *methods):
        for p in problems:
            try:
                noisy = Result(p.noisy, 0.0)
                r = noisy if method == "noisy" else load_result(results, method, p.info["name"])
            except FileNotFoundError:
                continue
            rows.append(
                {
                    "scene": p.info["scene"],
                    "case": p.info["case"],
                    "method": method,
                    **evaluate_cube(r.image, p.clean),
                    "seconds": r.seconds,
                    "nfe": r.nfe,
                    "nvjp": r.nvjp,
                    "coverage90": r.extra.get("coverage90", ""),
                    "consistency": r.extra.get("consistency", ""),
                    "settings": "; ".join(f"{k}={v}" for k, v in r.settings.items()),
                }
            )
    return rows


def report(rows: list[Row], arguments: Sequence[str]) -> str:
    """The tables in Markdown, with what is needed to make them again."""
    text = [
        "# Hyperspectral denoising",
        "",
        "PSNR (dB, range 1) / SSIM / SAM (degrees) / seconds. Means over the bands and pixels of a "
        "cube; nothing is clipped. salton: AVIRIS, 48 x 48 x 204, in no training set; finch: a "
        "simulated scene, 64 x 64 x 80, of a seed that no recipe uses. Cases as in "
        "`benchmarks/hsi_problems.py`. Ours run blind unless it is said; low rank + BM3D and BM4D "
        "are told the true noise of every band, but not of stripes and dead pixels.",
        "",
    ]
    for scene in dict.fromkeys(r["scene"] for r in rows):
        here = [r for r in rows if r["scene"] == scene]
        text += [f"## {scene}", "", *_table(here), ""]
    return "\n".join([*text, *_claims(rows), *_origin(arguments), ""])


def _table(rows: list[Row]) -> list[str]:
    cases = list(dict.fromkeys(r["case"] for r in rows))
    out = [f"| method | {' | '.join(cases)} |", f"|---|{'---|' * len(cases)}"]
    for method in dict.fromkeys(r["method"] for r in rows):
        cells = []
        for case in cases:
            found = [r for r in rows if r["method"] == method and r["case"] == case]
            cells.append(
                " / ".join(form.format(found[0][k]) for k, form in FIGURES.items())
                if found
                else "failed"
            )
        out.append(f"| {method} | {' | '.join(cells)} |")
    return out


def _claims(rows: list[Row]) -> list[str]:
    """The main method against the best of the others, and blind against told."""
    out = [f"| {MAIN} minus | scene, case | PSNR / dB | SAM / deg |", "|---|---|---|---|"]
    named = ("noisy", MAIN, "finch", "dds2m", f"{MAIN}, told the noise")
    for scene, case in dict.fromkeys((r["scene"], r["case"]) for r in rows):
        here = {r["method"]: r for r in rows if (r["scene"], r["case"]) == (scene, case)}
        if MAIN not in here:
            continue
        classical = [r for m, r in here.items() if m not in named]
        rivals = []
        if classical:
            best = max(classical, key=lambda r: r["psnr_db"])
            rivals.append((f"best classical ({best['method']})", best))
        if f"{MAIN}, told the noise" in here:
            rivals.append(("itself told the noise", here[f"{MAIN}, told the noise"]))
        for name, rival in rivals:
            psnr, sam = (here[MAIN][k] - rival[k] for k in ("psnr_db", "sam_deg"))
            out.append(f"| {name} | {scene}, {case} | {psnr:+.2f} | {sam:+.2f} |")
    return [*out, ""] if len(out) > 2 else []


def _origin(arguments: Sequence[str]) -> list[str]:
    peers = ROOT / ".venv-peers-hsi" / ".complete"
    command = " ".join(["python -m benchmarks.hsi", *arguments])
    return [
        f"Made by `{command}` on {datetime.date.today().isoformat()}, {platform.machine()}, "
        f"{os.cpu_count()} cores; sciddm {sciddm.__version__}, "
        f"torch {importlib.metadata.version('torch')}, Python {platform.python_version()}; "
        f"peers: {peers.read_text().strip() if peers.exists() else 'none'}. "
        "Every case: [hsi.csv](hsi.csv).",
    ]


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
