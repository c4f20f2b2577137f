"""The spectral subspace of a scene, in which its coefficients are images in white noise.

In coordinates that whiten the noise, z = S^-1 (y - m), two moments tell of the signal's covariance:

    C - I    the pixels' covariance without that of the noise
    N        the covariance of neighbours (`moments`), which holds no noise at all

The entries of both scatter by chance, those of N with an eighth of the variance, as there are four
pairs to a pixel and the order of two does not matter. Of a mean

    M = a (C - I) + (1 - a) N

chance is least with a = 1/9. But N misses what neighbours do not share, and turns directions away
from it. So a is the part of the signal's variance that N misses, the median over the directions
that a = 0.4 finds, between 1/9 and 0.6. On a real scene of fine texture (a = 0.57) this gave .2 to
.5 dB over a = 1/5 with pairs in x and y alone; on a simulated one it gave what smaller ones do.

An orthonormal basis E of its eigenvectors keeps the noise white: c = E^T z is the coefficients'
signal plus noise of variance 1, in every coefficient image. In noise alone M is a symmetric random
matrix whose entries have the variance v = (a^2 + (1 - a)^2 / 8) / pixels, so that its eigenvalues
end at edge = 2 sqrt(v B). A signal of power p appears there as p + v B / p, at an angle of
cos^2 = 1 - v B / p^2 (Benaych-Georges and Nadakuditi, 2011), if it is above the edge at all; what
lies below is noise, or cannot be told from it.

That angle is an error of every band alone, of variance (v + p / pixels) / p^2 with what signal and
noise have in common by chance; in the unit of the data it is as much larger as a band's noise. In a
scene of 48 x 48 pixels it was most of what remained in bands of strong noise. Directions and mean
are spectra, so `smooth_spectra` takes it away: .2 to .3 dB at 10/255, .6 to .8 dB at 50/255 and 1.3
to 2 dB where bands differ, on real and simulated scenes.

Where bands share their noise (`shared_noise`), z = R^-1/2 S^-1 (y - m),
and all of this holds for it: the basis is R^1/2 E, and c = E^T R^-1/2 S^-1 (y - m).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciddm.classical.spectral.interface import SceneStatistics
from sciddm.classical.spectral.moments import NEIGHBOURS
from sciddm.classical.spectral.smooth_spectra import SmoothSpectra
from sciddm.physics.spectral.shared_noise import shared_noise

__all__ = ["Components", "find_components"]

Array = NDArray[np.float64]
_FIRST = 0.4  # a, until it is known what neighbours share
_OWN = (1 / 9, 0.6)  # least and largest a
_MARGIN = 1.1  # on the edge, which fluctuates
_UNSEEN = 1.5  # edges of signal that chance hides, on simulated scenes 0.5 to 2.5
_FLOOR = 0.02  # least eigenvalue of R
_LEAST = 0.05  # power of a component that is worth its images


@dataclass(frozen=True)
class Components:
    """A basis and what is known of the coefficients.

    Attributes:
        noise: (band,) S.
        mean: (band,) m, in the scene's unit.
        centre: (band,) what the data are about: m, or their own mean where offsets of columns or
            lines leave it an error that all pixels of a band share.
        basis: (band, k) E, orthonormal where the noise of bands is independent.
        power: (k,) variance of each coefficient's signal in units of the noise, decreasing.
        rest: (band,) variance of the signal outside the subspace, in units of the noise.
        dual: (band, k) D with D^T E = I, by which c = D^T z has noise of variance 1: E itself where
            the noise of bands is independent.
        unseen: variance per band of signal in directions too weak to tell from chance, in units of
            the noise. It is expected, not measured: directions of 1.5 times the edge in all.
        errors: (k,) variance per band of each direction's own error, in units of the noise.
        mean_error: that of the scene's mean.
        wavelength_nm: (band,), None where the file states none.
    """

    noise: Array
    mean: Array
    centre: Array
    basis: Array
    power: Array
    rest: Array
    dual: Array
    unseen: float
    errors: Array
    mean_error: float
    wavelength_nm: Array | None = None


def find_components(statistics: SceneStatistics, *, correlated: bool = False) -> Components:
    """Basis and powers of a scene; see the module for the method. At least one is kept.

    Args:
        statistics: of the scene.
        correlated: look for noise that bands share, too.
    """
    noise, moments = statistics.noise, statistics.moments
    scale = noise[:, None] * noise
    whole = moments.covariance / scale
    shared = moments.neighbours / scale if moments.pairs else whole - np.eye(len(noise))
    root, inverse = np.eye(len(noise)), np.eye(len(noise))
    if correlated and moments.pairs:
        sharing = shared_noise(
            whole, shared, moments.count, moments.pairs, statistics.wavelength_nm
        )
        if sharing is not None and sharing.shared > 0:
            values, axes = np.linalg.eigh(sharing.correlation)
            values = np.maximum(values, _FLOOR)
            root, inverse = ((axes * values**k) @ axes.T for k in (0.5, -0.5))
            whole, shared = (inverse @ m @ inverse for m in (whole, shared))
    signal = whole - np.eye(len(noise))
    first = _leading(signal, shared, _FIRST, moments.count).basis
    common, entire = (np.einsum("bi,bc,ci->i", first, m, first) for m in (shared, signal))
    missed = 1 - float(np.median(common / np.maximum(entire, np.finfo(float).tiny)))
    share = float(np.clip(missed, *_OWN))
    basis, power, edge = _leading(signal, shared, share, moments.count)
    pixels = max(1, moments.count)
    smooth = SmoothSpectra(noise, statistics.wavelength_nm)
    errors = (_chance(share) + power) / (pixels * power**2)
    basis = _orthonormal(
        np.stack(
            [
                inverse @ (smooth((root @ e) * noise, error) / noise)
                for e, error in zip(basis.T, errors, strict=True)
            ],
            1,
        )
    )
    level = float(moments.mean.mean())
    mean = level + smooth(moments.mean - level, statistics.mean_variance / pixels)
    # The level of a band is then that of the spectrum, not that which its columns left.
    centre = mean if statistics.mean_variance <= 1 else moments.mean
    # Fine texture differs between neighbours. Where the pixels' own variance is surely larger than
    # the noise explains, it counts.
    own = np.einsum("bi,bc,ci->i", basis, signal, basis)
    power = np.where(own > 20 * edge, np.maximum(power, own), power)
    order = np.argsort(-power, kind="stable")
    basis, power, errors = basis[:, order], power[order], errors[order]
    outside = root @ (np.eye(len(noise)) - basis @ basis.T)
    left = np.einsum("ab,bc,ac->a", outside, signal, outside)
    error = np.sqrt(2 / max(1, moments.count))  # of a variance
    rest = np.where(left > 4 * error, left, 0.0)
    basis, dual = (np.ascontiguousarray(m @ basis) for m in (root, inverse))
    return Components(
        noise=noise,
        mean=mean,
        centre=centre,
        basis=basis,
        power=power,
        rest=rest,
        dual=dual,
        unseen=_UNSEEN * edge / len(noise),
        errors=errors,
        mean_error=statistics.mean_variance / pixels,
        wavelength_nm=statistics.wavelength_nm,
    )


def _chance(own: float) -> float:
    """v of one pixel."""
    return own**2 + (1 - own) ** 2 / (2 * len(NEIGHBOURS))


def _orthonormal(directions: Array) -> Array:
    """Gram and Schmidt: each keeps what the stronger ones before it do not have, and its sign."""
    basis, along = np.linalg.qr(directions)
    return np.asarray(basis * np.sign(np.diag(along)))


class _Leading(NamedTuple):
    basis: Array
    power: Array
    edge: float


def _leading(signal: Array, shared: Array, own: float, count: int) -> _Leading:
    """Eigenvectors of M above the edge, with the powers of their signals; a is `own`."""
    value, vectors = np.linalg.eigh(own * signal + (1 - own) * shared)
    value, vectors = value[::-1], vectors[:, ::-1]
    spread = len(signal) * _chance(own) / max(1, count)  # v B
    edge = 2 * float(np.sqrt(spread))
    kept = max(1, int((value > max(_MARGIN * edge, _LEAST)).sum()))
    value = np.maximum(value[:kept], max(edge, _LEAST))
    true = (value + np.sqrt(np.maximum(value**2 - edge**2, 0))) / 2
    power = np.maximum(true - spread / true, 0.5 * _LEAST)
    return _Leading(vectors[:, :kept], power, edge)
