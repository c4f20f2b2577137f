"""Do intervals of speech hold 90 %, in quiet parts and loud ones, beyond the mixtures they know?

    python -m benchmarks.speech_intervals --fit [--model speech-denoise] [--qualities fast balanced]
    python -m benchmarks.speech_intervals [--qualities fast balanced] [--utterances 14]

`--fit` fits the error law (`sciddm.physics.speech.error_law`) of a model on mixtures and scenes of
the training data's validation split (voices, noises and rooms of neither training nor benchmark),
and prints the entry for its card: the law of all cases, and `by_level`, the share that laws of one
half of the cases hold in each quarter of the level of the other half's truth.

Without it the laws of the bundled models are tried on the development test set: the utterances of
dev/clean in recorded noise, white noise, with a pause of white noise before them, alone, and in
recorded rooms. The table is benchmarks/results/speech_intervals.md. SCIDDM_DATA names the data.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.speech_problems import RATE, build, load_problems
from sciddm.physics.speech.error_law import Case, ErrorLaw, calibration, coverage_by_level
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.pipelines.speech.training_data import SpeechMixtures
from sciddm.pipelines.speech.training_scenes import SpeechScenes

Wave = NDArray[np.float32]

SNRS = {"denoise": (-5, 0, 5, 10, 15, 20), "dereverb": (10, 15, 20, 25)}
RESULTS = Path(__file__).parent / "results" / "speech_intervals.md"


def validation(task: str, items: int) -> Iterator[tuple[Wave, Wave]]:
    """(truth, recording): mixtures at SNRs in turn and, of noise, scenes in between."""
    scenes = SpeechScenes(split="validate", frames=750) if task == "denoise" else None
    for i in range(items):
        rng = np.random.default_rng([99, i])
        if scenes is not None and i % 2:
            yield scenes.waves(rng)
            continue
        levels = SNRS[task]
        snr = float(levels[i // (1 + (scenes is not None)) % len(levels)])
        data = SpeechMixtures(task, split="validate", frames=500, snr=(snr, snr))  # type: ignore[arg-type]
        yield data.waves(rng)


def answer(pipeline: SpeechEnhancement, noisy: Wave, quality: str) -> Wave:
    """What a quality makes of a recording."""
    data = xr.DataArray(noisy[None], dims=("channel", "time"), attrs={"rate": RATE})
    out: Wave = pipeline(data, quality=quality)["enhanced"].values[0]  # type: ignore[arg-type]
    return out


def fit(model: str, task: str, quality: str, items: int) -> dict[str, Any]:
    """The card's entry of a quality."""
    pipeline = SpeechEnhancement.from_pretrained(model)
    cases: list[Case] = []
    for truth, noisy in validation(task, items):
        noisy, truth = noisy.astype(np.float32), truth.astype(np.float32)
        cases.append((noisy, answer(pipeline, noisy, quality), truth))
    return calibration(cases, RATE)


def test_cases(utterances: int, folder: Path) -> Iterator[tuple[str, str, Wave, Wave]]:
    """(model, condition, truth, recording) of the development test set."""
    build(folder)
    problems = load_problems(folder)
    names = sorted({p.info["speech"] for p in problems})
    # Both groups of voices, evenly.
    names = [names[i] for i in np.linspace(0, len(names) - 1, utterances).astype(int)]
    for p in problems:
        if p.info["speech"] not in names:
            continue
        model = "speech-denoise" if p.info["kind"] == "noise" else "speech-dereverb"
        yield model, f"{p.info['kind']}, {p.info['condition']}", p.clean, p.noisy
        if p.info["condition"] == "5 dB":
            rng = np.random.default_rng(names.index(p.info["speech"]))
            power = float(np.sqrt(np.mean(p.clean**2)))
            white = rng.standard_normal(len(p.clean) + 3 * RATE).astype(np.float32) * power * 0.3
            quiet = np.concatenate([np.zeros(3 * RATE, np.float32), p.clean])
            yield model, "white noise, 3 s without speech", quiet, quiet + white
            yield model, "speech alone", p.clean, p.clean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--model", default="speech-denoise")
    parser.add_argument("--qualities", nargs="+", default=["fast", "balanced"])
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--utterances", type=int, default=14)
    parser.add_argument("--folder", type=Path, default=Path("build/speech-problems"))
    args = parser.parse_args()
    if args.fit:
        task = "dereverb" if "dereverb" in args.model else "denoise"
        for quality in args.qualities:
            entry = fit(args.model, task, quality, args.items)
            print(json.dumps({quality: entry}), flush=True)
        return
    table(args.qualities, args.utterances, args.folder)


def table(qualities: list[str], utterances: int, folder: Path) -> None:
    """Writes the table."""
    pipelines: dict[str, SpeechEnhancement] = {}
    cases: dict[tuple[str, str, str], list[Case]] = {}
    for model, condition, truth, noisy in test_cases(utterances, folder):
        if model not in pipelines:
            pipelines[model] = SpeechEnhancement.from_pretrained(model)
        for quality in qualities:
            result = answer(pipelines[model], noisy, quality)
            cases.setdefault((model, quality, condition), []).append((noisy, result, truth))
    lines = [
        "# Intervals of speech",
        "",
        "Share of samples that 90 % intervals hold, in all and in the quarters of the level of the "
        "truth, the quietest first; the least of the quarters of truth, recording and answer; rank "
        "correlation of the error with the standard deviation, and with the level of the answer "
        f"alone. {utterances} utterances of the development test set a row. Laws: see the cards.",
        "",
        "| model | quality | recordings | held | by quarter | least | std | level |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (model, quality, condition), group in cases.items():
        law = ErrorLaw.of(pipelines[model].calibration[quality]["error_law"])
        inside, shares = coverage_by_level(law, group, RATE)
        quarter = ", ".join(f"{100 * s:.0f}" for s in shares[0])
        least = min(min(row) for row in shares)
        ranks = [f"{rank:.2f}" for rank in _ranks(law, group)]
        lines.append(
            f"| {model} | {quality} | {condition} | {100 * inside.mean():.0f} % | {quarter} | "
            f"{100 * least:.0f} % | {ranks[0]} | {ranks[1]} |"
        )
    origin = f"Made by `python -m benchmarks.speech_intervals --utterances {utterances}`."
    RESULTS.write_text("\n".join([*lines, "", origin]) + "\n")
    print("\n".join(lines))


def _ranks(law: ErrorLaw, cases: list[Case]) -> tuple[float, float]:
    every = slice(None, None, 50)
    error = np.concatenate([np.abs(x - e)[every] for _, e, x in cases])
    std = np.concatenate([law.std(y[None], e[None], RATE)[0][every] for y, e, _ in cases])
    smooth: Callable[[Wave], Wave] = lambda wave: np.convolve(wave**2, np.ones(512) / 512, "same")  # noqa: E731
    level = np.concatenate([smooth(e)[every] for _, e, _ in cases])
    return float(spearmanr(error, std)[0]), float(spearmanr(error, level)[0])


if __name__ == "__main__":
    main()
