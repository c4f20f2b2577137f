"""Offsets of whole columns, as push-broom sensors have them, from what columns have in common.

A column's mean spectrum over n lines is signal, which few directions explain, plus the offsets of
its detector elements, which are independent from band to band,

    m_x = mu + E a_x + s_x + noise of variance 1 / n          (in units of the noise)

Differences within a column hold no offset. So the directions E come from the pixels about their
column's mean, whatever the stripes are. Then mu and a_x minimise sum rho(m_x - mu - E a_x) over
bands and columns with a rho that stops growing, so that bands with an offset drop out of their
column's fit: first |r|, which has no local minima, with mu where most columns agree; then Geman and
McClure's t^2 r^2 / (t^2 + r^2), whose t shrinks to some standard errors (graduated non-convexity;
both by iterated weights). It holds until about half of a column's bands are striped, while a
regression of each band on all others has the other bands' stripes in its predictions.

What is left over is offset or chance. It is taken for the sum of the band's level, Gaussian noise
of variance 1 / n and, in a share p of the band's columns, an offset; all are fitted to the band
(expectation maximisation), and the offset's expected value is returned: a large one is taken as it
is, one below its standard error hardly. Offsets are Gaussian, of variance v, or half of that: of
one sign in all bands, as those of detectors that leak are. Then those that nobody can see draw the
level along, and a level that does not allow for it is a bias of the whole band. Which of the three
laws it is tells their likelihood over all bands. Shares are drawn to their mean over the bands. A
band of which no offset stands out has none, unless most other bands have.

Blake and Zisserman, Visual Reconstruction, 1987 (graduated non-convexity); Black and Rangarajan, On
the unification of line processes, outlier rejection, and robust statistics, 1996, table 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

__all__ = ["column_offsets", "common_level", "signal_directions"]

Array = NDArray[np.float64]
_MARGIN = 1.2  # on the largest eigenvalue of noise
_MOST = 4  # bands for each direction at least: with more of them a few bands explain themselves
_CONVEX, _SHRINKING = 30, 30  # rounds with each rho
_LIMIT = 3.0  # t at last, in standard errors
_SURE = 6.0  # standard errors that at least one of a striped band's offsets has
_MOSTLY = 0.5  # share of striped bands from which offsets are sought in all
_LIKELY = 0.5  # probability from which an offset is taken out
_FEW = 3  # columns that agree
_ROUNDS = 100  # of expectation maximisation
_BELIEF = 8.0  # columns that the bands' mean share counts as
_LARGEST = 60.0  # logarithm of odds: certain
_AT_ONCE = 2**22  # numbers in an array, about


def signal_directions(white: NDArray[np.floating[Any]]) -> tuple[Array, Array]:
    """(E (band, k) orthonormal, power (k,)) of pixels (band, N) in units of their noise.

    Eigenvectors of their covariance above what noise alone has, 1 + 2 sqrt(B / N) + B / N
    (Marchenko and Pastur), a quarter of the bands at most.
    """
    bands, count = white.shape
    value, vectors = np.linalg.eigh((white @ white.T).astype(np.float64) / max(1, count))
    value, vectors = value[::-1], vectors[:, ::-1]
    ratio = bands / max(1, count)
    kept = int((value > 1 + _MARGIN * (2 * np.sqrt(ratio) + ratio)).sum())
    kept = max(1, min(kept, bands // _MOST))
    return vectors[:, :kept], np.maximum(value[:kept] - 1, 1e-3)


def common_level(values: NDArray[np.floating[Any]], seen: NDArray[np.bool_]) -> Array:
    """(band,) where most columns agree, the middle of the narrowest third of them.

    Their median would be drawn along by stripes of one sign in half of them, as FINCH has. Of fewer
    than 9 columns it is the median all the same: any two of them may agree by chance.
    """
    ordered = np.sort(np.where(seen, values, np.inf), axis=1)
    number = seen.sum(axis=1)
    found = np.zeros(len(values))
    for b, columns in enumerate(number):
        count, row = columns // 3, ordered[b, :columns]
        if count < _FEW:
            found[b] = np.median(row) if columns else 0.0
        else:
            first = int(np.argmin(row[count - 1 :] - row[: columns - count + 1]))
            found[b] = row[first : first + count].mean()
    return found


def column_offsets(mean: Array, count: Array, basis: Array, power: Array) -> Array:
    """(band, x) s, 0 in bands that have no stripes.

    Args:
        mean: (band, x) of the lines of each column, in units of the noise.
        count: (band, x) lines that the mean is over; where it is 0 nothing is known.
        basis: (band, k) E.
        power: (k,) variance of the pixels' signal along it, which bounds the columns' own.
    """
    left = _left_over(mean, count, basis, power)
    error = 1 / np.sqrt(np.maximum(count, 1))
    return np.where(count > 0, _expected(left, error, count > 0), 0.0)


def _left_over(mean: Array, count: Array, basis: Array, power: Array) -> Array:
    """m - mu - E a."""
    error = 1 / np.sqrt(np.maximum(count, 1))
    seen = count > 0
    middle = common_level(mean, seen)
    left = mean - middle[:, None]
    wide = 0.0
    for round_ in range(_CONVEX + _SHRINKING):
        if round_ < _CONVEX:
            weight = 1 / np.maximum(np.abs(left), error)
        else:
            if round_ == _CONVEX:
                wide = max(_LIMIT, 2 * float(np.median(np.abs(left / error)[seen])))
            done = (round_ - _CONVEX) / (_SHRINKING - 1)
            limit = wide ** (1 - done) * _LIMIT**done * error
            weight = (limit**2 / (limit**2 + left**2)) ** 2 / error**2
        weight = np.where(seen, weight, 0.0)
        signal = _fitted(mean - middle[:, None], weight, basis, power)
        if round_ < _CONVEX:
            middle = common_level(mean - signal, seen)
        else:
            total = np.maximum(weight.sum(axis=1), np.finfo(float).tiny)
            middle = ((mean - signal) * weight).sum(axis=1) / total
        left = mean - signal - middle[:, None]
    return left


def _fitted(wanted: Array, weight: Array, basis: Array, power: Array) -> Array:
    """E a of every column: weighted least squares, with the variance ``power`` of a."""
    bands, directions = basis.shape
    found = np.empty_like(wanted)
    each = max(1, _AT_ONCE // (bands * directions))
    for start in range(0, wanted.shape[1], each):
        part = slice(start, start + each)
        weighted = weight[:, part].T[:, None] * basis.T  # (x, k, band)
        normal = weighted @ basis + np.diag(1 / power)
        right = np.einsum("xkb,bx->xk", weighted, wanted[:, part])
        found[:, part] = basis @ np.linalg.solve(normal, right[..., None])[..., 0].T
    return found


def _expected(left: Array, error: Array, seen: NDArray[np.bool_]) -> Array:
    """Posterior mean of offsets in a mixture with none, band by band."""
    striped = (np.abs(left) > _SURE * error).any(axis=1, where=seen)
    if striped.mean() > _MOSTLY:
        striped = seen.any(axis=1)
    found = np.zeros_like(left)
    values = np.where(seen, left, 0.0)[striped]
    if len(values):
        laws = (_mixture(values, error[striped] ** 2, seen[striped], sign) for sign in (0, 1, -1))
        found[striped] = max(laws, key=lambda law: law[1])[0]
    return found


def _mixture(
    values: Array, noise: Array, seen: NDArray[np.bool_], sign: int
) -> tuple[Array, float]:
    """(offsets (band, x), log likelihood of all) under one law.

    Args:
        values: (band, x).
        noise: (band, x) variance of their chance.
        seen: (band, x) bool.
        sign: of the offsets; 0 for both.
    """
    columns = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    share = np.full((len(values), 1), 0.2)
    square = np.where(seen, values, 0.0) ** 2
    variance = np.maximum(square.max(axis=1, keepdims=True) / 4, noise.max())
    level = np.zeros((len(values), 1))
    precision = np.where(seen, 1 / noise, 0.0)
    total = np.maximum(precision.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    for _ in range(_ROUNDS):
        away = values - level
        gain = variance / (noise + variance)
        offset, moment, tilt = _moments(gain * away, np.sqrt(gain * noise), sign)
        without = np.log1p(-share) - (away**2 / noise + np.log(noise)) / 2
        both = noise + variance
        with_one = np.log(share) + tilt - (away**2 / both + np.log(both)) / 2
        odds = np.clip(with_one - without, -_LARGEST, _LARGEST)
        likely = np.where(seen, 1 / (1 + np.exp(-odds)), 0.0)
        likelihood = float(np.where(seen, np.logaddexp(without, with_one), 0.0).sum())
        # Shares of 0 and 1 would be final.
        usual = np.clip(likely.sum() / columns.sum(), 1e-3, 1 - 1e-3)
        share = (likely.sum(axis=1, keepdims=True) + _BELIEF * usual) / (columns + _BELIEF)
        sure = np.maximum(likely.sum(axis=1, keepdims=True), 1e-9)
        variance = np.maximum((likely * moment).sum(axis=1, keepdims=True) / sure, 1e-12)
        level = (precision * (values - likely * offset)).sum(axis=1, keepdims=True) / total
    return np.where(likely >= _LIKELY, likely * offset, 0.0), likelihood


def _moments(mean: Array, width: Array, sign: int) -> tuple[Array, Array, Array | float]:
    """(first, second moment, logarithm of twice the mass) of Gaussians cut off at 0."""
    if not sign:
        return mean, mean**2 + width**2, 0.0
    far = sign * mean / width
    mass = log_ndtr(far)
    edge = sign * width * np.exp(-(far**2) / 2 - np.log(2 * np.pi) / 2 - mass)
    return mean + edge, mean**2 + width**2 + mean * edge, np.log(2) + mass
