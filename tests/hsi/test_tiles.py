"""Tiles cover a scene exactly once, wherever its borders lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciddm.physics.spectral.tiles import ALIGN, cut, side_for

sizes = st.integers(1, 400)


@given(st.tuples(sizes, sizes), st.integers(32, 300), st.sampled_from([None, 0, 5, 40]))
def test_the_weights_of_a_pixel_add_up_to_one(shape, side, halo):
    total = np.zeros(shape)
    for window in cut(shape, side, halo):
        assert (window.weight >= 0).all()
        total[window.inner_y, window.inner_x] += window.weight
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(st.tuples(sizes, sizes), st.integers(32, 300), st.integers(0, 70))
def test_the_context_holds_the_halo_and_lies_on_the_grid(shape, side, halo):
    for window in cut(shape, side, halo):
        for read, inner, length in (
            (window.y, window.inner_y, shape[0]),
            (window.x, window.inner_x, shape[1]),
        ):
            assert read.start == max(0, inner.start - halo) or read.start < inner.start - halo
            assert read.stop == min(length, inner.stop + halo) or read.stop > inner.stop + halo
            assert read.start % ALIGN == 0
            assert read.stop % ALIGN == 0 or read.stop == length
            assert inner.stop - inner.start <= max(ALIGN, side + ALIGN)


@pytest.mark.parametrize("halo", [None, 20])
def test_a_local_average_is_the_same_on_tiles(halo):
    """What a method with a halo gives is what it gives for the whole; blending keeps a constant."""
    scene = np.random.default_rng(0).standard_normal((100, 71))
    reach = 3

    def blur(part):
        padded = np.pad(part, reach)
        size = 2 * reach + 1
        return np.lib.stride_tricks.sliding_window_view(padded, (size, size)).mean((-1, -2))

    out = np.zeros_like(scene)
    for window in cut(scene.shape, 32, halo):
        done = blur(scene[window.y, window.x])
        out[window.inner_y, window.inner_x] += window.weight * done[window.inside]
    np.testing.assert_allclose(out, blur(scene), atol=1e-7)


def test_a_scene_that_fits_is_one_tile():
    [window] = cut((145, 145), side_for(200), 16)
    assert (window.y, window.x) == (slice(0, 145), slice(0, 145))
    assert not window.blended


def test_tiles_of_many_bands_are_small():
    assert side_for(200) == 192
    assert side_for(10) == 896
    assert side_for(10_000) == 64
