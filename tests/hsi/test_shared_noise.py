"""Noise that bands share, against what was added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from sciddm.classical.spectral.components import find_components
from sciddm.classical.spectral.interface import SceneStatistics
from sciddm.classical.spectral.moments import Moments
from sciddm.data_adapters.hsi import build_cube
from sciddm.physics.spectral.estimate import estimate_noise
from sciddm.physics.spectral.misfit import unexplained
from sciddm.physics.spectral.shared_noise import SharedNoise, shared_noise
from sciddm.pipelines.hsi.survey import Scene, survey

BANDS, SIDE = 60, 64


def scene(width: float, seed: int = 0, gap: int | None = None) -> tuple[Moments, np.ndarray]:
    """Two smooth spectra and noise of variance 1, smoothed along bands; its true correlation."""
    rng = np.random.default_rng(seed)
    maps = np.stack([gaussian_filter(rng.standard_normal((SIDE, SIDE)), 2) for _ in range(2)])
    spectra = np.stack([np.sin(np.linspace(k, 3 + k, BANDS)) for k in range(2)])
    noise = rng.standard_normal((BANDS, SIDE, SIDE))
    kernel = np.eye(BANDS)
    if width:
        parts = [slice(0, gap), slice(gap, None)] if gap else [slice(None)]
        for part in parts:
            kernel[part, part] = gaussian_filter1d(kernel[part, part], width, axis=0)
    kernel /= np.linalg.norm(kernel, axis=1, keepdims=True)
    values = np.tensordot(spectra.T, 200 * maps, 1) + np.tensordot(kernel, noise, 1)
    moments = Moments(values.mean(axis=(1, 2)))
    moments.add(values)
    return moments, kernel @ kernel.T


def fitted(moments: Moments, nm: np.ndarray | None = None) -> SharedNoise:
    sharing = shared_noise(moments.covariance, moments.neighbours, moments.count, moments.pairs, nm)
    assert sharing is not None
    return sharing


def test_white_noise_is_not_shared():
    moments, _ = scene(0)
    sharing = fitted(moments)
    assert sharing.sigma is None
    assert sharing.shared == 0
    np.testing.assert_array_equal(sharing.correlation, np.eye(BANDS))


@pytest.mark.parametrize("width", [0.6, 0.8, 1.0, 2.0, 3.0])
def test_correlation_along_bands(width):
    moments, true = scene(width)
    sharing = fitted(moments)
    inner = slice(6, -6)  # at the ends a filter that mirrors correlates otherwise
    np.testing.assert_allclose(sharing.correlation[inner, inner], true[inner, inner], atol=0.06)
    np.testing.assert_allclose(sharing.sigma, 1, rtol=0.05)
    assert np.linalg.eigvalsh(sharing.correlation).min() > -1e-9


def test_bands_on_both_sides_of_a_gap_share_nothing():
    moments, _ = scene(0.8, gap=30)
    nm = np.where(
        np.arange(BANDS) < 30, 400 + 10.0 * np.arange(BANDS), 900 + 10.0 * np.arange(BANDS)
    )
    correlation = fitted(moments, nm).correlation
    assert correlation[28, 29] > 0.5
    assert not correlation[:30, 30:].any()


def test_too_few_pixels_or_bands_say_nothing():
    moments, _ = scene(0.8)
    few = moments.covariance[:20, :20], moments.neighbours[:20, :20]
    assert shared_noise(*few, moments.count, moments.pairs) is None
    both = moments.covariance, moments.neighbours
    assert shared_noise(*both, 4 * BANDS - 1, 16 * BANDS) is None


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """A ramp and a step, whose span holds no flat spectrum, in smooth abundances."""
    rng = np.random.default_rng(3)
    maps = np.stack([gaussian_filter(rng.standard_normal((SIDE, SIDE)), 3) for _ in range(2)])
    place = np.linspace(0, 1, BANDS)
    spectra = np.stack([0.2 + place, 1 / (1 + np.exp(-30 * (place - 0.3)))])
    return 0.3 + np.tensordot(spectra.T, maps, 1)


def smoothed(width: float) -> np.ndarray:
    return gaussian_filter1d(
        np.random.default_rng(1).standard_normal((BANDS, SIDE, SIDE)), width, axis=0
    )


def common(share: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    own, all_ = rng.standard_normal((BANDS, SIDE, SIDE)), rng.standard_normal((1, SIDE, SIDE))
    return np.sqrt(1 - share) * own + np.sqrt(share) * all_


@pytest.mark.parametrize(
    "noise",
    [smoothed(0.6), smoothed(1.2), smoothed(2), smoothed(4), common(0.5)],
    ids=["0.6", "1.2", "2", "4", "offset"],
)
def test_noise_that_bands_share_has_its_true_size(clean, noise):
    noise = 0.01 * noise / noise.std()
    ratio = estimate_noise(clean + noise).sigma / noise.std(axis=(1, 2))
    # Without neighbours: .61, .78, .01, .00 and .71.
    assert np.median(ratio) == pytest.approx(1, abs=0.05)
    assert ratio.min() > 0.85


def test_resampled_bands_have_their_true_noise(clean):
    noise = np.random.default_rng(1).standard_normal(clean.shape)
    part = np.abs(np.linspace(-0.5, 0.5, SIDE))  # smile: bands are means of two
    noise = 0.01 * ((1 - part) * noise + part * np.roll(noise, 1, axis=0))
    ratio = estimate_noise(clean + noise).sigma / noise.std(axis=(1, 2))
    np.testing.assert_allclose(ratio, 1, atol=0.06)


@pytest.mark.parametrize("width", [0, 0.4, 0.7])
def test_fine_texture_of_the_scene_is_no_noise(width):
    rng = np.random.default_rng(3)
    maps = np.stack([gaussian_filter(rng.standard_normal((SIDE, SIDE)), width) for _ in range(3)])
    spectra = np.stack([1 + np.sin(np.linspace(k, 4 + 2 * k, BANDS)) for k in range(3)])
    noisy = np.tensordot(spectra.T, maps, 1) + 0.002 * rng.standard_normal((BANDS, SIDE, SIDE))
    np.testing.assert_allclose(estimate_noise(noisy).sigma, 0.002, rtol=0.1)


def hidden_offset(share: float) -> np.ndarray:
    """A scene whose brightness changes alike in all bands."""
    rng = np.random.default_rng(3)
    light = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 4)
    return 0.3 + 0.2 * light / light.std() + 0.03 * common(share)


def test_an_offset_of_all_bands_that_looks_like_brightness_is_a_warning():
    def known(share: float):
        return survey(
            Scene(build_cube(Path("s"), hidden_offset(share).astype(np.float32), form="t"))
        )

    assert known(0.6).noise.doubt > np.sqrt(1 / 0.4) * 0.9
    assert "cannot be told" in known(0.6).doubt


def test_sums_over_bands_that_share_their_noise_are_no_lost_signal():
    rng = np.random.default_rng(0)
    _, true = scene(2.0)
    root = np.linalg.cholesky(true + 1e-9 * np.eye(BANDS))
    z = root @ rng.standard_normal((BANDS, 4000))
    every = np.ones(z.shape, bool)
    assert unexplained(z, every).mean() > 0.02
    assert not unexplained(z, every, true).any()
    z[20:40] += 5.9  # twenty bands in a row
    assert unexplained(z, every, true).mean() > 0.95


def test_components_of_a_scene_with_correlated_noise_are_its_own():
    moments, true = scene(0.8)
    statistics = SceneStatistics((SIDE, SIDE), np.ones(BANDS), moments)
    blind = find_components(statistics)
    components = find_components(statistics, correlated=True)
    # Smooth noise looks like many weak spectra.
    assert (blind.power > 0.5).sum() > 8
    assert (components.power > 0.5).sum() == 2
    count = len(components.power)
    np.testing.assert_allclose(components.dual.T @ components.basis, np.eye(count), atol=1e-9)
    # Coefficients have noise of variance 1.
    np.testing.assert_allclose(np.diag(components.dual.T @ true @ components.dual), 1, atol=0.15)
