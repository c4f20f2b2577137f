"""The spectral subspace of a scene, in which its coefficients are images in white noise.

In coordinates that whiten the noise, z = S^-1 (y - m), two moments tell of the signal's covariance:

    C - I    the pixels' covariance without that of the noise
    N        the covariance of neighbours (`moments`), which holds no noise at all

The entries of both scatter by chance, those of N with an eighth of the variance, as there are four
pairs to a pixel and the order of two does not matter. Of a mean

    M = a (C - I) + (1 - a) N

chance is least with a = 1/9. But N misses what neighbours do not share, and turns directions away
from it; a = 0.4 was best on a real scene and cost nothing on simulated ones (.1 to .3 dB, against
a = 1/5 with pairs in x and y alone).

An orthonormal basis E of its eigenvectors keeps the noise white: c = E^T z is the coefficients'
signal plus noise of variance 1, in every coefficient image. In noise alone M is a symmetric random
matrix whose entries have the variance v = (a^2 + (1 - a)^2 / 8) / pixels, so that its eigenvalues
end at edge = 2 sqrt(v B). A signal of power p appears there as p + v B / p, at an angle of
cos^2 = 1 - v B / p^2 (Benaych-Georges and Nadakuditi, 2011), if it is above the edge at all; what
lies below is noise, or cannot be told from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciddm.pipelines.hsi.methods.interface import SceneStatistics
from sciddm.pipelines.hsi.methods.moments import NEIGHBOURS

__all__ = ["Components", "find_components"]

Array = NDArray[np.float64]
_OWN = 0.4  # a: share of the pixels' own covariance
_MARGIN = 1.1  # on the edge, which fluctuates
_LEAST = 0.05  # power of a component that is worth its images


@dataclass(frozen=True)
class Components:
    """A basis and what is known of the coefficients.

    Attributes:
        noise: (band,) S.
        mean: (band,) m, in the scene's unit.
        basis: (band, k) E, orthonormal.
        power: (k,) variance of each coefficient's signal in units of the noise, decreasing.
        rest: (band,) variance of the signal outside the subspace, in units of the noise.
    """

    noise: Array
    mean: Array
    basis: Array
    power: Array
    rest: Array


def find_components(statistics: SceneStatistics) -> Components:
    """Basis and powers of a scene; see the module for the method. At least one is kept."""
    noise, moments = statistics.noise, statistics.moments
    scale = noise[:, None] * noise
    signal = moments.covariance / scale - np.eye(len(noise))
    shared = moments.neighbours / scale if moments.pairs else signal
    matrix = _OWN * signal + (1 - _OWN) * shared
    value, vectors = np.linalg.eigh(matrix)
    value, vectors = value[::-1], vectors[:, ::-1]
    chance = _OWN**2 + (1 - _OWN) ** 2 / (2 * len(NEIGHBOURS))
    spread = len(noise) * chance / max(1, moments.count)  # v B
    edge = 2 * np.sqrt(spread)
    kept = max(1, int((value > max(_MARGIN * edge, _LEAST)).sum()))
    value, basis = np.maximum(value[:kept], max(edge, _LEAST)), vectors[:, :kept]
    true = (value + np.sqrt(np.maximum(value**2 - edge**2, 0))) / 2
    power = np.maximum(true - spread / true, 0.5 * _LEAST)
    # Fine texture differs between neighbours. Where the pixels' own variance is surely larger than
    # the noise explains, it counts.
    own = np.einsum("bi,bc,ci->i", basis, signal, basis)
    power = np.where(own > 20 * edge, np.maximum(power, own), power)
    order = np.argsort(-power, kind="stable")
    basis, power = basis[:, order], power[order]
    outside = np.eye(len(noise)) - basis @ basis.T
    left = np.einsum("ab,bc,ca->a", outside, signal, outside)
    error = np.sqrt(2 / max(1, moments.count))  # of a variance
    rest = np.where(left > 4 * error, left, 0.0)
    return Components(noise, moments.mean, np.ascontiguousarray(basis), power, rest)
