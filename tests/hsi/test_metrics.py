"""Metrics against closed forms and other implementations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import (
    error_relative_global_dimensionless_synthesis,
    spectral_angle_mapper,
)

from sciddm.metrics import spectral as metrics


def pair(shape=(7, 24, 31)):
    rng = np.random.default_rng(0)
    reference = rng.uniform(0.1, 0.9, shape)
    return reference + rng.normal(0, 0.05, shape), reference


def test_psnr_is_the_mean_over_bands_with_range_one():
    reference = np.full((2, 11, 12), 0.3)
    estimate = reference.copy()
    estimate[0] += 0.1
    estimate[1] -= 0.01
    assert metrics.psnr(estimate, reference) == pytest.approx((20 + 40) / 2)


def test_against_torchmetrics():
    estimate, reference = pair()
    x, y = (torch.tensor(v)[None] for v in (estimate, reference))
    angle = float(torch.rad2deg(spectral_angle_mapper(x, y)))
    assert metrics.sam(estimate, reference) == pytest.approx(angle, rel=1e-9)
    theirs = float(error_relative_global_dimensionless_synthesis(x, y, ratio=1.0))
    assert metrics.ergas(estimate, reference) == pytest.approx(theirs, rel=1e-6)


def test_ssim_of_constant_bands_is_its_luminance_term():
    estimate, reference = np.full((3, 15, 20), 0.4), np.full((3, 15, 20), 0.6)
    wanted = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
    assert metrics.ssim(estimate, reference) == pytest.approx(wanted, rel=1e-6)
    assert metrics.ssim(reference, reference) == pytest.approx(1)


def test_sam_of_known_and_tiny_angles():
    reference = np.zeros((2, 3, 4))
    reference[0] = 1
    estimate = reference.copy()
    for degrees in (30.0, 1e-6):
        estimate[0], estimate[1] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        assert metrics.sam(5 * estimate, reference) == pytest.approx(degrees, rel=1e-7)


def test_unknown_bands_count_nowhere():
    estimate, reference = pair()
    wanted = metrics.evaluate_cube(estimate, reference)
    more = np.concatenate([reference, np.full((1, 24, 31), np.nan)])
    assert metrics.evaluate_cube(np.concatenate([estimate, estimate[:1]]), more) == wanted
    with pytest.raises(ValueError, match="shapes"):
        metrics.psnr(estimate[:3], reference)


def test_blocks_give_what_the_whole_gives():
    rng = np.random.default_rng(2)
    reference = rng.random((5, 24, 13))
    estimate = reference + 0.1 * rng.standard_normal(reference.shape)
    reference[2, 3, 4] = np.nan
    running = metrics.Running(5)
    for block in (slice(0, 7), slice(7, 8), slice(8, 24)):
        running.add(estimate[:, block], reference[:, block])
    assert running.psnr == pytest.approx(metrics.psnr(estimate, reference), rel=1e-12)
    assert running.sam == pytest.approx(metrics.sam(estimate, reference), rel=1e-12)
    assert running.ergas() == pytest.approx(metrics.ergas(estimate, reference), rel=1e-12)


def test_ergas_falls_with_the_ratio_of_the_pixels_sizes():
    estimate, reference = pair()
    whole = metrics.ergas(estimate, reference)
    assert metrics.ergas(estimate, reference, ratio=4.0) == pytest.approx(whole / 4, rel=1e-12)
