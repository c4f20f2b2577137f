"""Smoothing of spectra, against dense formulas and in scenes whose spectra are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.classical.spectral import smooth_spectra
from sciddm.classical.spectral.components import find_components
from sciddm.classical.spectral.interface import SceneStatistics
from sciddm.classical.spectral.moments import Moments
from sciddm.classical.spectral.smooth_spectra import SmoothSpectra

NM = np.linspace(900.0, 1700.0, 60)


def bump(centre, width):
    return np.exp(-(((NM - centre) / width) ** 2))


def test_it_is_the_average_of_all_posterior_means(monkeypatch):
    """Evidence and means by dense Gaussian formulas, prior by prior."""
    monkeypatch.setattr(smooth_spectra, "_LENGTHS", (2, 16))
    monkeypatch.setattr(smooth_spectra, "_SHARES", (0.0, 0.1))
    monkeypatch.setattr(smooth_spectra, "_AMPLITUDES", np.array([0.1, 2.0]))
    rng = np.random.default_rng(0)
    x = np.array([400.0, 410, 420, 440, 450, 460, 470, 500])
    noise = rng.uniform(0.5, 3, 8)
    y = 4 * np.sin(x / 30) + noise * rng.standard_normal(8)
    error = 0.7
    r = np.abs(x[:, None] - x) / 10
    covariance = np.diag(error * noise**2)
    logs, means = [], []
    for kernel in (
        lambda d: np.exp(-d),
        lambda d: (1 + np.sqrt(3) * d) * np.exp(-np.sqrt(3) * d),
    ):
        for length in (2, 16):
            for share in (0.0, 0.1):
                prior = (1 - share) * kernel(r / length) + share * np.eye(8)
                # The amplitude is relative to the power of y in units of its error.
                unit = np.trace(prior / noise[:, None] / noise) / 8
                for part in (0.1, 2.0):
                    size = part * np.mean(y**2 / noise**2) / unit
                    whole = size * prior + covariance
                    means.append(size * prior @ np.linalg.solve(whole, y))
                    logs.append(
                        -0.5 * (np.linalg.slogdet(whole)[1] + y @ np.linalg.solve(whole, y))
                    )
    share = np.exp(np.array(logs) - max(logs))
    wanted = (share / share.sum()) @ np.array(means)
    np.testing.assert_allclose(SmoothSpectra(noise, x)(y, error), wanted, rtol=1e-8)


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_units_and_the_order_of_bands_do_not_matter(scale, seed):
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0.1, 1, 20)
    x = np.sort(rng.uniform(400, 2500, 20))
    y = np.sin(x / 200) + noise * rng.standard_normal(20)
    here = SmoothSpectra(noise, x)(y, 1.0)
    np.testing.assert_allclose(SmoothSpectra(scale * noise, x)(scale * y, 1.0), scale * here)
    order = rng.permutation(20)
    np.testing.assert_allclose(
        SmoothSpectra(noise[order], x[order])(y[order], 1.0), here[order], atol=1e-8
    )


def test_smooth_spectra_lose_their_error_and_rough_ones_keep_their_detail():
    rng = np.random.default_rng(1)
    noise = np.where(np.arange(60) % 3 == 0, 1.0, 0.2)  # bands differ
    smooth = SmoothSpectra(noise, NM)
    ratios = {}
    for name, truth in {
        "smooth": bump(1200, 150) - 0.5 * bump(1450, 60),
        "rough": rng.standard_normal(60),
    }.items():
        before, after = [], []
        for _ in range(20):
            error = 0.3 * noise * rng.standard_normal(60)
            before.append(np.mean(error**2))
            after.append(np.mean((smooth(truth + error, 0.09) - truth) ** 2))
        ratios[name] = np.mean(after) / np.mean(before)
    assert ratios["smooth"] < 0.25
    assert ratios["rough"] < 1.05


def test_a_spectrum_without_error_stays():
    y = bump(1200, 150) + 0.3 * (NM > 1400)
    np.testing.assert_allclose(SmoothSpectra(np.ones(60), NM)(y, 1e-10), y, atol=1e-4)


@pytest.mark.parametrize("position", [None, np.full(60, np.nan), np.full(60, 5.0)])
def test_without_wavelengths_bands_count(position):
    """Or if all are said to be at one: there the spectrum is one number, or detail of its own."""
    y = bump(1200, 150)
    found = SmoothSpectra(np.ones(60), position)(y, 1e-8)
    np.testing.assert_allclose(found, y, atol=1e-3)


def test_directions_and_mean_of_a_small_scene_come_nearer_to_the_truth():
    rng = np.random.default_rng(3)
    truth = np.stack([bump(1100, 200), bump(1500, 80)])
    mean = 2 + bump(1300, 300)
    noise = np.where(np.arange(60) % 2 == 0, 0.3, 2.0)
    rows = np.arange(24)[:, None] * np.ones(24)
    share = np.stack([np.sin(rows / 4), np.cos(rows.T / 5)])
    clean = np.einsum("kb,kyx->byx", truth, share) + mean[:, None, None]
    cube = clean + noise[:, None, None] * rng.standard_normal(clean.shape)
    moments = Moments(cube.mean((1, 2)))
    moments.add(cube)
    known = find_components(SceneStatistics((24, 24), noise, moments, NM))
    count = len(known.power)
    np.testing.assert_allclose(known.basis.T @ known.basis, np.eye(count), atol=1e-12)
    raw = np.linalg.eigh(moments.covariance / np.outer(noise, noise))[1][:, ::-1][:, :2]
    whitened = np.linalg.qr((truth / noise).T)[0]

    def outside(basis):
        """Share of the true directions that a basis misses, in the data's unit."""
        missed = noise[:, None] * (whitened - basis @ (basis.T @ whitened))
        return np.linalg.norm(missed)

    assert outside(known.basis[:, :2]) < 0.4 * outside(raw)
    shift = clean.mean((1, 2))
    assert np.linalg.norm(known.mean - shift) < 0.5 * np.linalg.norm(moments.mean - shift)
