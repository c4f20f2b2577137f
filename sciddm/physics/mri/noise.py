"""Receiver noise of a multi-coil scan: its covariance between coils.

    k = F S x + n,   n circular complex Gaussian, independent between samples,  Psi = E[n n^H]

over the coils. A noise-only scan gives Psi directly. Without one it is read from the scan itself,
where there is no signal to speak of:

    border        sampled k-space furthest from DC;
    air           along an axis without gaps between samples (the readout of a 1D undersampled scan)
                  an inverse FFT gives the object's extent along that axis in every acquired line:
                  what lies beyond it is noise, near DC as well as far from it;
    calibration   patches of the fully sampled centre of k-space lie in a space of few dimensions,
                  because the coils see one object (see sensitivities): what the patches have
                  outside that space is noise. A single coil's do not.

Each can fail. A sharp image has signal in the border, or a filter takes its noise. An object that
fills the field of view leaves no air: there the lines near DC hold more than those far from it,
noise is the same in all, and what differs is no estimate. Where the receiver filters or grids the
readout there is less noise in the air at the ends of the field of view than in the object. Air that
was emptied or padded holds rounding errors, and is no estimate. Calibration is the least precise (5
to 20 % of the level). So an estimate counts when another agrees with it, the smallest such, as
signal only adds; if none do, the larger of calibration and air, as both are noise, or the border
if it alone is beside calibration and somewhat lower; and the border where there is nothing else: an
upper bound, of which ``noise_doubt`` warns. Entries that were not measured (exact zeros:
undersampling, zero padding) are left out, and medians make border and air indifferent to a few
strong samples: for one coil |n|^2 is exponential, with the median sigma^2 ln 2; for C coils
n^H Psi^-1 n follows a Gamma(C, 1) law.

References:
    Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories,
    Magn Reson Med 46:638 (2001), whitening
    Tyler, A distribution-free M-estimator of multivariate scatter, Ann Statist 15:234 (1987)
    Marchenko & Pastur, Distribution of eigenvalues for some sets of random matrices,
    Math USSR Sb 1:457 (1967)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv

from sciddm.errors import InputError
from sciddm.physics.mri.masks import calibration_region

ComplexArray = NDArray[np.complex128]

#: The border of k-space: this fraction of the samples, but at least so many of a slice.
_BORDER_FRACTION = 0.03
_BORDER_SAMPLES = 400
#: Slices that are looked at, spread over the volume: more would cost time and gain nothing.
_SLICES = 16
_TYLER_ITERATIONS = 15
#: Air is where the power is within this factor of the lowest.
_QUIET = 1.1
#: Power of lines near DC over that of lines far from it, below which air holds noise: in heads of
#: training patients .97 to 1.08, and above 7 in limbs that fill the field of view.
_FLAT = 2.0
#: Part of the largest sample that single precision leaves of a number that should be 0.
_ROUNDING = 1e-6
#: Times below every other estimate, from which the border was filtered.
_FILTERED = 1.5
#: Slices whose calibration regions are used, and the side of the part that is used.
_CALIBRATION_SLICES = 6
_CALIBRATION_ROUNDS = 2
_CALIBRATION_LIMIT = 32
#: Side where the signal fills the space of the patches, which takes larger patches.
_WIDE_CALIBRATION_LIMIT = 64
#: Two estimates agree when their powers differ by less than this factor.
_AGREEMENT = 1.4


def estimate_covariance(
    kspace: ArrayLike, mask: ArrayLike, noise: ArrayLike | None = None
) -> ComplexArray:
    """Noise covariance Psi = E[n n^H] between the coils.

    Args:
        kspace: (coil, ky, kx) or (slice, coil, ky, kx) complex, exactly 0 where not sampled.
        mask: (ky, kx) or (slice, ky, kx), True where sampled.
        noise: (coil, sample) noise-only scan of the same receiver bandwidth; used alone if given.

    Returns:
        Hermitian matrix, (coil, coil), in squared units of k-space. Rows and columns of coils that
        hold only zeros are 0.

    Raises:
        InputError: shapes do not match, or there is nothing to estimate from.
    """
    if noise is not None:
        return _from_noise_scan(noise, np.shape(kspace)[-3])
    return chosen_covariance(covariance_candidates(kspace, mask))


def chosen_covariance(candidates: Mapping[str, ComplexArray]) -> ComplexArray:
    """The estimate to believe, of `covariance_candidates`; see the module.

    Raises:
        InputError: there is none.
    """
    if not candidates:
        raise InputError(
            "the scan holds too few samples to estimate its noise: give a noise-only scan"
        )
    return candidates[_choose({name: _level(psi) for name, psi in candidates.items()})]


def covariance_candidates(kspace: ArrayLike, mask: ArrayLike) -> dict[str, ComplexArray]:
    """All the estimates that a scan permits, by where they are from.

    Args:
        kspace, mask: as for `estimate_covariance`.

    Returns:
        "border"; "air along ky", "air along kx" for axes without gaps, where there is air;
        "calibration" where there is a calibration region large enough for the number of coils.
        Border and air that hold nothing but rounding errors only if all do.
    """
    data = np.asarray(kspace)
    data = data[None] if data.ndim == 3 else data
    if data.ndim != 4:
        raise InputError(f"k-space has the axes (slice, coil, ky, kx), not {data.shape}")
    slices, coils, ny, nx = data.shape
    sampled = np.asarray(mask, dtype=bool)
    if sampled.shape not in ((ny, nx), (slices, ny, nx)):
        raise InputError(f"the mask has shape {sampled.shape}, k-space {data.shape}")
    sampled = np.broadcast_to(sampled, (slices, ny, nx))

    active = np.flatnonzero((data != 0).any(axis=(0, 2, 3)))
    candidates: dict[str, list[_Quiet]] = {}
    parts: list[tuple[ComplexArray, NDArray[np.bool_]]] = []
    for s in np.unique(np.linspace(0, slices - 1, min(slices, _SLICES)).round().astype(int)):
        kept = sampled[s] & (data[s] != 0).any(axis=0)
        if len(active) == 0 or not kept.any():
            continue
        part = data[s][active].astype(np.complex128)
        candidates.setdefault("border", []).append(_border(part, kept))
        for name, lines in (("ky", part.swapaxes(-1, -2)), ("kx", part)):
            air = _air(lines, kept.T if name == "ky" else kept)
            if air is not None:
                candidates.setdefault(f"air along {name}", []).append(air)
        parts.append((part, kept))

    def embed(psi: ComplexArray) -> ComplexArray:
        covariance = np.zeros((coils, coils), dtype=np.complex128)
        covariance[np.ix_(active, active)] = psi
        return covariance

    result = {}
    for name, pieces in candidates.items():
        pooled = np.concatenate([piece.samples for piece in pieces], axis=1)
        enough = pooled.shape[1] >= max(16, 2 * len(active))
        if enough and (name == "border" or _trend(pieces) < _FLAT):
            result[name] = embed(robust_covariance(pooled))
    rounding = _ROUNDING * float(np.abs(data).max(initial=0.0))
    real = {n: psi for n, psi in result.items() if math.exp(_level(psi) / 2) > rounding}
    result = real or result
    start = _start(result)
    if start is not None:
        start = start[np.ix_(active, active)]
        calibration = _calibration(parts[:: -(-len(parts) // _CALIBRATION_SLICES)], start)
        if calibration is not None and math.exp(_level(calibration) / 2) > rounding:
            result["calibration"] = embed(calibration)
    return result


def noise_doubt(candidates: Mapping[str, ComplexArray], largest: float) -> str | None:
    """A sentence where nothing in a scan shows its noise, or its noise is not white.

    Args:
        candidates: of `covariance_candidates`.
        largest: magnitude of the largest sample.

    Returns:
        None where the estimate stands on noise alone.
    """
    if not candidates:
        return None
    levels = {name: math.exp(_level(psi) / 2) for name, psi in candidates.items()}
    chosen = levels[_choose({name: 2 * math.log(level) for name, level in levels.items()})]
    if max(levels.values()) <= _ROUNDING * largest:
        return (
            "The scan holds no noise beyond rounding errors: the noise level says nothing of a "
            "receiver, and the standard deviation follows it."
        )
    others = [level for name, level in levels.items() if name != "border"]
    if not others:
        return (
            f"Nothing in the scan shows its noise alone: the noise level of {chosen:.3g} is that "
            "of the border of k-space. Signal there makes it several times too high, a filter too "
            "low. Give the level (noise_std) or a noise-only scan."
        )
    if levels.get("border", 0.0) < min(others) / _FILTERED:
        return (
            "The border of k-space holds less noise than the rest: the data were filtered or "
            f"interpolated, and the noise level of {chosen:.3g} is that of the centre. Use the "
            "data before that, if there are any."
        )
    return None


def _start(estimates: dict[str, ComplexArray]) -> ComplexArray | None:
    """What the calibration region is whitened with at first: air, else the border's levels."""
    air = [psi for name, psi in estimates.items() if name.startswith("air")]
    if air:
        return min(air, key=_level)
    return np.diag(np.diag(estimates["border"])) if "border" in estimates else None


def _level(covariance: ComplexArray) -> float:
    """Mean logarithm of the coils' noise power."""
    power = np.diag(covariance).real
    return float(np.log(power[power > 0]).mean())


def _choose(levels: dict[str, float]) -> str:
    """Name of the estimate to believe, by their logarithmic levels; see the module."""

    def agree(a: str, b: str) -> bool:
        return abs(levels[a] - levels[b]) < math.log(_AGREEMENT)

    confirmed = [a for a in levels if any(a != b and agree(a, b) for b in levels)]
    if confirmed:
        lowest = min(confirmed, key=levels.__getitem__)
        # Where air agrees with the lowest, rather air: it is more precise.
        group = [name for name in confirmed if agree(name, lowest)]
        return next((name for name in group if name.startswith("air")), lowest)
    chosen = max([n for n in levels if n != "border"] or levels, key=levels.__getitem__)
    # Signal only adds, also to calibration: a border with somewhat less is nearer to the noise.
    if chosen == "calibration" and len(levels) == 2 and "border" in levels:
        above = levels[chosen] - levels["border"]
        return "border" if 0 < above < 2 * math.log(_FILTERED) else chosen
    return chosen


def _from_noise_scan(noise: ArrayLike, coils: int) -> ComplexArray:
    samples = np.asarray(noise, dtype=np.complex128)
    if samples.ndim != 2 or samples.shape[0] != coils:
        raise InputError(f"the noise scan has shape {samples.shape}, not ({coils} coils, samples)")
    samples = samples[:, (samples != 0).any(axis=0)]
    if samples.shape[1] < 2 * coils or not np.isfinite(samples).all():
        raise InputError(
            f"the noise scan holds {samples.shape[1]} samples for {coils} coils, or values that "
            "are not finite: leave it out, and the noise is estimated from the scan"
        )
    return np.asarray(samples @ samples.conj().T / samples.shape[1])


@dataclass(frozen=True)
class _Quiet:
    """Samples that may be noise: (coil, sample), and how far from DC each was measured."""

    samples: ComplexArray
    distance: NDArray[np.float64]


def _trend(pieces: Sequence[_Quiet]) -> float:
    """Power of the half of the samples nearer to DC over that of the other half: 1 for noise."""
    ratios = []
    for piece in pieces:
        power = np.abs(piece.samples) ** 2
        power = (power / np.maximum(np.median(power, axis=1, keepdims=True), 1e-300)).mean(axis=0)
        near = np.argsort(piece.distance, kind="stable")[: len(power) // 2]
        far = np.setdiff1d(np.arange(len(power)), near)
        ratios.append(float(np.median(power[near]) / max(np.median(power[far]), 1e-300)))
    return float(np.median(ratios))


def _border(kspace: ComplexArray, sampled: NDArray[np.bool_]) -> _Quiet:
    """The samples furthest from DC: corners first, where signal is least."""
    ny, nx = sampled.shape
    y, x = np.ogrid[:ny, :nx]
    radius = np.hypot((y - ny // 2) / ny, (x - nx // 2) / nx)[sampled]
    count = max(_BORDER_SAMPLES, round(_BORDER_FRACTION * radius.size))
    # No more than a quarter: a small scan has no border to spare.
    outermost = np.argsort(-radius, kind="stable")[: max(1, min(count, radius.size // 4))]
    return _Quiet(kspace[:, sampled][:, outermost], radius[outermost])


def _air(kspace: ComplexArray, sampled: NDArray[np.bool_]) -> _Quiet | None:
    """Noise beyond the object along the last axis; None if it cannot be had.

    The position is chosen on every other line and the samples are taken from the rest, and the
    other way round: choosing and measuring on the same samples would find too little noise.
    """
    columns = np.flatnonzero(sampled.any(axis=0))
    lines = np.flatnonzero(sampled.any(axis=1))
    box = slice(columns[0], columns[-1] + 1)
    if not sampled[lines, box].all() or len(lines) < 4:
        return None
    shifted = np.fft.ifftshift(kspace[:, lines, box], axes=-1)
    hybrid = np.fft.fftshift(np.fft.ifft(shifted, axis=-1, norm="ortho"), axes=-1)
    size = hybrid.shape[-1]
    width = max(4, size // 16)
    if size < 4 * width:
        return None
    samples, distances = [], []
    for chosen, taken in ((0, 1), (1, 0)):
        power = np.abs(hybrid[:, chosen::2]) ** 2
        # The median over lines keeps the few strong lines near DC from deciding, whose ringing
        # reaches everywhere.
        profile = np.median(power, axis=1)
        profile = profile / np.maximum(profile.mean(axis=1, keepdims=True), 1e-300)
        profile = np.asarray(profile.mean(axis=0))
        # Positions wrap around: the air on both sides of the object is one piece.
        windows = np.mean([np.roll(profile, -i) for i in range(width)], axis=0)
        windows = np.where(windows > 1e-10 * windows.max(), windows, np.inf)  # emptied background
        quiet = np.flatnonzero(windows < _QUIET * windows.min())
        positions = np.unique((quiet[:, None] + np.arange(width)) % size)
        samples.append(hybrid[:, taken::2][:, :, positions].reshape(len(hybrid), -1))
        distance = np.abs(lines[taken::2] - sampled.shape[0] // 2).astype(np.float64)
        distances.append(np.repeat(distance, len(positions)))
    return _Quiet(np.concatenate(samples, axis=1), np.concatenate(distances))


def readout_air(kspace: ArrayLike) -> ComplexArray | None:
    """Covariance from the air that readouts through DC, straight and evenly sampled, show.

    All lie as near to DC, so signal is told by its lines: where an object reaches into the air,
    some lines hold more than others, at neighbouring places alike.

    Args:
        kspace: (coil, readout, sample) complex, without gaps.

    Returns:
        (coil, coil); None where there is no air.
    """
    data = np.asarray(kspace, dtype=np.complex128)
    air = _air(data, np.ones(data.shape[1:], bool))
    if air is None:
        return None
    lines = np.unique(air.distance, return_inverse=True)[1]
    power = np.abs(air.samples) ** 2
    power = (power / np.maximum(np.median(power, axis=1, keepdims=True), 1e-300)).mean(axis=0)
    odd = np.arange(len(power)) % 2 == 1
    sums = np.bincount(lines, power * ~odd) / np.maximum(np.bincount(lines, ~odd), 1)
    ordered = _Quiet(air.samples[:, odd], -sums[lines][odd])
    return robust_covariance(air.samples) if _trend([ordered]) < _FLAT else None


def _calibration(
    parts: list[tuple[ComplexArray, NDArray[np.bool_]]], start: ComplexArray
) -> ComplexArray | None:
    """Covariance from what the calibration regions hold outside the space of the signal.

    Args:
        parts: k-space (coil, ky, kx) and mask (ky, kx) of slices.
        start: a covariance to whiten with. The noise has an edge to tell it by only where it is
            white, so the estimate is made anew with itself as the start.

    Returns:
        (coil, coil); None if no region is large enough for the number of coils, or there is only
        one.
    """
    if len(start) < 2:
        return None
    psi = start
    for _ in range(_CALIBRATION_ROUNDS):
        lower = np.linalg.cholesky(psi)
        white = [(np.tensordot(np.linalg.inv(lower), k, 1), mask) for k, mask in parts]
        residuals = [r for r in (_residual(k, mask) for k, mask in white) if r is not None]
        if not residuals:
            return None
        psi = lower @ _solve_residuals(residuals) @ lower.conj().T
    return np.asarray(psi)


def _residual(
    kspace: ComplexArray, sampled: NDArray[np.bool_]
) -> tuple[ComplexArray, ComplexArray, float] | None:
    """What the patches of the calibration region have outside the space of the signal.

    Let p be a patch, Q the projection on the space without signal. With noise Psi on the coils,

        R_cd = sum_i E[(Q p)_ci (Q p)*_di] = sum_ef T_cd,ef Psi_ef,
        T_cd,ef = sum_ij Q_ci,ej Q_fj,di        (i, j positions within the patch)

    Returns:
        Conjugates of R (coil^2) and T (coil^2, coil^2), both times their weight, the number of
        patches beyond what the fit of the signal uses up, and that weight; None if the region is
        too small or the signal fills it.
    """
    try:
        region = calibration_region(sampled, minimum=8)
    except InputError:
        return None
    narrow = _central(kspace, region, _CALIBRATION_LIMIT)
    wide = _central(kspace, region, _WIDE_CALIBRATION_LIMIT)
    for patch, sides, share, rank_of in (
        (narrow, (6, 5, 4, 3), 2.5, _signal_rank),
        (wide, (7, 6, 5, 4, 3), 1.25, _rank_without_gap),
    ):
        outside = _outside_signal(patch, sides, share, rank_of)
        if outside is not None:
            return outside
    return None


def _central(kspace: ComplexArray, region: tuple[slice, slice], limit: int) -> ComplexArray:
    """The part of a region that lies within so many samples about DC."""
    parts = [
        slice(max(part.start, size // 2 - limit // 2), min(part.stop, size // 2 + limit // 2))
        for part, size in zip(region, kspace.shape[1:], strict=True)
    ]
    return kspace[:, parts[0], parts[1]]


def _outside_signal(
    region: ComplexArray,
    sides: Sequence[int],
    share: float,
    rank_of: Callable[[NDArray[np.float64], int], int],
) -> tuple[ComplexArray, ComplexArray, float] | None:
    """`_residual` with the largest patch of which the region holds `share` times its size."""
    coils, height, width = region.shape
    for k in sides:
        count, size = max(height - k + 1, 0) * max(width - k + 1, 0), coils * k * k
        if count >= share * size:
            break
    else:
        return None
    rows = np.lib.stride_tricks.sliding_window_view(region, (k, k), axis=(1, 2))
    rows = rows.transpose(1, 2, 0, 3, 4).reshape(count, size)
    gram = rows.conj().T @ rows
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = rank_of(values, count)
    if size - rank < max(0.15 * size, 2 * coils):
        return None
    null = vectors[:, rank:]
    q = (null @ null.conj().T).reshape(coils, k * k, coils, k * k)
    residual = ((null * values[rank:]) @ null.conj().T).reshape(coils, k * k, coils, k * k)
    r = np.einsum("cidi->cd", residual).reshape(-1)
    t = np.einsum("ciej,fjdi->cdef", q, q, optimize=True).reshape(coils**2, coils**2)
    weight = float(count - rank)
    return r, t * weight, weight * (size - rank) / size


def _signal_rank(values: NDArray[np.float64], count: int) -> int:
    """Number of eigenvalues of the Gram matrix of `count` patches that are not noise.

    The lower half, thought to be noise, gives the noise power by the Marchenko-Pastur law, and
    the power gives the edge above which there is signal; repeated until the rank stays.

    Args:
        values: eigenvalues, largest first.
    """
    size = len(values)
    rank = size // 2
    for _ in range(20):
        first = max(rank, size // 2)
        ratio = (size - rank) / (count - rank)
        mean = _marchenko_pastur_mean(ratio, (size - first) / (size - rank))
        power = values[first:].mean() / ((count - rank) * mean)
        edge = 1.1 * power * (math.sqrt(count - rank) + math.sqrt(size - rank)) ** 2
        found = min(int((values > edge).sum()), size - 4)
        if found == rank:
            break
        rank = found
    return rank


def _rank_without_gap(values: NDArray[np.float64], count: int) -> int:
    """As `_signal_rank`, where the signal fills more than half of the space and ends without a gap.

    Of all tails of the spectrum the longest is noise whose range is that of the Marchenko-Pastur
    law of its own mean (Veraart et al., Magn Reson Med 76:1582, 2016):

        lambda_1 - lambda_d <= 4 mean(lambda) sqrt(d / (n - rank))

    Args:
        values: eigenvalues, largest first.
    """
    size = len(values)
    means = np.cumsum(values[::-1])[::-1] / np.arange(size, 0, -1)
    for rank in range(size - 1):
        ratio = (size - rank) / (count - rank)
        if values[rank] - values[-1] <= 4 * means[rank] * math.sqrt(ratio):
            return rank
    return size


def _marchenko_pastur_mean(ratio: float, fraction: float) -> float:
    """Mean of the lowest fraction of the eigenvalues of a white sample covariance matrix."""
    centre, half = 1 + ratio, 2 * math.sqrt(ratio)
    angle = (np.arange(2000) + 0.5) / 2000 * math.pi
    value = centre - half * np.cos(angle)
    density = np.sin(angle) ** 2 / value  # over the angle, not normalised
    below = np.cumsum(density) <= fraction * density.sum()
    below[0] = True
    return float((value * density)[below].sum() / density[below].sum())


def _solve_residuals(residuals: list[tuple[ComplexArray, ComplexArray, float]]) -> ComplexArray:
    """Psi from the sums of the slices' equations; see `_residual`."""
    r = np.sum([r for r, _, _ in residuals], axis=0)
    t = np.sum([t for _, t, _ in residuals], axis=0)
    samples = sum(weight for _, _, weight in residuals)
    coils = math.isqrt(len(r))
    solution = np.linalg.lstsq(t, r, rcond=1e-6)[0].reshape(coils, coils).conj()
    psi: ComplexArray = np.asarray(0.5 * (solution + solution.conj().T))
    # Few samples for many entries: shrink the correlations by the part of their size (James-Stein)
    # that is chance.
    power = np.diag(psi).real
    power = np.maximum(power, 0.1 * np.median(power))
    root = np.sqrt(np.outer(power, power))
    correlation = psi / root
    np.fill_diagonal(correlation, 0)
    size = float((np.abs(correlation) ** 2).sum())
    chance = coils * (coils - 1) / samples
    correlation *= max(0.0, 1 - chance / size) if size > 0 else 0.0
    values, vectors = np.linalg.eigh(correlation + np.eye(coils))
    correlation = (vectors * np.maximum(values, 0.05)) @ vectors.conj().T
    return np.asarray(correlation * root)


def robust_covariance(samples: ComplexArray) -> ComplexArray:
    """Covariance of circular Gaussian vectors, a part of which may be too large.

    Shape from Tyler's estimator, the fixed point of

        Sigma = (C / n) sum_i x_i x_i^H / (x_i^H Sigma^-1 x_i),

    in which every sample counts for its direction only; scale from the median of
    x^H Sigma^-1 x against that of the Gamma(C, 1) law.

    Args:
        samples: (coil, sample).

    Returns:
        (coil, coil).
    """
    coils, count = samples.shape
    spread = np.sqrt(np.median(np.abs(samples) ** 2, axis=1))
    spread = np.where(spread > 0, spread, np.abs(samples).max(axis=1))
    x = samples / spread[:, None]
    x = x[:, (np.abs(x) ** 2).sum(axis=0) > 0]
    # For few samples lean towards independent coils, which keeps the matrix invertible.
    shrink = min(1.0, coils / count)
    sigma = np.eye(coils, dtype=np.complex128)
    for _ in range(_TYLER_ITERATIONS):
        distance = np.maximum((x.conj() * np.linalg.solve(sigma, x)).sum(axis=0).real, 1e-300)
        sigma = (x / distance) @ x.conj().T
        sigma = (1 - shrink) * sigma + shrink * np.diag(np.diag(sigma))
        sigma *= coils / np.trace(sigma).real
    distance = (x.conj() * np.linalg.solve(sigma, x)).sum(axis=0).real
    sigma *= np.median(distance) / gammaincinv(coils, 0.5)
    return np.asarray(sigma * np.outer(spread, spread))
