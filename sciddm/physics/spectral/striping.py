"""Offsets of all columns, or of all lines, as uncorrected push-broom and whisk-broom sensors have.

Where every column has an offset no column tells the level of the others, and where it is the same
in all bands no band does. What is left are neighbours: where the scene has no edge between two
columns, their difference is

    d_x = s_{x+1} - s_x + e_x

in all lines. The lines that agree on it best in all bands together give its mean, whose error has,
with the scene's own texture, the variance v. Offsets are Gaussian, of variance t, so that their
expected value solves

    (D^T D / v + I / t) s = D^T d / v,    D the differences of neighbours

and its errors have the mean variance of the diagonal of that inverse: about t / sqrt(1 + 4 t / v),
a small part of t, and t / n more for the level of all n columns. Jumps beyond `_EDGE`
standard deviations are edges of the scene along whole columns, and are left out.

Texture of the scene has jumps of columns too, but as many of lines. So there are offsets only where
a quarter of the jumps is beyond chance, and three times what it is in the other direction. An
object that is longer along the columns than across them has such jumps too, but they go on: its
brightness rises over several columns and falls again. Offsets that are independent from column to
column take back what they gave, so that neighbouring jumps have the correlation

    r = sum d_x d_{x+1} / sum d_x^2 = -1/2

and an object's more than 0. Where fewer columns have offsets, `stripes` finds them.
"""

from __future__ import annotations

import itertools
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

__all__ = ["Jumps", "Offsets", "column_jumps", "every_offset"]

Array = NDArray[np.float64]
_MAD = 1.4826
_ROUNDS = 6  # of concentration
_NEAR = 2.0  # times the middle squared distance: lines that agree
_MOST = 1024  # lines that are looked at
_AT_ONCE = 2**21  # differences
_LOW = 25  # percentile of the jumps' size that chance does not reach
_QUARTILE, _MIDDLE = 0.3186, 0.6745  # that percentile of |N(0, 1)|, and its median
_APART = 0.1  # of the jumps' squares that no spectrum of the scene explains
_MOST_BANDS = 0.8  # striped bands of which scene and offsets can be told apart by their spectra
_CAREFUL = 2.0  # times the scene's variance along its own spectra
_EXCESS = 2.0  # times the noise: what is left of jumps outside of the scene's spectra
_CHANCE = 2.0  # standard errors
_OTHER = 3.0  # times the jumps in the other direction
_EDGE = 4.0
_RETURN = -0.1  # correlation of neighbouring jumps: of offsets and a scene together
_LEAST = 8  # columns


class Jumps(NamedTuple):
    """What neighbours differ by.

    Attributes:
        middle: (band, n - 1) mean of the differences of the lines that agree.
        error: (band, n - 1) standard error of it, NaN where nothing is known.
    """

    middle: Array
    error: Array


class Offsets(NamedTuple):
    """Offsets of all columns, or lines.

    Attributes:
        values: (band, n), 0 in bands that have none.
        std: (band,) standard deviation of their errors.
    """

    values: Array
    std: Array


def column_jumps(values: NDArray[np.floating[Any]], known: NDArray[np.bool_]) -> Jumps:
    """Jumps between neighbouring columns.

    Args:
        values: (band, line, x); for jumps between lines (band, x, line).
        known: (band, line, x) bool.
    """
    step = -(-values.shape[1] // _MOST)  # so many lines say enough
    values, known = values[:, ::step], known[:, ::step]
    bands, lines, columns = values.shape
    middle = np.full((bands, max(0, columns - 1)), np.nan)
    error = np.full(middle.shape, np.nan)
    each = max(1, _AT_ONCE // max(1, bands * lines))
    for start in range(0, columns - 1, each):
        part = slice(start, min(start + each, columns - 1))
        right = slice(part.start + 1, part.stop + 1)
        both = known[..., part] & known[..., right]
        with np.errstate(over="ignore", invalid="ignore"):  # beyond single precision
            difference = values[..., right].astype(np.float32) - values[..., part]
        middle[:, part], error[:, part] = _agreed(np.where(both, difference, 0), both)
    return Jumps(middle, error)


def _agreed(difference: NDArray[np.float32], seen: NDArray[np.bool_]) -> tuple[Array, Array]:
    """(mean, its standard error), (band, jump), over the lines that agree in all bands.

    The half of the lines that are nearest to their middle, again and again (concentration;
    Rousseeuw and Van Driessen, 1999), and at last those within a few widths of it.
    """
    count = seen.sum(axis=1)
    masked = np.where(seen, difference, np.float32(np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # bands of which nothing is known
        middle = np.nan_to_num(np.nanmedian(masked, axis=1))
        width = _MAD * np.nanmedian(np.abs(masked - middle[:, None]), axis=(1, 2))
    width = np.where(width > 0, width, np.inf)[:, None, None]
    for round_ in range(_ROUNDS):
        # What is infinitely far away agrees with nothing.
        with np.errstate(over="ignore", invalid="ignore"):
            away = np.where(seen, (difference - middle[:, None]) / width, 0)
            distance = (away**2).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)  # (line, jump)
        distance = np.where(seen.any(axis=0), distance, np.inf)
        near = np.median(distance, axis=0)
        kept = distance <= (near if round_ < _ROUNDS - 1 else _NEAR * near)
        used = seen & kept
        number = np.maximum(used.sum(axis=1), 1)
        middle = np.where(used, difference, 0).sum(axis=1, dtype=np.float64) / number
    left = np.where(used, difference - middle[:, None], 0)
    variance = (left**2).sum(axis=1, dtype=np.float64) / np.maximum(number - 1, 1) / number
    enough = (count >= _LEAST) & (used.sum(axis=1) >= _LEAST // 2)
    return np.where(enough, middle, np.nan), np.where(enough, np.sqrt(variance), np.nan)


def every_offset(jumps: Jumps, other: Jumps, directions: Array | None = None) -> Offsets:
    """Offsets of bands in which (nearly) every column has one.

    Args:
        jumps: between the columns.
        other: between the lines, which hold none.
        directions: (band, k) spectra of the scene about the means of its columns; None for none.
    """
    bands, count = jumps.middle.shape
    offsets = Offsets(np.zeros((bands, count + 1)), np.zeros(bands))
    if count + 1 < _LEAST or not bands:
        return offsets
    seen = np.isfinite(jumps.middle)
    error = np.array(
        [np.median(e[k]) if k.any() else 0.0 for e, k in zip(jumps.error, seen, strict=True)]
    )
    solved = [
        _axis(j, o, e, most=1.0) for j, o, e in zip(jumps.middle, other.middle, error, strict=True)
    ]
    striped = np.array([s is not None for s in solved])
    # Of one band few columns tell the correlation within .1; all of them together do.
    if not striped.any() or _correlation(jumps.middle[striped]).mean() > _RETURN:
        return offsets
    striped &= _correlation(jumps.middle) < 0
    solved = [s if k else None for s, k in zip(solved, striped, strict=True)]
    if directions is None or striped.mean() < _MOST_BANDS or not (error[striped] > 0).all():
        for b, one in enumerate(solved):
            if one is not None:
                offsets.values[b], offsets.std[b] = one
        return offsets
    # What the scene's own spectra may explain is one thing, the rest of each band another: an edge
    # of the scene along a whole column is in the first alone.
    unit = error[striped][:, None]
    basis = np.linalg.qr(directions[striped] / unit)[0]
    white, across = jumps.middle[striped] / unit, other.middle[striped] / unit
    whole = np.isfinite(white).all(axis=0)
    along = np.full((basis.shape[1], count), np.nan)
    along[:, whole] = basis.T @ white[:, whole]
    rest = np.where(whole, white - basis @ np.nan_to_num(along), white)
    if (rest[:, whole] ** 2).sum() < _APART * (white[:, whole] ** 2).sum():
        # They are alike in all bands, and as likely of the scene's own spectra as not.
        alike = _same(white, across, basis, 1 / unit[:, 0])
        if alike is not None:
            offsets.values[striped], offsets.std[striped] = alike
            return offsets
        for b, one in enumerate(solved):
            if one is not None:
                offsets.values[b], offsets.std[b] = one
        return offsets
    elsewhere = basis.T @ np.nan_to_num(across)
    common = np.zeros((basis.shape[1], count + 1))
    left = np.zeros(basis.shape[1])
    for k in range(basis.shape[1]):
        found = _axis(along[k], elsewhere[k], 1.0)
        if found is not None:
            common[k], left[k] = found
        else:  # as large as chance and the scene leave it
            left[k] = float(np.median(np.abs(along[k][whole]))) / _MIDDLE if whole.any() else 0.0
    for i, b in enumerate(map(int, np.flatnonzero(striped))):
        own = _axis(rest[i], None, 1.0, most=0.0)
        values, std = (np.zeros(count + 1), 0.0) if own is None else own
        offsets.values[b] = (values + basis[i] @ common) * error[b]
        offsets.std[b] = np.hypot(std, np.sqrt((basis[i] ** 2) @ left**2)) * error[b]
    return offsets


def _same(white: Array, across: Array, basis: Array, flat: Array) -> tuple[Array, float] | None:
    """(offsets (n,), their standard deviation) that are the same in all bands.

    No mixture of the scene's own spectra is exactly as flat as such an offset: what is left of it
    outside of their span is free of the scene, edges along whole columns too. Along each of them
    the scene's jumps have the variance that they have in the other direction (twice as much, to be
    careful), so the offset is a generalised least squares estimate. None where what the jumps have
    outside of the span is not that of one flat spectrum.

    Args:
        white: (band, jump) in units of their errors.
        across: (band, jump) of the other direction.
        basis: (band, k) the scene's own spectra, likewise, orthonormal.
        flat: (band,) an offset of 1, likewise.
    """
    outside = flat - basis @ (basis.T @ flat)
    size = float((outside**2).sum())
    whole, other = (np.isfinite(v).all(axis=0) for v in (white, across))
    if not size > 0 or min(whole.sum(), other.sum()) < _LEAST - 1:
        return None
    profile = outside @ white[:, whole] / size
    rest = white[:, whole] - basis @ (basis.T @ white[:, whole])
    rest -= outside[:, None] * profile
    freedom = rest.shape[1] * max(1, len(flat) - basis.shape[1] - 1)
    noise = float((rest**2).sum()) / freedom
    signal = size * float((profile**2).sum())
    if noise > _EXCESS and (rest**2).sum() > _APART * signal:
        return None
    scene = _CAREFUL * ((basis.T @ across[:, other]) ** 2).mean(axis=1)
    weight = outside + basis @ ((basis.T @ flat) / (1 + scene))
    total = float(weight @ flat)
    series = [np.full(v.shape[1], np.nan) for v in (white, across)]
    for one, jumps, seen in zip(series, (white, across), (whole, other), strict=True):
        one[seen] = weight @ jumps[:, seen] / total
    return _axis(series[0], series[1], float(np.sqrt(max(noise, 1.0) / total)))


def _correlation(jump: Array) -> Array:
    """r of each row, (row,): of neighbouring jumps, edges cut down to what offsets can be."""
    size = np.abs(jump)
    most = _EDGE * np.nanpercentile(size, _LOW, axis=-1, keepdims=True) / _QUARTILE
    cut = np.clip(jump, -most, most)
    both = np.isfinite(cut[..., 1:] + cut[..., :-1])
    product = np.where(both, cut[..., 1:] * cut[..., :-1], 0).sum(axis=-1)
    square = np.where(both, (cut[..., 1:] ** 2 + cut[..., :-1] ** 2) / 2, 0).sum(axis=-1)
    return np.asarray(np.where(square > 0, product / np.where(square > 0, square, 1), 0.0))


def _axis(
    jump: Array, other: Array | None, chance: float, most: float = _RETURN
) -> tuple[Array, float] | None:
    """(offsets, standard deviation of their errors) of one band; None where there are none.

    Args:
        jump: between the columns.
        other: between the lines; None where these say nothing.
        chance: standard error of a jump.
        most: the largest correlation of neighbouring jumps that offsets have.
    """
    seen = np.isfinite(jump)
    if seen.sum() < _LEAST - 1:
        return None
    size = np.abs(jump[seen])
    low = float(np.percentile(size, _LOW))
    if not low > _CHANCE * max(chance, 1e-12 * float(size.max())):
        return None
    if float(_correlation(jump)) > most:
        return None
    across = np.zeros(0) if other is None else np.abs(other[np.isfinite(other)])
    if len(across) >= _LEAST - 1 and low <= _OTHER * float(np.percentile(across, _LOW)):
        return None
    variance = max(chance**2, 1e-12 * low**2)
    power = max((low / _QUARTILE) ** 2 - variance, variance) / 2
    edge = _EDGE * np.sqrt(2 * power + variance)
    usable = seen & (np.abs(jump) < edge)
    # The scene's own jumps that are not that large are as they are in the other direction.
    own = across[across < edge]
    variance += float((own**2).mean()) if len(own) else 0.0
    values, std = _solved(jump, usable, variance, power)
    return values, std


def _solved(jump: Array, usable: NDArray[np.bool_], variance: float, power: float) -> Any:
    """(s (n,), standard deviation of its errors)."""
    weight = usable / variance
    right = np.zeros(len(jump) + 1)
    pulled = np.where(usable, jump, 0.0) / variance
    right[1:] += pulled
    right[:-1] -= pulled
    banded = np.zeros((2, len(right)))
    banded[1] = 1 / power
    banded[1, 1:] += weight
    banded[1, :-1] += weight
    banded[0, 1:] = -weight
    values = solveh_banded(banded, right)
    # Columns between jumps that were left out are a chain of their own, with a level of its own:
    # D^T D has the eigenvalues 2 - 2 cos(pi k / n) there.
    ends = np.flatnonzero(~usable) + 1
    total = 0.0
    for first, last in itertools.pairwise([0, *ends, len(right)]):
        count = int(last - first)
        stiff = (2 - 2 * np.cos(np.pi * np.arange(count) / count)) / variance
        total += float((1 / (stiff + 1 / power)).sum())
    return values, float(np.sqrt(total / len(right)))
