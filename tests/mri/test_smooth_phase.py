"""Phase of coil maps: no vortex in the object, whatever the coils, and nothing lost by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciddm.physics.fourier import fft2c, ifft2c, resized
from sciddm.physics.mri.sensitivities import combine, espirit
from sciddm.physics.mri.smooth_phase import phase_vortices, with_smooth_phase


def loops(coils: int, seed: int, side: int = 96) -> np.ndarray:
    """Unit maps (coil, y, x) of loops round the head, each with a phase of its own and winding."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    offsets = np.random.default_rng(seed).uniform(0, 2 * np.pi, coils)
    maps = []
    for offset, t in zip(offsets, 2 * np.pi * np.arange(coils) / coils, strict=True):
        distance = (y - 0.95 * np.sin(t)) ** 2 + (x - 0.95 * np.cos(t)) ** 2
        # Angle against the direction inwards, so that its cut lies outside the object.
        turn = np.angle(-((x - 1.3 * np.cos(t)) + 1j * (y - 1.3 * np.sin(t))) * np.exp(-1j * t))
        maps.append((1 + distance / 0.25) ** -1.5 * np.exp(1j * (offset + 2.5 * turn)))
    stack = np.array(maps)
    return stack / np.linalg.norm(stack, axis=0)


def ellipse(side: int, radius: float = 0.75) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return (y / radius) ** 2 + (x / (0.8 * radius)) ** 2 < 1


def random_maps(coils: int, seed: int, side: int = 64, width: int = 4) -> torch.Tensor:
    """Unit maps of random Fourier series: fixed sums over their coils have many zeros."""
    rng = np.random.default_rng(seed)
    series = rng.standard_normal((2, coils, width, width))
    fields = ifft2c(resized(torch.from_numpy(series[0] + 1j * series[1]), (side, side)))
    return fields / torch.linalg.vector_norm(fields, dim=0)


@pytest.mark.parametrize("coils", [3, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_vortex_of_random_maps_whatever_phase_each_pixel_had(coils, seed):
    maps = random_maps(coils, seed)
    inside = torch.from_numpy(ellipse(64, 0.9))
    one_sum = maps * torch.exp(-1j * maps.sum(0).angle())
    assert np.abs(phase_vortices(one_sum, inside)).sum() > 0, "too easy: one sum has no zero"
    generator = torch.Generator().manual_seed(seed)
    shaken = maps * torch.exp(2j * torch.pi * torch.rand(64, 64, generator=generator))
    smooth = with_smooth_phase(shaken, inside)
    assert not phase_vortices(smooth, inside).any()
    torch.testing.assert_close(smooth.abs(), maps.abs(), check_dtype=False)
    # As near to its neighbours as vectors of this angle can be, but for what curvature demands.
    step = (smooth[:, 1:] - smooth[:, :-1]).abs().square().sum(0).sqrt()
    least = (2 - 2 * (smooth[:, :-1].conj() * smooth[:, 1:]).sum(0).abs()).clamp(min=0).sqrt()
    both = inside[1:] & inside[:-1]
    assert float((step - least)[both].max()) < 0.35


def test_objects_with_a_hole_and_in_pieces():
    maps = random_maps(6, 5)
    pieces = np.zeros((64, 64), bool)
    pieces[6:40, 4:30] = pieces[20:60, 36:60] = True
    pieces[15:25, 12:20] = False
    inside = torch.from_numpy(pieces)
    generator = torch.Generator().manual_seed(0)
    shaken = maps * torch.exp(2j * torch.pi * torch.rand(64, 64, generator=generator))
    smooth = with_smooth_phase(shaken, inside)
    filled = inside.clone()
    filled[15:25, 12:20] = True
    assert not phase_vortices(smooth, filled).any()


def test_vortices_are_counted_where_they_are():
    y, x = np.mgrid[:20, :24]
    winding = np.exp(1j * np.arctan2(y - 7.5, x - 10.5))
    maps = torch.from_numpy(winding * np.full((2, 20, 24), 0.5**0.5))
    turns = phase_vortices(maps, torch.ones(20, 24, dtype=torch.bool))
    assert np.argwhere(turns).tolist() == [[7, 10]]
    assert abs(int(turns[7, 10])) == 1
    outside = torch.ones(20, 24, dtype=torch.bool)
    outside[8, 10] = False
    assert not phase_vortices(maps, outside).any()


@pytest.mark.parametrize(("coils", "seed"), [(16, 0), (16, 1), (16, 2), (8, 0)])
def test_maps_of_loops_lose_no_pixel_on_another_grid(coils, seed):
    """A vortex cancels the pixel that it lies in when the image is brought to another grid."""
    side, grid = 96, (120, 120)
    object_ = ellipse(side)
    image = torch.from_numpy(0.5 * object_).to(torch.complex64)
    maps = torch.from_numpy(loops(coils, seed)).to(torch.complex64)
    generator = torch.Generator().manual_seed(seed)
    noise = 0.005 * torch.randn(coils, side, side, dtype=torch.complex64, generator=generator)
    kspace = fft2c(maps * image) + noise
    centre = (slice(48, 72), slice(48, 72))
    finer = resized(kspace, grid)
    estimate = espirit(finer, centre, noise_std=0.005)
    support = estimate.abs().sum(0) > 0
    assert not phase_vortices(estimate, support).any()
    # Scaled as `resized` scales, so that the object is 0.5 again on the scan's own grid.
    back = ifft2c(resized(fft2c(combine(finer, estimate)), (side, side))).abs().numpy()
    deep = ellipse(side, 0.6)
    assert back[deep].min() > 0.45
