"""Noise that neighbouring bands share, against what was added."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from sciddm.classical.spectral.components import find_components
from sciddm.classical.spectral.interface import SceneStatistics
from sciddm.classical.spectral.moments import Moments
from sciddm.classical.spectral.noise_correlation import noise_correlation

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


def test_white_noise_has_none():
    moments, _ = scene(0)
    found = noise_correlation(moments.covariance, moments.neighbours, moments.count)
    np.testing.assert_array_equal(found, np.eye(BANDS))


@pytest.mark.parametrize("width", [0.6, 0.8, 1.0])
def test_correlation_along_bands(width):
    moments, true = scene(width)
    found = noise_correlation(moments.covariance, moments.neighbours, moments.count)
    inner = slice(6, -6)  # at the ends a filter that mirrors correlates otherwise
    np.testing.assert_allclose(found[inner, inner], true[inner, inner], atol=0.06)
    assert np.linalg.eigvalsh(found).min() > 0


def test_bands_on_both_sides_of_a_gap_share_nothing():
    moments, _ = scene(0.8, gap=30)
    nm = np.where(
        np.arange(BANDS) < 30, 400 + 10.0 * np.arange(BANDS), 900 + 10.0 * np.arange(BANDS)
    )
    found = noise_correlation(moments.covariance, moments.neighbours, moments.count, nm)
    assert found[28, 29] > 0.5
    assert not found[:30, 30:].any()


def test_too_few_pixels_or_bands_say_nothing():
    moments, _ = scene(0.8)
    few = moments.covariance[:20, :20], moments.neighbours[:20, :20]
    np.testing.assert_array_equal(noise_correlation(*few, moments.count), np.eye(20))
    both = moments.covariance, moments.neighbours
    np.testing.assert_array_equal(noise_correlation(*both, 2 * BANDS - 1), np.eye(BANDS))


def test_components_of_a_scene_with_correlated_noise_are_its_own():
    moments, true = scene(0.8)
    statistics = SceneStatistics((SIDE, SIDE), np.ones(BANDS), moments)
    blind = find_components(statistics)
    found = find_components(statistics, correlated=True)
    # Smooth noise looks like many weak spectra.
    assert (blind.power > 0.5).sum() > 8
    assert (found.power > 0.5).sum() == 2
    count = len(found.power)
    np.testing.assert_allclose(found.dual.T @ found.basis, np.eye(count), atol=1e-9)
    # Coefficients have noise of variance 1.
    np.testing.assert_allclose(np.diag(found.dual.T @ true @ found.dual), 1, atol=0.15)
