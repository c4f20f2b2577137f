"""Which lines are kept out, and what they say of scans that contradict themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciddm.physics.mri.masks import calibration_region, make_mask
from sciddm.pipelines.mri.kept_out import calibrated, kept_lines, scan_widening, slices_to_check
from sciddm.uncertainty.prediction import Prediction


@pytest.mark.parametrize("axis", ["ky", "kx"])
@pytest.mark.parametrize("kind", ["random", "equispaced"])
def test_a_few_whole_lines_outside_the_centre_are_kept_out(kind, axis):
    mask = make_mask(kind, (96, 80), 3, 12, seed=1, axis=axis)
    out = kept_lines(torch.from_numpy(mask), 0)
    assert out is not None
    out = out.numpy()
    assert not (out & ~mask).any()
    centre = calibration_region(mask)
    assert not out[centre].any()
    along = 0 if axis == "ky" else 1
    lines = out.any(axis=1 - along)
    np.testing.assert_array_equal(out, mask & np.expand_dims(lines, 1 - along))
    assert 0.04 < out.sum() / mask.sum() < 0.12
    # On both sides of the centre.
    n = len(lines)
    assert lines[: n // 2].any()
    assert lines[n // 2 :].any()
    again = kept_lines(torch.from_numpy(mask), 0)
    assert again is not None
    np.testing.assert_array_equal(again.numpy(), out)


def test_single_samples_of_other_masks_and_none_where_there_are_too_few():
    mask = make_mask("poisson", (64, 64), 4, 12, seed=1)
    out = kept_lines(torch.from_numpy(mask), 3)
    assert out is not None
    assert 0.03 < float(out.sum()) / mask.sum() < 0.08
    assert not out.numpy()[calibration_region(mask)].any()
    few = np.zeros((64, 64), bool)
    few[24:40] = True
    few[[2, 60]] = True
    assert kept_lines(torch.from_numpy(few), 0) is None
    assert kept_lines(torch.ones(64, 64, dtype=torch.bool), 0) is None


def test_slices_are_spread_over_the_volume():
    assert slices_to_check(2) == [0, 1]
    assert slices_to_check(40) == [10, 20, 30]


def test_the_skill_counts_for_less_where_lines_lie_far_apart():
    middling = [Prediction(1.0, 1.03, 100)]
    assert calibrated(middling, 4.0).answer == "no"
    assert calibrated(middling, 8.0).answer == "yes"
    assert calibrated([Prediction(5.0, 0.5, 100)], 4.0).answer == "no"
    assert calibrated([], 4.0).answer == "not checked"


def test_the_standard_deviation_of_a_scan_is_widened_by_what_it_lacks_and_never_narrowed():
    narrow = [Prediction(1.5, 0.8, 100, widening) for widening in (0.7, 1.6, 1.8)]
    assert scan_widening(narrow) == pytest.approx((1.6 / 0.9) ** 0.5)
    assert scan_widening([Prediction(0.8, 0.8, 100, 0.7)]) == 1
    assert scan_widening([]) == 1
    finding = calibrated(narrow, 4.0)
    assert finding.answer == "yes"
    assert "times as wide" in finding.sentence
    assert "1.33 times" in finding.sentence
    assert "times as wide" not in calibrated([Prediction(0.8, 0.8, 100, 0.7)], 4.0).sentence
