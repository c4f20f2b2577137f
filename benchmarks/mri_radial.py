"""Radial MRI: golden-angle spokes, 13 times fewer than Nyquist asks for.

    python -m benchmarks.mri_radial [--slices 4] [--qualities fast balanced] [--model NAME]

Validation slices (those of benchmarks.problems), padded to a square, 8 coils, complex noise at
30 dB, round(pi / 2 N / 13) spokes of 2 N samples:

    gridding      sum_c conj(s_c) E^H w y_c, w the density compensation
    CG-SENSE      argmin |A x - y|^2 / 2 + w |x|^2 / 2, conjugate gradients
    CG-SENSE + TV argmin |A x - y|^2 / 2 + w |grad x|_1, primal-dual, 200 iterations
    ours          the public pipeline on the raw samples

All get the same maps and noise level, as our own pipeline estimates them from the samples. The
weights w are those of the best mean PSNR on tuning slices of the same scans, 30 mm away or more.
Writes benchmarks/results/mri_radial.md and, case by case, mri_radial.csv.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import sciddm
from benchmarks.metrics import psnr, ssim
from benchmarks.problems import COILS, SNR_DB, TEST, TUNE, read_slice
from benchmarks.publish import publish
from benchmarks.tuning import search
from sciddm.classical.tv_measurement import total_variation
from sciddm.physics.mri.encoding import EncodedSlice
from sciddm.physics.nufft import nufft
from sciddm.physics.trajectories import radial
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.pipelines.mri.sampling import sampling_of
from sciddm.simulation.mri.scan import simulate_scan

FEWER = 13
Row = dict[str, Any]


@dataclass(frozen=True)
class RadialCase:
    """One slice of `benchmarks.problems`, seen by 8 coils along golden-angle spokes."""

    case: tuple[str, str, str, str, int]
    seed: int

    @property
    def name(self) -> str:
        _, patient, contrast, _, z = self.case
        return f"{patient}-{contrast}-{z}"

    @cached_property
    def reference(self) -> NDArray[np.float32]:
        """(y, x), square."""
        image = read_slice(*self.case)
        n = max(image.shape)
        margins = [((n - m) // 2, n - m - (n - m) // 2) for m in image.shape]
        return np.pad(image, margins)

    @cached_property
    def scan(self) -> xr.Dataset:
        """The samples, in the form that the pipeline takes."""
        n = self.reference.shape[0]
        spokes = round(math.pi / 2 * n / FEWER)
        trajectory = radial(spokes, 2 * n, n)
        full = simulate_scan(
            self.reference, COILS, snr_db=SNR_DB, seed=500 + self.seed, with_maps=True
        )
        coils = torch.from_numpy(full["maps"].values[0] * full["truth"].values[0])
        points = torch.from_numpy(trajectory.reshape(-1, 2))
        clean = nufft(coils.to(torch.complex128), points).numpy()
        rng = np.random.default_rng(600 + self.seed)
        white = rng.standard_normal((2, *clean.shape)) / math.sqrt(2)
        noise = full.attrs["noise_std"] * (white[0] + 1j * white[1])
        samples = (clean + noise).reshape(COILS, spokes, 2 * n).astype(np.complex64)
        return xr.Dataset(
            {
                "kspace": (("slice", "coil", "shot", "sample"), samples[None]),
                "trajectory": (("shot", "sample", "axis"), trajectory),
            },
            attrs={
                "image_shape": [n, n],
                "voxel_size_mm": [math.nan] * 3,
                "source": self.name,
            },
        )

    @cached_property
    def encoded(self) -> EncodedSlice:
        """The measurement as the pipeline estimates it."""
        source = sampling_of(self.scan)
        return source.encode(0, source.covariance(), None, 8)

    def magnitude(self, image: torch.Tensor) -> NDArray[np.float32]:
        """An image (1, 1, y, x) of the prior's units in the reference's."""
        return self.encoded.frame.to_scan(image)[0].abs().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=4, help="of benchmarks.problems.TEST")
    parser.add_argument("--tuning-slices", type=int, default=4, help="for the weights")
    parser.add_argument("--qualities", nargs="*", default=["fast", "balanced"])
    parser.add_argument("--model", default="mri-brain")
    args = parser.parse_args()
    tests = [RadialCase(case, i) for i, case in enumerate(TEST[: args.slices])]
    tuning = [RadialCase(case, 50 + i) for i, case in enumerate(TUNE)][: args.tuning_slices]
    rows: list[Row] = []

    def row(name: str, make: Callable[[RadialCase], NDArray], settings: str = "") -> None:
        for case in tests:
            _ = case.encoded  # every method begins with maps and noise
            start = perf_counter()
            image = make(case)
            rows.append(_row(name, case, image, perf_counter() - start, settings))
            print(rows[-1], file=sys.stderr, flush=True)

    row("gridding", lambda c: c.encoded.zero_filled.abs().numpy())
    for name, solve, first in (
        ("CG-SENSE", _least_squares, 0.05),
        ("CG-SENSE + TV", _total_variation, 1e-3),
    ):
        weight, _ = search(lambda w, solve=solve: _mean_psnr(solve, tuning, w), first)
        row(
            name,
            lambda c, solve=solve, weight=weight: c.magnitude(solve(c, weight)),
            f"weight={weight:.2g}",
        )
    pipeline = MRIReconstruction.from_pretrained(args.model)
    for quality in args.qualities:

        def ours(case: RadialCase, quality: Any = quality) -> NDArray:
            return pipeline(case.scan, quality=quality, seed=0)["reconstruction"].values[0]

        row(f"ours {quality}", ours)
    publish("mri_radial", report(rows, sys.argv[1:]), rows)


def _least_squares(case: RadialCase, weight: float) -> torch.Tensor:
    m = case.encoded.measurement
    return m.A.ridge(m.y[None], weight, iterations=30)


def _total_variation(case: RadialCase, weight: float) -> torch.Tensor:
    return total_variation(case.encoded.measurement, 200, weight)


def _mean_psnr(
    solve: Callable[[RadialCase, float], torch.Tensor], cases: list[RadialCase], weight: float
) -> float:
    return float(np.mean([psnr(c.magnitude(solve(c, weight)), c.reference) for c in cases]))


def _row(method: str, case: RadialCase, image: NDArray, seconds: float, settings: str) -> Row:
    return {
        "case": case.name,
        "method": method,
        "spokes": case.scan.sizes["shot"],
        "psnr": psnr(image, case.reference),
        "ssim": ssim(image, case.reference),
        "seconds": seconds,
        "settings": settings,
    }


def report(rows: list[Row], arguments: list[str]) -> str:
    """The table in Markdown, with what is needed to make it again."""
    methods = list(dict.fromkeys(r["method"] for r in rows))
    found = {(r["case"], r["method"]): r for r in rows}
    lines = [
        "# Radial MRI",
        "",
        f"PSNR (dB) / SSIM of the magnitude; {FEWER} times fewer golden-angle spokes than Nyquist "
        "asks for, 8 simulated coils, 30 dB. Weights of CG-SENSE and TV chosen on other slices. "
        "Seconds without those of maps and noise for the classical methods, with them for ours.",
        "",
        f"| slice (spokes) | {' | '.join(methods)} |",
        f"|---|{'---|' * len(methods)}",
    ]
    for name in dict.fromkeys(r["case"] for r in rows):
        of_case = [found[name, m] for m in methods]
        best = max(r["psnr"] for r in of_case)
        cells = [f"{r['psnr']:.2f} / {r['ssim']:.3f}" for r in of_case]
        cells = [
            f"**{c}**" if r["psnr"] == best else c for c, r in zip(cells, of_case, strict=True)
        ]
        lines.append(f"| {name} ({of_case[0]['spokes']}) | {' | '.join(cells)} |")
    seconds = [np.mean([r["seconds"] for r in rows if r["method"] == m]) for m in methods]
    lines += [f"| seconds | {' | '.join(f'{s:.1f}' for s in seconds)} |", ""]
    command = " ".join(["python -m benchmarks.mri_radial", *arguments])
    lines += [
        f"Made by `{command}` on {datetime.date.today().isoformat()}, {platform.machine()}, "
        f"{os.cpu_count()} cores; sciddm {sciddm.__version__}, Python "
        f"{platform.python_version()}. Every case: [mri_radial.csv](mri_radial.csv).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
