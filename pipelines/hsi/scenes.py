"""`sciddm hsi simulate`: a scene as FINCH sees it, with the noise of a case, written to files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.hsi.library import read_library
from sciddm.errors import InputError
from sciddm.metrics.spectral import psnr
from sciddm.pipelines.hsi.survey import Scene, white_of
from sciddm.simulation.hsi.noise import (
    NoisyCube,
    add_dead_pixels,
    add_gaussian,
    add_mixture,
    add_stripe_clusters,
    random_sigma,
)
from sciddm.simulation.hsi.scene import (
    bundled_library,
    finch_sensor,
    simulate_scene,
)

if TYPE_CHECKING:
    from sciddm.pipelines.hsi.requests import Simulate

__all__ = ["CASES", "Wanted", "add_case", "simulate_pair", "simulated", "truth_path"]


@dataclass(frozen=True)
class Wanted:
    """A scene to make.

    Attributes:
        lines, samples, bands: its size.
        start_nm, stop_nm: what the bands cover.
        case: of noise; see CASES.
        level: standard deviation of Gaussian noise, reflectance.
        seed: of all that is random.
        library: spectra to use (`simulation.read_library`); procedural ones if None.
    """

    lines: int = 256
    samples: int = 256
    bands: int = 80
    start_nm: float = 900.0
    stop_nm: float = 1700.0
    case: str = "finch"
    level: float = 0.02
    seed: int = 0
    library: Path | None = None


def _none(cube: np.ndarray, level: float, rng: np.random.Generator) -> NoisyCube:
    return NoisyCube(cube, np.zeros(cube.shape, bool))


def _gaussian(cube: np.ndarray, level: float, rng: np.random.Generator) -> NoisyCube:
    return NoisyCube(add_gaussian(cube, level, rng), np.zeros(cube.shape, bool))


def _bands(cube: np.ndarray, level: float, rng: np.random.Generator) -> NoisyCube:
    levels = [level * factor for factor in (0.25, 0.75, 1.25, 1.75)]
    sigma = random_sigma(len(cube), rng, levels)
    return NoisyCube(add_gaussian(cube, sigma, rng), np.zeros(cube.shape, bool))


def _mixture(cube: np.ndarray, level: float, rng: np.random.Generator) -> NoisyCube:
    return add_mixture(cube, rng, [level * factor for factor in (0.25, 0.75, 1.25, 1.75)])


def _finch(cube: np.ndarray, level: float, rng: np.random.Generator) -> NoisyCube:
    striped, stripes = add_stripe_clusters(add_gaussian(cube, level, rng), rng)
    broken, dead = add_dead_pixels(striped, rng)
    return NoisyCube(broken, stripes | dead)


#: Case -> what it adds to a cube in [0, 1] for a level: nothing; noise of one level in all bands;
#: of 1/4, 3/4, 5/4 or 7/4 of it in each, at random; that with stripes, dead lines and impulses on
#: a third of the bands each; noise of one level with FINCH's stripe clusters and dead pixels.
CASES: dict[str, Callable[[np.ndarray, float, np.random.Generator], NoisyCube]] = {
    "none": _none,
    "gaussian": _gaussian,
    "bands": _bands,
    "mixture": _mixture,
    "finch": _finch,
}


def add_case(cube: np.ndarray, case: str, level: float, rng: np.random.Generator) -> NoisyCube:
    """The noise of a case.

    Args:
        cube: (band, y, x) in [0, 1].
        case: one of CASES.
        level: standard deviation of its Gaussian noise.
        rng: source of the noise.
    """
    if case not in CASES:
        raise InputError(f"unknown case {case}: one of {', '.join(CASES)}")
    return CASES[case](cube, level, rng)


def simulate_pair(wanted: Wanted) -> tuple[xr.Dataset, xr.Dataset]:
    """(clean, noisy) scene, in the form of `data_adapters.hsi.cube`.

    Raises:
        InputError: impossible sizes, bands that the spectra do not cover, too large.
    """
    if min(wanted.lines, wanted.samples) < 1 or wanted.bands < 1:
        raise InputError("a scene has at least one line, sample and band: give other numbers")
    if not 0 < wanted.start_nm < wanted.stop_nm:
        raise InputError(
            f"bands from {wanted.start_nm:g} to {wanted.stop_nm:g} nm: give the shorter first"
        )
    if wanted.case == "mixture" and wanted.bands < 3:
        raise InputError("the case mixture needs 3 bands or more")
    if not 0 <= wanted.level < np.inf:
        raise InputError(f"noise of the level {wanted.level:g}: give 0 or more")
    shape = (wanted.bands, wanted.lines, wanted.samples)
    check_size(Path("scene"), "the cube", shape, 32)
    library = bundled_library() if wanted.library is None else read_library(wanted.library)
    scene_rng, noise_rng = np.random.default_rng(wanted.seed).spawn(2)
    clean = simulate_scene(
        library,
        shape[1:],
        scene_rng,
        sensor=finch_sensor(wanted.bands, wanted.start_nm, wanted.stop_nm),
    )
    noisy, _ = add_case(clean["cube"].values, wanted.case, wanted.level, noise_rng)
    about = f"simulated scene of seed {wanted.seed}"
    clean = clean.assign_attrs(description=about)
    held = clean.assign(cube=clean["cube"].copy(data=noisy.astype(np.float32)))
    told = f"{about}, noise: {wanted.case}, level {wanted.level:g}"
    return clean, held.assign_attrs(description=told)


def truth_path(path: Path) -> Path:
    """Where the cube without noise lies beside a simulated one."""
    return path.with_name(f"{path.stem}_truth{path.suffix}")


def simulated(wanted: Simulate, own: xr.Dataset | None = None) -> xr.Dataset:
    """A cube with the noise of a case.

    Args:
        wanted: the options.
        own: the cube to add it to, in the form of `data_adapters.hsi.cube`; a scene is made if
            None. Empty bands, gaps and pixels outside of the swath stay as they are.

    Returns:
        `cube`, noisy; `truth`, as it was, where a scene was made; case, level and psnr_db.

    Raises:
        InputError: see `simulate_pair`.
    """
    if own is None:
        clean, noisy = simulate_pair(
            Wanted(
                wanted.lines,
                wanted.samples,
                wanted.bands,
                wanted.start,
                wanted.stop,
                wanted.noise,
                wanted.level,
                wanted.seed,
                wanted.library,
            )
        )
        result = noisy.assign(truth=clean["cube"])
        reached = psnr(noisy["cube"].values, clean["cube"].values)
    else:
        result, reached = _with_noise(own, wanted)
    told = {"case": wanted.noise, "level": wanted.level}
    return result.assign_attrs(told | ({} if wanted.noise == "none" else {"psnr_db": reached}))


def _with_noise(own: xr.Dataset, wanted: Simulate) -> tuple[xr.Dataset, float]:
    """(the cube with noise, PSNR in units of what is white)."""
    scene = Scene(own)
    check_size(Path(scene.name), "the cube", scene.cube.shape, 32)
    values, known = scene.read(slice(None), slice(None))
    used = np.array(
        [bool(k.any()) and np.ptp(v[k]) > 0 for v, k in zip(values, known, strict=True)]
    )
    known = known & used[:, None, None] & (known & (values != 0)).any(axis=0)
    if not known.any():
        raise InputError(f"{scene.name}: no band holds a value: give another file")
    white = white_of(own, values[known], 0.0)
    unit = np.where(known, values, 0) / white
    noisy = np.array(unit)
    rng = np.random.default_rng(wanted.seed)
    noisy[used] = add_case(unit[used], wanted.noise, wanted.level, rng).cube
    kind = scene.cube.dtype
    back = white * noisy
    if kind.kind != "f":
        limits = np.iinfo(kind.name)
        back = np.clip(np.rint(back), limits.min, limits.max)
    out = np.where(known, back.astype(kind), values)
    reached = psnr(noisy[used], unit[used])
    return own.assign(cube=own["cube"].copy(data=out)), float(reached)
