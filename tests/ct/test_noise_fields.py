"""Noise of any dose from a few reconstructions, against simulated scans."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciddm.metrics.noise_power import noise_power, radial_mean
from sciddm.physics import Ellipse, Projector, draw_ellipses, filtered_back_projection
from sciddm.physics.tomography.dose import low_dose_image
from sciddm.physics.tomography.scanner import (
    ELECTRONIC_SD,
    NOISE_INDEX_HU,
    full_dose_flux,
    standard_beam,
)
from sciddm.random.streams import Streams
from sciddm.simulation.ct.noise_fields import reconstruct_noise, window_noise

SIDE, PIXEL, VIEWS = 48, 3.0, 60
BEAM = standard_beam((SIDE, SIDE), PIXEL, VIEWS)


def body() -> torch.Tensor:
    """(y, x), HU: wider than high, so that noise differs with place and direction."""
    ellipses = [Ellipse(1000, 0, 0, 64, 36), Ellipse(600, 30, 4, 8, 8)]
    return draw_ellipses(ellipses, (SIDE, SIDE), PIXEL, 2).float() - 1000


def simulated(hu: torch.Tensor, dose: float, n: int) -> torch.Tensor:
    """(n, y, x): the noise of n scans."""
    projector = Projector(BEAM, (SIDE, SIDE), PIXEL)
    images = hu.expand(n, 1, SIDE, SIDE)
    flux = float(full_dose_flux(images[:1], projector)) * dose
    noisy = low_dose_image(images, projector, flux, ELECTRONIC_SD, Streams(1, n))
    return (noisy - images)[:, 0]


def drawn(hu: torch.Tensor, dose: float, n: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    fields = reconstruct_noise(hu.expand(n // 3, SIDE, SIDE), PIXEL, seed=2, views=VIEWS)
    return torch.cat([f.draw(dose, rng) for f in fields])


def test_the_full_dose_has_the_noise_index():
    hu = body()
    middle = drawn(hu, 1.0, 96)[:, 18:30, 16:32]
    assert float(middle.square().mean().sqrt()) == pytest.approx(NOISE_INDEX_HU, rel=0.1)


@pytest.mark.parametrize("dose", [1.0, 0.1])
def test_strength_in_every_place_and_texture_are_those_of_scans(dose):
    hu = body()
    truth, ours = simulated(hu, dose, 96), drawn(hu, dose, 96)
    # Local standard deviations, pooled over 6 x 6 pixels: 3456 values each, 1.2 % at best.
    local = [
        torch.nn.functional.avg_pool2d(n.square().mean(0)[None, None], 6).sqrt().flatten()
        for n in (truth, ours)
    ]
    assert float(local[0].max() / local[0].min()) > 1.5
    assert torch.allclose(local[1], local[0], rtol=0.15)
    spectra = [
        radial_mean(*noise_power(n[:, 8:40, 8:40].numpy(), PIXEL), 8)[1] for n in (truth, ours)
    ]
    assert np.allclose(spectra[1], spectra[0], rtol=0.15)


def test_slices_of_a_triple_are_independent():
    rng = np.random.default_rng(3)
    fields = reconstruct_noise(body()[None], PIXEL, seed=2, views=VIEWS)[0]
    draws = torch.stack([fields.draw(0.5, rng) for _ in range(300)])
    flat = draws[:, :, 16:32:4, 16:32:4].flatten(2)
    products = torch.einsum("nip,njp->ij", flat, flat) / len(flat)
    off = products - products.diagonal().diag()
    assert float(off.abs().max()) < 0.1 * float(products.diagonal().min())


def test_a_window_on_the_image_is_a_window_of_the_reconstruction():
    noise = torch.randn(40, BEAM.views, BEAM.cells, generator=torch.Generator().manual_seed(4))
    plain, hann = (
        filtered_back_projection(noise, BEAM, (SIDE, SIDE), PIXEL, window=window)
        for window in ("ram-lak", "hann")
    )
    ours = window_noise(plain, 1.0)
    inner = slice(8, -8)
    error = (ours - hann)[:, inner, inner].square().mean().sqrt()
    assert float(error / hann[:, inner, inner].square().mean().sqrt()) < 0.2
    assert torch.equal(window_noise(plain, 0.0), plain)
