"""Noise of tiles belongs to the pixels of the plane."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.random.plane_streams import PlaneStreams


@given(
    seed=st.integers(0, 2**32),
    y=st.integers(0, 70),
    x=st.integers(0, 70),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    antithetic=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_a_tile_is_a_part_of_the_whole(seed, y, x, shape, antithetic):
    like = torch.zeros(2, 1, 110, 110)
    whole = PlaneStreams(seed, [6, 7], (0, 0), antithetic=antithetic).randn(like, 3, 1)
    tile = torch.zeros(2, 1, *shape)
    part = PlaneStreams(seed, [6, 7], (y, x), antithetic=antithetic).randn(tile, 3, 1)
    assert torch.equal(part, whole[..., y : y + shape[0], x : x + shape[1]])


def test_pairs_and_independent_items():
    like = torch.zeros(4, 1, 100, 90)
    paired = PlaneStreams(0, 4, (5, 9), antithetic=True).randn(like, 0)
    assert torch.equal(paired[0], -paired[1])
    free = PlaneStreams(0, 4, (5, 9)).randn(like, 0)
    correlation = torch.corrcoef(torch.cat([free.flatten(1), paired[[0, 2]].flatten(1)]))
    correlation[4, 0] = correlation[0, 4] = 0  # source 0 is item 0
    correlation[5, 1] = correlation[1, 5] = 0  # source 1 is item 1
    assert (correlation - torch.eye(6)).abs().max() < 5 / 9000**0.5


def test_numbers_are_standard_normal_across_squares():
    z = PlaneStreams(3, [0], (17, 5)).randn(torch.zeros(1, 400, 500), 0)
    assert abs(z.mean()) < 4 / 200_000**0.5
    assert z.var() == pytest.approx(1, abs=4 * (2 / 200_000) ** 0.5)
    for shift in (1, 32):
        assert abs((z[:, shift:] * z[:, :-shift]).mean()) < 5 / 180_000**0.5
        assert abs((z[..., shift:] * z[..., :-shift]).mean()) < 5 / 180_000**0.5


def test_bad_calls():
    with pytest.raises(ValueError, match="begins at"):
        PlaneStreams(0, 1, (-1, 0))
    with pytest.raises(ValueError, match="1 streams for a batch of 2"):
        PlaneStreams(0, 1, (0, 0)).randn(torch.zeros(2, 4, 4), 0)
