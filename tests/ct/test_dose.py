"""Units and simulated dose against the statistics of counted quanta."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sciddm.physics import (
    Ellipse,
    ParallelBeam,
    Projector,
    draw_ellipses,
    even_angles,
    filtered_back_projection,
)
from sciddm.physics.tomography.dose import unbiased_line_integrals
from sciddm.pipelines.ct import (
    count,
    line_integrals,
    low_dose_image,
    low_dose_sinogram,
    thin_counts,
    to_attenuation,
    to_hu,
)
from sciddm.random.streams import Streams

F64 = torch.float64


def test_hounsfield_units():
    assert to_attenuation(-1000.0) == 0
    assert to_attenuation(0.0) == 0.02
    assert to_attenuation(1000.0) == 0.04
    assert to_hu(0.019, mu_water=0.019) == 0
    hu = torch.linspace(-1024, 3071, 100, dtype=F64)
    assert torch.allclose(to_hu(to_attenuation(hu, 0.0193), 0.0193), hu, atol=1e-9)
    values = hu.numpy()
    np.testing.assert_allclose(to_hu(to_attenuation(values)), values, atol=1e-9)


def test_counts_behind_water():
    """200 mm of water: p = 4, 366.3 of 20 000 quanta; electronic noise adds its variance."""
    p = torch.full((2, 1, 200, 200), 200 * to_attenuation(0.0), dtype=F64)
    assert float(p[0, 0, 0, 0]) == 4
    for electronic in (0.0, 10.0):
        counts = count(p, 2e4, electronic, Streams(1, 2))
        mean, variance = 2e4 * math.exp(-4), 2e4 * math.exp(-4) + electronic**2
        n = counts.numel()
        assert float(counts.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / n))
        assert float(counts.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / n))
    # The logarithm's standard deviation is 1/sqrt(366.3) = 0.0522 to first order.
    low = low_dose_sinogram(p, 2e4, 0.0, Streams(1, 2))
    assert float(low.std()) == pytest.approx(0.0522, rel=0.01)
    # Its mean is biased by half of its variance (second order of the logarithm).
    assert float(low.mean()) - 4 == pytest.approx(0.5 / 366.3, rel=0.3)


@pytest.mark.parametrize("quanta", [15.0, 40.0, 150.0, 400.0])
def test_the_logarithm_of_few_quanta_is_not_biased(quanta):
    """A body with 15 quanta behind it is wrong by 8 % of p = 7 as the logarithm has it: 80 HU."""
    flux, electronic = 2e4, 5.0
    exact = math.log(flux / quanta)
    counts = count(torch.full((1, 1, 300, 300), exact, dtype=F64), flux, electronic, Streams(7, 1))
    plain = float(line_integrals(counts, flux).mean()) - exact
    ours = float(unbiased_line_integrals(counts, flux, electronic).mean()) - exact
    assert abs(ours) < 0.002 * exact  # 2 HU
    assert plain > 0.4 * (quanta + electronic**2) / quanta**2  # half the relative variance
    assert abs(ours) < plain


def test_unbiased_line_integrals_of_many_quanta_are_the_plain_ones():
    p = torch.linspace(0, 3, 40, dtype=F64).expand(1, 1, 30, -1)
    counts = count(p, 1e6, 5.0, Streams(8, 1))
    plain, ours = line_integrals(counts, 1e6), unbiased_line_integrals(counts, 1e6, 5.0)
    assert torch.allclose(ours, plain, atol=1e-4)


def test_flux_per_cell_and_starved_readings():
    p = torch.tensor([[0.0, 1.0, 20.0]], dtype=F64).repeat(2000, 1)
    profile = torch.tensor([100.0, 1e6, 1e4], dtype=F64)
    low = low_dose_sinogram(p, profile, 0.0, Streams(3, 2000))
    assert float(low[:, 0].mean()) == pytest.approx(0.0, abs=0.02)
    assert float(low[:, 1].mean()) == pytest.approx(1.0, abs=0.001)
    assert torch.allclose(low[:, 2], torch.tensor(1e4, dtype=F64).log())  # no quantum: as if one
    assert torch.allclose(line_integrals(1e4 * (-p[:, :2]).exp(), 1e4), p[:, :2])


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_thinned_counts_have_the_statistics_of_the_lower_dose(fraction):
    p = torch.full((1, 300, 300), 3.0, dtype=F64)
    full = count(p, 1e5, 15.0, Streams(5, 1))
    low = thin_counts(full, fraction, 15.0, Streams(6, 1))
    mean = fraction * 1e5 * math.exp(-3)
    variance, n = mean + 15.0**2, low.numel()
    assert float(low.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / n))
    assert float(low.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / n))
    if fraction == 1:
        assert torch.equal(low, full)


def test_noise_of_an_image():
    """Its variance in the middle of a disk as error propagation has it, its mean unchanged.

    FBP is linear and the readings are independent: var = sum of the squared weights of the readings
    times their variance 1/N. The weights of a pixel are the gradient of the FBP.
    """
    n, pixel, flux = 32, 4.0, 5e4
    hu = to_hu(draw_ellipses([Ellipse(0.02, 0, 0, 50, 50)], (n, n), pixel, 4))[None, None]
    projector = Projector(ParallelBeam(even_angles(40, math.pi), 48, 4.0), (n, n), pixel, dtype=F64)
    copies = 1500
    noisy = low_dose_image(
        hu.expand(copies, -1, -1, -1), projector, flux, 0.0, Streams(2, copies), window="hann"
    )
    middle = noisy[:, 0, 15, 16]
    p = projector(to_attenuation(hu).clamp(min=0))[0, 0].requires_grad_(True)
    image = filtered_back_projection(p, projector.beam, (n, n), pixel, window="hann")
    (weights,) = torch.autograd.grad(image[15, 16], p)
    variance = float((weights**2 * p.detach().exp() / flux).sum()) * (1000 / 0.02) ** 2
    assert float(middle.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / copies))
    assert float(middle.mean()) == pytest.approx(
        float(hu[0, 0, 15, 16]), abs=4 * math.sqrt(variance / copies)
    )


def test_each_image_has_its_own_noise_whatever_the_batch():
    projector = Projector(ParallelBeam(even_angles(20, math.pi), 24, 5.0), (16, 16), 6.0)
    hu = torch.zeros(3, 1, 16, 16)
    together = low_dose_image(hu, projector, 1e4, 5.0, Streams(1, [4, 5, 6]))
    alone = low_dose_image(hu[:1], projector, 1e4, 5.0, Streams(1, [5]))
    assert torch.allclose(together[1], alone[0], atol=1e-2)
    assert (together[0] - together[1]).abs().max() > 10
    other = low_dose_image(hu[:1], projector, 1e4, 5.0, Streams(1, [5]), step=1)
    assert (other - alone).abs().max() > 10


def test_impossible_doses():
    p, streams = torch.zeros(1, 2), Streams(0, 1)
    with pytest.raises(ValueError, match="flux"):
        count(p, 0.0, 1.0, streams)
    with pytest.raises(ValueError, match="electronic"):
        count(p, 10.0, -1.0, streams)
    for fraction in (0.0, 1.5):
        with pytest.raises(ValueError, match="fraction"):
            thin_counts(p, fraction, 1.0, streams)
