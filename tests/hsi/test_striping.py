"""Offsets of every column or line: found, subtracted, and not made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciddm.data_adapters.hsi import build_cube
from sciddm.metrics.spectral import psnr
from sciddm.physics.spectral.estimate import dense_offsets, estimate_noise
from sciddm.physics.spectral.flags import Flag
from sciddm.physics.spectral.striping import Jumps, _solved, every_offset
from sciddm.pipelines.hsi import HyperspectralDenoising

BANDS, LINES, COLUMNS = 24, 48, 44
NM = np.linspace(420, 2400, BANDS)


def scene(seed=0, width=2):
    """Fields with a lake whose border lies along a line and a column."""
    rng = np.random.default_rng(seed)
    share = gaussian_filter(rng.random((LINES, COLUMNS)), width)
    share = (share - share.min()) / np.ptp(share)
    one, two = 0.08 + 0.25 * (NM - 400) / 2050, 0.05 + 0.3 / (1 + np.exp(-(NM - 715) / 30))
    clean = share * one[:, None, None] + (1 - share) * two[:, None, None]
    clean[:, 15:40, 12:40] = 0.03
    return clean


def denoised(cube, method="lowrank"):
    held = build_cube(Path("s.hdr"), cube.astype(np.float32), form="t", wavelength=NM, units="nm")
    return HyperspectralDenoising(method)(held)


@pytest.mark.parametrize("shape", [(BANDS, 1, COLUMNS), (BANDS, LINES, 1)])
def test_every_column_or_line_has_an_offset(shape):
    clean, rng = scene(), np.random.default_rng(1)
    stripes = 0.05 * rng.standard_normal(shape)
    noisy = clean + stripes + 0.02 * rng.standard_normal(clean.shape)
    result = denoised(noisy)
    gain = psnr(result["cube"].values, clean) - psnr(noisy, clean)
    assert gain > 10
    assert (result["flags"].values == Flag.STRIPED).all()
    counted = "striped_lines" if shape[1] > 1 else "striped_columns"
    assert result.attrs[counted] == BANDS * max(shape[1:])
    assert "offset" in result.attrs["warnings"]
    left = result.attrs["offset_std"]
    assert 0.002 < np.mean(left) < 0.02


def test_offsets_that_are_the_same_in_all_bands():
    clean, rng = scene(width=6), np.random.default_rng(1)
    noisy = clean + 0.05 * rng.standard_normal(COLUMNS)
    noisy = noisy + 0.02 * rng.standard_normal(clean.shape)
    result = denoised(noisy)
    assert psnr(result["cube"].values, clean) - psnr(noisy, clean) > 4.5


def test_edges_along_columns_are_no_offsets_that_all_bands_share():
    """No mixture of the scene's spectra is flat: what they leave of an offset tells it."""
    rng = np.random.default_rng(2)
    clean = scene()
    clean[:, :, ::6] *= 1.6  # furrows along whole columns
    stripes = 0.05 * rng.standard_normal(COLUMNS)
    noisy = clean + stripes + 0.01 * rng.standard_normal(clean.shape)
    columns, lines = dense_offsets(noisy, np.ones(noisy.shape, bool))
    assert not lines.values.any()
    left = columns.values - stripes
    left = left - left.mean(axis=1, keepdims=True)
    assert np.sqrt((left**2).mean()) < 0.2 * stripes.std()
    assert np.ptp(columns.values, axis=0).max() < 1e-9


def test_destriping_alone_leaves_the_noise():
    clean, rng = scene(), np.random.default_rng(1)
    noise = 0.02 * rng.standard_normal(clean.shape)
    noisy = clean + 0.05 * rng.standard_normal((BANDS, 1, COLUMNS)) + noise
    result = denoised(noisy, "destripe")
    left = result["cube"].values - clean
    assert left.std() < 0.025
    assert np.corrcoef(left.ravel(), noise.ravel())[0, 1] > 0.85


def test_a_clean_scene_has_no_offsets():
    for seed in range(4):
        clean = scene(seed)
        noisy = clean + 0.002 * np.random.default_rng(seed).standard_normal(clean.shape)
        for found in dense_offsets(noisy, np.ones(noisy.shape, bool)):
            assert not found.values.any()
            assert not found.std.any()
        assert not estimate_noise(noisy).stripes.any()


def test_offsets_are_the_posterior_mean_of_gaussian_ones():
    """Against the dense solution, and their error against the one that is stated."""
    rng = np.random.default_rng(0)
    count, power, variance = 400, 0.5, 0.02
    offsets = np.sqrt(power) * rng.standard_normal(count)
    jumps = np.diff(offsets) + np.sqrt(variance) * rng.standard_normal(count - 1)
    usable = rng.random(count - 1) < 0.97
    found, std = _solved(jumps, usable, variance, power)
    step = np.diff(np.eye(count), axis=0)[usable]
    normal = step.T @ step / variance + np.eye(count) / power
    np.testing.assert_allclose(found, np.linalg.solve(normal, step.T @ jumps[usable] / variance))
    assert (found - offsets).std() == pytest.approx(std, rel=0.35)


def test_texture_that_is_alike_in_both_directions_is_no_stripe():
    rng = np.random.default_rng(0)
    error = np.full((3, 50), 0.01)
    jumps, other = (Jumps(np.diff(0.1 * rng.standard_normal((3, 51))), error) for _ in range(2))
    assert not every_offset(jumps, other).values.any()
    smooth = Jumps(0.01 * rng.standard_normal((3, 50)), error)
    assert every_offset(jumps, smooth).values.any()
    # A third of the columns is for the other method.
    some = jumps._replace(middle=np.where(rng.random((3, 50)) < 0.35, jumps.middle, 0))
    assert not every_offset(some, smooth).values.any()


def test_an_object_that_is_longer_than_wide_is_no_offset():
    """Its lines differ by far more than noise, its columns by less: brightness goes on rising."""
    y, x = np.mgrid[:31, :43]
    along, across = (x - 21) + 0.3 * (y - 15), (y - 15) - 0.1 * (x - 21)
    seed = np.clip(1.2 - (along / 19) ** 2 - (across / 9) ** 2, 0, None) ** 0.7
    shape = 0.1 + np.linspace(0.4, 1, BANDS)[:, None, None] * seed * (1 + 0.02 * np.sin(x / 3))
    noisy = shape + 0.004 * np.random.default_rng(0).standard_normal(shape.shape)
    columns, lines = dense_offsets(noisy, np.ones(noisy.shape, bool))
    assert not columns.values.any()
    assert not lines.values.any()
