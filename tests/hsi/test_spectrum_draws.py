"""Draws of spectra: their covariance over bands, and what all pixels of a draw share."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.classical.spectral.components import find_components
from sciddm.classical.spectral.interface import SceneStatistics
from sciddm.classical.spectral.moments import Moments
from sciddm.classical.spectral.smooth_spectra import SmoothSpectra
from sciddm.classical.spectral.spectrum_draws import SpectrumDraws

BANDS, SIDE = 40, 32


def statistics(mean_variance=1.0):
    rng = np.random.default_rng(0)
    nm = np.linspace(900, 1700, BANDS)
    spectra = np.stack([0.3 + 0.1 * np.sin(nm / 150), 0.4 - 0.1 * np.cos(nm / 200)])
    share = rng.random((SIDE, SIDE))
    clean = share * spectra[0][:, None, None] + (1 - share) * spectra[1][:, None, None]
    moments = Moments(clean.mean(axis=(1, 2)))
    moments.add(clean + 0.05 * rng.standard_normal(clean.shape))
    sigma = np.full(BANDS, 0.05)
    return SceneStatistics((SIDE, SIDE), sigma, moments, nm, mean_variance=mean_variance)


def test_the_covariance_of_a_smoothed_spectrum_is_that_of_its_posterior():
    """One prior has (C^-1 + I / eps)^-1; the mixture's mean squared error is its trace."""
    rng = np.random.default_rng(1)
    smooth = SmoothSpectra(np.ones(BANDS))
    apart = np.abs(np.subtract.outer(np.arange(BANDS), np.arange(BANDS)))
    prior = np.exp(-apart / 16.0)
    root = np.linalg.cholesky(prior + 1e-9 * np.eye(BANDS))
    square, stated = 0.0, 0.0
    for _ in range(60):
        truth = root @ rng.standard_normal(BANDS)
        data = truth + 0.5 * rng.standard_normal(BANDS)
        square += float(((smooth(data, 0.25) - truth) ** 2).sum())
        stated += float(np.trace(smooth.covariance(data, 0.25)))
    exact = np.trace(np.linalg.inv(np.linalg.inv(prior) + np.eye(BANDS) / 0.25)) * 60
    assert square == pytest.approx(exact, rel=0.15)
    assert stated == pytest.approx(square, rel=0.2)


def test_draws_have_the_moments_that_are_stated():
    known = find_components(statistics())
    draw, rng = SpectrumDraws(known), np.random.default_rng(0)
    pixels, rank = 20_000, len(known.power)
    mean, variance = np.zeros((rank, pixels)), np.full((rank, pixels), 0.3)
    white = (draw(mean, variance, rng) - known.mean[:, None]) / known.noise[:, None]
    about = white - white.mean(axis=1, keepdims=True)
    found = about @ about.T / pixels
    own = known.basis * 0.3 @ known.basis.T + np.diag(known.rest)
    hidden = found - own
    size = np.trace(hidden) / BANDS
    assert size == pytest.approx(known.unseen, rel=0.15)
    # As smooth as the scene: neighbouring bands share it.
    assert np.diagonal(hidden, 1).mean() > 0.5 * size


def test_all_pixels_of_a_draw_share_the_error_of_the_mean():
    small, large = (SpectrumDraws(find_components(statistics(v))) for v in (1.0, 30.0))
    rank = len(small._components.power)
    nothing = np.zeros((rank, 400))
    draws = []
    for draw in (small, large):
        rng, known = np.random.default_rng(0), draw._components
        shared = [draw(nothing, nothing, rng).mean(axis=1) - known.mean for _ in range(60)]
        draws.append(float(np.std(np.array(shared) / known.noise)))
    assert draws[1] > 1.5 * draws[0]
    expected = np.sqrt((small._mean**2).sum() / BANDS)
    assert draws[0] == pytest.approx(expected, rel=0.25)
