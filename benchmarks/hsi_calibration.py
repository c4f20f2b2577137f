"""How wide a method's intervals must be: the factor on its spread, from simulated scenes.

    python -m benchmarks.hsi_calibration {subspace,finch} [--quality balanced] [--model NAME]
                                         [--scenes 4]

Denoises simulated scenes of seeds that neither a recipe nor the benchmark uses, blind: FINCH's, and
general cubes as in training, with even noise, another level in each band, and FINCH's stripes and
dead pixels. Prints the share of true values within 1.645 standard deviations, case by case.

`subspace` measures its factor in each scene (`FittedSubspace.calibrate`): the mean of those factors
is what it falls back on (`Settings.spread`), and their range is what is familiar. For `finch` the
variance is a^2 V + C with the factor a on the samples' variance V; runs of a = 1 and 2 tell both,
and the a whose mean share is 0.9 is printed.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.hsi import build_cube
from sciddm.pipelines.hsi.latent_training_data import SpectralCubes
from sciddm.pipelines.hsi.pipeline import HyperspectralDenoising
from sciddm.simulation.hsi.cases import add_case
from sciddm.simulation.hsi.noise import add_gaussian, random_sigma
from sciddm.simulation.hsi.pair import Wanted, simulate_pair

Array = NDArray[np.floating]
_SEEDS = (3001, 3002)
_SIDE = 48


def scenes() -> Iterator[tuple[str, Array, Array]]:
    """(name, clean cube, wavelengths)."""
    for seed in _SEEDS:
        wanted = Wanted(lines=_SIDE, samples=_SIDE, bands=80, case="none", seed=seed)
        clean, _ = simulate_pair(wanted)
        yield f"finch {seed}", clean["cube"].values, clean["wavelength"].values
        data = SpectralCubes(split="validate", seed=seed, patch=_SIDE)
        cube, wavelength = data._general(np.random.default_rng(seed))
        yield f"general {seed}", cube[:, :_SIDE, :_SIDE], wavelength


def cases(clean: Array, seed: int) -> Iterator[tuple[str, Array]]:
    """(name, noisy cube)."""
    rng = np.random.default_rng(seed)
    yield "even 5 %", add_gaussian(clean, 0.05, rng)
    yield "even 15 %", add_gaussian(clean, 0.15, rng)
    yield "per band", add_gaussian(clean, random_sigma(len(clean), rng), rng)
    yield "finch", add_case(clean, "finch", 0.03, rng).cube


def share(error: Array, variance: Array) -> float:
    """Of the entries whose error is within 1.645 standard deviations."""
    return float((error**2 < 1.645**2 * variance).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=("subspace", "finch"))
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--model")
    parser.add_argument("--scenes", type=int, default=4, help="of four")
    args = parser.parse_args()
    module = importlib.import_module(f"sciddm.pipelines.hsi.methods.{args.method}")
    kind = {"subspace": "Subspace", "finch": "Finch"}[args.method]
    settings = module.SETTINGS[args.quality]
    given = {} if args.model is None else {"model": args.model}
    found = []
    factors: list[float] = []
    for number, (scene, clean, wavelength) in enumerate(islice(scenes(), args.scenes)):
        for case, noisy in cases(clean, number):
            cube = build_cube(
                Path(scene),
                noisy.astype(np.float32),
                form="test",
                wavelength=wavelength,
                units="nm",
            )
            variance, factor = [], None
            for spread in (1.0, 2.0) if args.method == "finch" else (settings.spread,):
                method = getattr(module, kind)(settings=replace(settings, spread=spread), **given)
                done = HyperspectralDenoising(method)(cube)
                variance.append(done["std"].values.astype(np.float64) ** 2)
                factor = done.attrs.get("std_factor")
            if factor is not None:
                factors.append(float(factor))
            sampled = np.maximum(variance[-1] - variance[0], 0) / 3
            found.append((f"{scene}, {case}", done["cube"].values - clean, variance[0], sampled))
            text = "" if factor is None else f", factor {factor:.2f}"
            print(f"{found[-1][0]}: {share(found[-1][1], variance[0]):.3f}{text}", flush=True)
    if factors:
        held = np.mean([share(e, v) for _, e, v, _ in found])
        print(
            f"mean share {held:.3f}; factors {np.mean(factors):.2f}, {min(factors):.2f} to "
            f"{max(factors):.2f}"
        )
        return
    low, high = 0.5, 4.0
    for _ in range(20):
        middle = (low + high) / 2
        mean = np.mean([share(e, v + (middle**2 - 1) * s) for _, e, v, s in found])
        low, high = (middle, high) if mean < 0.9 else (low, middle)
    print(f"factor {middle:.2f}, then:")
    for name, e, v, s in found:
        print(f"{name}: {share(e, v + (middle**2 - 1) * s):.3f}")
    before = np.mean([share(e, v) for _, e, v, _ in found])
    print(f"mean of all: {before:.3f} before, {mean:.3f} after")


if __name__ == "__main__":
    main()
