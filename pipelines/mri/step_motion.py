"""Did the object move once during the scan?

Lines from before and after agree among themselves, and an image in between fits both: neither
residual nor lines that were kept out tell. A model of the step does. With x_0 the image of total
variation without a part B of the lines, and T a shift and a rotation,

    e(T) = |<A_B T x_0, y_B>|^2 / (|A_B T x_0|^2 |y_B|^2)

is the part of those lines that the moved image explains, up to one factor (its square root is a
correlation). In an object at rest no T explains more than none. The coils stay where they are, so
A_B has the scan's own maps. The figure is the sum over two parts B of ln(max_T e(T) / e(1)).

Where the file tells when each line was measured, and both halves of that time reach the centre of
k-space, as in interleaved and random orders, B is the later half, then the earlier one. Else lines
are thought to follow each other along k-space, and B is what lies on one side of the calibration
region: that tells less, and only at low accelerations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sciddm.classical.tv_measurement import starting_image
from sciddm.device import to_numpy
from sciddm.errors import InputError
from sciddm.physics import CartesianMRI, Measurement
from sciddm.physics.fourier import fftc, ifftc, resized
from sciddm.physics.mri.encoding import EncodedSlice
from sciddm.physics.mri.masks import calibration_region

__all__ = ["UNCHECKED", "Step", "step_check", "step_motion", "step_remark"]

#: Figure from which a step is named. Heads of training patients at R = 4 had .29 or less at rest,
#: and .91 or more in 11 of 12 that moved by 3 to 8 pixels or degrees; limbs,
#: CT slices and phantoms 0.
_LIMIT = 0.6
#: Likewise where both halves reach the centre: heads of training patients at R = 3 to 8 had .003 or
#: less at rest, and .03 or more in 26 of 27 that moved once by 3 to 8 pixels or degrees.
_TURN_LIMIT = 0.03
#: Least part of the central lines on each side of DC that each half holds there, and its least
#: number of lines.
_CENTRAL, _LEAST_HALF = 0.25, 8
#: Acceleration above which too few lines lie on a side: heads at rest reached 3.6 at R = 6.
_MOST_ACCELERATION = 5.0
#: On each side: with 4 to 11 a real gradient echo at rest had figures up to 1.9.
_LEAST_LINES = 12
_ITERATIONS = 30  # of the image of total variation
#: Largest shift (pixels) and rotation (degrees) that are tried; steps of the search, turn by turn.
_REACH, _STEPS = 8, (2, 2, 1)
#: What a fit without the check is said with.
UNCHECKED = (
    "Motion in mid-scan was not looked for: the file tells no order of acquisition that reaches "
    "the centre of k-space twice, and there are too few whole lines beside it."
)
#: Part of the lines that counts as explained by chance.
_CHANCE = 0.01


@dataclass(frozen=True)
class Step:
    """A movement in mid-scan.

    Attributes:
        figure: how much better the lines of each part fit a moved image, in nats.
        shift: (pixels along y, along x, degrees) of the part that tells most.
        by_turn: whether the parts are halves of the time; else they are sides of k-space.
    """

    figure: float
    shift: tuple[float, float, float]
    by_turn: bool = False

    @property
    def shows(self) -> float:
        """The figure over the limit from which a step is named."""
        return self.figure / (_TURN_LIMIT if self.by_turn else _LIMIT)


def step_motion(
    encoded: EncodedSlice,
    kspace: Tensor,
    mask: Tensor,
    acceleration: float,
    turns: Tensor | None = None,
) -> Step | None:
    """The step that fits a slice best.

    Args:
        encoded: the slice.
        kspace: (coil, ky, kx) of its living coils.
        mask: (ky, kx) bool.
        acceleration: of the scan.
        turns: (ky,), when each line was measured, if that is stated.

    Returns:
        None where this cannot be told: no whole lines, few of them, or a high acceleration.
    """
    parts = [] if turns is None else _halves(mask, turns)
    by_turn = bool(parts)
    if not parts and acceleration <= _MOST_ACCELERATION:
        parts = list(_sides(mask))
    steps = []
    for part, axis in parts:
        other_lines = encoded.frame.measurement(kspace, mask & ~part)
        rest = encoded.frame.measurement(kspace, part)
        steps.append(_best(starting_image(other_lines, _ITERATIONS), rest, part, axis))
    if not steps:
        return None
    largest = max(steps, key=lambda s: s.figure)
    return Step(sum(s.figure for s in steps), largest.shift, by_turn)


def step_remark(steps: Sequence[Step]) -> str | None:
    """A sentence where the object moved in mid-scan.

    Args:
        steps: of the slices that were looked at; the median figure decides.
    """
    if not steps or float(np.median([s.shows for s in steps])) < 1:
        return None
    part = "What was measured later" if steps[0].by_turn else "One side of k-space"
    return (
        f"{part} fits an object that was shifted or turned better than the same object at rest: it "
        "moved once during the scan, and the image is a mixture of both places."
    )


def step_check(steps: Sequence[Step]) -> str:
    """In words, whether a step was looked for, and how.

    Args:
        steps: of the slices that were looked at; empty where none could be.
    """
    if not steps:
        return "not made"
    return "by the order of acquisition" if steps[0].by_turn else "by the sides of k-space"


def _halves(mask: Tensor, turns: Tensor) -> list[tuple[Tensor, int]]:
    """The lines that were measured later, then those measured earlier, (ky, kx) bool, and their
    axis; empty where one of them hardly reaches a side of the centre of k-space."""
    pattern = to_numpy(mask)
    lines = np.asarray(pattern.any(axis=1))
    if not (pattern == lines[:, None]).all():
        return []
    try:
        region = calibration_region(pattern)[0]
    except InputError:
        return []
    when = np.where(lines, to_numpy(turns), np.nan)
    later = when > np.nanmedian(when)
    earlier = lines & ~later & np.isfinite(when)
    # In the order of k-space itself each half has one side of the centre.
    dc = len(lines) // 2
    sides = (slice(region.start, dc), slice(dc, region.stop))
    central = [float(part[side].mean()) for part in (later, earlier) for side in sides]
    if min(central) < _CENTRAL or min(later.sum(), earlier.sum()) < _LEAST_HALF:
        return []
    return [
        (torch.from_numpy(part)[:, None].to(mask.device) & mask, -2) for part in (later, earlier)
    ]


def _sides(mask: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Lines on one side of the calibration region, (ky, kx) bool, and their axis: -2 or -1."""
    pattern = to_numpy(mask)
    try:
        region = calibration_region(pattern)
    except InputError:
        return
    for axis in (0, 1):
        lines = pattern.any(axis=1 - axis)
        if lines.all() or not (pattern == np.expand_dims(lines, 1 - axis)).all():
            continue
        places = np.flatnonzero(lines)
        parts = (places[places >= region[axis].stop], places[places < region[axis].start])
        if min(len(part) for part in parts) < _LEAST_LINES:
            return
        for part in parts:
            side = torch.zeros_like(mask)
            side.index_fill_(axis, torch.from_numpy(part).to(mask.device), True)
            yield side & mask, axis - 2


def _best(x: Tensor, rest: Measurement, side: Tensor, axis: int) -> Step:
    """The movement of an image (1, 1, y, x) that explains most of the lines of a measurement."""
    assert isinstance(rest.A, CartesianMRI)
    maps = rest.A.maps
    assert maps is not None
    n = maps.shape[axis]
    side = resized(side, (maps.shape[-2], maps.shape[-1])).bool()
    at = side.any(dim=-1 if axis == -2 else -2).nonzero()[:, 0]
    # Along the lines the transform is unitary and left out: it changes no inner product.
    along = -1 if axis == -2 else -2
    y = ifftc(rest.y, (along,)).movedim(axis, -1)[..., at]
    rows = fftc(torch.eye(n, dtype=maps.dtype, device=maps.device), (0,))[at].mT
    coils = maps.movedim(axis, -1)
    power = float(y.abs().square().sum())

    def explained(movement: tuple[float, ...]) -> float:
        image = _moved(x, *movement)[0, 0].movedim(axis, -1)
        z = (coils * image) @ rows
        size = float(z.abs().square().sum()) * power
        return float((z.conj() * y).sum().abs()) ** 2 / size if size > 0 else 0.0

    movement: tuple[float, ...] = (0.0, 0.0, 0.0)
    rest_value = best = explained(movement)
    for step in _STEPS:
        reach = _REACH if step > 1 else step
        for part in range(3):
            candidates = [
                (*movement[:part], float(value), *movement[part + 1 :])
                for value in np.arange(movement[part] - reach, movement[part] + reach + 1, step)
                if abs(value) <= _REACH and value != movement[part]
            ]
            values = [explained(m) for m in candidates]
            if values and max(values) > best:
                best = max(values)
                movement = candidates[int(np.argmax(values))]
    figure = math.log(max(best, _CHANCE) / max(rest_value, _CHANCE))
    return Step(figure, (movement[0], movement[1], movement[2]))


def _moved(x: Tensor, down: float, right: float, degrees: float) -> Tensor:
    """An image (1, 1, y, x), turned about its middle and shifted by pixels."""
    ny, nx = x.shape[-2:]
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[c, s * ny / nx], [-s * nx / ny, c]])
    back = turn @ np.array([-2 * right / nx, -2 * down / ny])
    theta = torch.from_numpy(np.column_stack([turn, back])).to(x.device, x.real.dtype)
    grid = functional.affine_grid(theta[None], [1, 2, ny, nx], align_corners=False)
    parts = torch.view_as_real(x[0, 0]).permute(2, 0, 1)[None]
    moved = functional.grid_sample(parts, grid, mode="bilinear", align_corners=False)
    return torch.view_as_complex(moved[0].permute(1, 2, 0).contiguous())[None, None]
