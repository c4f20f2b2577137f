"""Noise estimated from the cube alone against the noise that was put in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciddm.errors import InputError
from sciddm.physics.spectral import estimate
from sciddm.physics.spectral.estimate import (
    _regression,
    complete_stripes,
    estimate_noise,
    fit_noise,
)
from sciddm.simulation.hsi import noise


def scene(bands=40, shape=(50, 61), materials=4, seed=0):
    """Smooth abundances of a few smooth spectra, in [0, 1]."""
    rng = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(rng.standard_normal(shape), 4) for _ in range(materials)])
    abundance = np.exp(12 * fields)
    abundance /= abundance.sum(axis=0)
    walk = gaussian_filter(rng.standard_normal((materials, bands)), (0, 5))
    spectra = 0.5 + 0.35 * walk / np.abs(walk).max()
    return np.tensordot(spectra.T, abundance, 1)


def test_residuals_are_those_of_least_squares():
    z = np.random.default_rng(0).standard_normal((60, 5)) @ np.random.default_rng(1).normal(
        size=(5, 5)
    )
    centred = z - z.mean(axis=0)
    mean, beta, precision = _regression(z.T)
    np.testing.assert_allclose(mean, z.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(precision, np.linalg.inv(centred.T @ centred), rtol=1e-6)
    for i in range(5):
        others = np.delete(centred, i, axis=1)
        weights = np.linalg.lstsq(others, centred[:, i], rcond=None)[0]
        np.testing.assert_allclose(np.delete(beta[i], i), weights, atol=1e-7)


@pytest.mark.parametrize("unit", [1.0, 1e4])
def test_sigma_of_every_band(unit):
    sigma = np.tile([10, 30, 50, 70], 10) / 255
    noisy = noise.add_gaussian(scene(), sigma, np.random.default_rng(1)) * unit
    found = estimate_noise(noisy)
    # The quietest bands, seen through neighbours of seven times their noise, vary most.
    np.testing.assert_allclose(found.sigma, sigma * unit, rtol=0.2)
    assert np.abs(found.sigma / sigma / unit - 1).mean() < 0.04
    assert not found.dead.any()
    assert not found.stripes.any()


def test_bands_that_were_resampled_from_their_neighbours_have_their_noise():
    sigma = np.full(40, 0.02)
    noisy = noise.add_gaussian(scene(), sigma, np.random.default_rng(1))
    noisy[12] = 0.5 * (noisy[11] + noisy[13])
    noisy[30] = np.round(0.3 * noisy[29] + 0.7 * noisy[31], 4)
    sigma[12] *= np.sqrt(0.5)
    sigma[30] *= np.hypot(0.3, 0.7)
    np.testing.assert_allclose(estimate_noise(noisy).sigma, sigma, rtol=0.25)


def test_small_noise():
    noisy = noise.add_gaussian(scene(), 0.002, np.random.default_rng(1))
    np.testing.assert_allclose(estimate_noise(noisy).sigma, 0.002, rtol=0.1)


def test_no_bias_where_pixels_are_few():
    noisy = noise.add_gaussian(scene(120, (30, 32)), 0.1, np.random.default_rng(1))
    # 12 % of the variance, 6 % of sigma, if the errors of the regression were left in.
    assert estimate_noise(noisy).sigma.mean() == pytest.approx(0.1, rel=0.02)


def test_empty_bands_and_entries_that_are_no_numbers():
    noisy = noise.add_gaussian(scene(), 0.02, np.random.default_rng(1))
    noisy[3], noisy[7], noisy[9] = np.nan, 0, -9999
    noisy[5, 2, 3] = np.nan
    found = estimate_noise(noisy)
    assert np.flatnonzero(found.empty).tolist() == [3, 7, 9]
    assert np.isnan(found.sigma[found.empty]).all()
    np.testing.assert_allclose(found.sigma[~found.empty], 0.02, rtol=0.1)
    assert np.argwhere(found.dead).tolist() == [[5, 2, 3]]
    invalid = np.zeros(noisy.shape, bool)
    invalid[1, :4] = True
    assert estimate_noise(noisy, invalid).dead[1, :4].all()


def test_dead_pixels_are_found():
    noisy = noise.add_gaussian(scene(), 0.01, np.random.default_rng(1))
    broken, mask = noise.add_impulses(
        noisy, np.random.default_rng(2), bands=np.arange(0, 40, 3), amounts=[0.03]
    )
    found = estimate_noise(broken)
    assert found.dead[mask].mean() > 0.99
    assert found.dead[~mask].mean() < 1e-3
    np.testing.assert_allclose(found.sigma, 0.01, rtol=0.12)


def test_dead_lines_are_found():
    noisy = noise.add_gaussian(scene(), 0.01, np.random.default_rng(1))
    broken, mask = noise.add_dead_lines(noisy, np.random.default_rng(2))
    found = estimate_noise(broken)
    assert found.dead[mask].all()
    assert found.dead[~mask].mean() < 1e-3
    np.testing.assert_allclose(found.sigma, 0.01, rtol=0.15)


def test_stripes_are_measured():
    noisy = noise.add_gaussian(scene(), 0.01, np.random.default_rng(1))
    striped, mask = noise.add_stripes(noisy, np.random.default_rng(2))
    truth = (striped - noisy)[:, 0]
    found = estimate_noise(striped)
    # 5 standard errors of a median of 50 pixels are 0.0089: what is smaller may go unseen.
    assert np.abs(found.stripes - truth)[found.stripes != 0].max() < 0.0089
    large = np.abs(truth) > 0.0125
    assert (found.stripes[large] != 0).all()
    assert (found.stripes[~mask[:, 0]] != 0).mean() < 0.002
    np.testing.assert_allclose(found.sigma, 0.01, rtol=0.15)


def test_stripes_of_one_sign_in_nearly_half_of_the_columns():
    """What most columns share is no stripe: the level of the band is kept."""
    clean = scene(40, (60, 90))
    noisy = noise.add_gaussian(clean, 0.01, np.random.default_rng(1))
    striped, mask = noise.add_stripe_clusters(noisy, np.random.default_rng(2))
    truth = (striped - noisy)[:, 0]
    found = estimate_noise(striped)
    assert (found.stripes[~mask[:, 0]] != 0).mean() < 0.05
    large = truth > 0.02
    assert (found.stripes[large] != 0).mean() > 0.98
    bias = (found.stripes - truth).mean(axis=1)
    assert np.abs(bias).max() < 0.004
    np.testing.assert_allclose(found.sigma, 0.01, rtol=0.15)


def test_too_little_to_go_by():
    with pytest.raises(InputError, match="pixels are too few"):
        estimate_noise(scene(40, (5, 6)))
    with pytest.raises(InputError, match="2 bands"):
        estimate_noise(scene()[:1])


def test_what_some_lines_taught_finds_what_is_wrong_in_others():
    """The model of a sample knows sigma, the stripes of all columns, and dead pixels anywhere."""
    clean = scene(30, (160, 45))
    noisy = noise.add_gaussian(clean, 0.01, np.random.default_rng(1))
    broken, mask = noise.add_impulses(
        noisy, np.random.default_rng(2), bands=np.arange(0, 30, 3), amounts=[0.02]
    )
    offset = np.zeros((30, 45))
    offset[5, [3, 20]], offset[11, 31] = 0.1, -0.08
    broken = broken + offset[:, None]
    known, constant = np.ones(broken.shape, bool), np.zeros((30, 45), bool)
    lines, columns = np.arange(0, 160, 4), np.arange(0, 45, 3)
    sample = fit_noise(broken[:, lines][..., columns], known[:, lines][..., columns])
    np.testing.assert_allclose(sample.sigma, 0.01, rtol=0.25)
    model = complete_stripes(sample, broken[:, lines], known[:, lines], constant)
    np.testing.assert_allclose(model.stripes, offset, atol=0.006)
    assert ((model.stripes != 0) == (offset != 0)).mean() > 0.995
    part = (slice(None), slice(101, 160), slice(10, 45))
    dead = model.inspect(broken[part], known[part], slice(10, 45)) != 0
    filled, residual = model.complete(broken[part], dead, slice(10, 45))
    assert dead[mask[part]].mean() > 0.99
    assert dead[~mask[part]].mean() < 1e-3
    assert np.abs(filled - clean[part])[dead].max() < 0.05
    assert np.abs(residual[~dead]).max() < 0.1
    # The same wherever the part begins, but for its border.
    again = model.inspect(broken[:, 120:130, 20:30], known[:, 120:130, 20:30], slice(20, 30)) != 0
    np.testing.assert_array_equal(again[:, 1:-1, 1:-1], dead[:, 20:28, 11:19])
    alone, _ = model.complete(broken[:, 120:130, 20:30], dead[:, 19:29, 10:20], slice(20, 30))
    np.testing.assert_allclose(alone, filled[:, 19:29, 10:20], atol=1e-5)


def test_a_band_that_is_mostly_zero():
    noisy = noise.add_gaussian(scene(), 0.02, np.random.default_rng(1))
    noisy[7, :40] = 0
    found = estimate_noise(noisy)
    assert np.isfinite(found.sigma).all()
    np.testing.assert_allclose(np.delete(found.sigma, 7), 0.02, rtol=0.15)


def strong_mixture(bands=60, shape=(64, 70)):
    clean = scene(bands, shape)
    rng = np.random.default_rng(5)
    sigma = noise.random_sigma(bands, np.random.default_rng(rng.bit_generator.seed_seq))
    broken, mask = noise.add_mixture(clean, rng)
    return clean, broken, mask, sigma


def test_impulses_are_found_where_noise_is_as_strong_as_they_are():
    """Noise of up to 70 in 255, half of a band at 0 or 1: distance alone does not tell them."""
    _, broken, _, sigma = strong_mixture()
    found = estimate_noise(broken)
    impulse = (broken == 0) | (broken == 1)
    assert found.dead[impulse].mean() > 0.9
    assert found.dead[~impulse].mean() < 0.005
    ratio = found.sigma / sigma
    assert np.abs(np.median(ratio) - 1) < 0.03
    # A quiet band of which most is gone seems louder among loud ones.
    assert 0.85 < ratio.min() < ratio.max() < 1.4
    assert 0.95 < np.sort(ratio)[3] < np.sort(ratio)[-3] < 1.05


def test_saturated_and_cut_off_entries_fit_and_stay():
    """A cloud beyond what can be stored in all bands, and dark bands without negative numbers."""
    clean = scene(40, (60, 70))
    clean[:, 10:25, 20:40] = 1.5
    clean[:5] = np.maximum(clean[:5] - clean[:5].min() - 0.02, 0)
    noisy = np.clip(noise.add_gaussian(clean, 0.02, np.random.default_rng(1)), 0, 1)
    found = estimate_noise(noisy)
    assert found.dead[:, 12:23, 22:38].mean() < 0.05
    assert found.dead[:5].mean() < 0.05


def test_integers_repeat_without_being_stuck():
    clean = scene(30, (50, 60))
    noisy = np.round(200 * noise.add_gaussian(clean, 0.02, np.random.default_rng(1)))
    found = estimate_noise(noisy)
    assert found.dead.mean() < 1e-3
    broken = noisy.copy()
    hit = np.random.default_rng(2).random(noisy.shape) < 0.03
    broken[hit] = 255
    found = estimate_noise(broken)
    assert found.dead[hit].mean() > 0.99
    assert found.dead[~hit].mean() < 0.002


def test_many_replaced_entries_of_a_pixel_solve_their_equations():
    """Quiet bands among noisy ones: plain substitution of predictions would diverge."""
    _, broken, _, _ = strong_mixture(80, (64, 64))
    known = np.ones(broken.shape, bool)
    model = fit_noise(broken, known)
    assert model.damping <= 1
    filled, _ = model.complete(broken, model.inspect(broken, known) != 0)
    assert np.abs(filled).max() < 3


def test_the_nonnegative_solution_is_found_however_many_steps_it_takes(monkeypatch):
    rng = np.random.default_rng(0)
    matrix = np.eye(30) + 0.2 * rng.random((30, 30))
    truth = np.maximum(rng.normal(size=30), 0)
    found = estimate._nonnegative(matrix, matrix @ truth)
    np.testing.assert_allclose(found, truth, atol=1e-12)

    def never_done(*_, **__):
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr(estimate, "nnls", never_done)
    ended = estimate._nonnegative(matrix, matrix @ truth)
    np.testing.assert_allclose(ended, truth, atol=1e-4)
