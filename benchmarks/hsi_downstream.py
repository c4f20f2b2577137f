"""Hyperspectral: what denoising is for. Crop residue from FINCH's scenes.

    python -m benchmarks.hsi_downstream [--methods lowrank subspace] [--quality fast] [--scenes 20]
                                        [--level 0.03]

Simulated FINCH scenes (0.9 to 1.7 um, stripes and dead pixels) with known fractions of soil,
residue and green vegetation. Each pixel is unmixed by nonnegative least squares on the scene's own
endmembers; a class's fraction is its share of the coefficients, so that illumination cancels. The
index is (R1650 - R1240) / (R1650 + R1240). Errors are those against the same from the clean cube.

`subspace` also draws spectra from its posterior: pushed through the unmixing they give 90 %
intervals of the residue fraction. Asked: the error that noise adds falls at least fivefold,
intervals hold 85 to 95 %. Writes benchmarks/results/hsi_downstream.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmarks.publish import publish
from sciddm.classical.spectral.spectrum_draws import SpectrumDraws
from sciddm.data_adapters.hsi import build_cube
from sciddm.pipelines.hsi import HyperspectralDenoising
from sciddm.pipelines.hsi.denoise import middle_window, statistics_of, tile_at
from sciddm.pipelines.hsi.methods.subspace import FittedSubspace, Subspace
from sciddm.pipelines.hsi.survey import Scene, survey
from sciddm.simulation.hsi.pair import Wanted, simulate_pair

Array = NDArray[np.float64]
_SIDE, _STEP = 48, 3  # pixels; every so many are unmixed
_SEED = 7001  # of no recipe and no other benchmark
_DRAWS = 20
_RESIDUE = "residue"


def fractions(spectra: Array, endmembers: Array, kinds: list[str]) -> dict[str, Array]:
    """Shares of classes, (pixel,).

    Args:
        spectra: (band, pixel).
        endmembers: (material, band).
        kinds: the materials' classes.
    """
    abundances = np.stack([nnls(endmembers.T, s)[0] for s in spectra.T], axis=1)
    abundances /= np.maximum(abundances.sum(axis=0), 1e-9)
    return {k: abundances[[c == k for c in kinds]].sum(axis=0) for k in dict.fromkeys(kinds)}


def index(spectra: Array, nm: Array) -> Array:
    """Difference of 1650 and 1240 nm over their sum, (pixel,)."""
    long, short = (spectra[int(np.abs(nm - w).argmin())] for w in (1650, 1240))
    return np.asarray((long - short) / np.maximum(np.abs(long + short), 1e-3))


def drawn(scene: Scene, quality: str, pixels: NDArray[np.intp]) -> list[Array]:
    """Spectra (band, pixel) of posterior draws."""
    known = survey(scene)
    fitted = Subspace(quality=quality).fit(statistics_of(scene, known))
    assert isinstance(fitted, FittedSubspace)
    tile = tile_at(scene, known, middle_window(scene, _SIDE))
    fitted.calibrate(tile)
    mean, variance = (
        v.reshape(len(v), -1)[:, pixels].astype(np.float64) for v in fitted.coefficients(tile)
    )
    draw, rng = SpectrumDraws(fitted.components), np.random.default_rng(0)
    return [draw(mean, variance, rng) * known.scale for _ in range(_DRAWS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=["lowrank", "subspace"])
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--level", type=float, default=0.03)
    args = parser.parse_args()
    square: dict[str, dict[str, list[float]]] = {}
    held: list[float] = []
    pixels = np.arange(_SIDE * _SIDE).reshape(_SIDE, _SIDE)[::_STEP, ::_STEP].ravel()
    for number in range(args.scenes):
        wanted = Wanted(
            lines=_SIDE,
            samples=_SIDE,
            bands=80,
            case="finch",
            level=args.level,
            seed=_SEED + number,
        )
        clean, noisy = simulate_pair(wanted)
        nm = np.asarray(clean["wavelength"].values, np.float64)
        endmembers = np.asarray(clean["endmembers"].values, np.float64)
        kinds = [str(k) for k in clean["class"].values]
        cubes = {"clean": clean["cube"].values, "noisy": noisy["cube"].values}
        cube = build_cube(Path("s"), cubes["noisy"], form="t", wavelength=nm, units="nm")
        for method in args.methods:
            result = HyperspectralDenoising(method)(cube, quality=args.quality)
            cubes[method] = result["cube"].values
        flat = {k: v.reshape(len(v), -1)[:, pixels].astype(np.float64) for k, v in cubes.items()}
        parts = {k: fractions(v, endmembers, kinds) for k, v in flat.items()}
        for name in cubes:
            errors = {k: parts[name][k] - parts["clean"][k] for k in parts["clean"]}
            errors["index"] = index(flat[name], nm) - index(flat["clean"], nm)
            for key, error in errors.items():
                square.setdefault(name, {}).setdefault(key, []).append(float((error**2).mean()))
        if "subspace" in args.methods and _RESIDUE in parts["clean"]:
            some = [
                fractions(s, endmembers, kinds)[_RESIDUE]
                for s in drawn(Scene(cube), args.quality, pixels)
            ]
            low, high = np.quantile(some, [0.05, 0.95], axis=0)
            truth = parts["clean"][_RESIDUE]
            held.append(float(((truth >= low - 1e-9) & (truth <= high + 1e-9)).mean()))
        print(number, {k: round(float(np.sqrt(v["index"][-1])), 4) for k, v in square.items()})
    keys = list(square["noisy"])
    rms = {n: {k: float(np.sqrt(np.mean(v))) for k, v in s.items()} for n, s in square.items()}
    rows = [
        {"cube": name, **{k: round(v, 5) for k, v in values.items()}}
        for name, values in rms.items()
        if name != "clean"
    ]
    text = ["# Crop residue from denoised scenes", ""]
    text += [f"Root mean square errors over {args.scenes} FINCH scenes, level {args.level:g}.", ""]
    text += [f"| cube | {' | '.join(keys)} | times less than noisy, {_RESIDUE} |"]
    text += ["|" + "---|" * (len(keys) + 2)]
    for name, values in rms.items():
        if name != "clean":
            times = rms["noisy"][_RESIDUE] / max(values[_RESIDUE], 1e-12)
            cells = " | ".join(f"{values[k]:.4f}" for k in keys)
            text.append(f"| {name} | {cells} | {times:.1f} |")
    if held:
        text += [
            "",
            f"90 % intervals of the {_RESIDUE} fraction (subspace {args.quality}, "
            f"{_DRAWS} draws) hold {np.mean(held):.1%}, {min(held):.1%} to {max(held):.1%}.",
        ]
    text += ["", "Asked: the error falls at least fivefold; intervals hold 85 to 95 %."]
    words = f"--methods {' '.join(args.methods)} --quality {args.quality} --scenes {args.scenes}"
    text += ["", f"Made by `python -m benchmarks.hsi_downstream {words}`.", ""]
    publish("hsi_downstream", "\n".join(text), rows)


if __name__ == "__main__":
    main()
