"""Regions of a denoised volume, and what has none."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import sciddm
from sciddm.errors import InputError, OptionError


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
