"""Noise that bands share, from a scene's second moments.

Resampling, smoothing along wavelength, the correction of smile and the readout of a whole line of
bands leave noise that bands share. A regression on all other bands predicts it and calls it signal.
But it is independent from pixel to pixel, and the scene's signal is not: with C the covariance of
pixels and N that of pixels next to each other, D = C - N holds the noise, and of the signal only
what neighbours do not share. That texture is made of the scene's own spectra: the generalised
eigenvectors N v = l D v with l above chance (minimum noise fraction; Green et al., 1988) tell these
as D v, and a projection P takes them out. Then

    P S^-1 D S^-1 P = P R P + chance,   R = sum_k a_k R_k,   a_k >= 0,   sum_k a_k = 1

with S = diag(sigma) and the correlations R_k of independent bands, of Gaussian smoothing over a
range of widths, and of an offset that all bands have in common. R is positive definite as a sum of
such. The weights follow from nonnegative least squares of all entries of the matrix, S from its
diagonal, by turns.

What is left of the texture is smooth in wavelength as widely shared noise is. It is no stationary
function of the distance in bands, though. So components are believed

    narrow   if they explain most of what independent bands and the wide ones leave over
    wide     if independent bands leave nearly all of that over, and R nearly none
    common   if an offset explains more than all wide ones

and what is not believed is no noise, but may be: `most`. An offset of all bands cannot be seen
where the scene's own spectra hold a flat one. It is no larger than the variance that D has in the
flat spectrum alone, 1 / (1^T (S^-1 D S^-1)^-1 1) (Capon, 1969), less that of R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import nnls

__all__ = ["SharedNoise", "neighbour_moments", "shared_noise"]

Array = NDArray[np.float64]
#: Widths in bands of the Gaussians exp(-d^2 / 2 w^2) of R: smoothing by w / sqrt(2).
_NARROW = (0.7, 1.0, 1.4, 2.0, 2.8)
_WIDE = (4.0, 5.6, 8.0, 11.0)
_FEW = 24  # bands and what the scene leaves of them, at least
_GAP = 1.8  # usual steps from band to band: what is further apart are no neighbours
_ROUNDS = 6
_MARGIN = 1.1  # on the edge of chance
_QUIET = 0.05  # least eigenvalue of D where its inverse is needed
_FLOOR = 1e-3  # least eigenvalue of D, in units of its bands
_SEEN = 0.1  # share of a band's noise that the projection leaves, at least
_STEP = 2.0  # largest change of sigma in a round
_LEAST = 0.1  # share of the noise that is worth stating
_MOST = 0.4  # share of narrow components: .5 and more for smoothed noise, .24 for texture
#: Share of the misfit that narrow components explain, and that all do: .7 and more for noise that
#: was smoothed, .1 and .6 at most for the texture of four real scenes.
_NEAR, _ALL = 0.5, 0.67
_SOME = 0.2  # the latter beside strong texture
_SCENE = 0.5  # of a band's variance that neighbours share, so that all else may be wide noise
_VISIBLE = 0.02  # share of a component that the projection leaves, so that it can be told
_TINY = 1e-12
_RIDGE = 1e-7  # of the parts' products: wide ones are alike where little is left of them


@dataclass(frozen=True)
class SharedNoise:
    """What bands share.

    Attributes:
        sigma: (band,) standard deviation of the noise, in the unit of the moments; None where
            nothing is shared.
        correlation: (band, band) R; the identity where nothing is shared.
        shared: share of the variance that bands have in common with others.
        most: (band,) as sigma, with what may be noise that many bands share, or fine texture.
    """

    sigma: Array | None
    correlation: Array
    shared: float
    most: Array


def neighbour_moments(
    values: NDArray[np.floating], good: NDArray[np.bool_]
) -> tuple[Array, Array, int]:
    """(C, N, pairs) of pixels and of their neighbours in the same line.

    Both are of the same pixels, so that their difference is half the covariance of differences.

    Args:
        values: (band, y, x).
        good: (y, x) bool, pixels that count.
    """
    both = good[:, 1:] & good[:, :-1]
    left = values[:, :, :-1][:, both].astype(np.float64)
    right = values[:, :, 1:][:, both].astype(np.float64)
    pairs = left.shape[1]
    mean = 0.5 * (left.mean(axis=1) + right.mean(axis=1))[:, None]
    left -= mean
    right -= mean
    cross = left @ right.T
    whole = (left @ left.T + right @ right.T) / (2 * pairs)
    return whole, (cross + cross.T) / (2 * pairs), pairs


def shared_noise(
    covariance: Array,
    neighbours: Array,
    pixels: int,
    pairs: int,
    position: Array | None = None,
) -> SharedNoise | None:
    """Size and correlation of the noise; see the module.

    Args:
        covariance: (band, band) C, of any unit.
        neighbours: (band, band) N.
        pixels: that C is of.
        pairs: of pixels that N is of.
        position: (band,) wavelengths, beyond whose gaps nothing narrow is shared.

    Returns:
        None where bands or pixels are too few to tell.
    """
    bands = len(covariance)
    if bands < _FEW or min(pixels, pairs) < 4 * bands:
        return None
    noise = covariance - neighbours
    size = np.sqrt(np.maximum(np.diag(noise), _TINY * np.diag(covariance)))
    if not (size > 0).all():
        return None
    spectra = _spectra(noise, neighbours, size, pixels, pairs)
    # Pixels of which none is like its neighbour, as in a library, have signal in D only.
    if not spectra.shape[1] or bands - spectra.shape[1] < _FEW:
        return None
    parts = _parts(bands, position)
    fit = _solved(noise, spectra, size, parts, 1 / pixels + 0.5 / pairs)
    share = fit.weights
    narrow = slice(1, 1 + len(_NARROW))
    near, wide, common = (float(share[k].sum()) for k in (narrow, slice(narrow.stop, -1), [-1]))
    every = np.arange(len(parts))
    misfit = fit.misfit(every)
    white = fit.misfit(every[:1])
    some, stationary = misfit < (1 - _SOME) * white, misfit < (1 - _ALL) * white
    local = misfit < (1 - _NEAR) * fit.misfit(np.r_[0, every[narrow.stop :]])
    scene = float(np.median(np.diag(neighbours) / np.diag(covariance))) > _SCENE
    believed = np.zeros(len(parts), bool)
    believed[0] = True
    believed[narrow] = (near > _MOST and some) or (near > _LEAST and local)
    believed[narrow.stop : -1] = scene and wide > _LEAST and stationary
    believed[-1] = scene and common > max(_LEAST, wide) and (stationary or common > 2 * wide)
    certain = float(share[believed].sum())
    most = fit.sigma
    if not believed[-1] and common == 0:
        whole = noise / (fit.sigma[:, None] * fit.sigma)
        hidden = _flat(whole) - _flat(np.tensordot(share, parts, 1))
        most = most * np.sqrt(1 + max(0.0, hidden))
    if share[0] >= (1 - _LEAST) * certain:
        return SharedNoise(None, np.eye(bands), 0.0, most)
    weights = np.where(believed, share, 0) / certain
    return SharedNoise(
        fit.sigma * np.sqrt(certain),
        np.asarray(np.tensordot(weights, parts, 1)),
        float(1 - weights[0]),
        most,
    )


@dataclass(frozen=True)
class _Fit:
    """Weights and sizes that explain D.

    Attributes:
        sigma: (band,).
        weights: (part,) a, which sum to 1.
        excess: (band, band) P S^-1 D S^-1 P.
        templates: (part, band, band) P R_k P.
        chance: what chance leaves of the squares of all entries.
    """

    sigma: Array
    weights: Array
    excess: Array
    templates: Array
    chance: float

    def misfit(self, parts: NDArray[np.intp]) -> float:
        """Sum of squares that these parts leave beyond chance."""
        templates = self.templates[parts]
        weights = _weights(templates, self.excess)
        rest = self.excess - np.tensordot(weights, templates, 1)
        return max(float((rest**2).sum()) - self.chance, _TINY)


def _spectra(noise: Array, neighbours: Array, size: Array, pixels: int, pairs: int) -> Array:
    """(band, k) of the scene: what neighbours share beyond chance, compared to the noise."""
    bands = len(noise)
    unit = size[:, None] * size
    values, axes = np.linalg.eigh(noise / unit)
    metric = (axes * np.maximum(values, _FLOOR)) @ axes.T
    share, vectors = eigh(neighbours / unit, metric)
    edge = 2 * np.sqrt(bands / (2 * pairs)) * (1 + np.sqrt(bands / pixels))
    return np.asarray(metric @ vectors[:, share > _MARGIN * edge] * size[:, None])


def _parts(bands: int, position: Array | None) -> Array:
    """(part, band, band) R_k: independent, narrow, wide, common."""
    place = np.arange(bands, dtype=np.float64)
    if position is not None and np.isfinite(position).all():
        step = np.abs(np.diff(position))
        usual = float(np.median(step))
        place += np.concatenate([[0], np.cumsum(np.where(step > _GAP * usual, bands, 0))])
    distance = np.subtract.outer(place, place)
    smooth = [np.exp(-0.5 * (distance / w) ** 2) for w in (*_NARROW, *_WIDE)]
    return np.stack([np.eye(bands), *smooth, np.ones((bands, bands))])


def _solved(noise: Array, spectra: Array, size: Array, parts: Array, chance: float) -> _Fit:
    """Weights and sizes by turns; `chance` is the variance of an entry of D."""
    sigma = size.copy()
    for _ in range(_ROUNDS):
        axes = np.linalg.qr(spectra / sigma[:, None])[0]
        excess = _outside(noise / (sigma[:, None] * sigma), axes)
        templates = np.stack([_outside(p, axes) for p in parts])
        templates[np.trace(templates, axis1=1, axis2=2) < _VISIBLE * len(noise)] = 0
        weights = _weights(templates, excess)
        total = float(weights.sum())
        if not total > 0:
            break
        weights = weights / total
        model = np.tensordot(weights, templates, 1)
        diagonal = np.diag(model)
        seen = diagonal > _SEEN
        change = np.sqrt(np.maximum(np.diag(excess), 0) / np.maximum(diagonal, _SEEN))
        usual = float(np.median(change[seen])) if seen.any() else 1.0
        change = np.clip(np.where(seen, change, usual), usual / _STEP, usual * _STEP)
        sigma = sigma * change
    mixed = np.tensordot(weights, templates, 1)
    by_chance = chance * (np.trace(mixed) ** 2 + (mixed**2).sum())
    return _Fit(sigma, weights, excess, templates, float(by_chance))


def _flat(matrix: Array) -> float:
    """Largest variance of a flat spectrum that a covariance can hold."""
    values, axes = np.linalg.eigh(matrix)
    along = axes.sum(axis=0)
    return float(1 / np.sum(along**2 / np.maximum(values, _QUIET)))


def _outside(matrix: Array, axes: Array) -> Array:
    """P M P, P = I - U U^T."""
    half = matrix - axes @ (axes.T @ matrix)
    return np.asarray(half - (half @ axes) @ axes.T)


def _weights(templates: Array, excess: Array) -> Array:
    """The a >= 0 with the least |excess - sum_k a_k template_k|."""
    flat = templates.reshape(len(templates), -1)
    gram, target = flat @ flat.T, flat @ excess.ravel()
    size = np.sqrt(np.diag(gram))
    there = size > 0
    size = np.where(there, size, 1)
    root = np.linalg.cholesky(gram / size[:, None] / size + np.diag(np.where(there, _RIDGE, 1)))
    return np.asarray(nnls(root.T, np.linalg.solve(root, target / size))[0] / size * there)
