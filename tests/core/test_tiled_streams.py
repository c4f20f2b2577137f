"""Noise of tiles belongs to places of the whole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.random.tiled_streams import TiledStreams


@given(
    seed=st.integers(0, 2**32),
    start=st.integers(0, 300),
    length=st.integers(1, 200),
    step=st.integers(0, 50),
    dtype=st.sampled_from([torch.float32, torch.complex64]),
)
@settings(max_examples=40, deadline=None)
def test_a_tile_is_a_part_of_the_whole(seed, start, length, step, dtype):
    whole = TiledStreams(seed, [7], [0]).randn(torch.zeros(1, 2, 3, 500, dtype=dtype), step, 1)
    tile = torch.zeros(1, 2, 3, length, dtype=dtype)
    part = TiledStreams(seed, [7], [start]).randn(tile, step, 1)
    assert part.dtype == dtype
    assert torch.equal(part, whole[..., start : start + length])


def test_items_steps_draws_and_seeds_differ():
    like = torch.zeros(1, 4, 100)
    first = TiledStreams(0, [0], [0]).randn(like, 0)
    for streams, step, draw in (
        (TiledStreams(1, [0], [0]), 0, 0),
        (TiledStreams(0, [1], [0]), 0, 0),
        (TiledStreams(0, [0], [0]), 1, 0),
        (TiledStreams(0, [0], [0]), 0, 1),
    ):
        assert not (streams.randn(like, step, draw) == first).any()
    both = TiledStreams(0, [1, 0], [5, 0]).randn(torch.zeros(2, 4, 100), 0)
    assert torch.equal(both[1:], first)


def test_numbers_are_standard_normal_across_blocks():
    x = TiledStreams(3, [0], [17]).randn(torch.zeros(1, 8, 20_000), 0)
    assert abs(x.mean()) < 4 / 400
    assert x.var() == pytest.approx(1, abs=4 * (2 / 160_000) ** 0.5)
    # Neighbours in different blocks are as independent as those in one.
    assert abs((x[..., 1:] * x[..., :-1]).mean()) < 4 / 400
    assert abs((x[..., 64:] * x[..., :-64]).mean()) < 4 / 400


def test_the_stream_of_a_step_draws_anew_each_time():
    randn = TiledStreams(0, [0], [3]).at(2)
    like = torch.zeros(1, 5)
    assert not torch.equal(randn(like), randn(like))


def test_lists_that_disagree_are_refused():
    with pytest.raises(ValueError, match="2 offsets for 1 items"):
        TiledStreams(0, [0], [0, 1])
    with pytest.raises(ValueError, match="1 streams for a batch of 2"):
        TiledStreams(0, [0], [0]).randn(torch.zeros(2, 4), 0)
