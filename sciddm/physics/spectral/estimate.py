"""Noise of a cube from the cube alone.

A band of a scene is nearly a linear combination of the other bands, its noise is not: what the
regression of a band on all others leaves over is noise (HySime; Bioucas-Dias and Nascimento, 2008,
algorithm 1). With the centred pixels as rows of Z (N, B) and Q = (Z^T Z)^-1 the residuals of all
regressions are

    E = Z Q diag(Q)^-1,   E e_i = z_i - Z_-i beta_i,   beta_ij = -Q_ij / Q_ii

and v_i = |E e_i|^2 / (N - B) has the mean s_i^2 + sum_j beta_ij^2 s_j^2, if the signal is predicted
well: the other bands' noise comes along. The nonnegative solution of these B equations is returned.
The square of an estimated beta_ij is too large by its variance v_i (Q_jj - Q_ij^2 / Q_ii), which is
subtracted: with few pixels for the bands it is as large as beta_ij^2 itself.

Where two spectrometers overlap, bands are resampled from their neighbours and share their noise: a
band may be the mean of the two beside it, and the regression leaves nothing over. So each band is
also predicted without its two neighbours on either side, whose residual sum of squares is

    r_i = [(Q_SS)^-1]_ii,   S = {i - 2, ..., i + 2}

Where that is more than 4 times as much as with them, it is taken. Noise that more bands share is
told from signal by neighbouring pixels (`shared_noise`), which share signal only.

Entries that do not fit are found on the way, by alternating the regression with

    stripes      a column's median residual, compared to that of most columns, beyond 5 of its
                 standard errors: an offset, taken out. Where they are many, all are found anew by
                 what columns have in common (`stripes`): they spoil the regression that should
                 find them
    dead pixels  a residual beyond 6 robust standard deviations: replaced by its prediction
    dead lines   a column with one value in all lines, where the lines are 3 or more: dead pixels
    stuck        entries at a value that far too many of the band share (`stuck`), if other values
                 lie on both sides of it, or if they are further from what the other bands predict
                 than other entries: dead pixels

Entries that are replaced by predictions have no noise. So that their bands do not seem quieter than
they are, Z^T Z gets what the predictions lack, the variance 1 / (N Q_ii) for each (expectation
maximisation, but for correlations), and so do the residuals of the bands that they predict.

Entries that are replaced depend on each other: of a pixel they solve Q_mm x_m = -Q_mo x_o. This is
done by steps x <- x + w (prediction - x) (Jacobi), which converge for any set m if w is below 2
over the largest eigenvalue of Q scaled to a unit diagonal, as those of its submatrices are no
larger. A few quiet bands among noisy ones make that eigenvalue large.

Offsets of all columns, or of all lines, are found before (`striping`). An offset of all pixels of a
band, or a stripe in a few columns that are the same in all bands, looks like signal and is not
found.

What was learned from some lines of a scene (`fit_noise`) finds the dead pixels of any other part of
it (`NoiseModel.inspect`), pixel by pixel: a scene need not fit into memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, nnls

from sciddm.errors import InputError
from sciddm.physics.spectral.defects import defect_rate, has_company
from sciddm.physics.spectral.flags import Flag
from sciddm.physics.spectral.median import median
from sciddm.physics.spectral.shared_noise import neighbour_moments, shared_noise
from sciddm.physics.spectral.stripes import column_offsets, common_level, signal_directions
from sciddm.physics.spectral.striping import Jumps, Offsets, column_jumps, every_offset
from sciddm.physics.spectral.stuck import at_values, frequent_values

__all__ = [
    "NoiseEstimate",
    "NoiseModel",
    "complete_stripes",
    "dense_offsets",
    "estimate_noise",
    "fit_noise",
    "told_apart",
    "with_shared_noise",
]

_ROUNDS = 16
_DEAD, _STRIPE = 6.0, 5.0
_WORST = 0.5  # of a pixel's worst misfit: entries beyond it are judged in the same round
_SETTLING = 6  # rounds in which lost entries find their values before others are judged by them
_ACQUITTALS = 3  # times that entries with company go back among the data
_MEDIAN_ERROR = 1.2533  # standard error of a median in units of that of a mean
_MAD = 1.4826
_RIDGE = 1e-10  # of the correlation matrix: bands that are copies of each other
_SETTLED = 1e-5  # share of entries judged otherwise than the round before
_INSPECTED = 2**21  # entries that are looked at at a time
_NEIGHBOURS = 2  # on either side of a band, which may share its noise
_SHARED = 4.0  # times the variance: they do
_FREE = 0.2  # share of a band's good entries that are more than the regression needs, at least
_BEYOND = 0.02  # share of a band's other values
_ROUNDED = 1e-6  # of a band's own spread: single precision
_FAR = 1e3  # in units of the residuals
_STILL = 0.05  # change of replaced entries, in units of the residuals
_STRIPED = 0.005  # share of columns, in all bands together, that is many
_AGAIN = 2  # times that stripes are sought in what the noise was without them
_OWN, _FITTED_ENTRIES = 10, 2**22  # directions of a scene, and entries that they are found from
_MOST_STEPS = 30  # of the nonnegative solution, a band
_FEW_LOST = 0.1  # of a pixel's bands, so that it tells what neighbours share
_PIECE = 8192  # pixels whose products are summed in double precision at a time


@dataclass(frozen=True)
class NoiseEstimate:
    """What is wrong with a cube.

    Attributes:
        sigma: (band,) standard deviation of the Gaussian noise, in the cube's unit; NaN for empty
            bands.
        flags: (band, y, x) uint8, see `flags.Flag`: dead pixels and lines, impulses, entries that
            are not known, and those that no other band predicts but that may be signal.
        stripes: (band, x) offsets of whole columns, to be subtracted; 0 where there is none.
        empty: (band,) bool, bands with one value (or none) everywhere.
        lines: (band, y) offsets of whole lines, to be subtracted; None for none.
    """

    sigma: NDArray[np.float64]
    flags: NDArray[np.uint8]
    stripes: NDArray[np.float64]
    empty: NDArray[np.bool_]
    lines: NDArray[np.float64] | None = None

    @property
    def dead(self) -> NDArray[np.bool_]:
        """(band, y, x) entries that tell nothing of the scene, in bands that are not empty."""
        return np.asarray((self.flags & (Flag.DEAD | Flag.STUCK | Flag.GAP)) != 0)


@dataclass(frozen=True)
class NoiseModel:
    """What the noise of a scene is like, as far as all parts of it share it.

    Bands are those of the cube it was fitted to, none of them empty.

    Attributes:
        sigma: (band,) standard deviation of the Gaussian noise, in the cube's unit.
        stripes: (band, x) offsets of whole columns; 0 where there is none.
        constant: (band, x) bool, dead columns.
        centre, scale: (band,) of each band; what follows is in units of scale, about centre.
        mean: (band,) where the regression passes through.
        beta: (band, band) weights of the other bands in the prediction of each.
        spread: (band,) robust standard deviation of the residuals.
        damping: w above.
        stuck: (band, n) values that mean a dead pixel, in the cube's unit; NaN for none.
        lines: (band, y) offsets of whole lines of the scene; 0 where there is none.
        offset_std: (band,) standard deviation of what is left of offsets of all columns or lines.
        rate: (band,) share of entries that disagree with the other bands without company.
        defective: (band,) bool, bands in which these are too many to be signal.
        shared: share of the noise's variance that bands have in common with others.
        correlation: (band, band) of the noise of bands; None where they share none.
        doubt: how many times larger the noise of the median band might be, since bands may share
            it.
    """

    sigma: NDArray[np.float64]
    stripes: NDArray[np.float64]
    constant: NDArray[np.bool_]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    mean: NDArray[np.float64]
    beta: NDArray[np.float64]
    spread: NDArray[np.float64]
    damping: float
    stuck: NDArray[np.float32]
    lines: NDArray[np.float64]
    offset_std: NDArray[np.float64]
    rate: NDArray[np.float64]
    defective: NDArray[np.bool_]
    shared: float = 0.0
    correlation: NDArray[np.float64] | None = None
    doubt: float = 1.0

    def mean_variance(self, pixels: int) -> float:
        """Variance of a band's mean over so many pixels, in units of sigma^2 / pixels.

        Columns without a stripe tell the level of a band as their median does. Where all of them
        have an offset, that is off by the mean of the offsets.
        """
        bands = len(self.sigma)
        noise = np.maximum(self.sigma, np.finfo(np.float64).tiny) ** 2 / max(pixels, 1)
        level = np.zeros(bands)
        for offsets in (self.stripes, self.lines):
            count = offsets.shape[1]
            there = offsets != 0
            square = np.where(there, offsets**2, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
            every = (self.offset_std > 0) & there.any(axis=1)
            free = np.maximum((~there).mean(axis=1), 1 / count)
            some = np.where(there.any(axis=1), noise * (_MEDIAN_ERROR**2 / free - 1), 0.0)
            level += np.where(every, square / count, some)
        return 1.0 + float(np.mean(level / noise))

    def inspect(
        self,
        values: NDArray[np.floating[Any]],
        known: NDArray[np.bool_],
        columns: slice = slice(None),
        lines: slice = slice(None),
    ) -> NDArray[np.uint8]:
        """Flags of a part of the scene: DEAD, STUCK, OUTLIER and GAP (what is not known).

        The flag of an entry depends on the `REACH` lines and columns about it.

        Args:
            values: (band, y, x); what is not known may be anything.
            known: (band, y, x) bool.
            columns, lines: of the scene, where the part lies.

        Returns:
            (band, y, x), see `flags.Flag`.
        """
        constant = np.broadcast_to(self.constant[:, None, columns], values.shape)
        stuck = (constant | at_values(values, self.stuck)) & known
        apart = np.empty(values.shape, bool)
        offsets = self._along(lines, values.shape[1])
        each = max(1, _INSPECTED // (values.shape[0] * values.shape[2]))
        for start in range(0, values.shape[1], each):  # a dozen copies of a part, not of all
            part = slice(start, start + each)
            lost = ~known[:, part] | stuck[:, part]
            solved = self._solved(values[:, part], lost, columns, offsets[:, part], judge=True)
            apart[:, part] = solved[0] & ~lost
        alone = apart & ~has_company(apart, self.rate)
        defect = self.defective[:, None, None]
        flags = np.where(alone & defect, np.uint8(Flag.DEAD), np.uint8(0))
        flags |= np.where(alone & ~defect, np.uint8(Flag.OUTLIER), np.uint8(0))
        flags |= np.where(stuck, np.uint8(Flag.STUCK), np.uint8(0))
        flags |= np.where(known, np.uint8(0), np.uint8(Flag.GAP))
        return np.asarray(flags, np.uint8)

    def complete(
        self,
        values: NDArray[np.floating[Any]],
        lost: NDArray[np.bool_],
        columns: slice = slice(None),
        lines: slice | NDArray[np.intp] = slice(None),
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A part of the scene whose lost entries are what the others predict, pixel by pixel.

        Args:
            values: (band, y, x); what is lost may be anything.
            lost: (band, y, x) bool.
            columns, lines: of the scene, where the part lies.

        Returns:
            The values without their stripes, the lost ones replaced; the residuals of all entries,
            without the stripes too. In the cube's unit.
        """
        filled, residual = (np.empty(values.shape, np.float32) for _ in range(2))
        offsets = self._along(lines, values.shape[1])
        each = max(1, _INSPECTED // (values.shape[0] * values.shape[2]))
        for start in range(0, values.shape[1], each):
            part = slice(start, start + each)
            lost_, along = lost[:, part], offsets[:, part]
            solved = self._solved(values[:, part], lost_, columns, along, judge=False)
            filled[:, part], residual[:, part] = solved[1:]
        return filled, residual

    def _along(self, lines: slice | NDArray[np.intp], count: int) -> NDArray[np.float64]:
        """(band, count) offsets of lines."""
        if not self.lines.any():
            return np.zeros((len(self.sigma), count))
        return self.lines[:, lines]

    def _solved(
        self,
        values: NDArray[np.floating[Any]],
        lost: NDArray[np.bool_],
        columns: slice,
        along: NDArray[np.float64],
        *,
        judge: bool,
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
        """(bad, filled, residual); with `judge` entries that do not fit become bad too.

        Those that fit worst go first: what they spoil in the others' predictions is no reason.
        """
        shape = values.shape
        offsets = self.stripes[:, None, columns] + along[:, :, None]
        scale = self.scale[:, None]
        away = (self.centre[:, None, None] + offsets).astype(np.float32)
        lost = lost.reshape(shape[0], -1)
        stored = np.where(lost, np.float32(0), values.reshape(shape[0], -1).astype(np.float32))
        raw = (stored.reshape(shape) - away) / scale.astype(np.float32)[..., None]
        raw = np.where(lost, np.float32(0), raw.reshape(shape[0], -1))
        weights, mean = self.beta.astype(np.float32), self.mean.astype(np.float32)[:, None]
        limit = (_DEAD * np.maximum(self.spread, _ROUNDED)).astype(np.float32)[:, None]
        bad = lost.copy()
        filled = raw.copy()
        predicted = np.empty_like(raw)
        # Where a round changes nothing another would not either: the last ones look at few pixels.
        open_ = np.arange(raw.shape[1])
        settling = _SETTLING if judge and lost.any() else 0
        for round_ in range(settling + _ROUNDS):
            part = filled[:, open_]
            guess = mean + weights @ (part - mean)
            predicted[:, open_] = guess
            was = bad[:, open_]
            now = was
            if judge and round_ >= settling:
                off = np.abs(raw[:, open_] - guess) / limit
                worst = np.where(was, 0, off).max(axis=0)
                now = lost[:, open_] | ((off > 1) & (was | (off > _WORST * worst)))
            better = np.where(now, _moved(part, guess, was, self.damping), raw[:, open_])
            moved = (now != was).any(axis=0) | (np.abs(better - part) > 0.02 * limit).any(axis=0)
            bad[:, open_], filled[:, open_] = now, better
            if round_ < settling:
                continue
            open_ = open_[moved]
            if not len(open_):
                break
        unit = scale.astype(np.float32)
        whole = filled * unit + self.centre.astype(np.float32)[:, None]
        residual = ((raw - predicted) * unit).reshape(shape)
        return bad.reshape(shape), whole.reshape(shape), residual


def dense_offsets(
    cube: NDArray[np.floating[Any]], known: NDArray[np.bool_]
) -> tuple[Offsets, Offsets]:
    """Offsets of all columns and of all lines of a cube in memory; see `striping`."""
    lines = column_jumps(cube.transpose(0, 2, 1), known.transpose(0, 2, 1))
    return told_apart(cube, known, lines)


def told_apart(
    cube: NDArray[np.floating[Any]], known: NDArray[np.bool_], lines: Jumps
) -> tuple[Offsets, Offsets]:
    """Offsets of all columns and of all lines, from some lines of a scene.

    Args:
        cube: (band, line, x).
        known: (band, line, x) bool.
        lines: jumps between all lines of the scene.
    """
    columns = column_jumps(cube, known)
    return (
        every_offset(columns, lines, _own_directions(cube, known, columns, 1)),
        every_offset(lines, columns, _own_directions(cube, known, lines, 2)),
    )


def _own_directions(
    cube: NDArray[np.floating[Any]], known: NDArray[np.bool_], jumps: Jumps, axis: int
) -> NDArray[np.float64] | None:
    """(band, k) spectra of the scene's pixels about the mean of their column (1) or line (2)."""
    whole = known.all(axis=0)
    seen = np.isfinite(jumps.error)
    if not len(cube) or not seen.any(axis=1).all() or whole.sum() < 2 * len(cube):
        return None
    # A difference has twice the variance of a value.
    number = np.maximum(known.sum(axis=axis).mean(axis=1), 1)
    unit = np.array([np.median(e[s]) for e, s in zip(jumps.error, seen, strict=True)])
    unit = unit * np.sqrt(number / 2)
    if not (unit > 0).all():
        return None
    values = np.where(whole, cube, 0).astype(np.float32)
    mean = values.sum(axis=axis, keepdims=True) / np.maximum(whole.sum(axis - 1, keepdims=True), 1)
    step = max(1, values.size // _FITTED_ENTRIES)
    white = ((values - mean) / unit[:, None, None])[:, whole][:, ::step]
    out: NDArray[np.float64] | None = signal_directions(white)[0][:, :_OWN] * unit[:, None]
    return out


def estimate_noise(
    cube: NDArray[np.floating[Any]], invalid: NDArray[np.bool_] | None = None
) -> NoiseEstimate:
    """Standard deviation per band, dead pixels and stripes; see the module for the method.

    Args:
        cube: (band, y, x), of any unit.
        invalid: (band, y, x), entries known to be useless, such as nodata; those that are not
            finite are added.

    Raises:
        InputError: fewer than 2 bands hold something, or there are too few pixels for the bands.
    """
    known = np.isfinite(cube) if invalid is None else np.isfinite(cube) & ~invalid
    empty = np.array(
        [np.ptp(c[k]) == 0 if k.any() else True for c, k in zip(cube, known, strict=True)]
    )
    used = np.flatnonzero(~empty)
    columns, lines = dense_offsets(cube[used], known[used])
    both = lines.values[:, :, None] + columns.values[:, None]
    model = fit_noise(cube[used], known[used], offsets=both if both.any() else None)
    model = replace(model, stripes=model.stripes + columns.values, lines=lines.values)
    model = with_shared_noise(model, cube[used], known[used])
    sigma = np.full(len(cube), np.nan)
    sigma[used] = model.sigma
    flags = np.full(cube.shape, np.uint8(Flag.OUTSIDE))
    flags[used] = model.inspect(cube[used], known[used])
    stripes = np.zeros((len(cube), cube.shape[2]))
    stripes[used] = model.stripes
    along = np.zeros(cube.shape[:2])
    along[used] = model.lines
    return NoiseEstimate(sigma, flags, stripes, empty, along)


def fit_noise(
    cube: NDArray[np.floating[Any]],
    known: NDArray[np.bool_],
    constant: NDArray[np.bool_] | None = None,
    offsets: NDArray[np.floating[Any]] | None = None,
) -> NoiseModel:
    """What is to be learned about a scene's noise from some or all of its lines.

    Args:
        cube: (band, line, x), bands that hold something, of any unit.
        known: (band, line, x) bool.
        constant: (band, x) bool, columns with one value in all lines of the scene; those of these
            lines if None.
        offsets: (band, line, x) of columns and lines that are known; none if None. They are no part
            of the model's stripes.

    Raises:
        InputError: fewer than 2 bands, or too few pixels for them.
    """
    bands, lines, samples = cube.shape
    count = lines * samples
    if bands < 2:
        raise InputError("noise is estimated from 2 bands or more that hold something: give more")
    if count < 2 * bands:
        raise InputError(
            f"{count} pixels are too few to tell noise from signal in {bands} bands: give a "
            f"part with at least {2 * bands}, or state the noise"
        )
    if constant is None:
        constant = _constant_columns(cube, known)
    lost = ~known | constant[:, None]
    frequent = frequent_values(cube, ~lost)
    # What repeats is what was stored; all else is about the scene.
    level = cube if offsets is None else cube - offsets.astype(np.float32)
    if np.isfinite(frequent).any():
        frequent = _outlying(cube, level, lost, frequent)
        lost = lost | at_values(cube, frequent)
    return _fitted(level, lost, constant, frequent)


def with_shared_noise(
    model: NoiseModel,
    cube: NDArray[np.floating[Any]],
    known: NDArray[np.bool_],
    columns: slice = slice(None),
    lines: slice | NDArray[np.intp] = slice(None),
) -> NoiseModel:
    """A model whose sigma holds the noise that many bands share, too.

    Args:
        model: with all offsets of columns and lines.
        cube: (band, line, x), columns next to each other.
        known: (band, line, x) bool.
        columns, lines: of the scene, where these lie.
    """
    lost = ~known | model.constant[:, None, columns] | at_values(cube, model.stuck)
    good = lost.mean(axis=0) < _FEW_LOST
    if not good.any():
        return model
    filled, _ = model.complete(cube, lost, columns, lines)
    whole, shared, pairs = neighbour_moments(filled / model.scale[:, None, None], good)
    sharing = shared_noise(whole, shared, pairs, pairs) if pairs else None
    if sharing is None:
        return model
    sigma = model.sigma if sharing.sigma is None else sharing.sigma * model.scale
    most = sharing.most * model.scale / np.maximum(sigma, np.finfo(np.float64).tiny)
    return replace(
        model,
        sigma=sigma,
        shared=sharing.shared,
        correlation=sharing.correlation if sharing.shared > 0 else None,
        doubt=max(1.0, float(np.median(most))),
    )


def _fitted(
    cube: NDArray[np.floating[Any]],
    lost: NDArray[np.bool_],
    constant: NDArray[np.bool_],
    stuck: NDArray[np.float32],
) -> NoiseModel:
    """The model, from the entries that are not lost."""
    bands, lines, samples = cube.shape
    count = lines * samples
    centre = np.array(
        [np.median(c[~m]) if (~m).any() else 0.0 for c, m in zip(cube, lost, strict=True)]
    ).astype(np.float64)
    kind = np.result_type(cube.dtype, np.float32)
    raw = np.where(lost, 0, cube - centre[:, None, None].astype(kind))
    scale = _size(raw, lost)
    raw = (raw / scale[:, None, None].astype(kind)).astype(np.float32)
    offsets, bad, filled, _, spread, lacking = _unstriped(raw, lost)
    mean, beta, precision = _regression(filled.reshape(bands, -1), lacking)
    residual = filled - _predicted(filled, mean, beta)
    good = np.maximum((~bad).sum(axis=(1, 2)), 1)
    # What was replaced fits by itself: a band's regression is one on its good entries, and knows
    # the other bands at some of them.
    freedom = np.maximum(1 - bands / (good * good.mean() / count), _FREE)
    # Signal that the regression does not explain is no noise.
    most = _DEAD * _at_least(spread)[:, None, None]
    kept = np.clip(np.where(bad, 0, residual), -most, most)
    square = (kept.astype(np.float64) ** 2).sum(axis=(1, 2)) + beta**2 @ lacking
    variance = square / good / freedom
    if not _many(offsets):
        # The mean of what is left of a stripe is more precise than the median that found it.
        seen = np.maximum((~bad).sum(axis=1), 1)
        offsets = np.where(offsets != 0, offsets + kept.sum(axis=1) / seen, 0)
    diagonal = np.diag(precision)
    squared = beta**2 - variance[:, None] * (diagonal - precision**2 / diagonal[:, None])
    np.fill_diagonal(squared, 1.0)
    own = _nonnegative(squared, variance)
    alone = _without_neighbours(precision) / count / freedom
    own = np.where(alone > _SHARED * variance, alone, own)
    single = (bad & ~lost).sum(axis=(1, 2))
    entries = (~lost).sum(axis=(1, 2))
    return NoiseModel(
        sigma=np.sqrt(own) * scale,
        stripes=offsets.astype(np.float64) * scale[:, None],
        constant=constant,
        centre=centre,
        scale=scale,
        mean=mean,
        beta=beta,
        spread=spread,
        damping=_damping(precision),
        stuck=stuck,
        lines=np.zeros((bands, lines)),
        offset_std=np.zeros(bands),
        rate=single / np.maximum(entries, 1),
        defective=defect_rate(single, entries),
    )


def _outlying(
    cube: NDArray[np.floating[Any]],
    level: NDArray[np.floating[Any]],
    lost: NDArray[np.bool_],
    frequent: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Those of the frequent values that lie among a band's other values, or whose entries do not
    fit what the other bands predict.

    Saturated entries, or those below 0 that were set to it, are frequent too, but fit.
    """
    found = frequent.copy()
    never = np.zeros((len(cube), cube.shape[2]), bool)
    without = _fitted(level, lost | at_values(cube, frequent), never, frequent)
    filled, _ = without.complete(level, lost | at_values(cube, frequent))
    mean = (without.centre + without.mean * without.scale).astype(np.float32)
    scale = without.scale.astype(np.float32)
    for b in np.flatnonzero(np.isfinite(frequent).any(axis=1)):
        others = without.beta[b].astype(np.float32) * scale[b] / scale
        guess = mean[b] + np.tensordot(others, filled - mean[:, None, None], 1)
        square = (level[b] - without.stripes[b] - guess) ** 2
        usual = square[~lost[b] & ~np.isin(cube[b].astype(np.float32), frequent[b])]
        for k, value in enumerate(frequent[b]):
            mine = square[~lost[b] & (cube[b].astype(np.float32) == value)]
            # A mean of n squares is off by sqrt(2 / n).
            limit = 1.1 + 3 * np.sqrt(2 / max(1, mine.size))
            if _passed_over(cube[b][~lost[b]], value):
                continue
            if not (usual.size and mine.size and mine.mean() > limit * usual.mean()):
                found[b, k] = np.nan
    return found


def _passed_over(values: NDArray[np.floating[Any]], frequent: np.float32) -> bool:
    """Whether values lie on both sides of a frequent one, so that nothing was cut off there."""
    below, above = (values < frequent).sum(), (values > frequent).sum()
    return bool(min(below, above) > _BEYOND * (below + above))


def complete_stripes(
    model: NoiseModel,
    cube: NDArray[np.floating[Any]],
    known: NDArray[np.bool_],
    constant: NDArray[np.bool_],
    offsets: NDArray[np.floating[Any]] | None = None,
) -> NoiseModel:
    """A model that was fitted to some columns of a scene, with the stripes of all of them.

    Args:
        model: fitted to some columns; its regression stays as it is.
        cube: (band, line, x), all columns of some lines.
        known: (band, line, x) bool.
        constant: (band, x) bool, as for `fit_noise`.
        offsets: (band, line, x), as for `fit_noise`.
    """
    lost = ~known | constant[:, None] | at_values(cube, model.stuck)
    centre, scale = (v.astype(np.float32)[:, None, None] for v in (model.centre, model.scale))
    level = cube.astype(np.float32, copy=False)
    level = level if offsets is None else level - offsets.astype(np.float32)
    raw = np.where(lost, np.float32(0), (level - centre) / scale)
    stripes = _unstriped(raw, lost, model).offsets.astype(np.float64) * model.scale[:, None]
    return replace(model, stripes=stripes, constant=constant)


def _unstriped(
    raw: NDArray[np.float32], lost: NDArray[np.bool_], model: NoiseModel | None = None
) -> _Settled:
    """The alternation; where it finds many stripes, again without those that `stripes` finds."""
    found = _settled(raw, lost, model)
    if not _many(found.offsets):
        return found
    # Pixels about their column's middle have no stripes, nor what columns differ in.
    middle, _ = _medians(raw, lost)
    centred = None if model is None else replace(model, mean=np.zeros_like(model.mean))
    found = _settled(_moved_by(raw, middle, lost), lost, centred, striped=False)
    for _ in range(_AGAIN):
        offsets = _column_offsets(raw, found)
        found = _settled(_moved_by(raw, offsets, lost), lost, model, striped=False)
    return found._replace(offsets=offsets)


def _many(offsets: NDArray[np.floating[Any]]) -> bool:
    """Whether stripes are common.

    Where they are not, what a few columns have for themselves in some bands, such as a bright
    object, would be taken for more of them.
    """
    return bool((offsets != 0).mean() > _STRIPED)


def _moved_by(
    raw: NDArray[np.float32], offsets: NDArray[np.float32], lost: NDArray[np.bool_]
) -> NDArray[np.float32]:
    return np.where(lost, np.float32(0), raw - offsets[:, None])


def _column_offsets(raw: NDArray[np.float32], found: _Settled) -> NDArray[np.float32]:
    """(band, x) offsets of the columns of `raw`, given what the noise and the signal look like."""
    size = _at_least(found.spread)[:, None]
    white = found.filled.reshape(len(raw), -1) / size
    basis, power = signal_directions(white - white.mean(axis=1, keepdims=True))
    count = (~found.bad).sum(axis=1)
    mean = np.where(found.bad, 0, raw).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
    return (column_offsets(mean / size, count, basis, power) * size).astype(np.float32)


class _Settled(NamedTuple):
    """Where the alternation above ends.

    Attributes:
        offsets: (band, x) stripes.
        bad: (band, y, x) entries that do not fit.
        filled: (band, y, x) without stripes; the bad ones are predictions.
        residual: (band, y, x) of the entries, without stripes, from what the others predict.
        spread: (band,) robust standard deviation of the residuals.
        lacking: (band,) sum of squares that replaced entries lack.
    """

    offsets: NDArray[np.float32]
    bad: NDArray[np.bool_]
    filled: NDArray[np.float32]
    residual: NDArray[np.float32]
    spread: NDArray[np.float64]
    lacking: NDArray[np.float64]


def _settled(
    raw: NDArray[np.float32],
    lost: NDArray[np.bool_],
    model: NoiseModel | None = None,
    *,
    striped: bool = True,
) -> _Settled:
    """The alternation above, with the entries that have company among the data.

    With the regression of `model`, or one that is found anew in every round. No stripes are looked
    for if not `striped`.
    """
    free = np.zeros(raw.shape, bool)
    for _ in range(_ACQUITTALS):
        found = _alternated(raw, lost, free, model, striped=striped)
        apart = found.bad & ~lost
        if not apart.any():
            break
        signal = has_company(apart, apart.mean(axis=(1, 2)))
        if not signal.any():
            break
        free |= signal
    if free.any():
        # Signal that the regression cannot learn would spoil it.
        limit = _DEAD * _at_least(found.spread)[:, None, None]
        misfit = free & (np.abs(found.residual) > limit)
        if misfit.any():
            found = _alternated(raw, lost | misfit, free, model, striped=striped)
    return found


def _alternated(
    raw: NDArray[np.float32],
    lost: NDArray[np.bool_],
    free: NDArray[np.bool_],
    model: NoiseModel | None,
    *,
    striped: bool,
) -> _Settled:
    """One alternation; what is free is never called bad."""
    offsets = np.zeros((len(raw), raw.shape[2]), np.float32)
    bad = lost.copy()
    filled = np.where(bad, np.float32(0), raw)
    lacking = np.zeros(len(raw))
    settling = _SETTLING if lost.any() else 0
    for round_ in range(settling + _ROUNDS):
        if model is None:
            mean, beta, precision = _regression(filled.reshape(len(raw), -1), lacking)
            damping = _damping(precision)
            lacking = bad.mean(axis=(1, 2)) / np.diag(precision)
        else:
            mean, beta, damping = model.mean, model.beta, model.damping
        predicted = _predicted(filled, mean, beta)
        residual = raw - predicted
        spread = _spread(residual - offsets[:, None], bad) if model is None else model.spread
        # From the raw numbers each time: a false stripe, which another band caused, goes again.
        found = _stripes(residual, bad, spread) if striped else offsets
        residual -= found[:, None]
        limit = _DEAD * _at_least(spread)[:, None, None]
        off = np.abs(residual) / limit
        worst = np.where(bad, 0, off).max(axis=0)
        judged = lost
        if round_ >= settling:
            judged = lost | ((off > 1) & (bad | (off > _WORST * worst)) & ~free)
        settled = round_ >= settling and (judged != bad).mean() < _SETTLED
        settled &= bool((np.abs(found - offsets) <= 0.02 * spread[:, None]).all())
        moved = _moved(filled, predicted, bad, damping)
        step = np.where(judged, moved - filled, 0) / _at_least(spread)[:, None, None]
        step = np.minimum(np.abs(step), _FAR)
        settled &= bool(np.square(step).sum() <= _STILL**2 * max(1, judged.sum()))
        bad, offsets = judged, found
        filled = np.where(bad, moved, raw - offsets[:, None])
        if settled:
            break
    return _Settled(offsets, bad, filled, residual, spread, lacking)


def _at_least(spread: NDArray[np.float64]) -> NDArray[np.float32]:
    """No less than numbers are rounded by: bands that are copies predict each other exactly."""
    return np.maximum(spread, _ROUNDED).astype(np.float32)


def _regression(
    z: NDArray[np.floating[Any]], lacking: NDArray[np.float64] | float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(mean (B,), beta (B, B) with a diagonal of 0, Q (B, B)) of pixels (B, N).

    lacking (B,) is added to the bands' sums of squares.
    """
    count = z.shape[1]
    mean = z.mean(axis=1, dtype=np.float64)
    gram = np.zeros((len(z), len(z)))
    # In double precision, since noise is a millionth of the signal's power; a piece at a time,
    # since a copy of all pixels in double precision would be large.
    for start in range(0, count, _PIECE):
        part = z[:, start : start + _PIECE] - mean[:, None]
        gram += part @ part.T
    gram[np.diag_indices(len(z))] += lacking
    size = np.maximum(np.sqrt(np.diag(gram)), np.finfo(np.float64).tiny)
    precision = np.linalg.inv(gram / size[:, None] / size + _RIDGE * np.eye(len(z)))
    beta = -precision / np.diag(precision)[:, None] * size[:, None] / size
    np.fill_diagonal(beta, 0.0)
    return mean, beta, precision / size[:, None] / size


def _nonnegative(matrix: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x >= 0 with the least |matrix x - values|.

    The active set method ends after a number of steps that many narrow bands can need more of; the
    interior method is less exact, but always ends.
    """
    try:
        return np.asarray(nnls(matrix, values, maxiter=_MOST_STEPS * len(values))[0], np.float64)
    except RuntimeError:
        return np.asarray(lsq_linear(matrix, values, (0, np.inf)).x, np.float64)


def _damping(precision: NDArray[np.float64]) -> float:
    """w of the module's docstring."""
    size = np.sqrt(np.diag(precision))
    return float(min(1.0, 1.8 / np.linalg.eigvalsh(precision / size[:, None] / size)[-1]))


def _moved(
    old: NDArray[np.floating[Any]],
    guess: NDArray[np.floating[Any]],
    was: NDArray[np.bool_],
    damping: float,
) -> NDArray[np.floating[Any]]:
    """One step of entries that are replaced; those that were data until now take the prediction."""
    return np.where(was, old + np.float32(damping) * (guess - old), guess)


def _without_neighbours(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) residual sums of squares of each band, predicted from all bands but its neighbours."""
    found = np.empty(len(precision))
    for i in range(len(precision)):
        first = max(0, i - _NEIGHBOURS)
        block = slice(first, i + _NEIGHBOURS + 1)
        found[i] = np.linalg.inv(precision[block, block])[i - first, i - first]
    return found


def _predicted(
    filled: NDArray[np.float32], mean: NDArray[np.float64], beta: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(B, y, x): every band as the others say it should be."""
    middle = mean.astype(np.float32)[:, None]
    flat = filled.reshape(len(filled), -1)
    found = middle + beta.astype(np.float32) @ (flat - middle)
    return np.asarray(found, np.float32).reshape(filled.shape)


def _spread(values: NDArray[np.floating[Any]], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Robust standard deviation of each band's good entries."""
    found = []
    for band, gone in zip(values, bad, strict=True):
        left = band[~gone] if gone.any() else band.ravel()
        found.append(_MAD * median(np.abs(left - median(left))) if left.size else 0.0)
    return np.asarray(found, np.float64)


def _size(values: NDArray[np.floating[Any]], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Each band's robust standard deviation; the plain one where most entries are the same."""
    found = _spread(values, bad)
    for i in np.flatnonzero(found == 0):
        left = values[i][~bad[i]]
        found[i] = left.std() if left.size and left.std() > 0 else 1.0
    return found


def _stripes(
    residual: NDArray[np.float32], bad: NDArray[np.bool_], spread: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(B, x): medians of the columns' residuals that are beyond chance.

    The regression passes through the mean of all columns, stripes included: what is common to most
    columns is no stripe.
    """
    middle, seen = _medians(residual, bad)
    some = seen >= 3
    middle = np.where(some, middle - common_level(middle, some)[:, None], 0)
    limit = _STRIPE * _MEDIAN_ERROR * spread[:, None] / np.sqrt(np.maximum(seen, 1))
    return np.where(np.abs(middle) > limit, middle, 0).astype(np.float32)


def _medians(
    values: NDArray[np.float32], bad: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """(B, x) medians of the columns' good entries, 0 where there is none; how many these are."""
    ordered = np.where(bad, np.float32(np.inf), values).transpose(0, 2, 1)
    ordered = np.sort(ordered, axis=-1)
    seen = (~bad).sum(axis=1)
    last = ordered.shape[-1] - 1
    pair = [np.clip((seen - 1) // 2, 0, last), np.clip(seen // 2, 0, last)]
    low, high = (np.take_along_axis(ordered, k[..., None], axis=-1)[..., 0] for k in pair)
    return np.where(seen > 0, low / 2, 0) + np.where(seen > 0, high / 2, 0), seen


def _constant_columns(
    cube: NDArray[np.floating[Any]], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(band, x) bool: columns with one value in all lines."""
    constant = (cube == cube[:, :1]).all(axis=1) & known.all(axis=1)
    if cube.shape[1] < 3:
        constant[:] = False
    return np.asarray(constant)
