"""Denoising methods behind one interface, and the classical ones among them.

A method is a function (cube, noise) -> cube: (band, y, x) with its estimated noise in, the same
shape and unit out. `denoise_cube` does around it what all of them need: empty bands stay as they
are, stripes are subtracted, dead entries filled from the same band's neighbours, and bands divided
by their standard deviation of noise, so that a method sees white noise of variance 1.

    tv        argmin_x |x - y|^2 / 2 + weight TV(x) per band (Rudin, Osher and Fatemi, 1992;
              Chambolle's dual algorithm, scikit-image)
    lowrank   projection on the signal subspace of HySime (Bioucas-Dias and Nascimento, 2008)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.restoration import denoise_tv_chambolle

from sciddm.errors import InputError
from sciddm.pipelines.hsi.estimate import NoiseEstimate, estimate_noise

__all__ = ["METHODS", "denoise_cube", "signal_subspace"]

Array = NDArray[np.float64]
Method = Callable[[Array], Array]
_TV_WEIGHT = 1.0  # in units of the noise: the same for every cube


def denoise_cube(
    cube: NDArray[np.floating[Any]],
    method: str = "lowrank",
    noise: NoiseEstimate | None = None,
) -> NDArray[np.floating[Any]]:
    """A cube without its noise.

    Args:
        cube: (band, y, x), of any unit.
        method: a name in METHODS.
        noise: what is wrong with it; estimated from the cube if None.

    Returns:
        (band, y, x), of the same unit and type. Empty bands are as they were.

    Raises:
        InputError: unknown method, noise of another shape, or no estimate of it; see
            `estimate_noise`.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method}: one of {', '.join(METHODS)}")
    noise = estimate_noise(cube) if noise is None else _checked(cube, noise)
    used = ~noise.empty
    if not used.any():
        raise InputError("no band holds a value: give another cube")
    values = cube[used].astype(np.float64) - noise.stripes[used][:, None]
    values = _filled(values, noise.dead[used])
    # A band without any noise would get infinite weight: noise of a millionth of the largest
    # changes nothing that can be seen.
    sigma = noise.sigma[used]
    sigma = np.maximum(sigma, 1e-6 * sigma.max())
    if not sigma.max() > 0:
        clean = values
    else:
        clean = METHODS[method](values / sigma[:, None, None]) * sigma[:, None, None]
    out = np.array(cube)
    out[used] = clean.astype(cube.dtype)
    return out


def signal_subspace(white: Array) -> Array:
    """An orthonormal basis (band, k) of the signal in noise of variance 1.

    HySime's criterion in whitened coordinates: an eigenvector of the signal's correlation matrix
    R_y - I belongs to the signal if leaving it out costs more signal than keeping it costs noise,
    e^T R_y e > 2. Where pixels are few, noise alone has eigenvalues of up to
    (1 + sqrt(bands/pixels))^2 (Marchenko and Pastur, 1967), which is then the limit. At least one
    is kept.

    Args:
        white: (band, y, x), noise of variance 1.
    """
    pixels = white.reshape(len(white), -1)
    power, vectors = np.linalg.eigh(pixels @ pixels.T / pixels.shape[1])
    limit = max(2.0, (1 + np.sqrt(pixels.shape[0] / pixels.shape[1])) ** 2)
    count = max(1, int((power > limit).sum()))
    return np.asarray(vectors[:, ::-1][:, :count])


def _lowrank(white: Array) -> Array:
    basis = signal_subspace(white)
    return np.tensordot(basis @ basis.T, white, 1)


def _tv(white: Array) -> Array:
    return np.stack([denoise_tv_chambolle(band, weight=_TV_WEIGHT) for band in white])


def _filled(values: Array, dead: NDArray[np.bool_]) -> Array:
    """Dead entries replaced by the nearest living one of their band."""
    out = values.copy()
    for band, gone in zip(out, dead, strict=True):
        if gone.any() and not gone.all():
            nearest = distance_transform_edt(gone, return_distances=False, return_indices=True)
            band[...] = band[tuple(nearest)]
    return out


def _checked(cube: NDArray[Any], noise: NoiseEstimate) -> NoiseEstimate:
    bands, _, samples = cube.shape
    shapes = (noise.sigma.shape, noise.dead.shape, noise.stripes.shape, noise.empty.shape)
    if shapes != ((bands,), cube.shape, (bands, samples), (bands,)):
        raise InputError(f"noise of a cube of the shape {noise.dead.shape}, not {cube.shape}")
    # A NaN that is not marked would spread over its band.
    return replace(noise, dead=noise.dead | ~np.isfinite(cube))


METHODS: dict[str, Method] = {"tv": _tv, "lowrank": _lowrank}
