"""Three 128 x 128 slices of validation patients, seen by one coil through a Cartesian R = 4 mask.

x is the magnitude of a slice on a square field of view, cut to 128 x 128 in k-space (real, bright
tissue near 1), y = M F x + n with complex noise of standard deviation .04. The mask has 16 central
lines and random others. A fourth slice, at 64 x 64, is for tuning.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import Tensor

from benchmarks.problems import read_slice
from sciddm.ledger import tally
from sciddm.physics.fourier import fft2c, ifft2c, resized
from sciddm.physics.mri.cartesian import CartesianMRI
from sciddm.physics.mri.masks import make_mask
from sciddm.physics.mri.scaling import bright_level
from sciddm.posterior import Posterior

__all__ = ["RESULTS", "SAMPLES", "SIGMA", "Method", "Scan", "measure", "read", "scans"]

SIGMA, SAMPLES = 0.04, 4
RESULTS = Path(__file__).parent / "results" / "samplers_mri.csv"
FIELDS = ("library", "method", "slice", "setting", "steps", "forwards", "psnr", "coverage",
          "seconds")  # fmt: skip
#: Of ``validation_scans``: none is a test slice of the MRI benchmark.
TESTS = (
    ("axial", "19", "FLAIR", "study2", 42),
    ("axial", "19", "T1W", "study2", 42),
    ("mni", "19", "T2", "", 8),
)
TUNING = ("axial", "09", "FLAIR", "study2", 14)

Setting = tuple[float, ...]


@dataclass(frozen=True)
class Scan:
    """One slice: the image (1, y, x) real, the operator, data (1, ky, kx) complex."""

    name: str
    truth: Tensor
    A: CartesianMRI
    y: Tensor

    def score(self, draws: Tensor) -> tuple[float, float]:
        """PSNR of the mean's magnitude in dB, and the share of tissue that 90 % intervals hold.

        Args:
            draws: (K, 1, y, x) complex.
        """
        posterior = Posterior(draws[:, None]).map(torch.abs)
        truth = self.truth[None]
        error = float((draws.mean(0).abs() - self.truth).square().mean())
        psnr = 10 * np.log10(float(self.truth.max()) ** 2 / error)
        return float(psnr), posterior.coverage(truth, 0.9, truth > 0.1)


def scan_of(case: tuple[str, str, str, str, int], size: int, seed: int) -> Scan:
    """A slice on a matrix of ``size``."""
    image = torch.from_numpy(np.asarray(read_slice(*case))).abs().float()
    side = max(image.shape)
    square = torch.zeros(side, side)
    top, left = ((side - n) // 2 for n in image.shape)
    square[top : top + image.shape[0], left : left + image.shape[1]] = image
    truth = ifft2c(resized(fft2c(square[None].to(torch.complex64)), (size, size))).real.clamp(min=0)
    truth = truth / bright_level(truth)
    mask = torch.from_numpy(make_mask("random", (size, size), 4, 16 * size // 128, seed=seed))
    A = CartesianMRI(mask)
    generator = torch.Generator().manual_seed(seed)
    clean = A(truth.to(torch.complex64))
    noise = torch.randn(clean.shape, dtype=torch.complex64, generator=generator)
    return Scan(f"{case[1]}-{case[2]}-{case[4]}", truth, A, clean + SIGMA * noise * A.mask)


def scans() -> tuple[list[Scan], Scan]:
    """The test slices and the tuning slice."""
    tests = [scan_of(case, 128, 10 + i) for i, case in enumerate(TESTS)]
    return tests, scan_of(TUNING, 64, 20)


@dataclass(frozen=True)
class Method:
    """(scan, steps, setting) -> draws (K, 1, y, x); one of several settings, best on tuning."""

    library: str
    name: str
    steps: int
    run: Callable[[Scan, int, Setting], Tensor]
    settings: Sequence[Setting] = ((),)


def read(path: Path = RESULTS) -> list[dict[str, str]]:
    """Rows measured so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def measure(methods: Sequence[Method], path: Path = RESULTS) -> None:
    """Tunes and runs, slice by slice; rows that are there are not measured again."""
    there = {(r["library"], r["method"], r["slice"]): r for r in read(path)}
    tests, tuning = scans()
    chosen: dict[tuple[str, str], Setting] = {}

    def write(m: Method, scan: Scan, setting: Setting) -> float:
        key = (m.library, m.name, scan.name)
        label = " ".join(f"{v:g}" for v in setting)
        if scan is tuning:
            key = (*key[:2], f"{scan.name} tuning {label}")
        if key in there:
            return float(there[key]["psnr"])
        torch.manual_seed(5)
        start = process_time()
        with tally() as cost:
            draws = m.run(scan, m.steps, setting)
        seconds = process_time() - start
        psnr, coverage = scan.score(draws) if bool(draws.abs().isfinite().all()) else (-99.0, 0.0)
        forwards = (cost.nfe + cost.nvjp) / len(draws)
        values = (label, m.steps, f"{forwards:.0f}", f"{psnr:.2f}", f"{coverage:.3f}",
                  f"{seconds:.1f}")  # fmt: skip
        row = dict(zip(FIELDS, (*key, *map(str, values)), strict=True))
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        there[key] = row
        print(" ".join(row.values()), flush=True)
        return psnr

    for scan in tests:
        for m in methods:
            name = (m.library, m.name)
            if name not in chosen:
                chosen[name] = m.settings[0]
                if len(m.settings) > 1:
                    chosen[name] = max(m.settings, key=lambda s, m=m: write(m, tuning, s))  # type: ignore[misc]
            write(m, scan, chosen[name])
