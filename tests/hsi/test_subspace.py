"""The subspace method against closed forms: priors whose denoiser is known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sciddm.classical.spectral.components import find_components
from sciddm.classical.spectral.interface import Tile
from sciddm.classical.spectral.lowrank import project
from sciddm.denoiser import Denoiser
from sciddm.ledger import record
from sciddm.pipelines.hsi.methods.gaps import GappedData
from sciddm.pipelines.hsi.methods.subspace import Settings, Subspace
from sciddm.pipelines.hsi.methods.whole import statistics_of
from sciddm.process import EDM

BANDS, SHAPE = 12, (40, 48)
PLAIN = Settings(components=9, orientations=1, samples=0, steps=0, sweeps=40)


class FieldDenoiser(Denoiser):
    """Of a stationary Gaussian field with power spectrum P: F^-1 P / (P + sigma^2) F x."""

    def __init__(self, spectrum):
        super().__init__()
        self.process = EDM(0.002, 10.0)
        self.spectrum = torch.as_tensor(spectrum)

    def forward(self, x_t, t, y=None, cond=None):
        record(nfe=x_t.shape[0])
        gain = self.spectrum / (self.spectrum + float(t) ** 2)
        return torch.fft.ifft2(torch.fft.fft2(x_t.double()) * gain).real.to(x_t)


def spectrum(shape=SHAPE, slope=3.0):
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    power = (0.02 + k) ** -slope
    power[0, 0] = 0
    return power / power.mean()


def scene(power, seed=0, sigma=0.05, shape=SHAPE):
    """A cube whose coefficients are Gaussian fields of the spectrum, and its noise."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((BANDS, len(power))))[0]
    white = np.fft.fft2(rng.standard_normal((len(power), *shape)))
    fields = np.fft.ifft2(white * np.sqrt(spectrum(shape))).real
    fields -= fields.mean((1, 2), keepdims=True)
    fields /= fields.std((1, 2), keepdims=True)
    clean = 1 + sigma * np.tensordot(basis * np.sqrt(power), fields, 1)
    return clean, clean + rng.normal(0, sigma, clean.shape), sigma


def fit(values, valid, sigma, settings, denoiser):
    statistics = statistics_of(values, valid, np.full(BANDS, sigma))
    return Subspace(denoiser=denoiser, settings=settings).fit(statistics)


def tile_of(values, valid=None, origin=(0, 0)):
    valid = np.ones(values.shape, bool) if valid is None else valid
    return Tile(np.where(valid, values, 0).astype(np.float32), valid, origin)


def test_components_of_a_known_scene():
    power = np.array([400.0, 30.0, 3.0])
    clean, noisy, sigma = scene(power, shape=(90, 80))
    found = find_components(statistics_of(noisy, np.ones(noisy.shape, bool), np.full(BANDS, sigma)))
    assert len(found.power) == 3
    np.testing.assert_allclose(found.power, power, rtol=0.15)
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(3), atol=1e-9)
    c = np.tensordot(found.basis.T, clean / sigma, 1)
    np.testing.assert_allclose(c.reshape(3, -1).var(axis=1), power, rtol=0.1)
    assert (found.rest < 0.2).all()


def test_noise_alone_has_one_component_of_little_power():
    noise = np.random.default_rng(0).normal(2, 0.1, (BANDS, 50, 50))
    found = find_components(statistics_of(noise, np.ones(noise.shape, bool), np.full(BANDS, 0.1)))
    assert len(found.power) == 1
    assert found.power[0] < 0.1


@pytest.mark.parametrize("orientations", [1, 8])
def test_complete_data_give_the_posterior_mean_by_one_evaluation(orientations):
    power = np.array([100.0, 10.0])
    shape = (64, 64)  # whole squares: the field's borders must meet in every orientation
    clean, noisy, sigma = scene(power, shape=shape)
    denoiser = FieldDenoiser(spectrum(shape))
    settings = replace(PLAIN, orientations=orientations)
    fitted = fit(noisy, np.ones(noisy.shape, bool), sigma, settings, denoiser)
    estimate = fitted.apply(tile_of(noisy))
    assert estimate.attributes["nfe"] == orientations
    known = fitted._components
    z = np.tensordot(known.basis.T, (noisy - known.mean[:, None, None]) / sigma, 1)
    gain = spectrum(shape) / (spectrum(shape) + (1 / known.power)[:, None, None])
    wiener = np.fft.ifft2(np.fft.fft2(z) * gain).real
    expected = known.mean[:, None, None] + sigma * np.tensordot(known.basis, wiener, 1)
    np.testing.assert_allclose(estimate.values, expected, atol=1e-5)
    assert np.sqrt(((estimate.values - clean) ** 2).mean()) < 0.35 * sigma


def test_missing_bands_give_the_exact_posterior_mean():
    power = np.array([50.0, 5.0, 1.0])
    _, noisy, sigma = scene(power)
    valid = np.random.default_rng(3).random(noisy.shape) > 0.15
    fitted = fit(noisy, valid, sigma, replace(PLAIN, sweeps=4), FieldDenoiser(np.ones(SHAPE)))
    estimate = fitted.apply(tile_of(noisy, valid))
    known = fitted._components
    white = (noisy - known.mean[:, None, None]) / sigma
    gain = (known.power / (known.power + 1))[:, None, None]
    whole = gain * np.tensordot(known.basis.T, white, 1)
    exact = project(white, valid, known.basis, 1 / known.power)
    exact = np.where(valid.all(axis=0), whole, exact)
    expected = known.mean[:, None, None] + sigma * np.tensordot(known.basis, exact, 1)
    gaps = ~valid.all(axis=0)
    error = (estimate.values - expected) / sigma
    np.testing.assert_allclose(error[:, ~gaps], 0, atol=1e-4)
    assert np.sqrt((error[:, gaps] ** 2).mean()) < 0.06


def test_a_lost_column_is_filled_from_both_sides():
    power = np.array([100.0, 10.0])
    clean, noisy, sigma = scene(power)
    valid = np.ones(noisy.shape, bool)
    valid[:, :, 20] = False
    settings = replace(PLAIN, sweeps=4)
    fitted = fit(noisy, valid, sigma, settings, FieldDenoiser(spectrum()))
    values = fitted.apply(tile_of(noisy, valid)).values
    error = np.sqrt(((values - clean) ** 2)[:, :, 20].mean())
    around = np.sqrt(((clean[:, :, 19] + clean[:, :, 21]) / 2 - clean[:, :, 20]).var())
    assert error < 1.1 * around
    assert error < 0.5 * clean[:, :, 20].std()


@pytest.mark.parametrize("gaps", [False, True])
def test_the_spread_is_the_posterior_standard_deviation(gaps):
    power = np.array([60.0, 6.0])
    clean, noisy, sigma = scene(power)
    valid = np.ones(noisy.shape, bool)
    if gaps:
        valid = np.random.default_rng(3).random(noisy.shape) > 0.2
    settings = Settings(components=9, orientations=1, samples=32, steps=10, sweeps=5)
    fitted = fit(noisy, valid, sigma, settings, FieldDenoiser(spectrum()))
    estimate = fitted.apply(tile_of(noisy, valid), seed=1)
    assert estimate.std is not None
    known = fitted._components
    level = 1 / (valid.mean() * known.power)
    variances = [
        (lv * spectrum() / (spectrum() + lv)).mean() * p
        for lv, p in zip(level, known.power, strict=True)
    ]
    expected = sigma * np.sqrt(known.basis**2 @ np.array(variances) + known.unseen)
    ratio = estimate.std.mean(axis=(1, 2)) / expected
    np.testing.assert_allclose(ratio, 1.0, atol=0.1)
    scores = ((estimate.values - clean) / estimate.std)[:, 2:-2, 2:-2]
    assert 0.85 < scores.std() < 1.2


def test_a_seed_repeats_a_tile_and_its_place_decides_the_noise():
    _, noisy, sigma = scene(np.array([60.0, 6.0]))
    settings = Settings(components=9, orientations=1, samples=2, steps=2, sweeps=1)
    fitted = fit(noisy, np.ones(noisy.shape, bool), sigma, settings, FieldDenoiser(spectrum()))
    one, same = (fitted.apply(tile_of(noisy), seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.std, same.std)
    for other in (
        fitted.apply(tile_of(noisy), seed=5),
        fitted.apply(tile_of(noisy, origin=(32, 0)), seed=4),
    ):
        np.testing.assert_array_equal(other.values, one.values)
        assert not np.array_equal(other.std, one.std)


def test_all_bands_are_made_of_the_inside_only():
    _, noisy, sigma = scene(np.array([60.0, 6.0]))
    valid = np.random.default_rng(3).random(noisy.shape) > 0.1
    settings = Settings(components=9, orientations=1, samples=2, steps=2, sweeps=2)
    fitted = fit(noisy, valid, sigma, settings, FieldDenoiser(spectrum()))
    whole = fitted.apply(tile_of(noisy, valid), seed=4)
    inside = (slice(5, 32), slice(8, 40))
    part = fitted.apply(replace(tile_of(noisy, valid), inside=inside), seed=4)
    for got, all_ in ((part.values, whole.values), (part.std, whole.std)):
        np.testing.assert_allclose(got, all_[(slice(None), *inside)], rtol=1e-6)


@pytest.mark.parametrize("share", [0.003, 0.2])
def test_missing_entries_are_drawn_alike_in_every_tile(share):
    """Lines by lines, tiles that begin within a square of the streams, gaps few or many."""
    _, noisy, sigma = scene(np.array([60.0, 6.0]), shape=(100, 80))
    valid = np.random.default_rng(3).random(noisy.shape) > share
    known = find_components(statistics_of(noisy, valid, np.full(BANDS, sigma)))
    whole = GappedData(tile_of(noisy, valid), known)
    found = whole.draw(whole.start(), 7, 1, 2)
    part = (slice(None), slice(37, 90), slice(20, 71))
    cut = GappedData(tile_of(noisy[part], valid[part], (37, 20)), known)
    drawn = cut.draw(whole.start()[part], 7, 1, 2)
    np.testing.assert_allclose(drawn, found[part], atol=1e-4)
    missing = ~valid[part]
    # Of noise, where nothing was measured: E_m^T n has the variance |E_m|^2.
    apart = drawn - cut.complete(whole.start()[part])
    expected = np.einsum("bi,byx->iyx", known.basis**2, missing)
    assert apart.var() / expected.mean() == pytest.approx(1, abs=0.15 if share > 0.1 else 0.6)
