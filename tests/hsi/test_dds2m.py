"""DDS2M: its chain in closed form, and what its networks gain without any training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sciddm.classical.spectral.interface import Tile
from sciddm.classical.spectral.lowrank import LowRank
from sciddm.networks.skip_unet import SkipUNet
from sciddm.pipelines.hsi.methods.dds2m import DDS2M, SETTINGS, Settings, levels, next_state
from sciddm.pipelines.hsi.methods.whole import statistics_of

QUICK = Settings(steps=50, components=3, rate=1e-2, first=2.0)


def scene(bands=40, shape=(24, 30), sigma=0.5):
    rng = np.random.default_rng(0)
    maps = gaussian_filter(rng.standard_normal((2, *shape)), (0, 4, 4))
    maps = np.sign(maps) + 0.3 * maps / maps.std()
    spectra = gaussian_filter(rng.standard_normal((bands, 2)), (5, 0))
    clean = 0.5 + 0.4 * np.tensordot(spectra / np.abs(spectra).max(), maps, 1)
    return clean, (clean + rng.normal(0, sigma, clean.shape)).astype(np.float32), sigma


def fitted(method, noisy, valid, sigma):
    return method.fit(statistics_of(noisy, valid, np.full(len(noisy), sigma)))


def error(values, clean):
    return float(np.sqrt(((values - clean) ** 2).mean()))


@pytest.mark.parametrize("level", [2.5, 1.0, 0.6, 0.1])
@pytest.mark.parametrize("eta", [0.0, 0.95])
def test_every_state_has_its_level_about_the_true_image(level, eta):
    truth = torch.full((4, 100, 100), 0.7, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(truth.shape, generator=generator, dtype=torch.float64)
    z = torch.randn(truth.shape, generator=generator, dtype=torch.float64)
    state = next_state(truth + noise, truth, z, level, eta)
    assert abs(float((state - truth).mean())) < 5 * level / 200
    assert float((state - truth).std()) == pytest.approx(level, rel=5 / 283)


def test_levels_fall_evenly_from_first_to_last():
    found = np.array(list(levels(QUICK)))
    assert len(found) == QUICK.steps
    assert (found[0], found[-1]) == pytest.approx((QUICK.first, QUICK.last))
    np.testing.assert_allclose(np.diff(np.log(found)), np.log(0.1 / 2) / (QUICK.steps - 1))


def test_less_noise_than_the_subspace_leaves_without_any_training():
    clean, noisy, sigma = scene()
    valid = np.ones(noisy.shape, bool)
    ours = fitted(DDS2M(settings=QUICK), noisy, valid, sigma).apply(Tile(noisy, valid))
    projected = fitted(LowRank(), noisy, valid, sigma).apply(Tile(noisy, valid))
    assert error(ours.values, clean) < 0.85 * error(projected.values, clean)


def test_what_is_not_valid_does_not_matter_and_is_found():
    clean, noisy, sigma = scene()
    valid = np.random.default_rng(1).random(noisy.shape) > 0.1
    method = fitted(DDS2M(settings=QUICK), noisy, valid, sigma)
    one = method.apply(Tile(np.where(valid, noisy, 0), valid))
    other = method.apply(Tile(np.where(valid, noisy, 7), valid))
    np.testing.assert_array_equal(one.values, other.values)
    assert error(one.values[~valid], clean[~valid]) < 0.6 * sigma


def test_it_stops_before_it_follows_the_noise():
    clean, noisy, sigma = scene()
    valid = np.ones(noisy.shape, bool)
    # The level stays above the data's: the chain sees the same noisy data in every step.
    eager = replace(QUICK, steps=120, rate=2e-2, first=1.0001, last=1.0, average=0.8)
    never = replace(eager, held_out=0.0, patience=1.0)
    stopped = fitted(DDS2M(settings=eager), noisy, valid, sigma).apply(Tile(noisy, valid))
    fitted_on = fitted(DDS2M(settings=never), noisy, valid, sigma).apply(Tile(noisy, valid))
    assert stopped.attributes["nfe"] < 120
    assert error(stopped.values, clean) < error(fitted_on.values, clean)


def test_seed_and_place_repeat_a_result():
    _, noisy, sigma = scene()
    valid = np.ones(noisy.shape, bool)
    method = fitted(DDS2M(settings=replace(QUICK, steps=5)), noisy, valid, sigma)
    first = method.apply(Tile(noisy, valid), seed=1).values
    torch.manual_seed(99)  # the global generator has no say
    np.testing.assert_array_equal(method.apply(Tile(noisy, valid), seed=1).values, first)
    assert not np.array_equal(method.apply(Tile(noisy, valid), seed=2).values, first)
    assert not np.array_equal(method.apply(Tile(noisy, valid, (32, 0)), seed=1).values, first)


def test_qualities_take_more_steps():
    steps = [SETTINGS[q].steps for q in ("fast", "balanced", "best")]
    assert steps == sorted(set(steps))


def test_the_generator_prefers_images_to_noise():
    """The same steps leave much more of white noise than of an image (Ulyanov et al., fig. 2)."""
    image = torch.zeros(1, 1, 32, 32)
    image[..., 8:20, 10:26] = 1
    image = (image - image.mean()) / image.std()
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    left = []
    for target in (image, noise):
        generator = torch.Generator().manual_seed(1)
        net = SkipUNet(1, generator, channels=(16, 24, 32))
        code = torch.randn(1, net.code, 32, 32, generator=generator)
        adam = torch.optim.Adam(net.parameters(), lr=1e-2)
        for _ in range(60):
            adam.zero_grad()
            loss = (net(code) - target).square().mean()
            loss.backward()
            adam.step()
        left.append(float(loss.detach()))
    assert left[0] < 0.15
    assert left[1] > 4 * left[0]
