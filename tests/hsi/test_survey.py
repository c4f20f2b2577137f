"""What is known of a scene, block by block, against the whole of it."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciddm.data_adapters.hsi import build_cube
from sciddm.errors import InputError
from sciddm.physics.spectral.flags import NO_DATUM, Flag
from sciddm.pipelines.hsi import survey as surveying
from sciddm.pipelines.hsi.survey import Scene, survey, white_of
from sciddm.simulation.hsi import noise


def mixed(bands=24, shape=(60, 41), materials=3, seed=0):
    """Smooth abundances of a few smooth spectra, in [0, 1]."""
    rng = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(rng.standard_normal(shape), 3) for _ in range(materials)])
    abundance = np.exp(8 * fields)
    abundance /= abundance.sum(axis=0)
    walk = gaussian_filter(rng.standard_normal((materials, bands)), (0, 4))
    return np.tensordot((0.5 + 0.35 * walk / np.abs(walk).max()).T, abundance, 1)


def noisy(sigma=0.02, **options):
    clean = mixed(**options)
    return noise.add_gaussian(clean, sigma, np.random.default_rng(1)).astype(np.float32)


def scene_of(values, **options):
    lazy = da.from_array(values, chunks=(len(values), 16, values.shape[2]))
    return Scene(build_cube(Path("scene.hdr"), lazy, form="test", **options))


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 7 lines."""
    monkeypatch.setattr(surveying, "chunks_of", lambda shape, size: (shape[0], 7, shape[2]))


def test_moments_are_those_of_all_pixels(small_blocks):
    cube = noisy()
    found = survey(scene_of(cube))
    flat = cube.reshape(len(cube), -1).astype(np.float64)
    assert found.moments.count == flat.shape[1]
    np.testing.assert_allclose(found.moments.mean, flat.mean(axis=1), rtol=1e-6)
    expected = np.cov(flat, bias=True)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.moments.covariance, expected, atol=1e-5 * scale)
    np.testing.assert_allclose(found.noise.sigma, 0.02, rtol=0.15)
    assert found.scale == 1.0
    assert found.used.all()
    assert found.blind
    assert not found.nothing.any()


@pytest.mark.parametrize("fill", [-9999.0, 0.0, np.nan])
def test_pixels_outside_the_swath_and_empty_bands_count_nowhere(small_blocks, fill):
    cube = noisy()
    whole = survey(scene_of(cube[:, :, 5:]))
    cube[:, :, :5] = fill
    cube[4] = -0.01  # as EMIT marks bands without light
    cube[4, :, :5] = fill
    nodata = fill if fill < 0 else None
    found = survey(scene_of(cube, attrs={"nodata": nodata}))
    assert np.flatnonzero(~found.used).tolist() == [4]
    # With another value in band 4 a pixel of zeros holds something: it is not known to be outside.
    outside = np.zeros((60, 41), bool)
    outside[:, :5] = True
    np.testing.assert_array_equal(found.nothing, outside)
    assert found.moments.count == 60 * 36
    kept = np.arange(24) != 4
    np.testing.assert_allclose(found.moments.mean, whole.moments.mean[kept], rtol=1e-4)
    np.testing.assert_allclose(found.noise.sigma, 0.02, rtol=0.2)


def test_a_sample_of_lines_and_columns_is_enough(small_blocks, monkeypatch):
    clean = mixed(shape=(200, 60))
    cube = noise.add_gaussian(clean, 0.01, np.random.default_rng(1))
    cube[5, :, 17] += 0.1
    cube[9, 33:, 40] = 2.0  # half of a column, none of whose lines need be in the sample
    monkeypatch.setattr(surveying, "_FITTED", 24 * 40 * 60)
    monkeypatch.setattr(surveying, "_LINES", 80)
    found = survey(scene_of(cube.astype(np.float32)))
    np.testing.assert_allclose(found.noise.sigma, 0.01, rtol=0.25)
    # All 200 lines say how large the stripe is, to 0.01 / sqrt(200).
    assert found.noise.stripes[5, 17] == pytest.approx(0.1, abs=0.004)
    assert (found.noise.stripes != 0).sum() < 20
    truth = cube.mean(axis=(1, 2))
    truth[5] -= 0.1 / 60
    truth[9] = clean[9].mean()
    np.testing.assert_allclose(found.moments.mean, truth, atol=2e-3)


def test_a_column_that_is_the_same_in_all_blocks_is_dead(small_blocks):
    cube = noisy()
    cube[3, :, 12] = 0.25
    found = survey(scene_of(cube))
    assert np.argwhere(found.noise.constant).tolist() == [[3, 12]]
    assert found.dead[3] == 60


def test_scale_is_reflectance_where_that_is_known():
    cube = noisy()
    counts = np.round(1e4 * cube).astype(np.int16)
    stated = scene_of(counts, attrs={"envi_header": {"reflectance scale factor": "10000"}})
    assert survey(stated).scale == 1e4
    white = survey(scene_of(counts)).scale
    assert 0.9 * np.percentile(counts, 99) < white < 1.1 * counts.max()
    found = survey(stated)
    np.testing.assert_allclose(found.noise.sigma, 200, rtol=0.15)
    np.testing.assert_allclose(found.moments.mean, cube.mean(axis=(1, 2)), rtol=1e-3)


@pytest.mark.parametrize("white", [0.06, 0.4, 1.0, 1.5])
def test_floats_as_bright_as_reflectance_are_reflectance(white):
    cube = np.full((3, 4, 5), white, np.float32)
    assert white_of(scene_of(cube).dataset, cube, 0.0) == 1.0


@pytest.mark.parametrize(
    ("white", "dtype"),
    # Radiance in dark units and in bright ones; percent and counts, which are never shares of 1.
    [(0.04, np.float32), (1.8, np.float32), (60.0, np.float32), (1, np.uint8), (4000, np.int16)],
)
def test_other_cubes_are_as_white_as_their_brightest(white, dtype):
    cube = np.full((3, 4, 5), white, dtype)
    assert white_of(scene_of(cube).dataset, cube, 0.0) == pytest.approx(white, rel=1e-6)


def test_noise_that_is_given():
    cube = noisy()
    cube[2] = 0
    sigma = np.linspace(0.01, 0.03, 24)
    found = survey(scene_of(cube), sigma)
    np.testing.assert_array_equal(found.noise.sigma, np.delete(sigma, 2))
    assert not found.blind
    np.testing.assert_array_equal(survey(scene_of(cube), 0.02).noise.sigma, np.full(23, 0.02))
    tiny = scene_of(cube[:, :4, :5])
    np.testing.assert_array_equal(survey(tiny, 0.02).noise.sigma, np.full(23, 0.02))


def test_noise_that_is_given_finds_impulses_in_most_of_a_band():
    clean = mixed(shape=(60, 60))
    cube = noise.add_gaussian(clean, 0.02, np.random.default_rng(1))
    broken, mask = noise.add_impulses(
        cube, np.random.default_rng(2), bands=[3, 11, 19], amounts=[0.7]
    )
    scene = scene_of(broken.astype(np.float32))
    told = survey(scene, 0.02)
    dead = told.noise.inspect(broken, np.ones(broken.shape, bool)) != 0
    # Impulses of 0 or 1 on a signal of 0.15 to 0.85.
    assert dead[mask].mean() > 0.95
    assert dead[~mask].mean() < 0.01


@pytest.mark.parametrize(
    ("cube", "given", "said"),
    [
        (np.full((4, 9, 9), np.nan, np.float32), None, "scene.hdr: no band holds a value"),
        (np.zeros((4, 9, 9), np.int16), None, "scene.hdr: no band holds a value"),
        (noisy()[:, :3, :4], None, "scene.hdr: 12 pixels are too few"),
        (noisy(), [0.1, 0.2], "noise for 2 bands, but the cube has 24"),
        (noisy(), -1.0, "0 or more"),
        (noisy(), np.nan, "not given for all bands"),
    ],
)
def test_unusable_scenes(cube, given, said):
    with pytest.raises(InputError, match=said):
        survey(scene_of(cube), given)


def test_a_number_that_stands_for_none_is_a_gap(small_blocks):
    cube = noisy()
    cube[:, 3:20, 4:12] = -9999
    cube[5:9, 40, 3:9] = -9999
    scene = scene_of(cube)
    found = survey(scene)
    assert scene.undeclared == (-9999,)
    expected = np.where(found.nothing, Flag.OUTSIDE, 0) * np.ones((24, 1, 1), np.uint8)
    expected[5:9, 40, 3:9] = Flag.GAP
    np.testing.assert_array_equal(found.flags, expected)
    np.testing.assert_allclose(found.noise.sigma, 0.02, rtol=0.2)
    assert found.nothing.sum() == 17 * 8
    # A dark surface is none.
    dark = noisy()
    dark[:, 3:20, 4:12] = 0.0005
    scene = scene_of(dark)
    assert not (survey(scene).flags[:] & Flag.GAP).any()
    assert scene.undeclared == ()


def test_saturated_entries_are_flagged_and_stay_data(small_blocks):
    cube = noisy()
    cube[6:10, 10:20, 5:15] += 0.6
    full = (cube >= 0.9) & (np.arange(24)[:, None, None] % 2 == 0)
    full[10:] = full[:6] = False
    cube = np.where(full, np.float32(0.9), cube)
    cube[::2] = np.minimum(cube[::2], np.float32(0.9))
    found = survey(scene_of(cube))
    marked = (found.flags[:] & Flag.SATURATED) != 0
    np.testing.assert_array_equal(marked, (cube == np.float32(0.9)) & marked)
    assert marked[6:10][full[6:10]].mean() > 0.95
    assert not (found.flags[:][marked] & NO_DATUM).any()


def test_the_tail_of_quantised_noise_is_not_saturated():
    """A flat bright surface whose noise spans few steps has many entries at its largest value."""
    rng = np.random.default_rng(3)
    flat = noisy(bands=6, shape=(30, 40))
    flat[:, 5:25, 5:35] = 0.8 + 2e-4 * rng.standard_normal(flat[:, 5:25, 5:35].shape)
    flat = (np.round(flat * 4096) / 4096).astype(np.float32)
    assert not (survey(scene_of(flat)).flags[:] & Flag.SATURATED).any()


def test_one_band_that_saturates(small_blocks):
    cube = noisy()
    limit = np.float32(np.quantile(cube[5], 0.9))
    full = cube[5] >= limit
    cube[5] = np.minimum(cube[5], limit)
    marked = (survey(scene_of(cube)).flags[:] & Flag.SATURATED) != 0
    np.testing.assert_array_equal(marked[5] & full, marked[5])
    assert marked[5].sum() > 0.9 * full.sum()
    assert not np.delete(marked, 5, axis=0).any()


def test_two_undeclared_values():
    cube = noisy()
    cube[:, 3:7, 3:7] = -9999
    cube[2:5, 20:22, 9:14] = 1e20
    scene = scene_of(cube)
    flags = survey(scene).flags[:]
    assert set(scene.undeclared) == {-9999.0, float(np.float32(1e20))}
    assert (flags[2:5, 20:22, 9:14] == Flag.GAP).all()
    assert (flags[:, 3:7, 3:7] == Flag.OUTSIDE).all()


def test_bands_that_are_copies_are_no_defects():
    cube = noisy()
    cube[5] = cube[4]
    found = survey(scene_of(cube))
    assert not (found.flags[:] & (Flag.DEAD | Flag.OUTLIER)).any()
    np.testing.assert_allclose(found.noise.sigma, 0.02, rtol=0.2)


def test_numbers_beyond_single_precision_and_one_pixel_are_named():
    with pytest.raises(InputError, match=r"scene\.hdr: holds numbers up to 1e\+200"):
        survey(scene_of(noisy().astype(np.float64) * 1e200 / 0.85))
    with pytest.raises(InputError, match=r"scene\.hdr: 1 pixel: noise is estimated from several"):
        survey(scene_of(noisy()[:, :1, :1]))
