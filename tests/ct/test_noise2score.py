"""Noise2Score on data whose score is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from sciddm.classical.learned_score import learn_score, least_variation
from sciddm.errors import InputError
from sciddm.geometry.slice_stack import SliceStack
from sciddm.physics.tomography.noise_level import noise_level
from sciddm.pipelines.ct.methods.noise2score import Noise2Score
from sciddm.pipelines.ct.pipeline_denoising import CTDenoising
from sciddm.pipelines.ct.settings import ScoreSettings

MEAN, SPREAD, SD = 40.0, 20.0, 30.0  # HU: x ~ N(MEAN, SPREAD^2) in every pixel, noise of SD


def noisy(n: int = 2, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = MEAN + SPREAD * torch.randn(n, side, side, generator=generator)
    return x, x + SD * torch.randn(x.shape, generator=generator)


def test_the_score_of_gaussian_data_is_learned():
    _, y = noisy()
    score = learn_score(list(y), SD, 80, seed=0)
    exact = -(y[0] - MEAN) / (SPREAD**2 + SD**2)
    assert float((score(y[0]) - exact).norm() / exact.norm()) < 0.6


def test_a_training_repeats():
    _, y = noisy()
    once, again, other = (learn_score(list(y), SD, 3, seed)(y[0]) for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_noise_level_of_white_noise_on_a_smooth_image():
    slope = torch.linspace(-100, 100, 128).expand(128, -1)
    noise = torch.randn(128, 128, generator=torch.Generator().manual_seed(1))
    assert noise_level(slope + SD * noise) == pytest.approx(SD, rel=0.03)
    padded = torch.full((300, 300), -1000.0)
    padded[:128, :128] = slope + SD * noise
    assert noise_level(padded) == pytest.approx(SD, rel=0.05)


def test_the_least_total_variation_takes_the_noise_away():
    """With the exact score of white noise on a constant, Tweedie's formula flattens it at SD."""
    y = MEAN + SD * torch.randn(64, 64, generator=torch.Generator().manual_seed(2))
    score = -(y - MEAN) / SD**2
    tried = [10.0, 20.0, 30.0, 40.0, 50.0]
    assert least_variation(tried, lambda s: y + s**2 * score) == SD


@pytest.mark.parametrize("noise", ["gaussian", "poisson", "gamma"])
def test_a_volume_is_denoised_by_what_it_holds(noise):
    clean = np.zeros((2, 32, 32), np.float32)
    clean[:, 8:24, 8:24] = 60
    rng = np.random.default_rng(0)
    above = clean + 1000
    drawn = {
        "gaussian": above + 25 * rng.standard_normal(clean.shape),
        "poisson": 0.6 * rng.poisson(above / 0.6),
        "gamma": above * rng.gamma(1600, 1 / 1600, clean.shape),
    }[noise]
    attrs = {"units": "HU"}
    data = xr.DataArray((drawn - 1000).astype(np.float32), dims=("z", "y", "x"), attrs=attrs)
    stack = SliceStack(data)
    method = Noise2Score(stack, ScoreSettings(40, noise), 1)
    out = np.stack([method(stack, i, 1, lambda part: None).values for i in range(2)])
    before, after = (float(np.sqrt(((v - clean) ** 2).mean())) for v in (data.values, out))
    assert after < 0.8 * before
    assert abs(float((out - data.values).mean())) < 3
    assert method.attributes["noise"] == noise


def test_what_it_cannot_learn_from():
    attrs = {"units": "HU"}
    small = xr.DataArray(np.zeros((1, 8, 8), np.float32), dims=("z", "y", "x"), attrs=attrs)
    with pytest.raises(InputError, match="at least 16"):
        CTDenoising()(small, method="noise2score")
    flat = xr.DataArray(np.zeros((1, 32, 32), np.float32), dims=("z", "y", "x"), attrs=attrs)
    with pytest.raises(InputError, match="no noise"):
        CTDenoising()(flat, method="noise2score")
    with pytest.raises(InputError, match="unknown law"):
        CTDenoising()(flat, method="noise2score", noise="uniform")
