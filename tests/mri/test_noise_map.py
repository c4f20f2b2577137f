"""Noise maps and g-factors against the formulas of SENSE and against replicas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sciddm.physics.mri.cartesian import CartesianMRI
from sciddm.physics.mri.noise_map import noise_gain
from sciddm.simulation.mri.scan import coil_maps

NY, NX = 16, 12
MAPS = torch.from_numpy(coil_maps(8, (NY, NX), 3)) * 1.7  # whitened maps have any norm


def g_factor(reduction: int, turned: bool) -> np.ndarray:
    """Pruessmann's equation 23 for every ``reduction``-th line, with white noise."""
    maps = MAPS.numpy()
    out = np.zeros((NY, NX))
    size = NX if turned else NY
    for y in range(NY):
        for x in range(NX):
            at = x if turned else y
            folded = [(at + k * size // reduction) % size for k in range(reduction)]
            s = np.stack([maps[:, y, f] if turned else maps[:, f, x] for f in folded], axis=1)
            gram = s.conj().T @ s
            out[y, x] = math.sqrt((np.linalg.inv(gram)[0, 0] * gram[0, 0]).real)
    return out


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_regular_undersampling_has_the_g_factor_of_sense(reduction: int, turned: bool) -> None:
    mask = torch.zeros(NY, NX)
    if turned:
        mask[:, ::reduction] = 1
    else:
        mask[::reduction] = 1
    gain = noise_gain(CartesianMRI(mask, MAPS), MAPS, 1e-6)
    full = 1 / torch.linalg.vector_norm(MAPS, dim=0)
    found = gain / (math.sqrt(reduction) * full)
    np.testing.assert_allclose(found.numpy(), g_factor(reduction, turned), rtol=1e-2)


def test_scattered_samples_agree_with_the_matrix() -> None:
    """Replicas scatter by 1 / sqrt(2 probes)."""
    rng = np.random.default_rng(0)
    mask = torch.from_numpy((rng.random((NY, NX)) < 0.6).astype(np.float32))
    A, rho, n = CartesianMRI(mask, MAPS), 0.3, NY * NX
    basis = torch.eye(n, dtype=torch.complex64).reshape(n, 1, NY, NX)
    gram = torch.stack([A.gram(b).reshape(-1) for b in basis], dim=1)
    inverse = torch.linalg.inv(gram + rho * torch.eye(n))
    wanted = (inverse @ gram @ inverse).diagonal().real.sqrt().reshape(NY, NX)
    found = noise_gain(A, MAPS, rho, probes=400)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=0.15)
    assert float((found / wanted).mean()) == pytest.approx(1, abs=0.01)


def test_no_noise_where_there_are_no_maps() -> None:
    maps = MAPS.clone()
    maps[:, :4] = 0
    gain = noise_gain(CartesianMRI(torch.ones(NY, NX), maps), MAPS, 1e-3)
    assert not gain[:4].any()
    assert (gain[4:] > 0).all()
    with pytest.raises(ValueError, match="positive"):
        noise_gain(CartesianMRI(torch.ones(NY, NX), maps), MAPS, 0.0)


def test_the_noise_map_is_the_noise_of_the_sense_image_in_the_scans_units(tmp_path) -> None:
    """Of a fully sampled scan it is the noise level itself, on any grid, and g is 1."""
    from sciddm.physics.mri.encoding import encode
    from sciddm.pipelines.mri.noise_maps import noise_maps
    from sciddm.simulation.mri.phantom import head_phantom
    from sciddm.simulation.mri.scan import simulate_scan

    scan = simulate_scan(head_phantom((40, 32)), 4, snr_db=30, seed=1)
    kspace = torch.from_numpy(scan["kspace"].values[0])
    level = scan.attrs["noise_std"]
    covariance = torch.eye(4, dtype=torch.complex64) * level**2
    head = torch.from_numpy(scan["reference"].values[0] > 0.2).numpy()
    for grid in (None, (56, 48)):
        mask = torch.ones(40, 32, dtype=torch.bool)
        noise, factor = noise_maps(encode(kspace, mask, covariance, grid=grid), 1.0)
        assert noise.shape == factor.shape == (40, 32)
        assert np.median(noise[head]) == pytest.approx(level, rel=0.03)
        assert np.median(factor[head]) == pytest.approx(1, rel=0.03)
    mask = torch.zeros(40, 32, dtype=torch.bool)
    mask[::2] = mask[12:28] = True
    noise, factor = noise_maps(encode(kspace * mask, mask, covariance), 40 / int(mask[:, 0].sum()))
    assert np.median(noise[head]) > 1.05 * level
    assert np.median(noise[head]) < 3 * level
