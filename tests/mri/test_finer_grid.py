"""A scan seen on a finer grid than its own: the same data, the same field of view, and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.physics.fourier import fft2c, ifft2c, resized
from sciddm.physics.mri.encoding import encode
from sciddm.pipelines.mri.sampling import grid_of
from sciddm.simulation.mri.scan import coil_maps

SIDE = st.integers(2, 21)


def wave(size: tuple[int, int], frequency: tuple[int, int]) -> torch.Tensor:
    """exp(2 pi i f r) on a centred grid of one field of view, r in [-1/2, 1/2)."""
    parts = []
    for n, f in zip(size, frequency, strict=True):
        r = (torch.arange(n, dtype=torch.float64) - n // 2) / n
        parts.append(torch.polar(torch.ones_like(r), 2 * math.pi * f * r))
    return torch.outer(*parts)


@settings(deadline=None)
@given(SIDE, SIDE, SIDE, SIDE)
def test_a_wave_stays_a_wave_of_the_same_field_of_view(ny, nx, my, mx):
    frequency = ((min(ny, my) - 1) // 2, -((min(nx, mx) - 1) // 2))  # of both
    found = ifft2c(resized(fft2c(wave((ny, nx), frequency)), (my, mx)))
    level = math.sqrt(ny * nx / (my * mx))  # the norm is kept
    torch.testing.assert_close(found, level * wave((my, mx), frequency))


@settings(deadline=None)
@given(SIDE, SIDE, st.integers(0, 9), st.integers(0, 9))
def test_what_was_filled_up_is_cut_off_again(ny, nx, more_y, more_x):
    k = torch.arange(ny * nx).view(1, ny, nx)
    larger = resized(k, (ny + more_y, nx + more_x))
    assert larger.sum() == k.sum()
    assert torch.equal(resized(larger, (ny, nx)), k)


def test_data_of_a_finer_object_are_explained_and_its_image_is_the_scans():
    fine, own = (56, 48), (40, 35)
    rng = np.random.default_rng(0)
    tapered = rng.standard_normal((2, *fine)) * np.hanning(fine[0])[:, None] * np.hanning(fine[1])
    x = torch.complex(*torch.from_numpy(1 + tapered).float())
    maps = torch.from_numpy(coil_maps(3, fine, seed=1)).to(torch.complex64)
    k = resized(fft2c(maps * x), own)
    mask = torch.ones(own, dtype=torch.bool)
    mask[::3] = False
    mask[16:24] = True
    coded = encode(k * mask, mask, 1e-4 * torch.eye(3, dtype=torch.complex64), maps, grid=fine)
    frame, m = coded.frame, coded.measurement
    seen = (x / (frame.gain * frame.phase))[None]
    torch.testing.assert_close(m.A(seen[None])[0], m.y, atol=1e-5, rtol=1e-4)
    assert float(m.A.mask.sum()) == float(mask.sum())
    torch.testing.assert_close(frame.to_scan(seen), ifft2c(resized(fft2c(x), own)))
    # Without maps they are found on the finer grid: the object is one there as well.
    found = encode(k * mask, mask, 1e-4 * torch.eye(3, dtype=torch.complex64), grid=fine)
    inside = x.abs() > 0.5
    alike = (found.frame.maps.conj() * maps).sum(0).abs()[inside]
    assert float(alike.median()) > 0.99
    assert found.zero_filled.shape == own


@pytest.mark.parametrize(
    ("size", "finer", "wanted"),
    [
        ((128, 110), 1.25, (160, 144)),
        ((128, 110), 1.0, (128, 110)),
        ((64, 64), 1.25, (80, 80)),
        ((150, 153), 1.25, (192, 192)),
        ((150, 154), 1.25, (150, 154)),
        ((256, 256), 1.25, (256, 256)),
    ],
)
def test_only_small_matrices_are_refined(size, finer, wanted):
    assert grid_of(size, finer) == wanted
