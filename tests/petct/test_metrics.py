"""Metrics of masks against what can be counted, and the rules for empty masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from sciddm.metrics.masks import (
    aggregated_dice,
    calibration_error,
    dice,
    hausdorff95,
    mask_scores,
    separation,
    surface_dice,
)

SPACING = (3.0, 2.0, 1.0)
EMPTY = np.zeros((8, 12, 14), bool)


def box(z, y, x) -> np.ndarray:
    out = EMPTY.copy()
    out[slice(*z), slice(*y), slice(*x)] = True
    return out


A, B = box((2, 6), (3, 9), (4, 10)), box((2, 6), (3, 9), (6, 12))


def test_boxes_that_can_be_counted():
    scores = mask_scores(A, B, SPACING, tolerance_mm=1.0)
    assert scores["dice"] == pytest.approx(2 / 3)
    assert scores["precision"] == scores["recall"] == pytest.approx(2 / 3)
    assert scores["volume_ml"] == pytest.approx(4 * 6 * 6 * 6e-3)
    assert scores["volume_error"] == 0
    assert scores["hd95_mm"] == pytest.approx(2.0)  # two voxels of 1 mm along x
    assert surface_dice(A, A, SPACING, 0.5) == 1
    assert 0.3 < scores["surface_dice"] < 0.9
    assert surface_dice(A, B, SPACING, 2.1) == pytest.approx(1)


def test_spacing_is_that_of_its_axis():
    """A box moved by one voxel along an axis is that axis' spacing away."""
    for axis, mm in enumerate(SPACING):
        assert hausdorff95(A, np.roll(A, 1, axis), SPACING) == pytest.approx(mm)


def test_dice_is_simpleitks():
    rng = np.random.default_rng(0)
    a, b = rng.random(EMPTY.shape) < 0.3, rng.random(EMPTY.shape) < 0.5
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*(sitk.GetImageFromArray(m.astype(np.uint8)) for m in (a, b)))
    assert dice(a, b) == pytest.approx(overlap.GetDiceCoefficient())


@pytest.mark.parametrize(("estimate", "truth"), [(EMPTY, A), (A, EMPTY)])
def test_one_empty_mask_is_the_worst(estimate, truth):
    scores = mask_scores(estimate, truth, SPACING)
    for name in ("dice", "surface_dice", "precision", "recall"):
        assert scores[name] == 0
    assert scores["hd95_mm"] == math.inf


def test_two_empty_masks_agree():
    scores = mask_scores(EMPTY, EMPTY, SPACING)
    for name in ("dice", "surface_dice", "precision", "recall"):
        assert scores[name] == 1
    assert scores["hd95_mm"] == scores["volume_error"] == 0


def test_aggregated_dice_weighs_by_size():
    small = box((2, 3), (3, 4), (4, 5))
    missed = [(A, A), (EMPTY, small)]
    assert aggregated_dice(missed) == pytest.approx(2 * 144 / (2 * 144 + 1))
    assert aggregated_dice([(EMPTY, EMPTY)]) == 1
    assert aggregated_dice([(A, B), (EMPTY, EMPTY)]) == pytest.approx(2 / 3)


def test_calibration_of_what_is_right_and_of_what_is_too_sure():
    rng = np.random.default_rng(1)
    p = rng.random(400_000)
    right = rng.random(p.size) < p
    assert calibration_error(p, right) < 0.004
    # Whoever always says 0.9 and is right in 0.6 of the cases is off by 0.3.
    sure = np.full(100_000, 0.9)
    assert calibration_error(sure, rng.random(sure.size) < 0.6) == pytest.approx(0.3, abs=0.01)
    assert calibration_error(np.array([0.0, 1.0]), np.array([0, 1])) == 0


def test_separation_is_the_chance_of_the_right_order():
    uncertainty, wrong = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
    assert separation(uncertainty, wrong) == pytest.approx(0.75)
    assert separation(np.ones(10), np.arange(10) < 3) == pytest.approx(0.5)
    assert math.isnan(separation(uncertainty, np.zeros(4)))
