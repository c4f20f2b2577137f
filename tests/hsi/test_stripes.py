"""Offsets of columns against the ones that were put in."""

import numpy as np
import pytest

from sciddm.physics.spectral.stripes import (
    _expected,
    column_offsets,
    common_level,
    signal_directions,
)

BANDS, COLUMNS, LINES, RANK = 120, 60, 50, 6


def columns(seed, share, size=20.0):
    """(mean, count, basis, power, offsets): signal of low rank, noise of variance 1."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((BANDS, RANK)))[0]
    power = np.geomspace(2000.0, 20.0, RANK)
    signal = basis @ (np.sqrt(power)[:, None] * rng.standard_normal((RANK, COLUMNS)))
    level = rng.uniform(0, 50, (BANDS, 1))
    striped = rng.random((BANDS, COLUMNS)) < share
    offsets = np.where(striped, np.abs(rng.normal(0, size, striped.shape)), 0.0)
    chance = rng.standard_normal(striped.shape) / np.sqrt(LINES)
    count = np.full(striped.shape, LINES)
    return signal + level + offsets + chance, count, basis, power, offsets


def test_stripes_of_one_sign_in_half_of_the_columns_of_every_band():
    mean, count, basis, power, offsets = columns(1, 0.45)
    found = column_offsets(mean, count, basis, power)
    # Least squares that knew which columns are striped would be off by 1 / sqrt(lines) there.
    error = np.sqrt(np.mean((found - offsets) ** 2))
    assert error < 1.2 / np.sqrt(LINES)
    assert np.abs((found - offsets).mean(axis=1)).max() < 2.5 / np.sqrt(LINES)


def test_an_offset_below_its_standard_error_is_hardly_taken():
    """The posterior mean is nearer the truth than what is measured."""
    mean, count, basis, power, offsets = columns(2, 0.3, size=0.3)
    # One offset in each band that stands out, in another column each.
    bands, chosen = np.arange(BANDS), np.arange(BANDS) % COLUMNS
    mean[bands, chosen] += 5.0
    offsets[bands, chosen] += 5.0
    found = column_offsets(mean, count, basis, power)
    assert np.mean((found - offsets) ** 2) < 0.95 / LINES


@pytest.mark.parametrize("seed", range(4))
def test_no_stripes(seed):
    """What columns differ in is signal, and what is common to all of a band is its level."""
    mean, count, basis, power, _ = columns(seed, 0.0)
    assert not column_offsets(mean, count, basis, power).any()


def test_columns_of_which_nothing_is_known():
    mean, count, basis, power, offsets = columns(3, 0.4)
    count[:, 11], count[17] = 0, 0
    mean[:, 11], mean[17] = np.pi * 1e3, -1e4
    found = column_offsets(mean, count, basis, power)
    assert not found[:, 11].any()
    assert not found[17].any()
    known = count > 0
    assert np.sqrt(np.mean((found - offsets)[known] ** 2)) < 1.2 / np.sqrt(LINES)


def test_common_level_is_that_of_the_unstriped_columns():
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 0.1, (5, 100))
    values[:, :55] += np.abs(rng.normal(0, 10, (5, 55)))
    seen = np.ones(values.shape, bool)
    seen[:, 90:], values[:, 90:] = False, -100.0
    np.testing.assert_allclose(common_level(values, seen), 3.0, atol=0.15)


def test_signal_directions_span_the_signal():
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.standard_normal((BANDS, RANK)))[0]
    power = np.geomspace(500.0, 5.0, RANK)
    pixels = basis @ (np.sqrt(power)[:, None] * rng.standard_normal((RANK, 4000)))
    found, size = signal_directions(pixels + rng.standard_normal(pixels.shape))
    assert found.shape[1] == RANK
    np.testing.assert_allclose(size, power, rtol=0.15)
    # cos^2 of the angles between both spans.
    assert np.linalg.svd(found.T @ basis)[1].min() ** 2 > 0.97
    nothing, _ = signal_directions(rng.standard_normal((BANDS, 4000)))
    assert nothing.shape[1] == 1


def test_common_level_of_a_few_columns_is_their_median():
    values = np.array([[3.0, 1.0, 2.0, 9.0, 7.0], [5.0, 4.0, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(common_level(values, np.isfinite(values)), [3.0, 4.5])
    assert common_level(values, np.zeros((2, 5), bool)).tolist() == [0.0, 0.0]


def test_offsets_of_one_sign_do_not_draw_the_level_along():
    """Many are too small to be seen, and all of them are above it."""
    rng = np.random.default_rng(0)
    bands, columns, lines = 80, 48, 48
    offsets = np.zeros((bands, columns))
    for row in offsets:
        there = rng.random(columns) < 0.4
        row[there] = np.abs(rng.normal(0, rng.uniform(0.2, 4), there.sum()))
    error = np.full(offsets.shape, lines**-0.5)
    values = 0.3 + offsets + error * rng.standard_normal(offsets.shape)
    middle = np.median(values, axis=1, keepdims=True)
    for sign in (1, -1):
        found = sign * _expected(sign * (values - middle), error, error > 0)
        left = (values - found).mean(axis=1) - 0.3
        assert abs(left.mean()) < 0.02
        assert left.std() < 0.05
    # Those of both signs keep the law of both.
    both = offsets * rng.choice([-1, 1], offsets.shape)
    values = both + error * rng.standard_normal(both.shape)
    left = (values - _expected(values, error, error > 0)).mean(axis=1)
    assert abs(left.mean()) < 0.01
    assert left.std() < 0.04
