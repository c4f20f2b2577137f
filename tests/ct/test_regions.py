"""Regions of a denoised volume, and what has none."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import sciddm
from sciddm.errors import InputError, OptionError
from sciddm.uncertainty.error_field import ErrorField


@pytest.fixture(scope="module")
def volume():
    rng = np.random.default_rng(0)
    hu = 40 + 15 * rng.standard_normal((1, 48, 48))
    attrs = {"voxel_size_mm": [1.0, 1.0, 1.0], "units": "HU"}
    return xr.DataArray(hu.astype(np.float32), dims=("z", "y", "x"), attrs=attrs)


def test_the_mean_of_a_region_is_surer_than_a_pixel(volume):
    organ = np.zeros((48, 48), np.int32)
    organ[10:20, 10:20] = 3
    result = sciddm.ct.denoise(volume, quality="fast", roi=organ)
    facts = result.facts
    assert facts["roi_3_pixels"].value == 100
    mean = float(result.estimate.values[0][organ == 3].mean())
    assert facts["roi_3_mean"].value == pytest.approx(mean, rel=1e-4)
    half = (facts["roi_3_high"].value - facts["roi_3_low"].value) / 2
    std = float(result.std.values[0][organ == 3].mean())
    # Errors are correlated over about a pixel: between 1/10 of one pixel's and that of one.
    assert 1.6449 * std / 15 < half < 1.6449 * std / 4
    assert "ct-denoise" in facts["roi_correlation"].value


@pytest.mark.parametrize("options", [{"method": "filter2noise"}, {"samples": 1}, {"strength": 0.5}])
def test_what_has_no_interval_is_named_before_it_runs(volume, options):
    with pytest.raises(OptionError, match="roi"):
        sciddm.ct.denoise(volume, roi=np.ones((48, 48), np.int32), **options)


def test_a_mask_of_another_size_is_refused_before_it_runs(volume):
    with pytest.raises(InputError, match="1 x 40 x 48 and the result 1 x 48 x 48"):
        sciddm.ct.denoise(volume, roi=np.ones((40, 48), np.int32))


@pytest.fixture(scope="module")
def sinogram():
    hu = np.full((1, 32, 32), -1000.0, np.float32)
    hu[:, 6:26, 6:26] = 40
    attrs = {"voxel_size_mm": [2.0, 2.0, 2.0], "units": "HU"}
    body = xr.DataArray(hu, dims=("z", "y", "x"), attrs=attrs)
    return sciddm.ct.simulate_dose(body, dose=0.5, projections=True, views=60).data


def test_a_reconstruction_tells_the_mean_of_a_region_and_any_function(sinogram):
    organ = np.zeros((32, 32), np.int32)
    organ[10:20, 10:20] = 2
    result = sciddm.ct.reconstruct(sinogram, samples=2, steps=2, roi=organ)
    facts, inside = result.facts, organ == 2
    mean = float(result.estimate.values[0][inside].mean())
    assert facts["roi_2_mean"].value == pytest.approx(mean, rel=1e-4)
    half = (facts["roi_2_high"].value - facts["roi_2_low"].value) / 2
    std = result.std.values[0][inside]
    weight = ErrorField.from_attribute(result.attrs["error_field"]).weights[0]
    assert half == pytest.approx(1.6449 * (weight * (std**2).sum()) ** 0.5 / 100, rel=1e-3)
    interval = result.interval(lambda image: float(image.values[0][inside].mean()), draws=400)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.2)
    assert "90 views" in facts["roi_correlation"].value


@pytest.mark.parametrize("options", [{"method": "tv"}, {"method": "fbp"}])
def test_a_reconstruction_without_draws_has_no_interval(sinogram, options):
    with pytest.raises(OptionError, match="roi"):
        sciddm.ct.reconstruct(sinogram, roi=np.ones((32, 32), np.int32), **options)


def test_a_mask_of_another_image_is_refused_before_it_is_reconstructed(sinogram):
    with pytest.raises(InputError, match="1 x 40 x 32 and the result 1 x 32 x 32"):
        sciddm.ct.reconstruct(sinogram, roi=np.ones((40, 32), np.int32))
    with pytest.raises(InputError, match="1 x 32 x 32 and the result 1 x 48 x 48"):
        sciddm.ct.reconstruct(sinogram, roi=np.ones((32, 32), np.int32), size=48)
