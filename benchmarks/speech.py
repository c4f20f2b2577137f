"""The speech benchmark: one command, one table.

    python -m benchmarks.speech [--model speech-denoise] [--dereverb speech-dereverb] [--fresh]
        [--sgmse runs/speech-denoise-sgmse/model] [--bridge runs/speech-denoise-bridge/model]
    python -m benchmarks.speech --classical-only

Makes the problems, the peers' environment and every method's recordings; prints SI-SDR, PESQ and
ESTOI by SNR and room, and real-time factors, and writes benchmarks/results/speech.md and, case by
case, speech.csv. Results that are still valid are kept from the last run; `--fresh` makes all of
them again, which is needed for times that compare (run it on an idle machine).
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
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.publish import publish
from benchmarks.results import Result, load_result
from benchmarks.speech_problems import RATE, SNRS_DB, Problem, build, load_problems, rooms

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "benchmarks" / ".cache" / "speech"
PEERS = {"noise": ("noisereduce", "RNNoise", "DeepFilterNet3", "GTCRN", "DTLN"), "room": ("WPE",)}
INPUT = {"noise": "noisy", "room": "reverberant"}
STORM, BRIDGE_STEPS = "regeneration", 8
METRICS = {"si_sdr": "{:.1f}", "pesq": "{:.2f}", "estoi": "{:.2f}"}
_KEPT = " (earlier)"  # rows of methods that the last run did not make
Line = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="speech-denoise", help="name or folder")
    parser.add_argument("--dereverb", default="speech-dereverb", help="name or folder")
    parser.add_argument("--sgmse", help="model of the row of SGMSE's sampler")
    parser.add_argument("--bridge", help="model of a row of a bridge from the noisy recording")
    parser.add_argument(
        "--qualities", nargs="+", default=["fast", "balanced", "best"], help="of our own methods"
    )
    parser.add_argument("--steps", type=int, default=30, help="of that row")
    parser.add_argument("--classical-only", action="store_true", help="no network of ours at all")
    parser.add_argument("--without-mfa", action="store_true", help="not the atypical voice")
    parser.add_argument("--kinds", nargs="+", default=["noise", "room"])
    parser.add_argument("--fresh", action="store_true", help="use no result of an earlier run")
    args = parser.parse_args()

    import pesq  # noqa: F401  # without it an hour of work ends without a measure

    if args.fresh:
        shutil.rmtree(CACHE, ignore_errors=True)
    problems, results = CACHE / "problems", CACHE / "results"
    _say("problems")
    build(problems, mfa=not args.without_mfa)
    subprocess.run([ROOT / "benchmarks" / "peers_speech.sh"], check=True)
    _say("peers")
    python = ROOT / ".venv-peers-speech" / "bin" / "python"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [str(python), "-m", "benchmarks.speech_peers", str(problems), str(results)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    own: list[Any] = []
    if not args.classical_only:
        from benchmarks import speech_ours

        own = _own_rows(args)
        _say("ours")
        speech_ours.main(problems, results, own)

    lines: list[Line] = []
    for kind in args.kinds:
        todo = load_problems(problems, kind)
        if args.without_mfa:
            todo = [p for p in todo if p.info["group"] != "mfa"]
        lines += score(todo, results, [INPUT[kind], *PEERS[kind]])
        for row in (row for row in own if row.kind == kind):
            here = [p for p in todo if p.info["group"] in row.groups]
            lines += score(here, results, [row.name])
    lines += _earlier(lines)
    text = report(lines, sys.argv[1:])
    publish("speech", text, lines)


def _earlier(lines: list[Line]) -> list[Line]:
    """Rows of the last table of methods that this run did not make, on the cases that it has."""
    path = ROOT / "benchmarks" / "results" / "speech.csv"
    if not path.exists():
        return []
    cases, methods = {x["case"] for x in lines}, {x["method"] for x in lines}
    with path.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["case"] in cases]
    numbers = (*METRICS, "real_time_factor")
    return [
        {**r, **{n: float(r[n]) for n in numbers}, "nfe": int(float(r["nfe"]))}
        for r in rows
        if r["method"].removesuffix(_KEPT) not in methods
        for r in [{**r, "method": r["method"].removesuffix(_KEPT) + _KEPT}]
    ]


def _own_rows(args: argparse.Namespace) -> list[Any]:
    from benchmarks.speech_ours import Row
    from sciddm.pipelines.speech.pipeline import SpeechEnhancement
    from sciddm.pipelines.speech.settings import Settings

    models = {"noise": args.model, "room": args.dereverb}
    rows = [
        Row(f"ours {quality}", models[kind], kind, quality)
        for kind in args.kinds
        for quality in args.qualities
    ]
    if "noise" in args.kinds and SpeechEnhancement.from_pretrained(args.model).kind == STORM:
        # What StoRM is to be held against: its own predictor, with as many views as `balanced`.
        alone = Settings("predictor", views=2)
        rows.append(Row("its predictor alone, 2 views", args.model, "noise", settings=alone))
    if args.bridge and "noise" in args.kinds:
        name = f"bridge without predictor, {BRIDGE_STEPS} steps"
        settings = Settings("sde", BRIDGE_STEPS)
        rows.append(Row(name, args.bridge, "noise", settings=settings, groups=("dev",)))
    if args.sgmse and "noise" in args.kinds:
        name = f"SGMSE sampler, {args.steps} steps"
        settings = Settings("pc", args.steps)
        rows.append(Row(name, args.sgmse, "noise", settings=settings, groups=("dev",)))
    return rows


def score(problems: Sequence[Problem], results: Path, methods: Iterable[str]) -> list[Line]:
    """One line for each case and method; scores are kept, since PESQ takes its time."""
    lines = []
    for method in methods:
        for p in problems:
            if method in INPUT.values():
                r = Result(p.noisy, 0.0)
            else:
                r = load_result(results, method, p.info["name"])
            lines.append(
                {
                    "case": p.info["name"],
                    "kind": p.info["kind"],
                    "group": p.info["group"],
                    "condition": p.info["condition"],
                    "method": method,
                    **_metrics(r.image, p, results.parent / "scores"),
                    "real_time_factor": r.seconds / p.seconds,
                    "nfe": r.nfe,
                    "settings": "; ".join(
                        f"{k}={v}" for k, v in r.settings.items() if k != "weights_sha256"
                    ),
                }
            )
    return lines


def _metrics(wave: np.ndarray, p: Problem, folder: Path) -> dict[str, float]:
    import hashlib
    import json

    from sciddm.errors import InputError
    from sciddm.metrics.speech import estoi, pesq, si_sdr

    wave = np.asarray(wave, np.float32)
    name = hashlib.sha256(wave.tobytes() + p.digest().encode()).hexdigest()[:24]
    path = folder / f"{name}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    values = {}
    for metric, function in (
        ("si_sdr", si_sdr),
        ("pesq", lambda e, x: pesq(e, x, RATE)),
        ("estoi", lambda e, x: estoi(e, x, RATE)),
    ):
        try:
            values[metric] = function(wave, p.clean)
        except InputError as error:
            _say(f"{p.info['name']}: {error}")
            values[metric] = float("nan")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
    return values


def report(lines: list[Line], arguments: Sequence[str]) -> str:
    """The tables in Markdown, with what is needed to make them again."""
    text = [
        "# Speech enhancement",
        "",
        "SI-SDR (dB) / PESQ (wide band) / ESTOI, means over utterances. Noise: dev/clean in "
        "dev/noise, one noise drawn for each utterance and SNR. Rooms: two recorded rooms, "
        "reference the direct sound; no noise. Nothing here was used in training or to choose a "
        "setting. The mfa_* utterances are one atypical voice and stand apart. RTF: time of the "
        f"method over duration, {os.cpu_count()} cores, beside other work; NFE: network "
        "evaluations. Rows marked earlier are of a run before this one.",
        "",
    ]
    for kind, title in (("noise", "Noise"), ("room", "Reverberation")):
        for group, of in (("dev", ""), ("mfa", ", mfa_*")):
            here = [x for x in lines if x["kind"] == kind and x["group"] == group]
            if here:
                text += [f"## {title}{of}", "", *_table(here, kind), ""]
    text += [*_claims(lines), *_origin(arguments), ""]
    return "\n".join(text)


def _table(lines: list[Line], kind: str) -> list[str]:
    conditions = [f"{snr} dB" for snr in sorted(SNRS_DB)] if kind == "noise" else list(rooms())
    methods = list(dict.fromkeys(x["method"] for x in lines))
    count = len({x["case"] for x in lines}) // len(conditions)
    out = [
        f"{count} utterances in each column.",
        "",
        f"| method | {' | '.join(conditions)} | RTF | NFE |",
        f"|---|{'---|' * (len(conditions) + 2)}",
    ]
    for method in methods:
        cells = []
        for condition in conditions:

            def chosen(x: Line, m: str = method, c: str = condition) -> bool:
                return bool(x["method"] == m and x["condition"] == c)

            values = {m: _mean(lines, chosen, m) for m in METRICS}
            cells.append(" / ".join(METRICS[m].format(v) for m, v in values.items()))
        rtf = _mean(lines, lambda x, m=method: x["method"] == m, "real_time_factor")
        nfe = max(x["nfe"] for x in lines if x["method"] == method)
        out.append(f"| {method} | {' | '.join(cells)} | {rtf:.3f} | {nfe} |")
    return out


def _mean(lines: list[Line], select: Callable[[Line], bool], field: str) -> float:
    values = [x[field] for x in lines if select(x)]
    return float(np.nanmean(values)) if values else float("nan")


def _claims(lines: list[Line]) -> list[str]:
    """Balanced against the input, the peers and the predictor alone, on the typical voices."""
    here = [x for x in lines if x["group"] == "dev"]
    if not any(x["method"] == "ours balanced" for x in here):
        return []
    out = ["| balanced minus | SI-SDR / dB | PESQ | ESTOI |", "|---|---|---|---|"]
    for kind in ("noise", "room"):
        of_kind = [x for x in here if x["kind"] == kind]
        conditions = dict.fromkeys(x["condition"] for x in of_kind)
        for rival in (INPUT[kind], *PEERS[kind], "ours fast"):
            for condition in sorted(conditions, key=lambda c: (len(c), c)):
                gains = []
                for metric in METRICS:
                    ours, theirs = (
                        _mean(
                            of_kind,
                            lambda x, m=m, c=condition: x["method"] == m and x["condition"] == c,
                            metric,
                        )
                        for m in ("ours balanced", rival)
                    )
                    gains.append(f"{ours - theirs:+.2f}")
                if "+nan" not in gains:
                    out.append(f"| {rival}, {condition} | {' | '.join(gains)} |")
    return [*out, ""]


def _origin(arguments: Sequence[str]) -> list[str]:
    import sciddm

    peers = ROOT / ".venv-peers-speech" / ".complete"
    command = " ".join(["python -m benchmarks.speech", *arguments])
    versions = ", ".join(
        f"{p} {importlib.metadata.version(p)}" for p in ("torch", "pesq", "pystoi")
    )
    return [
        f"Made by `{command}` on {datetime.date.today().isoformat()}, {platform.machine()}, "
        f"{os.cpu_count()} cores; sciddm {sciddm.__version__}, {versions}, "
        f"Python {platform.python_version()}; "
        f"peers: {peers.read_text().strip() if peers.exists() else 'none'}. "
        "Every case: [speech.csv](speech.csv).",
    ]


def _say(text: str) -> None:
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
