"""Sampling masks: exact counts, known geometry, and reading a mask back from a scan."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.errors import InputError
from sciddm.physics.mri.masks import (
    calibration_region,
    find_undersampled_axes,
    infer_mask,
    make_mask,
)

LINE_KINDS = ("random", "equispaced", "gaussian")


@given(
    kind=st.sampled_from(LINE_KINDS),
    ny=st.integers(16, 80),
    nx=st.integers(16, 80),
    acceleration=st.floats(1, 6),
    fraction=st.floats(0, 1),
    seed=st.integers(0, 2**31),
    axis=st.sampled_from(["ky", "kx"]),
)
@settings(max_examples=60, deadline=None)
def test_line_masks_hold_whole_lines_and_their_exact_number(
    kind, ny, nx, acceleration, fraction, seed, axis
):
    lines = ny if axis == "ky" else nx
    budget = round(lines / acceleration)
    acs = int(fraction * budget)
    mask = make_mask(kind, (ny, nx), acceleration, acs, seed, axis)
    profile = mask[:, 0] if axis == "ky" else mask[0]
    lined = np.broadcast_to(profile[:, None] if axis == "ky" else profile[None], mask.shape)
    np.testing.assert_array_equal(mask, lined)
    assert profile.sum() == budget
    start = lines // 2 - acs // 2
    assert profile[start : start + acs].all()
    np.testing.assert_array_equal(
        mask, make_mask(kind, (ny, nx), acceleration, acs, seed, axis), "not reproducible"
    )


@given(
    ny=st.integers(24, 70),
    nx=st.integers(24, 70),
    acceleration=st.floats(1.2, 12),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_poisson_count_is_exact_and_the_block_is_full(ny, nx, acceleration, seed):
    acs = int(0.5 * np.sqrt(ny * nx / acceleration))
    mask = make_mask("poisson", (ny, nx), acceleration, acs, seed)
    assert mask.sum() == round(ny * nx / acceleration)
    y, x = ny // 2 - acs // 2, nx // 2 - acs // 2
    assert mask[y : y + acs, x : x + acs].all()


def test_poisson_samples_keep_their_distance_and_thin_out():
    n, acceleration = 128, 8
    mask = make_mask("poisson", (n, n), acceleration, 0, seed=3)
    points = np.argwhere(mask) - n // 2
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + 1e9 * np.eye(len(points))
    nearest = gaps.min(1)
    radius = np.linalg.norm(points, axis=1)
    outer = radius > 0.8 * n / 2
    # A uniformly random pattern of this density has about half its nearest neighbours nearer than
    # half the mean spacing; a Poisson-disc pattern has none.
    spacing = np.sqrt((np.hypot(*np.mgrid[-64:64, -64:64]) > 0.8 * 64).sum() / outer.sum())
    assert nearest[outer].min() > 0.6 * spacing
    grid = np.hypot(*np.mgrid[-64:64, -64:64])
    rings = [mask[(grid >= r) & (grid < r + 16)].mean() for r in (0, 16, 32, 48)]
    assert all(a > b for a, b in pairwise(rings))
    assert rings[0] > 3 * rings[-1]


def test_equispaced_spacing_is_even_on_both_sides():
    profile = make_mask("equispaced", (256, 4), 4, 24, seed=5)[:, 0]
    step = (256 - 24) / (64 - 24)
    below, above = np.flatnonzero(profile[:116]), 140 + np.flatnonzero(profile[140:])
    assert set(np.diff(below)) <= {int(step), int(step) + 1}
    assert set(np.diff(above)) <= {int(step), int(step) + 1}
    whole = np.flatnonzero(make_mask("equispaced", (256, 4), 4, 0, seed=5)[:, 0])
    assert set(np.diff(whole)) == {4}


def test_gaussian_density_follows_its_weights():
    lines = 128
    taken = sum(
        make_mask("gaussian", (lines, 1), 8, 0, seed)[:, 0].astype(float) for seed in range(800)
    )
    # Few of many lines: inclusion is nearly proportional to the weight.
    d = np.arange(lines) - lines // 2
    weight = np.exp(-0.5 * (d / (0.2 * lines)) ** 2)
    near, far = np.abs(d) < 8, (np.abs(d) >= 32) & (np.abs(d) < 40)
    ratio = taken[near].mean() / taken[far].mean()
    assert ratio == pytest.approx(weight[near].mean() / weight[far].mean(), rel=0.2)


def test_random_lines_are_uniform():
    counts = sum(
        make_mask("random", (64, 1), 4, 8, seed)[:, 0].astype(float) for seed in range(600)
    )
    outside = np.r_[counts[:28], counts[36:]] / 600
    # 8 of 56 lines; six standard errors of a proportion over 600 masks.
    assert np.abs(outside - 8 / 56).max() < 6 * np.sqrt(8 / 56 * 48 / 56 / 600)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("spiral", (64, 64), 4, 8, 0), "unknown mask kind"),
        (("random", (64, 64), 4, 17, 0), "17 calibration lines do not fit into the 16 lines"),
        (("random", (64, 64), 0.5, 0, 0), "at least 1"),
        (("random", (64, 64), float("nan"), 0, 0), "at least 1"),
        (("random", (64, 64), 1000, 0, 0), "leaves none"),
        (("random", (64, 64), 4, -1, 0), "0 or more"),
        (("random", (64, 64), 4, 8, 0, "kz"), "unknown k-space axis"),
        (("poisson", (64, 64), 8, 23, 0), "does not fit into the 512 samples"),
        (("poisson", (16, 64), 2, 17, 0), "does not fit"),
    ],
)
def test_impossible_requests(arguments, message):
    with pytest.raises(InputError, match=message):
        make_mask(*arguments)


@given(seed=st.integers(0, 1000), ny=st.integers(8, 40), nx=st.integers(8, 40))
@settings(max_examples=30, deadline=None)
def test_infer_mask_is_the_inverse_of_masking(seed, ny, nx):
    rng = np.random.default_rng(seed)
    mask = rng.uniform(size=(2, ny, nx)) < 0.4
    kspace = rng.standard_normal((2, 3, ny, nx)) + 1j * rng.standard_normal((2, 3, ny, nx))
    kspace = kspace * mask[:, None]
    kspace[0, 1] = 0  # a dead coil does not unsample
    np.testing.assert_array_equal(infer_mask(kspace), mask)


@pytest.mark.parametrize("kind", LINE_KINDS)
@pytest.mark.parametrize("axis", ["ky", "kx"])
def test_undersampled_axis_and_region_of_line_masks(kind, axis):
    mask = make_mask(kind, (61, 84), 4, 12, seed=11, axis=axis)
    assert find_undersampled_axes(mask) == (axis,)
    ky, kx = calibration_region(mask)
    assert mask[ky, kx].all()
    if axis == "ky":
        assert ky.start <= 24
        assert ky.stop >= 36
        assert (kx.start, kx.stop) == (0, 84)
        assert not mask[ky.start - 1, 0]
        assert not mask[ky.stop, 0]
    else:
        assert kx.start <= 36
        assert kx.stop >= 48
        assert (ky.start, ky.stop) == (0, 61)
        assert not mask[0, kx.start - 1]
        assert not mask[0, kx.stop]


def test_undersampled_axes_other():
    assert find_undersampled_axes(np.ones((8, 9), bool)) == ()
    assert find_undersampled_axes(make_mask("poisson", (64, 64), 4, 8, 0)) == ("ky", "kx")
    padded = np.zeros((32, 32), bool)
    padded[4:20, 6:30] = True
    assert find_undersampled_axes(padded) == ()
    padded[5:19:2] = False
    assert find_undersampled_axes(padded) == ("ky",)
    assert find_undersampled_axes(padded.T) == ("kx",)


@given(seed=st.integers(0, 10_000), ny=st.integers(3, 11), nx=st.integers(3, 11))
@settings(max_examples=60, deadline=None)
def test_region_is_the_largest_by_exhaustive_search(seed, ny, nx):
    rng = np.random.default_rng(seed)
    mask = rng.uniform(size=(ny, nx)) < 0.85
    mask[ny // 2, nx // 2] = True
    best = 0
    for y0 in range(ny // 2 + 1):
        for y1 in range(ny // 2 + 1, ny + 1):
            for x0 in range(nx // 2 + 1):
                for x1 in range(nx // 2 + 1, nx + 1):
                    if min(y1 - y0, x1 - x0) >= 2 and mask[y0:y1, x0:x1].all():
                        best = max(best, (y1 - y0) * (x1 - x0))
    if best == 0:
        with pytest.raises(InputError, match="no calibration region"):
            calibration_region(mask, minimum=2)
        return
    ky, kx = calibration_region(mask, minimum=2)
    assert mask[ky, kx].all()
    assert ky.start <= ny // 2 < ky.stop
    assert kx.start <= nx // 2 < kx.stop
    assert (ky.stop - ky.start) * (kx.stop - kx.start) == best


def test_no_region_says_what_to_do():
    mask = make_mask("random", (64, 64), 4, 6, seed=0)
    mask[[28, 36]] = False
    with pytest.raises(InputError, match=r"no calibration region.*give maps"):
        calibration_region(mask)
    with pytest.raises(InputError, match="empty"):
        calibration_region(np.zeros((8, 8), bool))
    with pytest.raises(InputError, match="axes"):
        find_undersampled_axes(np.ones((2, 8, 8), bool))
