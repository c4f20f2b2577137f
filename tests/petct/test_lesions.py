"""Lesions against what is known of balls of activity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from petct_files import distances

from sciddm.geometry.grid import Grid
from sciddm.physics.petct.lesion_ranges import with_ranges
from sciddm.physics.petct.lesions import measure_lesions, sphere_weights, with_body


def grid(shape, spacing, shift=(0.0, 0.0, 0.0)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-spacing[2], -spacing[1], spacing[0]])
    affine[:3, 3] = shift - affine[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Grid(affine, shape)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.27, 2.0, 2.5), (4.0, 5.3, 5.3)])
def test_the_sphere_has_a_cubic_centimetre(spacing):
    weights = sphere_weights(grid((9, 9, 9), spacing))
    assert weights.sum() * np.prod(spacing) == pytest.approx(1000, rel=0.02)
    assert all(n % 2 for n in weights.shape)
    assert np.array_equal(weights, weights[::-1, ::-1, ::-1])


def test_two_lesions_on_grids_of_their_own():
    ct, pet = grid((40, 60, 60), (3.0, 2.0, 2.0)), grid((30, 30, 30), (4.0, 4.0, 4.0), (1, -1, 0.5))
    large, small = (-25.0, 10.0, 5.0), (30.0, -20.0, -20.0)
    mask = (distances(ct, large) < 20) | (distances(ct, small) < 9)
    suv = np.full(pet.shape, 0.5)
    suv[distances(pet, large) < 23] = 6.0
    suv[distances(pet, small) < 12] = 3.0
    hot = np.unravel_index(np.argmin(distances(pet, large)), pet.shape)
    suv[hot] = 26.0
    lesions, labels = measure_lesions(mask, ct, suv, pet)
    assert len(lesions) == 2
    first, second = lesions
    assert first.mtv_ml == pytest.approx(4 / 3 * math.pi * 2.0**3, rel=0.03)
    assert second.mtv_ml == pytest.approx(4 / 3 * math.pi * 0.9**3, rel=0.1)
    assert (labels == 1).sum() * ct.voxel_ml == pytest.approx(first.mtv_ml)
    assert np.allclose([first.x_mm, first.y_mm, first.z_mm], large, atol=0.5)
    assert (first.suv_max, second.suv_max) == (26.0, 3.0)
    assert second.suv_mean == pytest.approx(3.0)
    voxels = 4 / 3 * math.pi * 20**3 / 4**3
    assert first.suv_mean == pytest.approx(6 + 20 / voxels, rel=0.01)
    # One voxel of 64 mm^3 in a sphere of 1000 mm^3 raises its mean from 6 by 20 * 0.064.
    assert first.suv_peak == pytest.approx(6 + 20 * 0.064, rel=0.01)
    assert first.tlg == pytest.approx(first.suv_mean * first.mtv_ml)


def test_a_lesion_smaller_than_a_voxel_of_pet():
    ct, pet = grid((10, 20, 20), (1.0, 1.0, 1.0)), grid((5, 5, 5), (6.0, 6.0, 6.0))
    mask = np.zeros(ct.shape, bool)
    mask[5, 12, 12] = True
    suv = np.ones(pet.shape)
    suv[2, 2, 2] = 4.0
    [lesion], _ = measure_lesions(mask, ct, suv, pet)
    assert lesion.suv_max == lesion.suv_mean == 4.0
    assert lesion.mtv_ml == pytest.approx(0.001)


def test_an_empty_mask_has_no_lesions():
    ct = grid((4, 5, 6), (2.0, 2.0, 2.0))
    lesions, labels = measure_lesions(np.zeros(ct.shape, bool), ct, np.ones(ct.shape), ct)
    assert lesions == []
    assert not labels.any()


def test_ranges_are_those_of_core_and_surroundings():
    """Two balls that touch: what may be tumour belongs to the nearer one."""
    ct = grid((40, 60, 60), (2.0, 2.0, 2.0))
    one, other = distances(ct, (-16.0, 0.0, 0.0)), distances(ct, (24.0, 0.0, 0.0))
    near = np.minimum(one, other - 4)
    probability = np.select([near < 8, near < 12, near < 17], [0.99, 0.7, 0.2], 0.01)
    suv = np.select([near < 8, near < 12, near < 17], [5.0, 6.0, 9.0], 0.5)
    lesions, labels = measure_lesions(probability >= 0.5, ct, suv, ct)
    ranged = with_ranges(lesions, labels, probability, ct, suv, ct)
    assert [lesion.lesion for lesion in ranged] == [1, 2]
    second = ranged[1]  # about (-16, 0, 0)
    volumes = [float((one < r).sum()) * ct.voxel_ml for r in (8, 12)]
    assert second.mtv_ml == pytest.approx(volumes[1])
    assert second.mtv_low_ml == pytest.approx(volumes[0] ** 2 / volumes[1])
    wide = float(((one < 17) & (one <= other - 4)).sum()) * ct.voxel_ml
    assert second.mtv_high_ml == pytest.approx(wide**2 / volumes[1], rel=0.05)
    assert (second.suv_max_low, second.suv_max, second.suv_max_high) == (5.0, 6.0, 9.0)
    assert second.tlg_low == pytest.approx(5.0 * second.mtv_low_ml)
    assert second.tlg_low < second.tlg < second.tlg_high


def test_a_lesion_without_a_core_has_a_range_from_zero():
    ct = grid((12, 12, 12), (2.0, 2.0, 2.0))
    probability = np.where(distances(ct, (0.0, 0.0, 0.0)) < 6, 0.6, 0.0)
    lesions, labels = measure_lesions(probability >= 0.5, ct, np.ones(ct.shape), ct)
    [lesion] = with_ranges(lesions, labels, probability, ct, np.ones(ct.shape), ct)
    assert (lesion.mtv_low_ml, lesion.tlg_low) == (0.0, 0.0)
    assert lesion.mtv_high_ml == pytest.approx(lesion.mtv_ml)


def test_sul_and_suv_by_surface():
    """70 kg, 55 kg lean, 1.85 m2: SUV 7 is SUL 5.5 and .185 m2/l; nothing where it is unknown."""
    ct = grid((12, 12, 12), (2.0, 2.0, 2.0))
    mask = distances(ct, (0.0, 0.0, 0.0)) < 9
    lesions, _ = measure_lesions(mask, ct, np.full(ct.shape, 7.0), ct)
    [lesion] = with_body(lesions, 70.0, 55.0, 1.85)
    assert (lesion.sul_max, lesion.sul_peak) == pytest.approx((5.5, 5.5))
    assert lesion.suv_bsa_max == pytest.approx(0.185)
    [unknown] = with_body(lesions, None, None, None)
    assert math.isnan(unknown.sul_max)
    assert math.isnan(unknown.suv_bsa_max)
