"""One step of motion in mid-scan, which leaves each side of k-space in agreement with itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from sciddm import mri
from sciddm.physics.mri.encoding import EncodedSlice, encode
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.judgement import judgement
from sciddm.pipelines.mri.step_motion import (
    UNCHECKED,
    Step,
    step_check,
    step_motion,
    step_remark,
)
from sciddm.posterior import Consistency
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan
from sciddm.uncertainty.verdict import Finding

SIDE, LINES = 96, 12
Complex = NDArray[np.complex64]


def scan(
    shift: tuple[float, float] = (0, 0), degrees: float = 0, upper: bool = True
) -> tuple[Complex, NDArray[np.bool_], float]:
    """k-space of a head that moved between the calibration lines and those on one side."""
    image = head_phantom((SIDE, SIDE))
    moved = ndimage.shift(ndimage.rotate(image, degrees, reshape=False, order=1), shift, order=1)
    first, second = (
        simulate_scan(np.clip(x, 0, None), 8, snr_db=30, seed=3) for x in (image, moved)
    )
    k = first["kspace"].values[0].copy()
    half = LINES // 2
    late = slice(SIDE // 2 + half, None) if upper else slice(0, SIDE // 2 - half)
    k[:, late] = second["kspace"].values[0][:, late]
    mask = make_mask("random", (SIDE, SIDE), 2, LINES, seed=2)
    return (k * mask).astype(np.complex64), mask, float(first.attrs["noise_std"])


def encoded(k: Complex, mask: NDArray[np.bool_], noise: float) -> EncodedSlice:
    psi = torch.eye(len(k), dtype=torch.complex64) * noise**2
    return encode(torch.from_numpy(k), torch.from_numpy(mask), psi)


def step(k: Complex, mask: NDArray[np.bool_], noise: float, acceleration: float = 2) -> Step | None:
    slice_ = encoded(k, mask, noise)
    return step_motion(slice_, torch.from_numpy(k), torch.from_numpy(mask), acceleration)


def test_a_head_at_rest_is_not_named() -> None:
    here = step(*scan())
    assert here is not None
    assert here.figure < 0.3
    assert step_remark([here]) is None
    assert step_remark([]) is None


@pytest.mark.parametrize(
    ("shift", "degrees", "upper"),
    [((5, 0), 0, True), ((0, -4), 0, True), ((0, 0), 6, True), ((6, 0), 0, False)],
)
def test_a_step_is_named_with_its_size(
    shift: tuple[float, float], degrees: float, upper: bool
) -> None:
    here = step(*scan(shift, degrees, upper))
    assert here is not None
    remark = step_remark([here])
    assert remark is not None
    assert "moved once during the scan" in remark
    size = float(np.hypot(*here.shift[:2]))
    assert size == pytest.approx(float(np.hypot(*shift)), abs=2.5)
    assert abs(here.shift[2]) == pytest.approx(degrees, abs=4)


def test_columns_are_searched_as_lines_are() -> None:
    k, mask, noise = scan((5, 0))
    turned = step(np.ascontiguousarray(k.swapaxes(1, 2)), np.ascontiguousarray(mask.T), noise)
    here = step(k, mask, noise)
    assert turned is not None
    assert here is not None
    assert turned.figure == pytest.approx(here.figure, rel=0.3)
    assert step_remark([turned]) is not None


def test_nothing_is_told_of_few_lines() -> None:
    k, mask, noise = scan((5, 0))
    assert step(k, mask, noise, acceleration=6) is None
    few = mask.copy()
    few[np.flatnonzero(mask[:, 0])[:8]] = False
    assert step(k * few, few, noise) is None
    points = make_mask("poisson", (SIDE, SIDE), 3, LINES, seed=2)
    assert step(k * points, points & mask, noise) is None


def two_shots(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Turns of every other measured line, then of the rest; and the lines of the second shot."""
    lines = np.flatnonzero(mask[:, 0])
    turns = np.full(len(mask), np.nan, np.float32)
    turns[np.concatenate([lines[::2], lines[1::2]])] = np.arange(len(lines))
    return turns, lines[1::2]


def between_shots(
    shift: tuple[float, float], acceleration: float
) -> tuple[Complex, NDArray[np.bool_], float, NDArray[np.float32]]:
    """k-space of a head that moved between two interleaved shots."""
    image = head_phantom((SIDE, SIDE))
    mask = make_mask("random", (SIDE, SIDE), acceleration, LINES, seed=2)
    turns, late = two_shots(mask)
    first, second = (
        simulate_scan(np.clip(x, 0, None), 8, snr_db=30, seed=3)
        for x in (image, ndimage.shift(image, shift, order=1))
    )
    k = first["kspace"].values[0].copy()
    k[:, late] = second["kspace"].values[0][:, late]
    return (k * mask).astype(np.complex64), mask, float(first.attrs["noise_std"]), turns


def test_the_order_of_acquisition_tells_a_step_at_a_high_acceleration() -> None:
    acceleration = 6.0

    def by_turn(shift: tuple[float, float]) -> Step | None:
        k, mask, noise, turns = between_shots(shift, acceleration)
        return step_motion(
            encoded(k, mask, noise),
            torch.from_numpy(k),
            torch.from_numpy(mask),
            acceleration,
            torch.from_numpy(turns),
        )

    rest, moved = by_turn((0, 0)), by_turn((4, 0))
    assert rest is not None
    assert moved is not None
    assert rest.by_turn
    assert step_remark([rest]) is None
    assert rest.figure < 0.01
    remark = step_remark([moved])
    assert remark is not None
    assert remark.startswith("What was measured later")


def test_lines_in_the_order_of_k_space_are_searched_by_sides() -> None:
    k, mask, noise = scan((5, 0))
    turns = torch.arange(SIDE, dtype=torch.float32)
    data = torch.from_numpy(k), torch.from_numpy(mask)
    here = step_motion(encoded(k, mask, noise), *data, 2, turns)
    assert here is not None
    assert not here.by_turn
    assert step_motion(encoded(k, mask, noise), *data, 6, turns) is None


def test_a_result_says_whether_motion_was_looked_for() -> None:
    good = [Consistency(0.9, 1000, 0.8, 0.25)]
    attrs = judgement(good, [], Finding(), None, [], motion=UNCHECKED)
    assert attrs["verdict_fits"] == "yes"
    assert UNCHECKED in json.loads(attrs["verdict"])["fits"]["sentence"]
    assert step_check([]) == "not made"
    assert step_check([Step(0, (0, 0, 0), by_turn=True)]) == "by the order of acquisition"


def test_the_verdict_on_a_head_that_moved_once() -> None:
    k, mask, noise = scan((5, 0))
    data = xr.Dataset(
        {"kspace": (("slice", "coil", "ky", "kx"), k[None]), "mask": (("ky", "kx"), mask)}
    )
    result = mri.reconstruct(data, quality="fast", samples=2, seed=0, noise_std=noise)
    assert result.attrs["motion_check"] == "by the sides of k-space"
    assert result.verdict.fits.answer == "no"
    assert any("moved once during the scan" in sentence for sentence in result.warnings)
