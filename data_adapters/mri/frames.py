"""Several images of one place in a file: repetitions, contrasts, cardiac phases, sets.

A scan holds them one after the other along ``slice``: all slices of the first frame, then of the
second. Coordinates along ``slice`` name the counters that change, and the attribute
``slices_per_frame`` tells where a frame ends; without it there is one frame. The affine is that of
one frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.errors import InputError, OptionError

__all__ = [
    "FRAME_AXES",
    "SELECTABLE",
    "Frames",
    "Selection",
    "frames_of",
    "selected",
    "selection_of",
    "with_frames",
]

#: Counters of which every value is an image of its own.
FRAME_AXES = ("repetition", "contrast", "phase", "set")
#: Counters that can be chosen from; averages are averaged if none is chosen.
SELECTABLE = (*FRAME_AXES, "average", "slice")

#: Counter -> the values to read.
Selection = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Frames:
    """The frames of a scan.

    Attributes:
        number: the frame of each line, from 0.
        values: of the counters that change, one per frame.
    """

    number: NDArray[np.intp]
    values: Mapping[str, NDArray[np.intp]]

    @property
    def count(self) -> int:
        return int(self.number.max(initial=0)) + 1


def selection_of(words: Sequence[str]) -> dict[str, list[int]]:
    """{"repetition": [0, 1, 2]} of ("repetition=0..2",).

    Raises:
        OptionError: not NAME=NUMBERS.
    """
    selection: dict[str, list[int]] = {}
    for word in words:
        name, sign, numbers = word.partition("=")
        try:
            if not sign:
                raise ValueError
            for part in numbers.split(","):
                first, _, last = part.partition("..")
                selection.setdefault(name.strip(), []).extend(
                    range(int(first), int(last or first) + 1)
                )
        except ValueError:
            raise OptionError(
                "select", f"{word} is given, take a name and numbers, such as repetition=0..3"
            ) from None
    return selection


def selected(path: Path, counters: NDArray[Any], select: Selection | None) -> NDArray[np.bool_]:
    """Which lines have the values that are asked for.

    Args:
        path: of the file, for messages.
        counters: of the lines, a structured array with a field for each counter.
        select: what to read; None for all.

    Raises:
        InputError: another counter, or a value that no line has.
    """
    chosen = np.ones(len(counters), bool)
    for name, values in (select or {}).items():
        if name not in SELECTABLE:
            raise InputError(
                f"{path}: nothing is selected by {name!r}: choose from {', '.join(SELECTABLE)}"
            )
        there = np.unique(counters[name])
        absent = sorted(set(values) - set(there.tolist()))
        if absent or not len(values):
            raise InputError(
                f"{path}: no {name} {', '.join(map(str, absent))} in it: it has {_listed(there)}"
            )
        chosen &= np.isin(counters[name], list(values))
    if not chosen.any():
        raise InputError(f"{path}: no line has all the values that are selected: select others")
    return chosen


def frames_of(counters: NDArray[Any]) -> Frames:
    """The frames that lines belong to, in the order of `FRAME_AXES`.

    Args:
        counters: as for `selected`.
    """
    table = np.stack([counters[name].astype(np.intp) for name in FRAME_AXES], axis=1)
    rows, number = np.unique(table, axis=0, return_inverse=True)
    changing = [k for k in range(len(FRAME_AXES)) if len(np.unique(rows[:, k])) > 1]
    values = {FRAME_AXES[k]: np.ascontiguousarray(rows[:, k]) for k in changing}
    return Frames(number.reshape(-1).astype(np.intp), values)


def with_frames(scan: xr.Dataset, values: Mapping[str, NDArray[np.intp]], count: int) -> xr.Dataset:
    """The scan with coordinates that say which frame each slice is of.

    Args:
        scan: all slices of all frames.
        values: see `Frames`.
        count: number of frames.
    """
    if count == 1:
        return scan
    each = scan.sizes["slice"] // count
    named = {name: ("slice", np.repeat(numbers, each)) for name, numbers in values.items()}
    return scan.assign_coords(named).assign_attrs(slices_per_frame=each)


def _listed(values: NDArray[Any]) -> str:
    """0, 2, 5 or 0 to 63."""
    if len(values) > 3 and np.all(np.diff(values) == 1):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(str(int(v)) for v in values[:20]) + (", ..." if len(values) > 20 else "")
