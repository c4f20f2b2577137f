"""Active acquisition against fixed masks, with the same prior and the same reconstruction.

    python -m benchmarks.mri_active [--slices 8] [--coils 1 8] [--fresh]

Slices of the validation patients (those of benchmarks/mri.py), brought to 128 x 128 by cropping
k-space, with 1 and with 8 simulated coils, complex noise at 30 dB. Every mask has the same number
of lines, 32 or 16 of 128, of which 8 are the central ones. "learned" is the one fixed mask that
slices of the training patients choose together: line by line, that with the largest gain (criterion
error) summed over them. All masks are then reconstructed at quality fast.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from benchmarks.problems import TEST, read_slice
from benchmarks.publish import publish
from sciddm.metrics.volume import psnr_volume, ssim_volume
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri import MRIReconstruction
from sciddm.pipelines.mri.acquire import Acquisition, acquired
from sciddm.pipelines.mri.active import CRITERIA, ActiveAcquisition
from sciddm.pipelines.mri.retrospective import full_image
from sciddm.pipelines.mri.training_data import load_slices
from sciddm.simulation.mri.scan import fft2c, ifft2c, simulate_scan, undersample

CACHE = Path(__file__).resolve().parent / ".cache" / "mri_active.json"
SIZE, CENTRE, SNR_DB = 128, 8, 30.0
LINES = {4: 32, 8: 16}
TRAINING_SLICES = 4
FIXED = ("random", "equispaced", "gaussian", "learned")


@dataclass(frozen=True)
class Case:
    """A slice, a number of coils and an acceleration."""

    number: int
    coils: int
    acceleration: int

    @property
    def name(self) -> str:
        _, patient, contrast, _, z = TEST[self.number]
        return f"{patient}-{contrast}-{z}-{self.coils}coil-R{self.acceleration}"

    def scan(self) -> xr.Dataset:
        """The fully sampled scan with its reference."""
        image = _cropped(read_slice(*TEST[self.number]))
        scan = simulate_scan(image, self.coils, snr_db=SNR_DB, seed=300 + self.number)
        return scan.assign(reference=(("slice", "y", "x"), full_image(scan)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--coils", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--particles", type=int, default=8)
    parser.add_argument("--fresh", action="store_true", help="use no result of an earlier run")
    args = parser.parse_args()
    pipeline = MRIReconstruction.from_pretrained("mri-brain")
    known = {} if args.fresh or not CACHE.exists() else json.loads(CACHE.read_text())
    rows = []
    for case in _cases(args.slices, args.coils):
        for strategy in (*FIXED, *CRITERIA):
            weights = pipeline.provenance["weights_sha256"][:12]
            key = f"{case.name} {strategy} {args.particles} {weights}"
            if key not in known:
                known[key] = _row(pipeline, case, strategy, args.particles)
                CACHE.parent.mkdir(parents=True, exist_ok=True)
                CACHE.write_text(json.dumps(known, indent=1))
                print(key, known[key], file=sys.stderr, flush=True)
            rows.append(known[key])
    publish("mri_active", _report(rows, args), rows)


def _cases(slices: int, coils: list[int]) -> Iterator[Case]:
    for number in range(slices):
        for count in coils:
            for acceleration in LINES:
                yield Case(number, count, acceleration)


def _row(pipeline: MRIReconstruction, case: Case, strategy: str, particles: int) -> dict[str, Any]:
    full, lines = case.scan(), LINES[case.acceleration]
    start = perf_counter()
    if strategy in CRITERIA:
        request = Acquisition(lines, CENTRE, criterion=strategy, particles=particles, seed=1)  # type: ignore[arg-type]
        scan = acquired(full, pipeline, request)
    elif strategy == "learned":
        scan = undersample(full, _learned(pipeline, case))
    else:
        shape = (SIZE, SIZE)
        scan = undersample(
            full, make_mask(strategy, shape, SIZE / lines, CENTRE, 400 + case.number)
        )
    seconds = perf_counter() - start
    taken = int(scan["mask"].values[0].all(1).sum())
    if taken != lines:
        raise RuntimeError(f"{case.name} {strategy}: {taken} lines instead of {lines}")
    result = pipeline(scan, quality="fast", seed=2)
    image, truth = result["reconstruction"].values, full["reference"].values
    return {
        "case": case.name,
        "coils": case.coils,
        "R": case.acceleration,
        "strategy": strategy,
        "psnr": psnr_volume(image, truth),
        "ssim": ssim_volume(image, truth),
        "seconds_a_line": seconds / (lines - CENTRE) if strategy in CRITERIA else 0.0,
    }


def _learned(pipeline: MRIReconstruction, case: Case) -> NDArray[np.bool_]:
    """The learned mask for a case, kept for the others and for later runs."""
    weights = pipeline.provenance["weights_sha256"][:12]
    path = CACHE.with_name(f"learned-error-{case.coils}-{case.acceleration}-{weights}.npy")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, learned_mask(pipeline, case.coils, LINES[case.acceleration]))
    return np.asarray(np.load(path))


def learned_mask(pipeline: MRIReconstruction, coils: int, lines: int) -> NDArray[np.bool_]:
    """The fixed mask (ky, kx) that training slices choose together, one line after the other."""
    slices = load_slices(None, "train")["brain"]
    chosen = np.random.default_rng(0).choice(len(slices), TRAINING_SLICES, replace=False)
    scans, data = [], []
    for i, which in enumerate(chosen):
        image = _cropped(slices[which].astype(np.float32) / 255)
        data.append(simulate_scan(image, coils, snr_db=SNR_DB, seed=i)["kspace"].values[0])
        scans.append(ActiveAcquisition(pipeline, data[-1].shape, lines, centre=CENTRE, seed=i))
    taken: list[int] = []
    while len(taken) < lines:
        if len(taken) < CENTRE:
            best = scans[0].next()
        else:
            best = int(torch.stack([scan.gains() for scan in scans]).sum(0).argmax())
        for scan, k in zip(scans, data, strict=True):
            scan.observe(best, k[:, best])
        taken.append(best)
    return scans[0].mask


def _cropped(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitude (128, 128) of the centre of an image's k-space."""
    k = fft2c(image)
    y, x = ((n - SIZE) // 2 for n in k.shape)
    small = np.abs(ifft2c(k[y : y + SIZE, x : x + SIZE]))
    return (small / small.max()).astype(np.float32)


def _report(rows: list[dict[str, Any]], args: argparse.Namespace) -> str:
    strategies = (*FIXED, *CRITERIA)
    lines = [
        "# Active acquisition",
        "",
        "PSNR (dB) / SSIM of 128 x 128 slices of the validation patients, mean over "
        f"{args.slices} slices; every mask has the same number of lines, the {CENTRE} central ones "
        f"among them; reconstruction at quality fast, {args.particles} particles. See "
        "benchmarks/mri_active.py.",
        "",
        f"| data | {' | '.join(strategies)} |",
        f"|---|{'---|' * len(strategies)}",
    ]
    for coils in args.coils:
        for r in LINES:
            cells = []
            for s in strategies:
                some = [x for x in rows if (x["coils"], x["R"], x["strategy"]) == (coils, r, s)]
                means = [float(np.mean([x[k] for x in some])) for k in ("psnr", "ssim")]
                cells.append(f"{means[0]:.2f} / {means[1]:.3f}")
            lines.append(f"| {coils} coil{'s' * (coils > 1)}, R = {r} | {' | '.join(cells)} |")
    each = [r["seconds_a_line"] for r in rows if r["strategy"] in CRITERIA]
    lines += [
        "",
        f"One decision: {np.median(each):.2f} s (median), {max(each):.2f} s (worst case), on "
        f"{platform.machine()}.",
        "",
        f"Made by `python -m benchmarks.mri_active {' '.join(sys.argv[1:])}`. Every case: "
        "[mri_active.csv](mri_active.csv).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
