"""The mean over views takes away just what an exact estimate would not have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from speech_models import Smearing, scaling
from torch import Tensor

from sciddm.pipelines.speech.estimator import Estimator
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.pipelines.speech.settings import Settings
from sciddm.priors.views import ViewedDenoiser, mean_of_views
from sciddm.process import SBVE
from sciddm.random.streams import Streams


@pytest.fixture
def y() -> Tensor:
    return torch.randn(1, 1, 5, 37, dtype=torch.complex64)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_an_estimate_that_turns_and_moves_with_the_recording_stays(y, count):
    out = mean_of_views(lambda a, b, none: a * b.abs(), count, 8, y, y, None)
    torch.testing.assert_close(out, y * y.abs())


def test_an_offset_cancels_and_so_does_a_pattern_of_the_grid(y):
    gains = 1 + torch.tensor([0.3, -0.1, -0.4, 0.2])

    def biased(x: Tensor) -> Tensor:
        repeated = gains.repeat(-(-x.shape[-1] // 4))[: x.shape[-1]]
        return x * repeated + 0.5

    assert (biased(y) - y).abs().max() > 0.3
    torch.testing.assert_close(mean_of_views(biased, 4, 4, y), y)


def test_every_view_costs_an_evaluation_and_the_exact_mean_is_the_same():
    wave = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    data = xr.DataArray(0.1 * wave, dims=("channel", "time"), attrs={"rate": 16_000})
    pipeline = SpeechEnhancement(scaling(0.5))
    for views in (1, 3):
        run = pipeline.open(data, settings=Settings("predictor", views=views))
        enhanced = np.concatenate([b.enhanced for b in run], axis=1)
        assert run.attrs["nfe"] == views
        assert run.attrs["views"] == views
        np.testing.assert_allclose(enhanced, data.values / 4, atol=2e-4)


def test_samples_through_views_are_those_of_the_exact_denoiser(y):
    exact = Smearing(SBVE())
    draw = Estimator(exact, Settings("sde", 4))(y, [Streams(0, 1)])
    viewed = Estimator(exact, Settings("sde", 4, views=3))(y, [Streams(0, 1)])
    # Away from the first frames, where the moved recording begins with its first frame again.
    torch.testing.assert_close(viewed[0][..., 16:], draw[0][..., 16:], atol=1e-4, rtol=0)
    assert ViewedDenoiser(exact, 3).process is exact.process
