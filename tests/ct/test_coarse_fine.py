"""Two scales of one denoiser: noise that was left is told, blended away, and widens intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import ndimage
from torch import Tensor

from sciddm.physics.tomography.coarse_fine import (
    body_of,
    coarse,
    detail_share,
    flat_tissue,
    leftover,
    measured_noise,
    noise_like,
)
from sciddm.pipelines.ct import CTDenoising
from sciddm.pipelines.ct.methods.residual import most_noise
from sciddm.pipelines.ct.simulate import low_dose_volume
from sciddm.simulation.ct.noise_fields import window_noise
from sciddm.simulation.ct.phantom import body_phantom

SIDE, NOISE = 128, 30.0
RADIUS = np.hypot(*(np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2))
WATER = torch.from_numpy(np.where(RADIUS < 56, 0.0, -1000.0)).float()
BODY = RADIUS < 50


def noise(softness: float, seed: int = 0) -> Tensor:
    """Of a ramp and a Gaussian window: 0 is the ramp alone."""
    f = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    white = np.random.default_rng(seed).standard_normal((SIDE, SIDE))
    field = np.fft.ifft2(np.fft.fft2(white) * f * np.exp(-((softness * f) ** 2))).real
    return torch.from_numpy(NOISE * field / field.std()).float()


def left_of(y: Tensor, fine: Tensor) -> float:
    return leftover(y, fine, WATER, flat_tissue(fine, WATER, BODY))


def test_what_was_left_is_measured():
    """An estimate that leaves a share of the noise: that share, of the flatter half of the body."""
    n = noise(4.0)
    detail = float((n - torch.from_numpy(ndimage.gaussian_filter(n.numpy(), 3.0)))[BODY].std())
    found = [left_of(WATER + n, WATER + share * n) for share in (0.0, 0.3, 0.7)]
    assert found[0] == 0
    assert found[2] / found[1] == pytest.approx(7 / 3, rel=0.02)
    assert 0.75 * 0.7 * detail < found[2] < 0.7 * detail


def test_detail_that_halving_loses_is_no_noise():
    """Lines of two pixels, which only the fine scale keeps: nothing is left of the noise."""
    lines = 40.0 * torch.from_numpy((np.mgrid[:SIDE, :SIDE][1] % 16 < 2).astype(np.float32))
    y, fine = WATER + lines + noise(0.0), WATER + lines
    assert left_of(y, fine) < 2.0


def test_the_blend_keeps_edges_and_drops_noise():
    edge = torch.zeros(SIDE, SIDE)
    edge[:, 61:64] = 200.0
    fine, halved = WATER + edge + noise(6.0), WATER.clone()
    blend = halved + detail_share(fine, halved, BODY) * (fine - halved)
    kept = (blend - WATER)[30:98, 61:64].mean() / 200
    assert kept > 0.75
    flat = BODY & (np.abs(np.mgrid[:SIDE, :SIDE][1] - 62) > 12)
    assert (blend - WATER)[flat].std() < 0.55 * NOISE


def test_halving_favours_no_pixel():
    """A linear image comes back as it is, of odd sizes too, away from the border."""
    y, x = np.mgrid[:61, :63]
    image = torch.from_numpy(3.0 * y - 2.0 * x).float()
    back = coarse(torch.stack([image] * 3), lambda images: images[1])
    assert (back - image)[8:-8, 8:-8].abs().max() < 0.2


def test_too_little_body_is_none():
    assert body_of(torch.full((40, 40), -1000.0)) is None
    assert body_of(WATER).sum() > 9000


def volume_of(image: Tensor, pixel_mm: float) -> xr.DataArray:
    attrs = {"units": "HU", "voxel_size_mm": [20.0, pixel_mm, pixel_mm]}
    return xr.DataArray(image.numpy()[None], dims=("z", "y", "x"), attrs=attrs)


@pytest.fixture(scope="module")
def bundled() -> CTDenoising:
    return CTDenoising.from_pretrained()


@pytest.mark.parametrize("softness", [0.0, 0.5, 1.0])
def test_noise_is_measured_whatever_its_window(softness):
    """Level within a tenth; the level before the window within a third for every window."""
    field = window_noise(noise(1.0), softness)
    found = measured_noise(WATER + field, WATER, flat_tissue(WATER, WATER, BODY))
    assert found.sd == pytest.approx(float(field[BODY].std()), rel=0.1)
    plain = measured_noise(WATER + noise(1.0), WATER, flat_tissue(WATER, WATER, BODY))
    assert found.unfiltered == pytest.approx(plain.unfiltered, rel=0.33)
    twice = measured_noise(WATER + 2 * field, WATER, flat_tissue(WATER, WATER, BODY))
    assert twice.unfiltered == pytest.approx(2 * found.unfiltered, rel=1e-5)


def test_pixels_of_unknown_size_count_as_small_ones(bundled):
    assert most_noise(float("nan")) == most_noise(1.0) == 100.0
    assert most_noise(2.0) == pytest.approx(132, abs=1)
    volume = volume_of(WATER + noise(0.0), 1.0)
    del volume.attrs["voxel_size_mm"]
    assert bundled(volume, quality="fast").attrs["verdict_familiar"] == "yes"


def test_no_noise_is_none():
    assert measured_noise(WATER, WATER, flat_tissue(WATER, WATER, BODY)).unfiltered == 0


@pytest.mark.parametrize("white", [True, False], ids=["white", "ramp"])
def test_intervals_hold_in_water(bundled, white):
    """+-1.645 standard deviations hold 85 % at least of noise that no simulation made."""
    white_noise = torch.from_numpy(np.random.default_rng(2).normal(0, NOISE, (SIDE, SIDE)))
    field = white_noise.float() if white else noise(0.0, 2)
    result = bundled(volume_of(WATER + field, 1.0), quality="fast", seed=0)
    error = np.abs(result["denoised"].values[0] - WATER.numpy())
    assert (error <= 1.645 * result["std"].values[0])[BODY].mean() >= 0.85
    assert np.sqrt((error[BODY] ** 2).mean()) < 0.4 * NOISE
    assert result.attrs["verdict_familiar"] == "yes"


def test_the_simulated_scan_of_a_phantom_is_familiar_and_its_std_is_no_wider_than_its_error(
    bundled,
):
    """Bone edges, which halving loses, do not widen the intervals."""
    body = body_phantom((144, 144), 1, pixel_mm=2.0, slice_mm=3.0, seed=1)
    low = low_dose_volume(body, 0.25, seed=0)
    result = bundled(low, quality="fast", seed=0)
    inside = ndimage.binary_erosion(body.values[0] > -300, iterations=2)
    error = (result["denoised"].values[0] - body.values[0])[inside]
    std = result["std"].values[0][inside]
    assert result.attrs["verdict_familiar"] == "yes"
    assert result.attrs["noise_hu"] == pytest.approx((low - body).values[0][inside].std(), rel=0.25)
    assert 0.8 < (np.abs(error) <= 1.645 * std).mean() < 0.985
    assert 0.6 < np.sqrt((std**2).mean() / (error**2).mean()) < 1.7


def test_noise_of_another_texture_is_recognised(bundled):
    """Soft noise at 3 mm: most of it goes, and the verdict says that it is not familiar."""
    result = bundled(volume_of(WATER + 2 * noise(7.0), 3.0), quality="fast", seed=0)
    left = (result["denoised"].values[0] - WATER.numpy())[BODY]
    assert left.std() < 0.75 * 2 * NOISE
    assert 6 < result.attrs["noise_left_hu"] < result.attrs["noise_hu"]
    assert (result.attrs["verdict_familiar"], result.attrs["verdict_calibrated"]) == ("no", "no")
    assert "not calibrated" in result.attrs["warnings"]


def test_more_noise_than_in_training_is_named_and_blended_away(bundled):
    """A fifth of the training's least dose behind a window that hides it from the level."""
    field = 1.7 * noise(4.0)
    result = bundled(volume_of(WATER + field, 1.0), quality="fast", seed=0)
    assert field[BODY].std() < most_noise(1.0)
    assert result.attrs["verdict_familiar"] == "no"
    assert "stronger at low frequencies" in json.loads(result.attrs["warnings"])[-1]
    error = (result["denoised"].values[0] - WATER.numpy())[BODY]
    assert error.std() < 0.35 * float(field[BODY].std())


def test_a_change_at_edges_alone_is_no_noise():
    """Noise all over against a bone edge of the same measure in flat tissue."""
    body = np.ones((SIDE, SIDE), bool)
    edge = torch.zeros(SIDE, SIDE)
    edge[:, ::16] = 300.0
    assert noise_like(10.0, WATER, WATER + noise(4.0), body) == 1
    assert noise_like(10.0, WATER, WATER + edge, body) == 0
    assert noise_like(0.0, WATER, WATER + edge, body) == 0
