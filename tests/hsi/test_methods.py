"""Classical methods: what they must do exactly, and what they gain on a known scene."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciddm.classical.spectral.lowrank import signal_subspace
from sciddm.errors import InputError
from sciddm.metrics import spectral as metrics
from sciddm.pipelines.hsi import NoiseEstimate, estimate_noise
from sciddm.pipelines.hsi.methods import Moments, build_method, denoise_cube
from sciddm.simulation.hsi import noise

CLASSICAL = ("tv", "lowrank")


def scene(bands=30, shape=(40, 47), materials=3):
    rng = np.random.default_rng(0)
    fields = np.stack([gaussian_filter(rng.standard_normal(shape), 3) for _ in range(materials)])
    abundance = np.exp(10 * fields)
    abundance /= abundance.sum(axis=0)
    walk = gaussian_filter(rng.standard_normal((materials, bands)), (0, 4))
    return np.tensordot((0.5 + 0.35 * walk / np.abs(walk).max()).T, abundance, 1)


def known(cube, sigma):
    bands, lines, samples = cube.shape
    return NoiseEstimate(
        np.broadcast_to(sigma, bands).astype(float),
        np.zeros((bands, lines, samples), np.uint8),
        np.zeros((bands, samples)),
        np.zeros(bands, bool),
    )


def moments_of(cube):
    moments = Moments(np.zeros(len(cube)))
    moments.add(cube)
    return moments


def subspace_of(white):
    moments = moments_of(white)
    return signal_subspace(moments.covariance, moments.mean, moments.count)


@pytest.mark.parametrize("method", CLASSICAL)
def test_noise_falls(method):
    clean = scene()
    noisy = noise.add_gaussian(clean, 30 / 255, np.random.default_rng(1))
    gain = metrics.psnr(denoise_cube(noisy, method), clean) - metrics.psnr(noisy, clean)
    # A subspace of 3 of 30 bands keeps a tenth of the noise: 10 dB.
    assert gain > (9.5 if method == "lowrank" else 5)


@pytest.mark.parametrize("method", CLASSICAL)
def test_units_and_types_do_not_matter(method):
    noisy = noise.add_gaussian(scene(), 0.05, np.random.default_rng(1))
    ours = denoise_cube(noisy, method, known(noisy, 0.05))
    scaled = denoise_cube(1e4 * noisy, method, known(noisy, 500))
    np.testing.assert_allclose(scaled, 1e4 * ours, rtol=1e-5)
    single = denoise_cube(noisy.astype(np.float32), method, known(noisy, 0.05))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, ours, atol=1e-5)


@pytest.mark.parametrize("method", CLASSICAL)
def test_no_noise_no_change(method):
    clean = scene()
    np.testing.assert_allclose(denoise_cube(clean, method, known(clean, 0)), clean, atol=1e-7)


def test_the_subspace_of_a_known_scene():
    clean = scene()
    white = (clean + np.random.default_rng(1).normal(0, 0.01, clean.shape)) / 0.01
    basis = subspace_of(white)
    assert basis.shape == (30, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    left = clean - np.tensordot(basis @ basis.T, clean, 1)
    assert np.sqrt((left**2).mean()) < 0.002


@pytest.mark.parametrize("method", CLASSICAL)
def test_stripes_and_dead_entries_go_and_empty_bands_stay(method):
    clean = scene()
    noisy = noise.add_gaussian(clean, 0.02, np.random.default_rng(1))
    broken = noise.add_stripes(noisy, np.random.default_rng(2)).cube
    broken = noise.add_impulses(broken, np.random.default_rng(3), bands=[4, 9], amounts=[0.03]).cube
    broken[3, 1, 2], broken[7] = np.nan, -9999
    out = denoise_cube(broken, method)
    np.testing.assert_array_equal(out[7], broken[7])
    seen = np.arange(30) != 7
    assert np.isfinite(out).all()
    assert metrics.psnr(out[seen], clean[seen]) > metrics.psnr(noisy[seen], clean[seen])


def test_few_pixels_of_noise_alone_have_no_subspace_but_one():
    white = np.random.default_rng(0).standard_normal((60, 10, 12))
    assert subspace_of(white).shape == (60, 1)


def test_bad_calls():
    clean = scene()
    with pytest.raises(InputError, match="subspace, finch, dds2m, tv, lowrank"):
        denoise_cube(clean, "magic")
    with pytest.raises(InputError, match="noise of a cube of the shape"):
        denoise_cube(clean, "tv", known(clean[:, 1:], 0.1))
    with pytest.raises(InputError, match="2 bands"):
        estimate_noise(np.full((3, 9, 9), np.nan))


def test_moments_of_blocks_are_those_of_the_whole():
    rng = np.random.default_rng(3)
    cube = rng.normal(5, 1, (4, 12, 9)) * np.arange(1, 5)[:, None, None]
    known = rng.random((12, 9)) < 0.9
    whole, parts = Moments(np.full(4, 3.0)), Moments(np.full(4, 3.0))
    whole.add(cube, known)
    for half in (slice(0, 5), slice(5, 12)):
        part = Moments(np.full(4, 3.0))
        part.add(cube[:, half], known[half])
        parts.merge(part)
    pixels = cube[:, known]
    np.testing.assert_allclose(whole.mean, pixels.mean(axis=1))
    np.testing.assert_allclose(whole.covariance, np.cov(pixels, bias=True), rtol=1e-9)
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=1e-9)
    # Only pairs across the cut are missing.
    assert whole.pairs > parts.pairs > 0.9 * whole.pairs - 9


def test_neighbours_share_the_signal_but_not_the_noise():
    rng = np.random.default_rng(4)
    smooth = gaussian_filter(rng.standard_normal((200, 201)), 8)
    smooth /= smooth.std()
    direction = np.array([1.0, -2.0, 0.5])
    cube = direction[:, None, None] * smooth + rng.normal(0, 3, (3, 200, 201))
    found = moments_of(cube)
    np.testing.assert_allclose(found.neighbours, np.outer(direction, direction), atol=0.15)
    expected = np.outer(direction, direction) + 9 * np.eye(3)
    np.testing.assert_allclose(found.covariance, expected, atol=0.3)


def test_samples_are_for_methods_that_draw_them():
    assert build_method("subspace", samples=6).settings.samples == 6
    with pytest.raises(InputError, match="draws no samples"):
        build_method("lowrank", samples=6)
    with pytest.raises(InputError, match="2 or more"):
        build_method("subspace", samples=1)
