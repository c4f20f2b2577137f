"""Maps of objects without air around them: near the true ones where ESPIRiT's cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sciddm import mri
from sciddm.classical.tv_measurement import starting_image
from sciddm.metrics.images import psnr
from sciddm.physics.mri.encoding import EncodedSlice, encode
from sciddm.physics.mri.joint_maps import maps_misfit, reaches_both_ends
from sciddm.physics.mri.masks import calibration_region, make_mask
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan, undersample

Images = NDArray[np.float32]


def filled(side: int) -> Images:
    """The middle of a head, so that tissue reaches every edge."""
    image = head_phantom((2 * side, 2 * side))
    out = image[side // 2 : side // 2 + side, side // 2 - 4 : side // 2 - 4 + side]
    assert (out < 0.05).mean() < 0.01
    return np.asarray(out, np.float32)


def scan_of(image: Images, coils: int, acs: int):
    full = simulate_scan(image, coils, snr_db=30, seed=1, with_maps=True)
    mask = make_mask("random", image.shape, 4, acs, seed=1)
    return full, mask


def encoded(full, mask: NDArray[np.bool_], maps: torch.Tensor | None = None) -> EncodedSlice:
    k = torch.from_numpy(full["kspace"].values[0] * mask).to(torch.complex64)
    psi = torch.eye(len(k), dtype=torch.complex64) * full.attrs["noise_std"] ** 2
    return encode(k, torch.from_numpy(mask), psi, maps)


def quality(slice_: EncodedSlice, truth: Images) -> float:
    image = slice_.frame.to_scan(starting_image(slice_.measurement, 30))[0].abs()
    return decibel(image.numpy(), truth)


def decibel(image: NDArray[np.floating], truth: Images) -> float:
    return psnr(image, truth, float(truth.max()))


@pytest.mark.parametrize(("side", "coils", "acs"), [(64, 8, 12), (96, 8, 16), (64, 16, 12)])
def test_an_object_that_fills_the_field_of_view(side: int, coils: int, acs: int) -> None:
    """With ESPIRiT's maps the image of total variation is 2 to 5 dB below the zero-filled one."""
    truth = filled(side)
    full, mask = scan_of(truth, coils, acs)
    slice_ = encoded(full, mask)
    true = encoded(full, mask, torch.from_numpy(full["maps"].values[0]))
    zero_filled = decibel(slice_.zero_filled.abs().numpy(), truth)
    assert quality(slice_, truth) > zero_filled + 1.5
    assert quality(slice_, truth) > quality(true, truth) - 3.5
    if coils == 8:
        assert quality(slice_, truth) > quality(true, truth) - 1
    k = torch.from_numpy(full["kspace"].values[0] * mask) / full.attrs["noise_std"]
    assert maps_misfit(k, torch.from_numpy(mask), slice_.frame.maps) < 1.3
    assert slice_.second is None
    norm = torch.linalg.vector_norm(slice_.frame.maps, dim=0)
    torch.testing.assert_close(norm, torch.ones_like(norm))


def test_a_head_in_air_keeps_the_maps_of_espirit() -> None:
    image = head_phantom((96, 96)).astype(np.float32)
    full, mask = scan_of(image, 8, 16)
    k = torch.from_numpy(full["kspace"].values[0] * mask)
    assert not reaches_both_ends(k, calibration_region(mask))
    wide = torch.from_numpy(scan_of(filled(96), 8, 16)[0]["kspace"].values[0])
    assert reaches_both_ends(wide, calibration_region(mask))
    norm = torch.linalg.vector_norm(encoded(full, mask).frame.maps, dim=0)
    assert (norm == 0).any(), "ESPIRiT's maps end outside the object"


def test_the_verdict_on_a_limb_that_fills_the_field_of_view() -> None:
    truth = filled(64)
    full, mask = scan_of(truth, 8, 12)
    scan = undersample(full, mask).drop_vars("maps")
    result = mri.reconstruct(scan, quality="fast", samples=2, seed=0)
    assert result.verdict.fits.answer == "yes"
    assert not any("two places" in sentence for sentence in result.warnings)
    image = np.asarray(result.estimate)[0]
    assert decibel(image, truth) > decibel(np.asarray(result.data["zero_filled"])[0], truth) + 3
