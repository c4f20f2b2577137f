"""Noise of hyperspectral sensors, for simulation and training.

Every function is pure: it takes a clean cube (band, y, x) and a generator, leaves the cube as it is
and returns the noisy one, with a mask of the entries that carry no Gaussian noise only (stripes,
dead lines, impulses, dead pixels) where there are such. Nothing is clipped. Cubes are in [0, 1]
unless said otherwise; levels of the literature in units of 1/255 are divided by 255 by the caller.

Sources: the cases of QRNN3D (Wei, Fu and Huang, 2021, section V.A); stripes and dead pixels of
FINCH (arXiv 2406.10724 and its public code).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "NoisyCube",
    "add_dead_lines",
    "add_dead_pixels",
    "add_gaussian",
    "add_impulses",
    "add_mixture",
    "add_stripe_clusters",
    "add_stripes",
    "random_sigma",
]

Cube = NDArray[np.floating[Any]]
LEVELS = (10 / 255, 30 / 255, 50 / 255, 70 / 255)


class NoisyCube(NamedTuple):
    """A noisy cube and what was done to it.

    Attributes:
        cube: (band, y, x).
        mask: (band, y, x) bool, the entries with more than Gaussian noise.
    """

    cube: Cube
    mask: NDArray[np.bool_]


def random_sigma(
    bands: int, rng: np.random.Generator, levels: Sequence[float] = LEVELS
) -> NDArray[np.float64]:
    """A standard deviation for each band, drawn from `levels` (non-iid case of QRNN3D)."""
    return rng.choice(np.asarray(levels, np.float64), size=bands)


def add_gaussian(cube: Cube, sigma: ArrayLike, rng: np.random.Generator) -> Cube:
    """y = x + sigma_b z, z ~ N(0, 1).

    Args:
        cube: (band, y, x), of any unit.
        sigma: in that unit, one number or (band,).
        rng: source of the noise.

    Raises:
        ValueError: a negative sigma, or not one per band.
    """
    level = np.asarray(sigma, np.float64)
    if level.ndim > 1 or (level.ndim == 1 and len(level) != cube.shape[0]):
        raise ValueError(f"sigma of the shape {level.shape} for {cube.shape[0]} bands")
    if not (level >= 0).all():
        raise ValueError("sigma must be 0 or more")
    per_band = np.broadcast_to(level, cube.shape[:1])[:, None, None]
    return (cube + per_band * rng.standard_normal(cube.shape)).astype(cube.dtype)


def add_stripes(
    cube: Cube,
    rng: np.random.Generator,
    *,
    bands: ArrayLike | None = None,
    amount: tuple[float, float] = (0.05, 0.15),
) -> NoisyCube:
    """y = x + .25 - .5 u along whole columns, u ~ U(0, 1) (stripe case of QRNN3D).

    Args:
        cube: (band, y, x).
        rng: source of the noise.
        bands: those with stripes; a random third of them if None.
        amount: least and largest share of the columns; at least one column of each band.
    """
    noisy, mask = _copies(cube)
    for band in _chosen(cube, bands, rng):
        columns = _columns(cube.shape[2], amount, rng)
        noisy[band][:, columns] += 0.25 - 0.5 * rng.random(len(columns))
        mask[band][:, columns] = True
    return NoisyCube(noisy.astype(cube.dtype), mask)


def add_dead_lines(
    cube: Cube,
    rng: np.random.Generator,
    *,
    bands: ArrayLike | None = None,
    amount: tuple[float, float] = (0.05, 0.15),
) -> NoisyCube:
    """Whole columns 0 (dead line case of QRNN3D); arguments as of `add_stripes`."""
    noisy, mask = _copies(cube)
    for band in _chosen(cube, bands, rng):
        columns = _columns(cube.shape[2], amount, rng)
        noisy[band][:, columns] = 0
        mask[band][:, columns] = True
    return NoisyCube(noisy.astype(cube.dtype), mask)


def add_impulses(
    cube: Cube,
    rng: np.random.Generator,
    *,
    bands: ArrayLike | None = None,
    amounts: Sequence[float] = (0.1, 0.3, 0.5, 0.7),
    low: float = 0.0,
    high: float = 1.0,
) -> NoisyCube:
    """Each pixel of a band becomes `low` or `high`, with equal chance, with a probability drawn
    from `amounts` (impulse case of QRNN3D).

    Args:
        cube: (band, y, x).
        rng: source of the noise.
        bands: those with impulses; a random third of them if None.
        amounts: probabilities.
        low: pepper.
        high: salt.
    """
    noisy, mask = _copies(cube)
    for band in _chosen(cube, bands, rng):
        hit = rng.random(cube.shape[1:]) < rng.choice(np.asarray(amounts))
        salt = rng.random(cube.shape[1:]) < 0.5
        noisy[band][hit] = np.where(salt, high, low)[hit]
        mask[band] = hit
    return NoisyCube(noisy.astype(cube.dtype), mask)


def add_mixture(
    cube: Cube, rng: np.random.Generator, levels: Sequence[float] = LEVELS
) -> NoisyCube:
    """Gaussian noise of another level in each band, then stripes, dead lines and impulses on three
    disjoint thirds of the bands (mixture case of QRNN3D).

    Args:
        cube: (band, y, x) of 3 bands or more.
        rng: source of the noise.
        levels: standard deviations to choose from.

    Raises:
        ValueError: fewer than 3 bands.
    """
    count = cube.shape[0]
    if count < 3:
        raise ValueError(f"a mixture needs at least 3 bands, not {count}")
    noisy = add_gaussian(cube, random_sigma(count, rng, levels), rng)
    mask = np.zeros(cube.shape, bool)
    order = rng.permutation(count)
    third = count // 3
    # One permutation for all three, so that no band is hit twice.
    kinds: tuple[Callable[..., NoisyCube], ...] = (add_stripes, add_dead_lines, add_impulses)
    for i, add in enumerate(kinds):
        noisy, hit = add(noisy, rng, bands=order[i * third : (i + 1) * third])
        mask |= hit
    return NoisyCube(noisy, mask)


def add_stripe_clusters(
    cube: Cube,
    rng: np.random.Generator,
    *,
    amplitude: tuple[float, float] = (0.01, 0.3),
    frequency: tuple[float, float] = (0.3, 0.5),
    width: tuple[int, int] = (3, 10),
) -> NoisyCube:
    """Stripes in clusters of neighbouring columns, the same in all lines (FINCH).

    In every band clusters of U{width} columns are placed until they cover a share U(frequency) of
    the columns. Their columns get |N(0, s^2)|, s = U(amplitude) times the band's range.

    Args:
        cube: (band, y, x), of any unit.
        rng: source of the noise.
        amplitude: least and largest s in units of the band's range.
        frequency: least and largest share of columns.
        width: least and largest number of columns of a cluster.
    """
    noisy, mask = _copies(cube)
    columns = cube.shape[2]
    for band in range(cube.shape[0]):
        wanted = rng.uniform(*frequency) * columns
        striped = np.zeros(columns, bool)
        while striped.sum() < wanted:
            start = rng.integers(columns)
            striped[start : start + rng.integers(width[0], width[1] + 1)] = True
        scale = rng.uniform(*amplitude) * np.ptp(cube[band])
        noisy[band][:, striped] += np.abs(rng.normal(0, scale, int(striped.sum())))
        mask[band][:, striped] = True
    return NoisyCube(noisy.astype(cube.dtype), mask)


def add_dead_pixels(
    cube: Cube, rng: np.random.Generator, *, amount: tuple[float, float] = (0.01, 0.1)
) -> NoisyCube:
    """Pixels at the least or the largest value of their own band (FINCH's salt and pepper).

    Args:
        cube: (band, y, x), of any unit.
        rng: source of the noise.
        amount: least and largest share of the pixels of a band.
    """
    noisy, mask = _copies(cube)
    for band in range(cube.shape[0]):
        hit = rng.random(cube.shape[1:]) < rng.uniform(*amount)
        salt = rng.random(cube.shape[1:]) < 0.5
        noisy[band][hit] = np.where(salt, cube[band].max(), cube[band].min())[hit]
        mask[band] = hit
    return NoisyCube(noisy.astype(cube.dtype), mask)


def _copies(cube: Cube) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if cube.ndim != 3:
        raise ValueError(f"a cube is (band, y, x), not of the shape {cube.shape}")
    return np.array(cube, np.float64), np.zeros(cube.shape, bool)


def _chosen(cube: Cube, bands: ArrayLike | None, rng: np.random.Generator) -> NDArray[np.intp]:
    if bands is None:
        return rng.permutation(cube.shape[0])[: max(1, cube.shape[0] // 3)]
    return np.asarray(bands, np.intp).reshape(-1)


def _columns(width: int, amount: tuple[float, float], rng: np.random.Generator) -> NDArray[np.intp]:
    """Distinct columns: floor(amount[0] W) to floor(amount[1] W) of them, at least one."""
    least = max(1, int(amount[0] * width))
    most = max(least, int(amount[1] * width))
    return rng.permutation(width)[: rng.integers(least, most + 1)]
