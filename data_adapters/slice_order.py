"""Slices in the order in which they lie, and whether they are evenly spaced.

Positions in files are rounded, to .1 mm by some scanners, which makes every second gap of .625 mm
look wrong. So slices are held against the straight line that fits them best, not one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError

__all__ = ["SAME_PLACE_MM", "check_even", "slice_normal"]

#: Slices no further apart lie at one place.
SAME_PLACE_MM = 0.01
_OFF_MM = (
    0.075  # from the line: positions rounded to .1 mm lie up to .05 mm off, and the fit is off
)
_OFF_SHARE, _MOST_SHARE = 0.02, 0.2  # of the slices' distance: at least, and at most


def slice_normal(orientation: Sequence[float]) -> NDArray[np.float64] | None:
    """The normal (3,) of slices with the directions of x and y, or None where they are no frame.

    Args:
        orientation: ImageOrientationPatient.
    """
    x, y = np.asarray(orientation, np.float64).reshape(2, 3)
    if np.abs([x @ x - 1, y @ y - 1, x @ y]).max() > 1e-3:
        return None
    return np.cross(x, y)


def check_even(
    names: Sequence[tuple[Path, str]], positions: NDArray[np.float64], normal: NDArray[np.float64]
) -> None:
    """Whether slices lie evenly on a straight line.

    Args:
        names: folder and name of the slices, in their order along the normal, at least two.
        positions: of their first voxels (slice, 3), mm.
        normal: (3,).

    Raises:
        InputError: two slices in one place, a slice that is missing, or uneven ones: names them.
    """
    places = positions @ normal
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    for i, gap in enumerate(gaps):
        if gap < SAME_PLACE_MM:
            raise InputError(
                f"{_path(names[i])} and {names[i + 1][1]}: two slices at the same place: remove one"
            )
    numbers = np.arange(len(places), dtype=np.float64)
    numbers -= numbers.mean()
    middle = positions.mean(0)
    step = numbers @ (positions - middle) / (numbers @ numbers)
    off = np.linalg.norm(positions - middle - numbers[:, None] * step, axis=1)
    if off.max() <= min(max(_OFF_SHARE * usual, _OFF_MM), _MOST_SHARE * usual):
        return
    i = int(np.argmax(np.abs(gaps - usual)))
    pair, gap = f"{_path(names[i])} and {names[i + 1][1]}", float(gaps[i])
    if gap > 1.5 * usual:
        what = "a slice is missing between them"
    elif np.abs(gaps - usual).max() > _OFF_SHARE * usual:
        what = "not evenly spaced"
    else:
        worst = int(off.argmax())
        raise InputError(
            f"{_path(names[worst])}: lies {off[worst]:.2f} mm beside the line of the others: "
            "export the series again"
        )
    raise InputError(
        f"{pair}: {gap:.2f} mm apart, the others {usual:.2f} mm: {what}: export all slices"
    )


def _path(name: tuple[Path, str]) -> str:
    return str(name[0] / name[1])
