"""Off-resonance of training images, on discs whose fat and water are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sciddm.physics.mri.off_resonance import fat_against_water, field_near_air, outer_shell


def disc(radius: float, size: int = 96) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return ((y - size / 2).square() + (x - size / 2).square() < radius**2).float()


@pytest.mark.parametrize("depth", [4.0, 8.0])
def test_the_shell_has_the_area_of_a_ring(depth):
    hollow = disc(40) - 0.95 * disc(12)  # a dark ventricle is not outside
    share = outer_shell(hollow, depth)
    area = math.pi * (40**2 - (40 - depth) ** 2)
    assert float(share.sum()) == pytest.approx(
        area, rel=0.15
    )  # the outline is known to half a pixel
    assert float(share[disc(40 - depth - 4) > 0].max()) < 1e-3
    assert float(share[disc(42) == 0].abs().max()) == 0
    assert float(outer_shell(torch.zeros(8, 8), depth).sum()) == 0


def test_water_keeps_its_phase_and_all_fat_has_one_other():
    image = disc(40)
    angles = []
    for seed in range(20):
        turned = fat_against_water(image, np.random.default_rng(seed))
        centre = turned[disc(20) > 0]
        assert torch.allclose(centre, torch.ones_like(centre), atol=1e-5)
        # The outermost pixel is fat alone, wherever the shift has left any.
        edge = turned[(disc(39) == 0) & (disc(40) > 0)]
        edge = edge[edge.abs() > 0.5 * edge.abs().max()]
        assert float((edge / edge.abs()).mean().abs()) > 0.9
        angles.append(float(edge.mean().angle()))
    assert max(angles) - min(angles) > 3  # any angle


def test_a_cavity_is_one_bump():
    field = field_near_air(torch.Size((64, 80)), np.random.default_rng(2))
    peak = field.abs().max()
    assert 0.5 < float(peak) <= 8
    assert int((field.abs() > 0.999 * peak).sum()) >= 1
    assert bool((field >= 0).all()) or bool((field <= 0).all())
    half = int((field.abs() > 0.5 * peak).sum()) / field.numel()
    # Gaussian of radius r: the area above one half is 2 pi ln 2 r^2, r from .03 to .12.
    assert 0.5 * 0.0039 < half < 1.1 * 0.0627
