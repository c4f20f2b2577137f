"""Objects wider than the field of view: found by a second eigenvalue, and separated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sciddm.classical.tv_measurement import starting_image
from sciddm.physics.mri.encoding import EncodedSlice, encode
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.wrapped import overlap_remark, separated
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import coil_maps, fft2c, ifft2c

SIDE, COILS = 96, 8


def folded(rows: int) -> tuple[NDArray[np.complex64], NDArray[np.float64], NDArray[np.bool_]]:
    """k-space of a head in a field of view of ``rows`` of its 96 pixels, the root of the sum of the
    squares of what folds, and where two places do."""
    images = coil_maps(COILS, (SIDE, SIDE), 2) * head_phantom((SIDE, SIDE))
    place = (np.arange(SIDE) - SIDE // 2 + rows // 2) % rows
    coils, power = np.zeros((COILS, rows, SIDE), complex), np.zeros((rows, SIDE))
    there = np.zeros((rows, SIDE))
    for y, at in enumerate(place):
        coils[:, at] += images[:, y]
        power[at] += (np.abs(images[:, y]) ** 2).sum(0)
        there[at] += (np.abs(images[:, y]) ** 2).sum(0) > 0.01
    k = fft2c(coils)
    rng = np.random.default_rng(0)
    noise = 0.004 * (rng.standard_normal(k.shape) + 1j * rng.standard_normal(k.shape))
    return (k + noise).astype(np.complex64), np.sqrt(power), there > 1


def encoded(kspace: NDArray[np.complex64], mask: NDArray[np.bool_]) -> EncodedSlice:
    covariance = torch.eye(COILS, dtype=torch.complex64) * 2 * 0.004**2
    return encode(torch.from_numpy(kspace * mask), torch.from_numpy(mask), covariance)


def error(slice_: EncodedSlice, image: torch.Tensor, truth: NDArray[np.float64]) -> float:
    found = slice_.frame.to_scan(image)[0].abs().numpy()
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def test_an_object_within_the_field_of_view_has_one_set_of_maps() -> None:
    kspace, _, _ = folded(SIDE)
    slice_ = encoded(kspace, make_mask("random", kspace.shape[-2:], 3, 16, seed=0))
    assert slice_.second is None
    assert slice_.overlap == 0
    assert overlap_remark([slice_]) is None
    same, first, second = separated(slice_, 20)
    assert same is slice_
    assert second is None
    torch.testing.assert_close(first, starting_image(slice_.measurement, 20))


@pytest.mark.parametrize("shift", [2, 4, 6])
@pytest.mark.parametrize("every", [2, 3])
def test_motion_is_no_fold(shift: int, every: int) -> None:
    """Lines of two positions have a second eigenvalue as well, but all over the object: a second
    set of maps would explain the motion, and no check would name it."""
    kspace, _, _ = folded(SIDE)
    moved = fft2c(np.roll(ifft2c(kspace), shift, axis=-2)).astype(np.complex64)
    kspace[:, ::every] = moved[:, ::every]
    slice_ = encoded(kspace, make_mask("random", kspace.shape[-2:], 3, 16, seed=0))
    assert slice_.second is None
    assert slice_.overlap == 0


def test_a_wider_object_is_named_and_separated() -> None:
    kspace, truth, two = folded(72)
    mask = make_mask("random", kspace.shape[-2:], 3, 16, seed=0)
    slice_ = encoded(kspace, mask)
    assert slice_.second is not None
    weight = torch.linalg.vector_norm(slice_.second, dim=0).numpy()
    assert weight[two].mean() > 0.8
    middle = np.zeros_like(two)
    middle[20:-20] = True
    assert weight[middle & ~two].mean() < 0.05
    remark = overlap_remark([slice_])
    assert remark is not None
    assert "two places lie in one pixel" in remark
    alone = error(slice_, starting_image(slice_.measurement, 60), truth)
    rest, first, second = separated(slice_, 60)
    assert second is not None
    assert error(slice_, first, truth) < 0.9 * alone
    # What was taken off is taken off wherever the slice is measured again.
    again = rest.frame.measurement(torch.from_numpy(kspace), torch.from_numpy(mask))
    torch.testing.assert_close(again.y, rest.measurement.y, atol=1e-5, rtol=1e-4)
