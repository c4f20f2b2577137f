"""Noise has the moments, places and shares that its model says."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.simulation.hsi import noise

KINDS = [
    noise.add_stripes,
    noise.add_dead_lines,
    noise.add_impulses,
    noise.add_mixture,
    noise.add_stripe_clusters,
    noise.add_dead_pixels,
]


def clean(shape=(12, 33, 47), seed=3):
    return np.random.default_rng(seed).uniform(0.2, 0.8, shape)


@pytest.mark.parametrize("add", KINDS)
def test_pure_seeded_and_marked(add):
    cube = clean().astype(np.float32)
    before = cube.copy()
    noisy, mask = add(cube, np.random.default_rng(1))
    np.testing.assert_array_equal(cube, before)
    assert noisy.dtype == cube.dtype
    again = add(cube, np.random.default_rng(1))
    np.testing.assert_array_equal(noisy, again.cube)
    assert (add(cube, np.random.default_rng(2)).cube != noisy).any()
    if add is not noise.add_mixture:  # which has Gaussian noise everywhere
        np.testing.assert_array_equal(noisy[~mask], cube[~mask])
        # Single draws may hit the value that was there, stripes of width 0 do not exist.
        assert (noisy[mask] != cube[mask]).mean() > 0.99


@pytest.mark.parametrize(
    ("level", "psnr"), [(10, 28.131), (30, 18.588), (50, 14.151), (70, 11.229)]
)
def test_psnr_of_the_literature(level, psnr):
    cube = np.full((20, 200, 200), 0.5)
    noisy = noise.add_gaussian(cube, level / 255, np.random.default_rng(0))
    assert -10 * np.log10(((noisy - cube) ** 2).mean()) == pytest.approx(psnr, abs=0.03)


def test_gaussian_per_band():
    sigma = np.linspace(0, 0.3, 12)
    noisy = noise.add_gaussian(clean((12, 80, 90)), sigma, np.random.default_rng(0))
    spread = (noisy - clean((12, 80, 90))).std(axis=(1, 2))
    np.testing.assert_allclose(spread, sigma, rtol=0.03)
    with pytest.raises(ValueError, match="12 bands"):
        noise.add_gaussian(clean(), [0.1, 0.2], np.random.default_rng(0))
    with pytest.raises(ValueError, match="0 or more"):
        noise.add_gaussian(clean(), -0.1, np.random.default_rng(0))


def test_stripes_are_whole_columns_of_a_third_of_the_bands():
    cube = clean((12, 30, 100))
    noisy, mask = noise.add_stripes(cube, np.random.default_rng(0))
    assert mask.any(axis=(1, 2)).sum() == 4
    np.testing.assert_array_equal(mask.any(axis=1), mask.all(axis=1))
    count = mask.all(axis=1).sum(axis=1)
    assert set(count[count > 0]) <= set(range(5, 16))
    added = noisy - cube
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1], cube.shape), atol=1e-12)
    assert np.abs(added).max() <= 0.25
    assert added.min() < 0 < added.max()


def test_dead_lines_are_zero():
    noisy, mask = noise.add_dead_lines(clean(), np.random.default_rng(0))
    assert (noisy[mask] == 0).all()
    np.testing.assert_array_equal(mask.any(axis=1), mask.all(axis=1))


def test_impulses_are_half_salt():
    cube = clean((3, 200, 200))
    noisy, mask = noise.add_impulses(cube, np.random.default_rng(0), bands=[1], amounts=[0.3])
    assert not mask[[0, 2]].any()
    assert mask[1].mean() == pytest.approx(0.3, abs=0.01)
    assert (noisy[1][mask[1]] == 1).mean() == pytest.approx(0.5, abs=0.02)
    assert set(np.unique(noisy[1][mask[1]])) == {0.0, 1.0}


def test_mixture_is_disjoint():
    cube = clean((12, 40, 60))
    noisy, mask = noise.add_mixture(cube, np.random.default_rng(0), levels=[1e-6])
    columns = mask.any(axis=1) & mask.all(axis=1)
    dead = np.array([c.any() and (noisy[b][:, c] == 0).all() for b, c in enumerate(columns)])
    impulses = np.array([m.any() for m in mask]) & ~columns.any(axis=1)
    striped = columns.any(axis=1) & ~dead
    assert (dead.sum(), impulses.sum(), striped.sum()) == (4, 4, 4)
    with pytest.raises(ValueError, match="3 bands"):
        noise.add_mixture(cube[:2], np.random.default_rng(0))


def test_clusters_brighten_a_share_of_columns_together():
    cube = 1000 * clean((40, 20, 200))
    noisy, mask = noise.add_stripe_clusters(cube, np.random.default_rng(0))
    added = (noisy - cube)[:, 0]
    assert (added >= -1e-9).all()
    share = mask[:, 0].mean(axis=1)
    assert 0.3 <= share.min() < share.max() <= 0.5 + 10 / 200
    runs = (np.diff(np.pad(mask[:, 0], ((0, 0), (1, 1))).astype(int), axis=1) == 1).sum(axis=1)
    assert (mask[:, 0].sum(axis=1) / runs).mean() > 4  # columns of independent draws: below 2
    rms = np.array([np.sqrt((a[a > 0] ** 2).mean()) for a in added])
    assert 0.01 * 590 * 0.7 < rms.min() < rms.max() < 0.3 * 600 * 1.3


def test_dead_pixels_have_the_extremes_of_their_own_band():
    cube = clean((4, 50, 50)) * np.array([1, 10, 100, 1000])[:, None, None]
    noisy, mask = noise.add_dead_pixels(cube, np.random.default_rng(0))
    for band in range(4):
        hit = noisy[band][mask[band]]
        assert set(np.unique(hit)) == {cube[band].min(), cube[band].max()}
    assert 0.005 < mask.mean(axis=(1, 2)).min() < mask.mean(axis=(1, 2)).max() < 0.11


@pytest.mark.parametrize("add", KINDS)
@pytest.mark.parametrize("shape", [(3, 1, 1), (5, 2, 7), (4, 9, 3)])
def test_small_cubes(add, shape):
    noisy, mask = add(clean(shape), np.random.default_rng(0))
    assert np.isfinite(noisy).all()
    assert mask.any() or add in (noise.add_impulses, noise.add_dead_pixels, noise.add_mixture)
