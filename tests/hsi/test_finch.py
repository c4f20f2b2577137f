"""Latent diffusion of cubes against closed forms, and what the data add to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sciddm.classical.spectral.components import find_components
from sciddm.classical.spectral.interface import Tile
from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.ledger import record
from sciddm.networks import LocalUNet, PatchAutoencoder
from sciddm.physics.spectral.band_positions import POSITIONS, band_positions
from sciddm.pipelines.hsi.methods.finch import Finch, Settings
from sciddm.pipelines.hsi.methods.fusion import REACH, fused
from sciddm.pipelines.hsi.methods.whole import statistics_of
from sciddm.priors.autoencoder import Autoencoder, LatentDiffusion
from sciddm.process import EDM

BANDS, SHAPE = 16, (64, 32)
WAVELENGTH = 900 + 10.0 * np.arange(BANDS)


class CodeDenoiser(Denoiser):
    """Of independent codes N(0, covariance) of every patch."""

    def __init__(self, covariance):
        super().__init__()
        self.process = EDM(0.001, 5.0)
        self.covariance = covariance
        self.data_std = float(covariance.diagonal().mean() ** 0.5)
        self.network = torch.nn.Identity()

    def forward(self, x_t, t, y=None, cond=None):
        record(nfe=x_t.shape[0])
        total = self.covariance + float(t) ** 2 * torch.eye(len(self.covariance))
        gain = self.covariance @ torch.linalg.inv(total)
        return torch.einsum("cd,bd...->bc...", gain, x_t)


def gaussian_prior(codes=6, seed=0):
    torch.manual_seed(seed)
    net = PatchAutoencoder(codes=codes, center=0.4, channels=4, blocks=1)
    root = 0.3 * torch.randn(codes, codes) / codes**0.5
    return LatentDiffusion(Autoencoder(net), CodeDenoiser(root @ root.T))


def network_prior():
    torch.manual_seed(0)
    auto = PatchAutoencoder(codes=6, center=0.4, channels=4, blocks=1)
    net = LocalUNet(6, 6, [4, 6], [1, 1], cond_channels=POSITIONS, mix=3)
    for module in (auto.detail, net):
        for weight in module.parameters():
            torch.nn.init.normal_(weight, std=0.1)
    return LatentDiffusion(
        Autoencoder(auto), NetworkDenoiser(net, EDM(0.001, 5.0), "edm", data_std=0.3)
    )


def drawn(prior, seed=1):
    """A cube whose patches have codes of the prior."""
    root = torch.linalg.cholesky(prior.denoiser.covariance + 1e-9 * torch.eye(6))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(6, 2, SHAPE[0] // 2, SHAPE[1] // 2, generator=generator)
    code = torch.einsum("cd,d...->c...", root, noise)[None]
    with torch.no_grad():
        return prior.autoencoder.decode(code)[0, 0].numpy().astype(np.float64)


def posterior(prior, noisy, sigma, valid):
    """Mean and variance of every entry, patch by patch."""
    net = prior.autoencoder.network
    basis = net.basis().detach().double()
    prior_cube = basis.T @ prior.denoiser.covariance.double() @ basis

    def cut(cube):
        patches = net.patches(torch.as_tensor(cube, dtype=torch.float64)[None, None])
        return patches[0].movedim(0, -1).flatten(0, -2), patches.shape

    y, shape = cut(noisy - 0.4)
    known, _ = cut(valid.astype(np.float64))
    level, _ = cut(np.broadcast_to(sigma[:, None, None], noisy.shape).copy())
    weight = known / level**2
    # (C^-1 + W)^-1 W y with a singular C: C (I + W C)^-1 ...
    system = torch.eye(len(prior_cube)) + weight[:, :, None] * prior_cube
    covariance = prior_cube @ torch.linalg.inv(system)
    mean = torch.einsum("nij,nj->ni", covariance, weight * y)
    variance = covariance.diagonal(dim1=1, dim2=2)

    def whole(values):
        square = values.unflatten(0, shape[2:]).movedim(-1, 0)[None]
        return net.whole(square)[0, 0].numpy()

    return whole(mean) + 0.4, whole(variance)


def fit(prior, noisy, valid, sigma, settings, wavelength=WAVELENGTH):
    statistics = statistics_of(noisy, valid, sigma, wavelength)
    return Finch(prior=prior, settings=settings).fit(statistics)


def tile_of(noisy, valid=None, origin=(0, 0)):
    valid = np.ones(noisy.shape, bool) if valid is None else valid
    return Tile(np.where(valid, noisy, 0).astype(np.float32), valid, origin)


def prior_mean(fitted, tile):
    """What the prior says, before it is joined with the data."""
    data = fitted._data(tile)
    with torch.inference_mode():
        found = fitted._mean(data, lambda _: None)
    return fitted._cut(found, tile)


PLAIN = Settings(orientations=1, samples=0, steps=0, sweeps=12)


def test_even_noise_gives_the_posterior_mean_by_one_evaluation():
    prior = gaussian_prior()
    clean, sigma = drawn(prior), np.full(BANDS, 0.05)
    noisy = clean + np.random.default_rng(0).normal(0, 0.05, clean.shape)
    valid = np.ones(noisy.shape, bool)
    fitted = fit(prior, noisy, valid, sigma, PLAIN)
    expected, _ = posterior(prior, noisy, sigma, valid)
    tile = tile_of(noisy)
    np.testing.assert_allclose(prior_mean(fitted, tile), expected, atol=2e-5)
    estimate = fitted.apply(tile)
    assert estimate.attributes["nfe"] == 2  # the denoiser and the decoder
    # Where the prior is right the residual tells nothing that it does not know.
    rms = np.sqrt(((estimate.values - expected) ** 2).mean())
    assert rms < 0.2 * np.sqrt(((expected - clean) ** 2).mean())


def test_uneven_noise_and_gaps_give_the_posterior_mean():
    prior = gaussian_prior()
    rng = np.random.default_rng(0)
    clean, sigma = drawn(prior), rng.choice([0.03, 0.06, 0.12], BANDS)
    sigma[:6] = 0.03  # the level is that of a quarter of the bands
    noisy = clean + sigma[:, None, None] * rng.standard_normal(clean.shape)
    valid = rng.random(noisy.shape) > 0.15
    fitted = fit(prior, noisy, valid, sigma, PLAIN)
    assert fitted._level == pytest.approx(0.03)
    expected, _ = posterior(prior, noisy, sigma, valid)
    found = prior_mean(fitted, tile_of(noisy, valid))
    error = np.sqrt(((expected - clean) ** 2).mean())
    assert np.sqrt(((found - expected) ** 2).mean()) < 0.15 * error


@pytest.mark.parametrize("gaps", [False, True])
def test_the_spread_is_the_posterior_standard_deviation(gaps):
    prior = gaussian_prior()
    rng = np.random.default_rng(0)
    clean, sigma = drawn(prior), np.full(BANDS, 0.05)
    noisy = clean + rng.normal(0, 0.05, clean.shape)
    valid = rng.random(noisy.shape) > (0.2 if gaps else 0)
    settings = Settings(orientations=1, samples=24, steps=10, sweeps=8)
    fitted = fit(prior, noisy, valid, sigma, settings)
    estimate = fitted.apply(tile_of(noisy, valid), seed=1)
    _, variance = posterior(prior, noisy, sigma, valid)
    ratio = np.sqrt((estimate.std**2).mean() / variance.mean())
    assert 0.88 < ratio < 1.2
    scores = (estimate.values - clean) / estimate.std
    assert 0.85 < scores.std() < 1.15


def test_tiles_give_what_the_whole_gives():
    prior = network_prior()
    rng = np.random.default_rng(0)
    fields = gaussian_filter(rng.standard_normal((3, 128, 160)), (0, 3, 3))
    spectra = gaussian_filter(rng.standard_normal((BANDS, 3)), (2, 0))
    noisy = 0.4 + 2 * np.tensordot(spectra, fields, 1) + rng.normal(0, 0.03, (BANDS, 128, 160))
    settings = Settings(orientations=2, samples=2, steps=2, sweeps=1)
    fitted = fit(prior, noisy, np.ones(noisy.shape, bool), np.full(BANDS, 0.03), settings)
    assert fitted.halo <= 64
    whole = fitted.apply(tile_of(noisy), seed=3)
    part = fitted.apply(tile_of(noisy[:, 32:, 64:], origin=(32, 64)), seed=3)
    inner = slice(None), slice(64, None), slice(64, None)
    np.testing.assert_allclose(part.values[inner], whole.values[:, 96:, 128:], atol=1e-5)
    np.testing.assert_allclose(part.std[inner], whole.std[:, 96:, 128:], atol=1e-5)


def test_the_order_of_the_bands_does_not_matter_where_wavelengths_are_known():
    prior = network_prior()
    rng = np.random.default_rng(0)
    noisy = 0.4 + gaussian_filter(rng.standard_normal((BANDS, 32, 32)), 1.5)
    valid, order = np.ones(noisy.shape, bool), rng.permutation(BANDS)
    sigma = np.linspace(0.02, 0.05, BANDS)
    settings = Settings(orientations=1, samples=0, steps=1, sweeps=2)
    one = fit(prior, noisy, valid, sigma, settings).apply(tile_of(noisy))
    mixed = noisy[order]
    other = fit(prior, mixed, valid, sigma[order], settings, WAVELENGTH[order])
    np.testing.assert_allclose(other.apply(tile_of(mixed)).values, one.values[order], atol=1e-4)


def test_any_number_of_bands_with_and_without_wavelengths():
    prior = network_prior()
    noisy = 0.4 + 0.1 * np.random.default_rng(0).standard_normal((11, 33, 35))
    valid, sigma = np.ones(noisy.shape, bool), np.full(11, 0.05)
    settings = Settings(orientations=2, samples=0, steps=1, sweeps=1)
    told = fit(prior, noisy, valid, sigma, settings, WAVELENGTH[:11]).apply(tile_of(noisy))
    blind = fit(prior, noisy, valid, sigma, settings, None).apply(tile_of(noisy))
    assert told.values.shape == noisy.shape
    assert np.isfinite(blind.values).all()
    assert not np.allclose(told.values, blind.values)  # where bands lie is heard


def test_positions_of_groups():
    found = band_positions(np.array([1200.0, 1210.0, 1220.0, 2400.0, 2410.0]), 5, 3)
    angle = 2 * np.pi * 1210 / np.array([2400, 1200, 600])
    np.testing.assert_allclose(found[:, 0], [1, 0, *np.sin(angle), *np.cos(angle)], atol=1e-6)
    assert found.shape == (POSITIONS, 2)
    np.testing.assert_array_equal(band_positions(None, 5, 3), np.zeros((POSITIONS, 2)))


def smooth_scene(sigma=0.05, seed=0):
    rng = np.random.default_rng(seed)
    fields = gaussian_filter(rng.standard_normal((3, 80, 80)), (0, 3, 3))
    fields /= fields.std((1, 2), keepdims=True)
    basis = np.linalg.qr(rng.standard_normal((BANDS, 3)))[0]
    clean = 1 + np.tensordot(basis * [0.6, 0.3, 0.1], fields, 1)
    noisy = clean + rng.normal(0, sigma, clean.shape)
    valid = np.ones(clean.shape, bool)
    known = find_components(statistics_of(noisy, valid, np.full(BANDS, sigma)))
    return clean, noisy, known


@pytest.mark.parametrize("miss", [0.0, 0.01, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("gone", [0.0, 0.2])
def test_the_result_is_never_worse_than_the_data(miss, gone):
    """An estimate that has a share `miss` of the scene's variation wrong."""
    clean, noisy, known = smooth_scene()
    estimate = (1 + (1 - miss) * (clean - 1)).astype(np.float32)
    valid = np.random.default_rng(5).random(clean.shape) >= gone
    found, variance = fused(tile_of(noisy, valid), estimate, known)
    error, before = found - clean, estimate - clean
    assert (error[valid] ** 2).mean() < 0.05**2
    if miss >= 0.05:  # only three of sixteen directions can be wrong
        assert (error[valid] ** 2).mean() < 1.1 * 3 / BANDS / (1 - gone) * 0.05**2 * (1 + gone)
    if miss == 0:
        assert (error**2).mean() < 0.02 * 0.05**2
    assert (error**2).mean() <= max((before**2).mean(), 0.02 * 0.05**2)
    if miss >= 0.3 and not gone:
        assert 0.8 < (error**2).mean() / variance.mean() < 1.25


def test_nothing_beyond_its_reach_is_added():
    clean, noisy, known = smooth_scene()
    estimate = np.zeros_like(clean, dtype=np.float32)
    one, _ = fused(tile_of(noisy), estimate, known)
    noisy[:, :10] += 5
    other, _ = fused(tile_of(noisy), estimate, known)
    np.testing.assert_allclose(one[:, 10 + REACH :], other[:, 10 + REACH :], atol=1e-6)
    assert not np.allclose(one[:, 10 + REACH - 2], other[:, 10 + REACH - 2], atol=1e-6)


def test_other_models_are_refused():
    with pytest.raises(ModelError, match="needs a latent diffusion"):
        Finch("hsi-subspace")
