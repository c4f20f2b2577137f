"""Cases of noise: what is added to a cube without noise, by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciddm.errors import InputError
from sciddm.simulation.hsi.noise import (
    NoisyCube,
    add_dead_pixels,
    add_gaussian,
    add_mixture,
    add_stripe_clusters,
    random_sigma,
)

__all__ = ["CASES", "add_case"]


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
