"""Pauses, transients, music and bangs: what utterances without pauses do not show.

    python -m benchmarks.speech_scenes [--models speech-denoise ...] [--count 6] [--fresh]

Every scene is a pause of 3 s, an utterance of dev/clean, and another pause, with

white, recorded   noise all through it, at an SNR over the utterance
quiet             the same 40 dB below a click at the end, as of a switched microphone
transients        taps, clicks, barks or chirps (`sciddm.simulation.speech.transients`)
music             notes in a key (`sciddm.simulation.speech.music`)
bang              one of full scale 1 s before the speech, which is 30 dB below it

Scored are, in dB, the reduction in the pauses and in the gaps beside speech, whose difference is
heard as pumping, and over the utterance SI-SDR, its change, and PESQ. Writes
benchmarks/results/speech_scenes.md and .csv.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.publish import publish
from benchmarks.results import Result, load_result
from benchmarks.speech import ROOT
from benchmarks.speech_problems import RATE, Problem, data_root, load_problems

CACHE = ROOT / "benchmarks" / ".cache" / "speech_scenes"
PEERS = ("noisereduce", "RNNoise", "DeepFilterNet3", "GTCRN", "DTLN")
PAUSE_S = 3.0
SEED = 77
CONDITIONS = (
    "white, 5 dB",
    "white, 15 dB",
    "recorded, 5 dB",
    "recorded, 15 dB",
    "quiet white, 15 dB",
    "transients, 0 dB",
    "music, 5 dB",
    "bang",
)
Wave = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["speech-denoise"], help="names or folders")
    parser.add_argument("--qualities", nargs="+", default=["fast", "balanced"])
    parser.add_argument("--count", type=int, default=6, help="utterances")
    parser.add_argument("--fresh", action="store_true", help="use no result of an earlier run")
    args = parser.parse_args()
    if args.fresh:
        shutil.rmtree(CACHE, ignore_errors=True)
    problems, results = CACHE / "problems", CACHE / "results"
    build(problems, args.count)
    subprocess.run([ROOT / "benchmarks" / "peers_speech.sh"], check=True)
    python = ROOT / ".venv-peers-speech" / "bin" / "python"
    command = [str(python), "-m", "benchmarks.speech_peers", str(problems), str(results)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)

    from benchmarks import speech_ours

    rows = [
        speech_ours.Row(f"{Path(model).name} {quality}", model, "noise", quality)
        for model in args.models
        for quality in args.qualities
    ]
    speech_ours.main(problems, results, rows)
    lines: list[dict[str, Any]] = []
    for p in load_problems(problems):
        for method in ("noisy", *PEERS, *(row.name for row in rows)):
            r = (
                Result(p.noisy, 0.0)
                if method == "noisy"
                else load_result(results, method, p.info["name"])
            )
            lines.append(
                {
                    "case": p.info["name"],
                    "condition": p.info["condition"],
                    "method": method,
                    **score(p, np.asarray(r.image, np.float64)),
                    "real_time_factor": r.seconds / p.seconds,
                }
            )
    publish("speech_scenes", report(lines, args.count, sys.argv[1:]), lines)


def build(folder: Path, count: int) -> None:
    """Writes the scenes of so many utterances."""
    folder.mkdir(parents=True, exist_ok=True)
    root = data_root()
    speech = [p for p in sorted((root / "dev" / "clean").glob("*.flac")) if "mfa_" not in p.name]
    speech = speech[:: max(1, len(speech) // count)][:count]
    noises = sorted(p for p in (root / "dev" / "noise").iterdir() if p.suffix in (".flac", ".ogg"))
    for i, path in enumerate(speech):
        for j, condition in enumerate(CONDITIONS):
            rng = np.random.default_rng([SEED, i, j])
            noisy, clean = _scene(_read(path), _read(noises[i % len(noises)]), condition, rng)
            scale = 0.9 / max(float(np.abs(noisy).max()), 1e-9)
            info = {
                "name": f"{path.stem}-{j}",
                "kind": "noise",
                "group": "dev",
                "condition": condition,
            }
            Problem(
                (scale * noisy).astype(np.float32), (scale * clean).astype(np.float32), info
            ).save(folder)


def _scene(
    speech: Wave, sound: Wave, condition: str, rng: np.random.Generator
) -> tuple[Wave, Wave]:
    from sciddm.simulation.speech.music import music
    from sciddm.simulation.speech.transients import bang, transients

    pause = np.zeros(round(PAUSE_S * RATE))
    clean = np.concatenate([pause, 0.5 * speech / np.abs(speech).max(), pause])
    kind = condition.split(",")[0].split()[-1]
    if kind == "bang":
        noise = 1e-3 * rng.standard_normal(len(clean))
        clean = clean * 10 ** (-30 / 20)
        event = bang(RATE, rng).astype(float)
        start = len(pause) - RATE
        noise[start : start + len(event)] += event[: len(noise) - start]
        return clean + noise, clean
    if kind == "white":
        noise = rng.standard_normal(len(clean))
    elif kind == "recorded":
        noise = np.resize(np.roll(sound, -int(rng.integers(len(sound)))), len(clean))
    elif kind == "transients":
        noise = np.zeros(len(clean))
        while np.abs(noise[len(pause) : -len(pause)]).max() < 0.1:
            noise = transients(len(clean), RATE, rng).astype(float)
    else:
        noise = music(len(clean), RATE, rng).astype(float)
    spoken = slice(len(pause), len(clean) - len(pause))
    ratio = float(condition.split()[-2])
    power = np.mean(clean[spoken] ** 2) / np.mean(noise[spoken] ** 2) / 10 ** (ratio / 10)
    noisy = clean + np.sqrt(power) * noise
    if condition.startswith("quiet"):
        noisy[-10] = 100 * np.abs(noisy).max()
    return noisy, clean


def score(p: Problem, wave: Wave) -> dict[str, float]:
    """Reductions in dB, SI-SDR, its change, and PESQ."""
    from sciddm.errors import InputError
    from sciddm.metrics.speech import pause_masks, pesq, reduction_db, si_sdr

    noisy, clean = p.noisy.astype(float), p.clean.astype(float)
    far, near = pause_masks(clean, RATE)
    far[-RATE // 4 :] = False  # the click of a quiet scene
    spoken = slice(round(PAUSE_S * RATE), len(clean) - round(PAUSE_S * RATE))
    e, y, x = (np.asarray(v[spoken]) for v in (wave, noisy, clean))
    gain = 0.5 / np.abs(x).max()
    try:
        quality = pesq(gain * e, gain * x, RATE)
    except InputError:
        quality = float("nan")
    ours, before = si_sdr(e, x), si_sdr(y, x)
    return {
        "pauses": reduction_db(noisy, wave, far),
        "beside": reduction_db(noisy, wave, near),
        "si_sdr": ours,
        "gain": ours - before,
        "pesq": quality,
    }


def report(lines: Sequence[dict[str, Any]], count: int, arguments: Sequence[str]) -> str:
    """The tables in Markdown."""
    methods = list(dict.fromkeys(x["method"] for x in lines))
    text = [
        "# Speech enhancement: pauses, transients, music, bangs",
        "",
        f"Means over {count} utterances between pauses of {PAUSE_S:g} s. Reduction of the noise in "
        "pauses / beside speech, dB; over the utterance SI-SDR (its gain), dB, and PESQ (wide "
        "band). RTF: wall time over duration, beside whatever else the machine does.",
        "",
        f"| method | {' | '.join(CONDITIONS)} | RTF |",
        f"|---|{'---|' * (len(CONDITIONS) + 1)}",
    ]
    for method in methods:
        here = [x for x in lines if x["method"] == method]
        cells = []
        for condition in CONDITIONS:
            of = [x for x in here if x["condition"] == condition]
            m = {
                k: float(np.nanmean([min(x[k], 99.0) for x in of]))
                for k in ("pauses", "beside", "si_sdr", "gain", "pesq")
            }
            cells.append(
                f"{m['pauses']:.0f} / {m['beside']:.0f}; {m['si_sdr']:.1f} ({m['gain']:+.1f}); "
                f"{m['pesq']:.2f}"
            )
        rtf = float(np.mean([x["real_time_factor"] for x in here]))
        text.append(f"| {method} | {' | '.join(cells)} | {rtf:.2f} |")
    command = " ".join(["python -m benchmarks.speech_scenes", *arguments])
    return "\n".join([*text, "", f"Made by `{command}`.", ""])


def _read(path: Path) -> Wave:
    from sciddm.data_adapters.audio import open_audio

    return open_audio(path).values[0].astype(np.float64)


if __name__ == "__main__":
    main()
