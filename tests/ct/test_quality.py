"""CT's measures of quality against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sciddm.errors import InputError
from sciddm.pipelines.ct import (
    SOFT_TISSUE,
    cnr,
    distance_to_disk,
    distance_to_line,
    edge_mtf,
    hu_bias,
    noise_power,
    psnr,
    radial_mean,
    rmse,
    ssim,
    uniform_regions,
)


def test_rmse_and_psnr_in_a_window():
    reference = np.array([[-1000.0, 0.0], [100.0, 900.0]])
    image = reference + np.array([[500.0, 3.0], [-4.0, -300.0]])  # two of four beyond the window
    assert rmse(image, reference) == pytest.approx(2.5)
    assert psnr(image, reference) == pytest.approx(20 * math.log10(400 / 2.5))
    whole = (-2000.0, 3000.0)
    exact = math.sqrt((500**2 + 3**2 + 4**2 + 300**2) / 4)
    assert rmse(image, reference, whole) == pytest.approx(exact)
    assert psnr(image, reference, whole) == pytest.approx(20 * math.log10(5000 / exact))
    assert psnr(image, image) == math.inf
    assert SOFT_TISSUE == (-160, 240)


def test_ssim_of_constants_and_of_its_definition():
    a, b, c1 = 30.0, 80.0, (0.01 * 400) ** 2
    flat = np.full((2, 20, 20), a)
    assert ssim(flat, np.full_like(flat, b)) == pytest.approx((2 * a * b + c1) / (a**2 + b**2 + c1))
    rng = np.random.default_rng(0)
    reference = rng.normal(40, 30, (11, 11))
    image = reference + rng.normal(0, 20, (11, 11))
    # An image of 11 x 11: one window, that of its middle, written out.
    i = np.arange(-5, 6)
    w = np.exp(-(i**2) / (2 * 1.5**2))
    w = np.outer(w, w) / w.sum() ** 2
    mx, my = (w * image).sum(), (w * reference).sum()
    vx, vy = (w * image**2).sum() - mx**2, (w * reference**2).sum() - my**2
    cov, c2 = (w * image * reference).sum() - mx * my, (0.03 * 400) ** 2
    exact = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(image, reference) == pytest.approx(exact, rel=1e-6)


def test_bias_in_uniform_regions():
    rng = np.random.default_rng(1)
    reference = np.where(np.arange(60) < 30, -100.0, 60.0)[None, None].repeat(2, 0).repeat(50, 1)
    reference = reference + rng.normal(0, 4, reference.shape)
    regions = uniform_regions(reference)
    assert regions.shape == reference.shape
    assert regions[:, 10:40, 6:24].mean() > 0.95
    assert regions[:, 10:40, 36:54].mean() > 0.95
    assert not regions[:, :, 26:34].any()  # the edge is in the square
    assert not regions[:, :4].any()
    assert not regions[..., -4:].any()
    assert hu_bias(reference + 1.5, reference, regions) == pytest.approx(1.5)
    assert hu_bias(reference * 1.1, reference, regions) == pytest.approx(
        0.1 * reference[regions].mean()
    )


def test_a_slope_is_not_uniform():
    slope = np.broadcast_to(np.arange(64.0) * 6, (64, 64))  # 15 HU of standard deviation in 9 x 9
    assert not uniform_regions(slope, most_sd=20.0).any()
    assert uniform_regions(slope / 10).any()


def test_contrast_to_noise():
    inside, background = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    inside[:2], background[2:] = True, True
    image = np.where(inside, 60.0, np.tile([39.0, 41.0], (4, 2)))
    assert cnr(image, inside, background) == pytest.approx(20.0)


def test_noise_power_of_filtered_noise():
    """White noise through a filter H has the power sigma^2 h^2 |H|^2."""
    rng, sigma, pixel, n = np.random.default_rng(3), 12.0, 0.7, 32
    white = rng.normal(0, sigma, (600, n, n))
    power, fy, fx = noise_power(white, pixel)
    assert power[n // 2, n // 2] == pytest.approx(0, abs=1e-12)  # the mean was taken off
    assert np.delete(power.ravel(), n * n // 2 + n // 2).mean() == pytest.approx(
        (sigma * pixel) ** 2, rel=0.01
    )
    step = 1 / (n * pixel)
    assert power.sum() * step**2 == pytest.approx(white.var((1, 2)).mean())
    # (1, 1)/2 along x, round and round: |H|^2 = cos^2(pi f h).
    filtered = (white + np.roll(white, 1, -1)) / 2
    power, fy, fx = noise_power(filtered, pixel)
    exact = (sigma * pixel * np.cos(math.pi * fx * pixel)) ** 2
    np.testing.assert_allclose(power[np.abs(fy) > 0].mean(0), exact, atol=0.03 * exact.max())
    assert np.argmax(np.isclose(fx, 0)) == n // 2
    f, mean = radial_mean(noise_power(white, pixel)[0], fy, fx, bins=10)
    assert f.max() <= np.abs(fx).max() + 1e-12
    np.testing.assert_allclose(mean, (sigma * pixel) ** 2, rtol=0.1)


def test_trends_are_taken_off():
    y, x = np.indices((20, 24))
    plane, cupping = 3.0 * x - 2.0 * y + 7, (x - 11.0) ** 2 + x * y
    for surface, trend in ((plane, 1), (plane + cupping, 2)):
        assert noise_power(surface[None], 1.0, trend)[0].max() < 1e-15
        assert noise_power(surface[None], 1.0, trend - 1)[0].max() > 1


@pytest.mark.parametrize("edge", ["line", "disk"])
def test_mtf_of_a_gaussian_blur(edge):
    """MTF = exp(-2 pi^2 sigma^2 f^2), whatever the contrast and its sign."""
    from scipy.special import erf

    pixel, sigma = 0.5, 0.6
    if edge == "line":
        distance = distance_to_line((80, 90), (40.0, 45.0), math.radians(4), pixel)
    else:
        distance = distance_to_disk((120, 120), (59.3, 60.1), 20.0, pixel)
    for contrast in (-150.0, 800.0):
        image = 40 + contrast * 0.5 * (1 + erf(distance / (sigma * math.sqrt(2))))
        f, mtf = edge_mtf(image, distance, pixel, reach_mm=6.0)
        keep = f <= 1.0  # the pixels' Nyquist frequency
        assert mtf[0] == 1
        exact = np.exp(-2 * (math.pi * sigma * f[keep]) ** 2)
        np.testing.assert_allclose(mtf[keep], exact, atol=0.01)
    assert f.max() == pytest.approx(2.0, abs=0.05)


def test_mtf_by_averaging_images():
    from scipy.special import erf

    rng = np.random.default_rng(5)
    distance = distance_to_disk((100, 100), (50.2, 49.7), 15.0, 0.5)
    clean = 200 * erf(distance / 0.8)
    f, exact = edge_mtf(clean, distance, 0.5, reach_mm=5.0)
    _, mean = edge_mtf(clean + rng.normal(0, 20, (300, 100, 100)), distance, 0.5, reach_mm=5.0)
    np.testing.assert_allclose(mean[f < 0.8], exact[f < 0.8], atol=0.02)


def test_what_cannot_be_measured():
    flat = np.zeros((20, 20))
    with pytest.raises(InputError, match="same shape"):
        rmse(flat, np.zeros((20, 21)))
    with pytest.raises(InputError, match="window"):
        psnr(flat, flat, (100.0, 0.0))
    with pytest.raises(InputError, match="11 x 11"):
        ssim(np.zeros((3, 10, 20)), np.zeros((3, 10, 20)))
    with pytest.raises(InputError, match="not empty"):
        hu_bias(flat, flat, np.zeros((20, 20), bool))
    with pytest.raises(InputError, match="mask"):
        cnr(flat, np.ones((20, 20)), np.ones((20, 20), bool))
    with pytest.raises(InputError, match="odd size"):
        uniform_regions(flat, 8)
    with pytest.raises(InputError, match="regions"):
        noise_power(flat, 1.0)
    with pytest.raises(InputError, match="no edge"):
        edge_mtf(flat, distance_to_line((20, 20), (10.0, 10.0), 0.1, 1.0), 1.0, 5.0)
    with pytest.raises(InputError, match="slant"):
        edge_mtf(flat, distance_to_line((20, 20), (10.0, 10.0), 0.0, 1.0), 1.0, 5.0)
    with pytest.raises(InputError, match="do not fit"):
        edge_mtf(flat, np.zeros((4, 4)), 1.0, 5.0)
