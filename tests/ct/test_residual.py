"""Residual diffusion against a Gaussian p(x0 | y), whose draws and means are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr

from sciddm.denoiser import Denoiser
from sciddm.errors import InputError, ModelError
from sciddm.geometry.slice_stack import SliceStack
from sciddm.ledger import record
from sciddm.pipelines.ct.methods.residual import ResidualDiffusion
from sciddm.pipelines.ct.pipeline_denoising import CTDenoising
from sciddm.pipelines.ct.settings import RESIDUAL, ResidualSettings
from sciddm.process import EDM, ResShift

SLOPE, NEIGHBOUR, SD = 0.6, 0.1, 15.0  # E[x0 | y] = SLOPE y + NEIGHBOUR (before + after), its sd
SCALE = 50.0
SEEN = {"neighbours": 1, "condition_scale": SCALE}


class GaussianGivenNoisy(Denoiser):
    """x0 given y and its neighbours is N(SLOPE y + NEIGHBOUR (before + after), SD^2)."""

    def __init__(self) -> None:
        super().__init__()
        self.process = ResShift(kappa=30.0, eta_min=0.001)
        self.complex_data = False

    def forward(self, x_t, t, y=None, cond=None):
        record(nfe=len(x_t))
        a, b, s = self.process(t)
        mean = SLOPE * y + NEIGHBOUR * SCALE * cond.sum(1, keepdim=True)
        gain = SD**2 * a / (a**2 * SD**2 + s**2)
        return mean + gain * (x_t - b * y - a * mean)


def volume(z: int = 3, side: int = 24, spacing: float = 3.0) -> xr.DataArray:
    values = np.random.default_rng(5).normal(0, 60, (z, side, side)).astype(np.float32)
    attrs = {"units": "HU", "voxel_size_mm": [spacing, 1.0, 1.0]}
    return xr.DataArray(values, dims=("z", "y", "x"), attrs=attrs)


def mean_of(values: np.ndarray, index: int, near: bool = True) -> np.ndarray:
    others = [i if near and 0 <= i < len(values) else index for i in (index - 1, index + 1)]
    return SLOPE * values[index] + NEIGHBOUR * sum(values[i] for i in others)


@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
def test_mean_and_uncertainty_are_those_of_the_posterior(quality):
    """Antithetic pairs of a linear flow: their mean is exact, their spread that of the settings."""
    data, grain = volume(9), RESIDUAL[quality].grain
    out = CTDenoising(GaussianGivenNoisy(), SEEN)(data, quality=quality, seed=3)
    for i in range(len(data)):
        exact = (1 - grain) * mean_of(data.values, i) + grain * data.values[i]
        assert np.allclose(out["denoised"][i], exact, atol=0.2)
    spread = float(np.sqrt((out["std"].values ** 2).mean()))
    # The draws' factor is exact; a second one and 3 HU stand for what a network gets wrong.
    assert np.sqrt(spread**2 - 9) / RESIDUAL[quality].error == pytest.approx(SD, rel=0.12)
    assert out.attrs["nfe"] == RESIDUAL[quality].samples * RESIDUAL[quality].steps


@pytest.mark.parametrize(("samples", "steps"), [(1, 1), (1, 3), (4, 4)])
def test_the_estimate_does_not_collect_the_errors_of_a_run(samples, steps):
    """A network that is right about y and wrong by 20 HU on the way: the draws err, not the mean
    of x0 given y, which the way does not enter."""

    class Drifting(GaussianGivenNoisy):
        def forward(self, x_t, t, y=None, cond=None):
            end = self.process.t_max
            return super().forward(x_t, t, y, cond) + 20.0 * float(t < end)

    data = volume(1, 12)
    settings = ResidualSettings(samples, steps)
    found = ResidualDiffusion(Drifting(), SEEN, settings)(SliceStack(data), 0, 0, lambda part: None)
    assert np.allclose(found.values.numpy(), mean_of(data.values, 0), atol=0.2)
    assert (found.std is None) == (samples == 1)


def test_grain_is_the_share_of_the_residual_that_stays():
    data = volume(1, 12)
    for grain in (0.0, 0.25, 1.0):
        method = ResidualDiffusion(GaussianGivenNoisy(), SEEN, ResidualSettings(2, 2, grain=grain))
        found = method(SliceStack(data), 0, 0, lambda part: None)
        mean, y = mean_of(data.values, 0), data.values[0]
        assert np.allclose(found.values.numpy() - mean, grain * (y - mean), atol=0.2)
        assert found.std is not None
        assert float(found.std.mean()) > 1  # the draws' own


def test_many_steps_draw_the_posterior():
    method = ResidualDiffusion(GaussianGivenNoisy(), SEEN, ResidualSettings(400, 200))
    found = method(SliceStack(volume(1, 12)), 0, 0, lambda part: None)
    assert found.std is not None
    assert float(found.std.square().mean().sqrt()) == pytest.approx(SD, rel=0.05)


def test_distant_or_missing_neighbours_are_the_slice_itself():
    data = volume(spacing=10.0)
    settings = ResidualSettings(2, 2)
    method = ResidualDiffusion(GaussianGivenNoisy(), SEEN, settings)
    found = method(SliceStack(data), 1, 0, lambda part: None)
    assert np.allclose(found.values.numpy(), mean_of(data.values, 1, near=False), atol=0.2)


def test_pixels_unlike_the_training_data_are_warned_of():
    pipeline = CTDenoising(GaussianGivenNoisy(), {**SEEN, "pixel_mm": [0.9, 2.0]})
    for pixel, warned in ((1.0, False), (2.5, False), (3.0, True), (0.4, True)):
        data = volume(1).assign_attrs(voxel_size_mm=[3.0, pixel, pixel])
        warnings = json.loads(pipeline(data).attrs["warnings"])
        assert [f"Pixels of {pixel:.2g} mm" in w for w in warnings] == [True] * warned


def test_strength_goes_from_the_input_to_the_estimate():
    data, pipeline = volume(1), CTDenoising(GaussianGivenNoisy(), SEEN)
    whole, half, none = (pipeline(data, strength=s) for s in (1.0, 0.5, 0.0))
    assert np.allclose(none["denoised"], data)
    middle = (whole["denoised"] + none["denoised"]) / 2
    assert np.allclose(half["denoised"], middle, atol=1e-3)
    assert np.allclose(half["std"], whole["std"])


def test_a_slice_does_not_depend_on_others_beyond_its_neighbours():
    data, pipeline = volume(4), CTDenoising(GaussianGivenNoisy(), SEEN)
    assert np.array_equal(pipeline(data)["denoised"][:2], pipeline(data[:3])["denoised"][:2])
    parts = list(pipeline.open(data, seed=0))
    assert np.array_equal(np.stack([p.denoised for p in parts]), pipeline(data)["denoised"])
    assert not np.array_equal(pipeline(data, seed=1)["std"], pipeline(data)["std"])


def test_one_draw_has_no_spread():
    assert "std" not in CTDenoising(GaussianGivenNoisy(), SEEN)(volume(1), samples=1)


def test_what_cannot_be_denoised():
    pipeline = CTDenoising(GaussianGivenNoisy(), SEEN)
    with pytest.raises(InputError, match="strength"):
        pipeline(volume(1), strength=1.5)
    with pytest.raises(InputError, match="unknown method"):
        pipeline(volume(1), method="magic")
    with pytest.raises(InputError, match="unknown quality"):
        pipeline(volume(1), quality="perfect")
    with pytest.raises(InputError, match="samples"):
        pipeline(volume(1), samples=0)
    with pytest.raises(InputError, match="not HU"):
        pipeline(volume(1).assign_attrs(units="1/mm"))
    with pytest.raises(InputError, match="rename"):
        pipeline(volume(1).rename(z="slice"))
    broken = volume(2)
    broken[1, 3, 3] = np.nan
    with pytest.raises(InputError, match="slice 2 holds NaN"):
        pipeline(broken)
    with pytest.raises(ModelError, match="needs a model"):
        CTDenoising()(volume(1))
    prior = GaussianGivenNoisy()
    prior.process = EDM()
    with pytest.raises(ModelError, match="ends at the low-dose image"):
        CTDenoising(prior, SEEN)(volume(1))
    with pytest.raises(ModelError, match="neighbours"):
        CTDenoising(GaussianGivenNoisy(), {"neighbours": 2})(volume(1))
    with pytest.raises(RuntimeError, match="not complete"):
        _ = pipeline.open(volume(1)).attrs
    assert torch.is_tensor(SliceStack(volume(1)).slice(0))
