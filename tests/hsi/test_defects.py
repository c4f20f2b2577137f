"""What is a sensor's defect and what is signal: scenes that are clean but for white noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciddm.classical.spectral.moments import Moments
from sciddm.data_adapters.hsi import build_cube
from sciddm.physics.spectral.defects import defect_rate, has_company
from sciddm.physics.spectral.estimate import estimate_noise
from sciddm.physics.spectral.flags import Flag, counts
from sciddm.physics.spectral.misfit import SelfReference, unexplained
from sciddm.physics.spectral.stuck import frequent_values
from sciddm.pipelines.hsi import HyperspectralDenoising
from sciddm.simulation.hsi import noise

NM = np.linspace(400, 2450, 48)
VEGETATION = 0.05 + 0.35 / (1 + np.exp(-(NM - 715) / 15)) * np.exp(-((NM - 900) ** 2) / 9e5)
SOIL = 0.08 + 0.25 * (NM - 400) / 2050
WATER = 0.06 * np.exp(-(NM - 400) / 180) + 0.004
SNOW = 0.95 * np.exp(-((NM - 400) ** 2) / 1e6)
SIDE = 44


def fields(seed=0):
    """Soil and vegetation (band, y, x), without noise."""
    share = gaussian_filter(np.random.default_rng(seed).random((SIDE, SIDE)), 2)
    share = (share - share.min()) / np.ptp(share)
    return share * VEGETATION[:, None, None] + (1 - share) * SOIL[:, None, None]


def with_patch(spectrum, side, seed=0):
    clean = fields(seed)
    patch = np.zeros((SIDE, SIDE), bool)
    patch[9 : 9 + side, 12 : 12 + side] = True
    clean[:, patch] = spectrum[:, None]
    return clean, patch


def denoised(cube):
    scene = build_cube(Path("s.hdr"), cube, form="t", wavelength=NM, units="nm")
    return HyperspectralDenoising("lowrank")(scene)


@pytest.mark.parametrize("spectrum", [WATER, SNOW, np.full(48, 0.4)], ids=["water", "snow", "flat"])
@pytest.mark.parametrize(("side", "sigma"), [(1, 2e-3), (4, 2e-4), (20, 2e-3)])
def test_a_surface_that_most_of_the_scene_is_unlike_comes_back_within_its_noise(
    spectrum, side, sigma
):
    clean, patch = with_patch(spectrum, side)
    noisy = noise.add_gaussian(clean, sigma, np.random.default_rng(1))
    quantised = np.round(noisy / 1e-4) * 1e-4
    for cube in (noisy, quantised):
        result = denoised(cube.astype(np.float32))
        error = (result["cube"].values - clean) / sigma
        assert np.sqrt((error[:, patch] ** 2).mean()) < 1.3
        assert np.abs(error).max() < 6
        assert (result["flags"].values != 0).mean() < 1e-3
        assert not (result["flags"].values & (Flag.DEAD | Flag.STUCK)).any()


def test_a_homogeneous_quantised_lake_is_not_stuck():
    """The counts of dark water repeat, side by side."""
    clean, patch = with_patch(np.full(48, 0.0123), 18)
    counts_ = np.round(4095 * noise.add_gaussian(clean, 2e-4, np.random.default_rng(1)))
    assert not np.isfinite(frequent_values(counts_, np.ones(counts_.shape, bool))).any()
    found = estimate_noise(counts_)
    assert not found.dead[:, patch].any()
    broken = counts_.copy()
    hit = np.random.default_rng(2).random(broken.shape) < 0.02
    hit[::2] = False
    broken[hit] = 4095
    found = estimate_noise(broken)
    assert found.dead[hit].mean() > 0.95
    assert found.dead[~hit].mean() < 1e-3


def test_a_feature_of_one_pixel_keeps_its_depth():
    clean, _ = with_patch(0.5 * np.ones(48), 0)
    feature = 0.5 * (1 - 0.3 * np.exp(-0.5 * ((NM - 2206) / 25) ** 2))
    clean[:, 20, 30] = feature
    noisy = noise.add_gaussian(clean, 2e-3, np.random.default_rng(3)).astype(np.float32)
    out = denoised(noisy)["cube"].values[:, 20, 30]
    assert np.abs(out - feature).max() < 4 * 2e-3


def test_one_entry_alone_is_kept_and_flagged_with_the_noise_as_its_std():
    clean = fields()
    noisy = noise.add_gaussian(clean, 2e-3, np.random.default_rng(3)).astype(np.float32)
    noisy[25, 20, 30] += 0.15
    result = denoised(noisy)
    assert result["cube"].values[25, 20, 30] == noisy[25, 20, 30]
    assert np.argwhere(result["flags"].values).tolist() == [[25, 20, 30]]
    assert result["flags"].values[25, 20, 30] == Flag.OUTLIER
    assert result.attrs["flagged"] == {"outlier": [int(b == 25) for b in range(48)]}


def test_scattered_defects_of_any_value_are_replaced():
    """No two of the same value: only their number says that they are no signal."""
    clean, patch = with_patch(WATER, 20)
    noisy = noise.add_gaussian(clean, 2e-3, np.random.default_rng(3))
    rng = np.random.default_rng(4)
    hit = rng.random(noisy.shape) < 0.02
    broken = np.where(hit, rng.random(noisy.shape) + 0.5, noisy).astype(np.float32)
    result = denoised(broken)
    flags = result["flags"].values
    assert (flags[hit] == Flag.DEAD).mean() > 0.95
    assert (flags[~hit] != 0).mean() < 1e-3
    error = (result["cube"].values - clean) / 2e-3
    assert np.sqrt((error[:, patch] ** 2).mean()) < 1.2


def test_company_is_what_independent_defects_do_not_have():
    rng = np.random.default_rng(0)
    defects = rng.random((12, 60, 60)) < 0.04
    rate = defects.mean(axis=(1, 2))
    assert has_company(defects, rate)[defects].mean() < 0.02
    signal = np.zeros(defects.shape, bool)
    signal[4:9, 20:26, 30:36] = True
    both = defects | signal
    judged = has_company(both, both.mean(axis=(1, 2)))
    assert judged[5:8, 21:25, 31:35].all()
    # A piece of one column, or line, of one band is the shape of a defect.
    line = np.zeros(defects.shape, bool)
    line[3, 10:30, 7] = True
    line[8, 50, 10:30] = True
    assert not has_company(line, np.zeros(12)).any()
    # Two neighbouring bands are not.
    pair = np.zeros(defects.shape, bool)
    pair[3:5, 10, 7] = True
    assert has_company(pair, np.zeros(12))[pair].all()


def test_a_few_that_are_alone_are_no_defects_and_many_are():
    entries = np.full(10, 2000)
    alone = np.array([0, 1, 3, 5, 30, 0, 0, 0, 0, 0])
    assert np.flatnonzero(defect_rate(alone, entries)).tolist() == [4]
    assert defect_rate(np.full(10, 4), entries).all()


def test_misfit_over_some_bands_is_signal():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((60, 40, 40))
    valid = rng.random(z.shape) < 0.95
    assert not unexplained(z, valid).any()
    z[20:36, 7, 8] += 3.0
    z[50, 3, 4] = 7.0
    valid[50, 3, 4] = valid[20:36, 7, 8] = True
    found = unexplained(z, valid)
    assert found[:, 7, 8].sum() == valid[:, 7, 8].sum()
    assert np.flatnonzero(found[:, 3, 4]).tolist() == [50]
    found[:, 7, 8] = found[:, 3, 4] = False
    assert not found.any()
    valid[50, 3, 4] = False
    assert not unexplained(z, valid)[:, 3, 4].any()


def test_counts_of_flags():
    flags = np.array([[[0, 1, 65]], [[2, 2, 0]]], np.uint8)
    found = counts(flags)
    assert found["dead"].tolist() == [2, 0]
    assert found["outlier"].tolist() == [1, 0]
    assert found["stuck"].tolist() == [0, 2]


def test_a_pixel_with_more_noise_is_not_unlike_all_others():
    """Few pixels for the bands: noise alone has a large share of the scene's variance."""
    rng = np.random.default_rng(0)
    bands, side = 100, 16
    spectra, share = rng.random((3, bands)), rng.random((3, side * side))
    sigma = 0.01 * (1 + 0.6 * share[0] / share[0].mean())
    values = spectra.T @ share + sigma * rng.standard_normal((bands, side * side))
    values[:, 40] += np.where(np.arange(bands) // 20 % 2, 0.3, -0.3)
    moments = Moments(values.mean(axis=1))
    moments.add(values.reshape(bands, side, side))
    level = np.full(bands, np.sqrt((sigma**2).mean()))
    alone = SelfReference(moments, level)(values.reshape(bands, side, side)).ravel()
    assert np.flatnonzero(alone).tolist() == [40]
