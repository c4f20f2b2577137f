"""Samplers and steps compared on validation mixtures, from which the quality levels are chosen.

    python -m benchmarks.speech_tuning [--model speech-denoise] [--task denoise] [--items 12]
        [--settings predictor predictor/2 sde:4 sde:8x4 ode:4]

Mixtures of the training data's validation split (other voices, noises and rooms than in training
and in the benchmark), 4 s each, at signal-to-noise ratios that go through 0, 5, 10 and 15 dB for
"denoise" and from 10 to 25 dB for "dereverb".
"""

from __future__ import annotations

import argparse
import re
from statistics import fmean
from time import perf_counter

import numpy as np
import xarray as xr

from sciddm.metrics.speech import estoi, pesq, si_sdr
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.pipelines.speech.settings import Settings
from sciddm.pipelines.speech.training_data import RATE, SpeechMixtures
from sciddm.uncertainty.calibration import conformal_factor, coverage, scores_of

FRAMES = 500
LEVEL = 0.9
NORMAL = 1.645  # half width of the interval in standard deviations
SNRS = {"denoise": (0.0, 5.0, 10.0, 15.0), "dereverb": (10.0, 15.0, 20.0, 25.0)}


def mixtures(task: str, items: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(target, noisy) pairs; SNRS in turn."""
    out = []
    for i in range(items):
        snr = SNRS[task][i % 4]
        data = SpeechMixtures(task, split="validate", frames=FRAMES, snr=(snr, snr))  # type: ignore[arg-type]
        out.append(data.waves(np.random.default_rng([77, i])))
    return out


def parse(text: str) -> Settings:
    """ "sde:8x4/2" is the sampler sde with 8 steps, 4 samples and 2 views."""
    match = re.fullmatch(r"([a-z+]+)(?::(\d+)(?:x(\d+))?)?(?:/(\d+))?", text)
    if match is None:
        raise SystemExit(f"{text}: SAMPLER[:STEPS[xSAMPLES]][/VIEWS] is needed")
    sampler, *numbers = match.groups()
    steps, samples, views = (int(n or d) for n, d in zip(numbers, (0, 1, 1), strict=True))
    return Settings(sampler, steps, samples, views)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="speech-denoise")
    parser.add_argument("--task", default="denoise", choices=list(SNRS))
    parser.add_argument("--items", type=int, default=12)
    parser.add_argument("--settings", nargs="+", default=["predictor", "sde:4", "sde:8x4", "ode:4"])
    args = parser.parse_args()
    pairs = mixtures(args.task, args.items)
    print(f"{'':12s} SI-SDR / PESQ / ESTOI at {SNRS[args.task]} dB; real-time factor")
    _row("input", [(x, noisy) for x, noisy in pairs], 0.0)
    pipeline = SpeechEnhancement.from_pretrained(args.model)
    for text in args.settings:
        start = perf_counter()
        done, scores = [], []
        for target, noisy in pairs:
            data = xr.DataArray(noisy[None], dims=("channel", "time"), attrs={"rate": RATE})
            run = pipeline.open(data, settings=parse(text))
            blocks = list(run)
            wave = np.concatenate([block.enhanced[0] for block in blocks])
            done.append((target, wave))
            if blocks[0].std is not None:
                std = np.concatenate([block.std[0] for block in blocks if block.std is not None])
                scores.append(scores_of(target - wave, NORMAL * std))
        seconds = perf_counter() - start
        _row(text, done, seconds / (len(pairs) * len(pairs[0][1]) / RATE))
        if scores:
            _intervals(scores)


def _intervals(scores: list[np.ndarray]) -> None:
    """Coverage of the 90 % interval, and the factor on the standard deviation that calibrates it:
    fitted on every other recording and tried on the rest, then fitted on all."""
    fitted = conformal_factor(np.concatenate(scores[::2]), LEVEL)
    tried = coverage(np.concatenate(scores[1::2]), fitted)
    whole = np.concatenate(scores)
    print(
        f"{'':12s} {LEVEL:.0%} coverage {coverage(whole):.3f}; times {fitted:.2f} on the others "
        f"{tried:.3f}; of all {conformal_factor(whole, LEVEL):.2f}",
        flush=True,
    )


def _row(name: str, pairs: list[tuple[np.ndarray, np.ndarray]], factor: float) -> None:
    cells = []
    for k in range(4):
        here = pairs[k::4]
        values = [
            fmean(metric(wave, target) for target, wave in here)
            for metric in (si_sdr, lambda w, t: pesq(w, t, RATE), lambda w, t: estoi(w, t, RATE))
        ]
        cells.append("{:5.1f} {:.2f} {:.2f}".format(*values))
    print(f"{name:12s} {' | '.join(cells)} | {factor:.3f}", flush=True)


if __name__ == "__main__":
    main()
