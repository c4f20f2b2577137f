"""Does the evidence of kept-out lines choose the right noise level and the right coil maps?

    python -m benchmarks.evidence [--scans 20]      results/evidence.csv, results/evidence.md

Simulated scans of 64 x 64 pixels, 8 coils, every other line and 12 calibration lines, of validation
patients (every third pixel of a slice). For each scan the predictive log score of kept-out lines is
computed under five noise levels (.5, .71, 1, 1.41 and 2 times the true one, with the true maps) and
under four sets of coil maps (the true ones, those moved by 3 pixels, mirrored, and of another
array, with the true noise level). Scans that are in the table are not done again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import sciddm
from benchmarks.problems import read_slice
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.kept_out import predicted
from sciddm.pipelines.mri.sampling import sampling_of
from sciddm.pipelines.mri.settings import settings_for
from sciddm.simulation.mri.scan import coil_maps, simulate_scan, undersample

RESULTS = Path(__file__).resolve().parent / "results"
LEVELS = (0.5, 0.71, 1.0, 1.41, 2.0)
MAPS = ("true", "moved", "mirrored", "other array")
_CASES = (
    *(("axial", "09", "FLAIR", "study2", z) for z in (6, 10, 14, 31)),
    *(("axial", "19", c, "study2", z) for z in (14, 42) for c in ("FLAIR", "T1W")),
    *(("mni", "19", "T2", "", z) for z in (8, 22)),
)
_SNR_DB = (20.0, 30.0)
_FIELDS = ("scan", *(f"noise {v:g}" for v in LEVELS), *(f"maps {m}" for m in MAPS))


def snr_of(number: int) -> float:
    """Signal-to-noise ratio of k-space of a scan, dB."""
    return _SNR_DB[number // len(_CASES) % len(_SNR_DB)]


def scores(number: int) -> dict[str, float]:
    """Log scores of one scan under all hypotheses."""
    case = _CASES[number % len(_CASES)]
    image = read_slice(*case)
    top, left = (max(0, (n - 192) // 2) for n in image.shape)
    small = np.zeros((64, 64), np.float32)
    part = image[top : top + 192, left : left + 192][::3, ::3]
    small[: part.shape[0], : part.shape[1]] = part
    snr = snr_of(number)
    full = simulate_scan(small, 8, snr_db=snr, seed=500 + number)
    mask = make_mask("random", small.shape, 2, 12, seed=700 + number)
    source = sampling_of(undersample(full, mask))
    true = torch.from_numpy(coil_maps(8, (64, 64), seed=500 + number))
    power = float((abs(full["kspace"].values) ** 2).mean())
    noise = power / (1 + 10 ** (snr / 10))
    denoiser = sciddm.load("mri-brain").denoiser
    settings = settings_for(denoiser, "fast")

    def score(variance: float, maps: torch.Tensor) -> float:
        covariance = torch.eye(8, dtype=torch.complex64) * variance
        encoded = source.encode(0, covariance, maps, settings.iterations)
        lines = source.lines(0)
        assert lines is not None
        prediction = predicted(denoiser, encoded, *lines, settings, source.acceleration, 0, 0)
        assert prediction is not None
        return prediction.log_score

    other = torch.from_numpy(coil_maps(8, (64, 64), seed=9000 + number))
    sets = (true, true.roll(3, -1), true.flip(-1), other)
    by_noise = {f"noise {v:g}": score(noise * v**2, true) for v in LEVELS}
    by_maps = {
        f"maps {name}": by_noise["noise 1"] if name == "true" else score(noise, maps)
        for name, maps in zip(MAPS, sets, strict=True)
    }
    return by_noise | by_maps


def tell(rows: list[dict[str, str]]) -> None:
    """Writes the table."""

    def right(names: list[str], best: str, snr: float) -> Iterator[bool]:
        for row in (r for r in rows if snr_of(int(r["scan"])) == snr):
            yield max(names, key=lambda name: float(row[name])) == best

    noise, maps = _FIELDS[1 : 1 + len(LEVELS)], _FIELDS[1 + len(LEVELS) :]
    lines = [
        "# Evidence",
        "",
        "Written by `python -m benchmarks.evidence`; do not edit. Simulated scans of 64 x 64 "
        "pixels of validation patients, at 20 and 30 dB. The right hypothesis has the largest "
        "log score of kept-out lines.",
        "",
        "| question | SNR of k-space / dB | scans | right |",
        "|---|---:|---:|---:|",
        *(
            f"| {question} | {snr:g} | {len(list(right(list(names), best, snr)))} | "
            f"{sum(right(list(names), best, snr))} |"
            for question, names, best in (
                ("noise level, of five", noise, "noise 1"),
                ("coil maps, of four", maps, "maps true"),
            )
            for snr in _SNR_DB
        ),
        "",
        "Mean log score above the true hypothesis's, nats:",
        "",
        "| hypothesis | nats |",
        "|---|---:|",
    ]
    for name in (*noise, *maps):
        gap = np.mean([float(r[name]) - float(r["noise 1"]) for r in rows])
        lines.append(f"| {name} | {gap:.0f} |")
    (RESULTS / "evidence.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=20)
    count = parser.parse_args().scans
    path = RESULTS / "evidence.csv"
    table = list(csv.DictReader(path.open())) if path.exists() else []
    for number in range(len(table), count):
        by_hypothesis = scores(number)
        table.append({"scan": str(number), **{k: f"{v:.2f}" for k, v in by_hypothesis.items()}})
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, _FIELDS)
            writer.writeheader()
            writer.writerows(table)
        tell(table)
        print(number, by_hypothesis, flush=True)
