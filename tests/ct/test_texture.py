"""The texture of noise against spectra that are known, and the body's outline."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from sciddm.errors import InputError
from sciddm.metrics.texture import (
    body_mask,
    mean_frequency,
    noise_texture,
    patches,
    texture_distance,
    uniform_tissue,
)

PIXEL = 0.8


def noise(seed: int, blur: float = 0.0) -> np.ndarray:
    field = np.random.default_rng(seed).standard_normal((4, 128, 128))
    return ndimage.gaussian_filter(field, [0, blur, blur], mode="wrap")


def texture(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return noise_texture(field, np.ones(field.shape, bool), PIXEL, 32)


def test_white_noise_is_flat_and_its_mean_frequency_two_thirds_of_nyquist() -> None:
    f, power = texture(5 * noise(0))
    # The plane that is taken off every patch takes some of the lowest ring.
    np.testing.assert_allclose(power[1:], 25 * PIXEL**2, rtol=0.12)
    # of a uniform disk of frequencies: the mean of f with the weight f
    assert mean_frequency(f, power) == pytest.approx(2 / 3 / (2 * PIXEL), rel=0.02)


def test_blurred_noise_has_the_spectrum_of_its_blur() -> None:
    f, power = texture(noise(1, blur=1.5))
    expected = np.exp(-((2 * np.pi * f * 1.5 * PIXEL) ** 2)) * PIXEL**2
    strong = (expected > 0.05 * PIXEL**2) & (f > f[0])
    np.testing.assert_allclose(power[strong], expected[strong], rtol=0.25)
    assert mean_frequency(f, power) < 0.5 * mean_frequency(*texture(noise(2)))


def test_distance_of_textures_knows_shapes_not_strengths() -> None:
    f, white = texture(noise(3))
    same, other = texture(10 * noise(4))[1], texture(noise(5, blur=1.5))[1]
    assert texture_distance(white, white, f) == 0
    assert texture_distance(white, same, f) < 0.05
    assert texture_distance(white, other, f) > 0.5
    ends = np.zeros_like(f), np.zeros_like(f)
    ends[0][0] = ends[1][-1] = 1
    assert texture_distance(*ends, f) == pytest.approx(1)


def test_patches_lie_inside() -> None:
    inside = np.zeros((1, 40, 40), bool)
    inside[0, 4:20, 8:32] = True
    marked = np.arange(1600.0).reshape(1, 40, 40)
    found = patches(marked, inside, 8)
    places = {(int(p[0, 0]) // 40, int(p[0, 0]) % 40) for p in found}
    assert places == {(y, x) for y in (4, 8, 12) for x in (8, 12, 16, 20, 24)}
    assert patches(marked, inside, 24).shape == (0, 24, 24)
    with pytest.raises(InputError, match="24 x 24"):
        noise_texture(marked, inside, PIXEL, 24)


def test_the_body_is_its_largest_part_with_its_holes() -> None:
    y, x = np.mgrid[:80, :80] - 40
    hu = np.where(np.hypot(y, x) < 25, 40.0, -1000.0)
    hu[np.hypot(y, x - 5) < 8] = -850  # a lung
    hu[5:8, 5:75] = 100  # a table
    hu += 60 * np.random.default_rng(0).standard_normal(hu.shape)
    mask = body_mask(hu[None])[0]
    disk = np.hypot(y, x) < 25
    assert (mask == disk).mean() > 0.98
    assert not mask[5:8].any()
    assert not body_mask(np.full((1, 20, 20), -1000.0)).any()


@pytest.mark.parametrize(("pixel_mm", "margin"), [(0.5, 6), (1.0, 6), (1.2, 4), (3.0, 3), (5.0, 3)])
def test_uniform_tissue_keeps_away_from_edges(pixel_mm: float, margin: int) -> None:
    """By half a square of 9, 9, 7, 5, 5 pixels and half of what is averaged in it; not in air."""
    hu = np.full((1, 60, 60), -1000.0)
    hu[0, 10:50, 10:50] = 40.0
    hu[0, 10:50, 30:50] = 440.0
    found = uniform_tissue(hu, pixel_mm)[0]
    expected = np.zeros((60, 60), bool)
    expected[10 + margin : 50 - margin, 10 + margin : 30 - margin] = True
    expected[10 + margin : 50 - margin, 30 + margin : 50 - margin] = True
    assert (found == expected).all()
