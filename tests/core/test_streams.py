"""Streams of noise: an item's numbers are its own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.random.streams import AntitheticStreams, Streams, fold

dtypes = st.sampled_from([torch.float32, torch.float64, torch.complex64, torch.complex128])
small = st.integers(0, 2**20)


def like(n: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.zeros(n, *shape, dtype=dtype)


@given(
    seed=st.integers(0, 2**63),
    items=st.lists(small, min_size=1, max_size=5, unique=True),
    step=small,
    draw=st.integers(0, 5),
    dtype=dtypes,
    size=st.integers(1, 40),
)
@settings(max_examples=40, deadline=None)
def test_an_item_gets_the_same_noise_in_any_batch(seed, items, step, draw, dtype, size):
    together = Streams(seed, items).randn(like(len(items), size, dtype=dtype), step, draw)
    assert together.dtype == dtype
    for slot, item in zip(together, items, strict=True):
        alone = Streams(seed, [item]).randn(like(1, size, dtype=dtype), step, draw)
        assert torch.equal(alone[0], slot)
    shuffled = Streams(seed, items[::-1]).randn(like(len(items), size, dtype=dtype), step, draw)
    assert torch.equal(shuffled.flip(0), together)


@pytest.mark.parametrize(
    "other",
    [
        Streams(8, 2).randn(like(2, 9), 3, 1),
        Streams(7, [2, 3]).randn(like(2, 9), 3, 1),
        Streams(7, 2).randn(like(2, 9), 4, 1),
        Streams(7, 2).randn(like(2, 9), 3, 2),
        Streams(3, 2).randn(like(2, 9), 7, 1),  # seed and step exchanged
        Streams(7, 2).randn(like(2, 9), 1, 3),  # step and draw exchanged
    ],
)
def test_seed_item_step_and_draw_each_matter(other):
    assert not torch.isclose(other, Streams(7, 2).randn(like(2, 9), 3, 1)).any()


def test_neighbouring_streams_are_independent_and_normal():
    n = 4000
    x = torch.stack(
        [
            Streams(seed, [item]).randn(like(1, n), step)[0]
            for seed in (0, 1)
            for item in (0, 1, 2)
            for step in (0, 1, 2)
        ]
    )
    correlation = x @ x.T / n
    off = correlation - torch.diag(correlation.diagonal())
    assert off.abs().max() < 5 / math.sqrt(n)  # 153 pairs
    assert (correlation.diagonal() - 1).abs().max() < 4.5 * math.sqrt(2 / n)
    assert x.mean(1).abs().max() < 4.5 / math.sqrt(n)
    inside = (x.abs() < 1).double().mean()
    assert float(inside) == pytest.approx(0.6827, abs=4 * 0.4655 / math.sqrt(x.numel()))


def test_complex_noise_is_circular_with_unit_power():
    n = 40_000
    z = Streams(1, 1).randn(like(1, n, dtype=torch.complex128), 0)[0]
    assert float(z.abs().square().mean()) == pytest.approx(1, abs=4 / math.sqrt(n))
    assert float(z.real.square().mean()) == pytest.approx(0.5, abs=4 * math.sqrt(0.5 / n))
    assert abs(complex((z * z).mean())) < 4 * 1.5 / math.sqrt(n)


def test_calls_within_a_step_draw_anew_and_repeat_in_the_next_run():
    streams, x = Streams(3, 2), like(2, 6)
    randn = streams.at(5)
    first, second = randn(x), randn(x)
    assert not torch.isclose(first, second).any()
    assert torch.equal(first, streams.randn(x, 5, 0))
    assert torch.equal(second, streams.at(5)(x)) is False
    again = streams.at(5)
    assert torch.equal(again(x), first)
    assert torch.equal(again(x), second)


def test_noise_does_not_touch_the_global_generator():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Streams(3, 2).randn(like(2, 6), 0)
    assert torch.equal(torch.rand(3), expected)


def test_folding_is_stable_and_spreads():
    """Golden values: a change would change the results of every stored run."""
    assert fold(0) == 0xE220A8397B1DCDAF >> 1  # splitmix64's first output for the seed 0
    assert fold(1, 2, 3) == 3851293329796251419
    assert fold(-1) == 8245168133484221968
    many = {fold(a, b, c) for a in range(20) for b in range(20) for c in range(20)}
    assert len(many) == 8000
    ones = sum(bin(fold(1, i)).count("1") for i in range(400)) / 400
    assert ones == pytest.approx(31.5, abs=4 * math.sqrt(63 / 4 / 400))


def test_wrong_batch_is_an_error():
    with pytest.raises(ValueError, match="3 streams for a batch of 2"):
        Streams(0, 3).randn(like(2, 4), 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_antithetic_pairs_have_opposite_noise_in_any_batch(dtype):
    together = AntitheticStreams(3, [4, 5, 6, 9]).randn(like(4, 50, dtype=dtype), 2)
    assert torch.equal(together[0], -together[1])
    assert (together[0] != together[2]).all()
    assert (together[2] != -together[3]).all()  # 6 and 9 are of different pairs
    assert together.dtype == dtype
    alone = AntitheticStreams(3, [9]).at(2)(like(1, 50, dtype=dtype))
    assert torch.equal(alone[0], together[3])
    assert torch.equal(together[0], Streams(3, [2]).randn(like(1, 50, dtype=dtype), 2)[0])


def test_counts_belong_to_their_item_and_have_their_mean():
    mean = torch.tensor([0.0, 3.0, 5e5], dtype=torch.float32).repeat(3, 20_000, 1)
    counts = Streams(4, [5, 6, 9]).poisson(mean, step=2)
    alone = Streams(4, [9]).poisson(mean[2:], step=2)
    assert torch.equal(counts[2], alone[0])
    assert not torch.equal(counts[0], counts[1])
    assert not torch.equal(alone, Streams(4, [9]).poisson(mean[2:], step=3))
    assert counts.dtype == torch.float32
    assert (counts[..., 0] == 0).all()
    assert torch.equal(counts, counts.round())
    for i, rate in ((1, 3.0), (2, 5e5)):
        drawn = counts[..., i].double()
        error = 4 / math.sqrt(drawn.numel())
        assert abs(float(drawn.mean()) - rate) < error * math.sqrt(rate)
        assert abs(float(drawn.var()) / rate - 1) < 1.6 * error
    with pytest.raises(ValueError, match="streams for a batch"):
        Streams(4, 2).poisson(mean, step=0)
