"""Sampling masks of Cartesian MRI: making them, and reading them off a scan.

A mask is a boolean array over k-space, True where a sample is taken, DC at index N // 2 of both
axes. Acceleration means (number of k-space entries) / (number of sampled entries), the calibration
lines counted in: the total is what scan time is paid for.

Nothing here keeps state: the same arguments, seed included, always give the same mask.

References:
    Lustig, Donoho & Pauly, Sparse MRI, Magn Reson Med 58:1182 (2007), variable density
    Bridson, Fast Poisson disk sampling in arbitrary dimensions, SIGGRAPH sketches (2007)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciddm.errors import InputError

BoolArray = NDArray[np.bool_]

#: Standard deviation of the 1D variable density, as a fraction of the number of lines.
_GAUSSIAN_WIDTH = 0.2


def make_mask(
    kind: str,
    shape: tuple[int, int],
    acceleration: float,
    acs: int,
    seed: int,
    axis: str = "ky",
) -> BoolArray:
    """A sampling mask of a given total acceleration.

    Kinds, for N lines and n = round(N / acceleration) sampled lines, `acs` of which are central:
        random      n - acs lines drawn uniformly without replacement
        gaussian    n - acs lines drawn without replacement, weight exp(-d^2 / 2 (0.2 N)^2) at
                    distance d from DC
        equispaced  the lines outside the calibration block, counted as if it were not there, taken
                    at a constant step (N - acs) / (n - acs), which need not be whole, from a random
                    offset: the spacing is even on either side of the block and the total is n
        poisson     2D: discs of radius 1 + slope * |k| around the samples hold no later sample
                    outside the acs x acs central block; the slope that gives n = round(ny nx /
                    acceleration) samples is searched for

    The count is exact for all kinds.

    Args:
        kind: random, equispaced, gaussian or poisson.
        shape: (ny, nx) of k-space.
        acceleration: total acceleration, at least 1.
        acs: calibration lines, or side of the calibration square for poisson; 0 for none.
        seed: determines the mask.
        axis: the undersampled axis of a 1D kind, ky (rows) or kx (columns); poisson uses both.

    Returns:
        Mask, (ny, nx).

    Raises:
        InputError: the request cannot be met, e.g. more calibration lines than the budget.
    """
    ny, nx = shape
    if kind not in (*_LINES, "poisson"):
        raise InputError(f"unknown mask kind '{kind}': use random, equispaced, gaussian or poisson")
    if axis not in ("ky", "kx"):
        raise InputError(f"unknown k-space axis '{axis}': use ky or kx")
    if ny < 1 or nx < 1:
        raise InputError(f"k-space shape {shape} is empty")
    if not (np.isfinite(acceleration) and acceleration >= 1):
        raise InputError(f"acceleration {acceleration:g} is impossible: it must be at least 1")
    if acs < 0:
        raise InputError(f"{acs} calibration lines are impossible: use 0 or more")

    rng = np.random.default_rng(seed)
    if kind == "poisson":
        return _poisson(rng, (ny, nx), acceleration, acs)

    lines = ny if axis == "ky" else nx
    budget = round(lines / acceleration)
    if budget < 1:
        raise InputError(
            f"acceleration {acceleration:g} leaves none of {lines} lines: use a smaller one"
        )
    if acs > budget:
        raise InputError(
            f"{acs} calibration lines do not fit into the {budget} lines that acceleration "
            f"{acceleration:g} leaves of {lines}: use fewer calibration lines or a smaller "
            "acceleration"
        )
    taken = np.zeros(lines, dtype=bool)
    taken[_central(lines, acs)] = True
    outside = np.flatnonzero(~taken)
    taken[_LINES[kind](rng, outside, budget - acs, lines)] = True
    mask = np.zeros((ny, nx), dtype=bool)
    if axis == "ky":
        mask[taken] = True
    else:
        mask[:, taken] = True
    return mask


def infer_mask(kspace: ArrayLike) -> BoolArray:
    """Sampled entries of a scan that does not state them: those that are not exactly 0.

    Args:
        kspace: (..., coil, ky, kx) complex.

    Returns:
        Mask, (..., ky, kx): True where any coil holds something other than 0.
    """
    return np.asarray(np.any(np.asarray(kspace) != 0, axis=-3))


def find_undersampled_axes(mask: ArrayLike) -> tuple[str, ...]:
    """The axes along which samples are missing: (), ("ky",), ("kx",) or ("ky", "kx").

    Zero padding around the smallest rectangle that holds all samples is no undersampling: the
    question is which axis has gaps between samples, in other words along which axis an inverse FFT
    would alias.

    Raises:
        InputError: the mask is not 2D or holds no sample.
    """
    mask = _checked(mask)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    gaps_along_kx = bool((box.any(1) & ~box.all(1)).any())
    gaps_along_ky = bool((box.any(0) & ~box.all(0)).any())
    return (("ky",) if gaps_along_ky else ()) + (("kx",) if gaps_along_kx else ())


def calibration_region(mask: ArrayLike, minimum: int = 8) -> tuple[slice, slice]:
    """The largest fully sampled rectangle around DC.

    The rectangle contains DC and need not be symmetric about it: partial Fourier and shifted
    calibration lines are used to the full. Largest means the area, among the rectangles whose two
    sides are at least `minimum`.

    Args:
        mask: (ky, kx).
        minimum: smallest acceptable side, in samples.

    Returns:
        Slices along ky and kx.

    Raises:
        InputError: there is no such rectangle.
    """
    mask = _checked(mask)
    ny, nx = mask.shape
    cy, cx = ny // 2, nx // 2
    # Samples in one piece from the DC column to either side (the DC column counted both times),
    # then the least of them over all rows from the DC row outwards.
    right = np.cumprod(mask[:, cx:], axis=1).sum(1)
    left = np.cumprod(mask[:, cx::-1], axis=1).sum(1)
    right_up, right_down = (np.minimum.accumulate(r) for r in (right[cy::-1], right[cy:]))
    left_up, left_down = (np.minimum.accumulate(r) for r in (left[cy::-1], left[cy:]))
    lefts = np.minimum.outer(left_up, left_down)
    rights = np.minimum.outer(right_up, right_down)
    widths = np.where(lefts > 0, lefts + rights - 1, 0)
    heights = np.add.outer(np.arange(1, len(left_up) + 1), np.arange(len(left_down)))
    area = np.where((widths >= minimum) & (heights >= minimum), widths * heights, 0)
    up, down = np.unravel_index(int(np.argmax(area)), area.shape)
    if area[up, down] == 0:
        raise InputError(
            f"no calibration region: the centre of k-space holds no fully sampled rectangle of "
            f"{minimum} x {minimum}, so coil sensitivities cannot be estimated; give maps"
        )
    return (
        slice(int(cy - up), int(cy + down + 1)),
        slice(int(cx - lefts[up, down] + 1), int(cx + rights[up, down])),
    )


def _checked(mask: ArrayLike) -> BoolArray:
    mask = np.asarray(mask, dtype=bool)
    if mask.ndim != 2:
        raise InputError(f"a mask has the axes (ky, kx), this one has {mask.ndim} axes")
    if not mask.any():
        raise InputError("the mask is empty: the scan holds no samples")
    return mask


def _central(size: int, width: int) -> slice:
    """`width` entries around DC; one more on the negative side when the width is even."""
    start = size // 2 - width // 2
    return slice(start, start + width)


def _random(
    rng: np.random.Generator, outside: NDArray[Any], count: int, lines: int
) -> NDArray[Any]:
    return rng.choice(outside, size=count, replace=False)


def _gaussian(
    rng: np.random.Generator, outside: NDArray[Any], count: int, lines: int
) -> NDArray[Any]:
    # Largest keys log(weight) + Gumbel noise: an exact weighted draw without replacement.
    log_weight = -0.5 * ((outside - lines // 2) / (_GAUSSIAN_WIDTH * lines)) ** 2
    keys = log_weight + rng.gumbel(size=outside.shape)
    return outside[np.argsort(-keys)[:count]]


def _equispaced(
    rng: np.random.Generator, outside: NDArray[Any], count: int, lines: int
) -> NDArray[Any]:
    if count == 0:
        return outside[:0]
    step = len(outside) / count
    out: NDArray[Any] = outside[np.floor((np.arange(count) + rng.uniform()) * step).astype(int)]
    return out


_LINES: dict[str, Callable[[np.random.Generator, NDArray[Any], int, int], NDArray[Any]]] = {
    "random": _random,
    "equispaced": _equispaced,
    "gaussian": _gaussian,
}


def _poisson(
    rng: np.random.Generator, shape: tuple[int, int], acceleration: float, acs: int
) -> BoolArray:
    """Variable-density Poisson-disc mask with exactly round(ny nx / acceleration) samples."""
    ny, nx = shape
    budget = round(ny * nx / acceleration)
    if acs > min(shape) or acs * acs > budget or budget < 1:
        raise InputError(
            f"a calibration square of {acs} x {acs} does not fit into the {budget} samples that "
            f"acceleration {acceleration:g} leaves of {ny} x {nx}: use a smaller square or a "
            "smaller acceleration"
        )
    order = rng.permutation(ny * nx)
    block = np.zeros(shape, dtype=bool)
    block[_central(ny, acs), _central(nx, acs)] = True
    y, x = np.ogrid[:ny, :nx]
    distance = np.hypot((y - ny // 2) / (ny / 2), (x - nx // 2) / (nx / 2))

    # The count falls with the slope, but for the randomness of the packing. Look for a count just
    # above the budget; what is too many is taken from the samples that came last, so no two
    # samples come closer to each other.
    low, high = 0.0, 4.0 * acceleration
    best = _throw(order, 1.0 + low * distance, block)
    for _ in range(24):
        slope = 0.5 * (low + high)
        taken = _throw(order, 1.0 + slope * distance, block)
        if len(taken) < budget - acs * acs:
            high = slope
            continue
        low, best = slope, taken
        if len(best) <= (budget - acs * acs) * 1.01 + 1:
            break
    mask = block.copy()
    mask.flat[best[: budget - acs * acs]] = True
    return mask


def _throw(order: NDArray[Any], radius: NDArray[Any], block: BoolArray) -> list[int]:
    """Take cells in the given order unless an earlier one has excluded them.

    The cells of the calibration block are given: they exclude nothing, being dense anyway.

    Args:
        order: permutation of the flat cell indices.
        radius: (ny, nx) distance within which a sample excludes others, in cells.
        block: (ny, nx) cells that are taken already.

    Returns:
        Flat indices of the cells taken, in the order of taking.
    """
    ny, nx = block.shape
    # A margin as wide as the largest disc spares the clipping of every disc at the border.
    margin = int(np.ceil(radius.max()))
    width = nx + 2 * margin
    free = np.zeros((ny + 2 * margin, width), dtype=bool)
    free[margin : margin + ny, margin : margin + nx] = ~block
    # A disc depends on the radius only through the lattice distances below it.
    squared = np.ceil(radius**2 - 1e-9).astype(int).ravel().tolist()
    taken: list[int] = []
    flat_free = free.reshape(-1)
    view = memoryview(flat_free.data)  # scalar reads several times faster than through the array
    shift = margin * width + margin
    for cell in order.tolist():
        at = cell + shift + (cell // nx) * 2 * margin
        if not view[at]:
            continue
        taken.append(cell)
        flat_free[at + _disc(squared[cell], width)] = False
    return taken


@cache
def _disc(squared: int, width: int) -> NDArray[np.int64]:
    """Flat offsets of the cells at a squared distance below `squared`, in rows of `width`."""
    reach = int(np.ceil(np.sqrt(squared)))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = dy**2 + dx**2 < squared
    out: NDArray[np.int64] = (dy[inside] * width + dx[inside]).astype(np.int64)
    return out
