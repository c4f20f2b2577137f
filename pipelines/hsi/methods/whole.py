"""A cube that fits into memory, as one tile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.classical.spectral.interface import Method, SceneStatistics, Tile
from sciddm.classical.spectral.lowrank import project, signal_subspace
from sciddm.classical.spectral.moments import Moments
from sciddm.errors import InputError
from sciddm.physics.spectral.estimate import NoiseEstimate, estimate_noise
from sciddm.physics.spectral.flags import NO_DATUM, Flag
from sciddm.pipelines.hsi.methods.build import build_method

__all__ = ["denoise_cube", "statistics_of"]


def denoise_cube(
    cube: NDArray[np.floating[Any]],
    method: str | Method = "lowrank",
    noise: NoiseEstimate | None = None,
    *,
    wavelength_nm: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> NDArray[np.floating[Any]]:
    """A cube without its noise.

    Args:
        cube: (band, y, x), of any unit.
        method: a name in METHODS, or a method.
        noise: what is wrong with it; estimated from the cube if None.
        wavelength_nm: (band,), for methods that look at it.
        seed: of methods with random numbers.

    Returns:
        (band, y, x), of the same unit and type. Empty bands are as they were, and so are entries
        that no other band predicts but that may be signal.

    Raises:
        InputError: unknown method, noise of another shape, or no estimate of it; see
            `estimate_noise`.
    """
    chosen = build_method(method) if isinstance(method, str) else method
    noise = estimate_noise(cube) if noise is None else _checked(cube, noise)
    used = ~noise.empty
    if not used.any():
        raise InputError("no band holds a value: give another cube")
    values = cube[used].astype(np.float64) - noise.stripes[used][:, None]
    if noise.lines is not None:
        values -= noise.lines[used][:, :, None]
    valid = (noise.flags[used] & NO_DATUM) == 0
    wavelength = None if wavelength_nm is None else wavelength_nm[used]
    statistics = statistics_of(values, valid, noise.sigma[used], wavelength)
    tile = Tile(np.where(valid, values, 0).astype(np.float32), valid)
    clean = chosen.fit(statistics).apply(tile, seed).values
    out = np.array(cube)
    measured = (noise.flags[used] & Flag.OUTLIER) != 0
    out[used] = np.where(measured, values, clean).astype(cube.dtype)
    return out


def statistics_of(
    values: NDArray[np.floating[Any]],
    valid: NDArray[np.bool_],
    sigma: NDArray[np.float64],
    wavelength_nm: NDArray[np.float64] | None = None,
) -> SceneStatistics:
    """Statistics of a cube in memory.

    Args:
        values: (band, y, x) without stripes, bands that hold something.
        valid: (band, y, x) bool.
        sigma: (band,) standard deviation of the noise.
        wavelength_nm: (band,) or None.
    """
    shape = (values.shape[1], values.shape[2])
    origin = np.array(
        [np.mean(v[m]) if m.any() else 0.0 for v, m in zip(values, valid, strict=True)]
    )
    moments = Moments(origin)
    moments.add(np.where(valid, values, origin[:, None, None]))
    found = SceneStatistics(shape, sigma, moments, wavelength_nm, float(valid.mean()))
    # Entries at their band's mean would weaken its covariance: better what the others predict.
    for _ in range(2 if not valid.all() else 0):
        noise, mean = found.noise, moments.mean
        white = moments.covariance / noise[:, None] / noise
        basis = signal_subspace(white, mean / noise, moments.count)
        scaled = ((values - mean[:, None, None]) / noise[:, None, None]).astype(np.float32)
        guess = np.tensordot(basis, project(scaled, valid, basis), 1)
        moments = Moments(origin)
        guess = guess * noise[:, None, None] + mean[:, None, None]
        moments.add(np.where(valid, values, guess))
        found = replace(found, moments=moments)
    return found


def _checked(cube: NDArray[Any], noise: NoiseEstimate) -> NoiseEstimate:
    bands, _, samples = cube.shape
    shapes = (noise.sigma.shape, noise.flags.shape, noise.stripes.shape, noise.empty.shape)
    if shapes != ((bands,), cube.shape, (bands, samples), (bands,)):
        raise InputError(f"noise of a cube of the shape {noise.flags.shape}, not {cube.shape}")
    # A NaN that is not marked would spread over its band.
    return replace(noise, flags=noise.flags | ~np.isfinite(cube) * np.uint8(Flag.GAP))
