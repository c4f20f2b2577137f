"""Lesions against what is known of balls of activity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from petct_files import distances

from sciddm.geometry.grid import Grid
from sciddm.physics.petct.lesions import measure_lesions, sphere_weights


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
