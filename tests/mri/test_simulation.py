"""Simulated scans: what the docstrings state, measured."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.errors import InputError
from sciddm.physics.mri.masks import infer_mask, make_mask
from sciddm.simulation.mri.scan import (
    coil_maps,
    fft2c,
    ifft2c,
    simulate_scan,
    smooth_phase,
    undersample,
)


@pytest.fixture(scope="module")
def magnitude() -> np.ndarray:
    y, x = np.mgrid[-48:48, -40:40]
    disc = ((y / 40) ** 2 + (x / 32) ** 2 < 1).astype(float)
    return np.stack([disc * (1 + 0.3 * np.cos(y / 5)), disc * (0.5 + (x > 3))])


@pytest.mark.parametrize("shape", [(8, 9), (9, 8), (7, 7), (6, 6)])
def test_fft_is_the_centred_orthonormal_dft(shape):
    ny, nx = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    iy, ix = np.arange(ny) - ny // 2, np.arange(nx) - nx // 2
    dft_y = np.exp(-2j * np.pi * np.outer(iy, iy) / ny) / np.sqrt(ny)
    dft_x = np.exp(-2j * np.pi * np.outer(ix, ix) / nx) / np.sqrt(nx)
    np.testing.assert_allclose(fft2c(x), dft_y @ x @ dft_x.T, atol=1e-12)
    np.testing.assert_allclose(ifft2c(fft2c(x)), x, atol=1e-12)


@pytest.mark.parametrize("n_coils", [1, 2, 8, 16])
def test_maps_are_normalised_smooth_and_distinct(n_coils):
    maps = coil_maps(n_coils, (65, 48), seed=4)
    np.testing.assert_allclose((np.abs(maps) ** 2).sum(0), 1, atol=1e-5)
    # Smooth within the loops: a pixel's step is small against 1. The corners lie behind them.
    y, x = np.ogrid[-32:33, -24:24]
    within = np.hypot(y / 32, x / 24) < 0.95
    for axis in (0, 1):
        both = within & np.roll(within, -1, axis)
        step = np.roll(maps, -1, axis + 1) - maps
        assert np.abs(step[:, both]).max() < 0.15
    assert not np.allclose(maps, coil_maps(n_coils, (65, 48), seed=5), atol=0.05)
    gram = np.einsum("iyx,jyx->ij", maps.conj(), maps) / maps[0].size
    if n_coils > 1:
        eigenvalues = np.linalg.eigvalsh(gram)
        assert eigenvalues[0] > 1e-3 * eigenvalues[-1]


def test_maps_are_one_field_sampled_at_any_size():
    coarse, fine = coil_maps(6, (32, 40), 1), coil_maps(6, (64, 80), 1)
    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, atol=1e-5)


def test_loops_are_strongest_nearby():
    maps = np.abs(coil_maps(8, (64, 64), seed=2))
    y, x = np.mgrid[-32:32, -32:32]
    disc = np.hypot(y, x) < 32
    angles = []
    for m in maps:
        w = m**4 * disc
        angles.append(np.angle((w * (x + 1j * y)).sum()))
    gaps = np.diff(np.sort(np.r_[angles, np.min(angles) + 2 * np.pi]))
    # Eight loops around the circle: 45 degrees apart, give or take the jitter of 0.2 x 45.
    assert np.abs(np.degrees(gaps) - 45).max() < 25


def test_phase_has_the_strength_asked_for_and_is_smooth():
    for seed in range(5):
        phase = smooth_phase((96, 80), seed, strength=0.7)
        assert phase.std() == pytest.approx(0.7, rel=1e-3)
        assert np.abs(np.diff(phase, axis=0)).max() < 0.25
    assert np.ptp([smooth_phase((8, 8), s).mean() for s in range(20)]) > 3


@pytest.mark.parametrize("snr_db", [10.0, 30.0])
def test_snr_is_as_defined(magnitude, snr_db):
    clean = simulate_scan(magnitude, 6, snr_db=np.inf, seed=3)["kspace"].values
    noisy = simulate_scan(magnitude, 6, snr_db=snr_db, seed=3)
    noise = noisy["kspace"].values - clean
    snr = 10 * np.log10((np.abs(clean) ** 2).mean() / (np.abs(noise) ** 2).mean())
    assert snr == pytest.approx(snr_db, abs=0.1)
    assert noisy.attrs["noise_std"] ** 2 == pytest.approx((np.abs(noise) ** 2).mean(), rel=0.02)
    assert np.abs((noise**2).mean()) < 0.02 * (np.abs(noise) ** 2).mean()  # circular


def test_noise_free_scan_is_the_forward_model_of_its_truth(magnitude):
    scan = simulate_scan(magnitude, 5, snr_db=np.inf, seed=9, with_maps=True)
    maps, truth = scan["maps"].values, scan["truth"].values
    np.testing.assert_allclose(scan["kspace"].values, fft2c(maps * truth[:, None]), atol=1e-5)
    np.testing.assert_allclose(np.abs(truth), magnitude, atol=1e-6)
    np.testing.assert_allclose(scan["reference"].values, magnitude, atol=1e-6)
    np.testing.assert_array_equal(maps[1], coil_maps(5, (96, 80), 9))
    image = ifft2c(scan["kspace"].values)
    np.testing.assert_allclose((maps.conj() * image).sum(1), truth, atol=1e-5)
    real = simulate_scan(magnitude, 5, snr_db=np.inf, seed=9, phase=False)["truth"].values
    assert np.abs(real.imag).max() == 0
    assert np.abs(truth.imag).max() > 0.1


def test_noise_scan_has_the_correlation_of_the_noise(magnitude):
    psi = np.array([[2.0, 0.6 + 0.4j, 0], [0.6 - 0.4j, 1.0, 0.2j], [0, -0.2j, 0.5]])
    kwargs = {"snr_db": 20.0, "seed": 1, "noise_correlation": psi, "noise_samples": 20_000}
    scan = simulate_scan(magnitude, 3, **kwargs)
    clean = simulate_scan(magnitude, 3, snr_db=np.inf, seed=1)
    expected = psi / (np.trace(psi).real / 3) * scan.attrs["noise_std"] ** 2
    noise = scan["noise"].values
    residual = (scan["kspace"] - clean["kspace"]).values.transpose(1, 0, 2, 3).reshape(3, -1)
    for samples in (noise, residual):
        estimate = samples @ samples.conj().T / samples.shape[1]
        assert np.abs(estimate - expected).max() < 0.05 * np.abs(expected).max()


def test_undersample(magnitude):
    scan = simulate_scan(magnitude, 4, seed=2)
    before = scan.copy(deep=True)
    mask = make_mask("random", (96, 80), 4, 8, seed=1)
    under = undersample(scan, mask)
    assert scan.identical(before)
    kspace = under["kspace"].values
    np.testing.assert_array_equal(kspace, scan["kspace"].values * mask)
    np.testing.assert_array_equal(infer_mask(kspace), np.stack([mask, mask]))
    np.testing.assert_array_equal(under["mask"].values, np.stack([mask, mask]))
    assert under.attrs["acceleration"] == 4
    assert "acceleration" not in scan.attrs

    second = np.stack([mask, ~mask])
    twice = undersample(under, second)
    np.testing.assert_array_equal(twice["mask"].values, np.stack([mask, np.zeros_like(mask)]))


def test_unusable_input(magnitude):
    with pytest.raises(InputError, match="non-negative"):
        simulate_scan(-magnitude, 2)
    with pytest.raises(InputError, match="axes"):
        simulate_scan(magnitude[0, 0], 2)
    with pytest.raises(InputError, match="coils"):
        simulate_scan(magnitude, 0)
    with pytest.raises(InputError, match="positive definite"):
        simulate_scan(magnitude, 2, noise_correlation=[[1, 2], [2, 1]])
    scan = simulate_scan(magnitude, 2)
    with pytest.raises(InputError, match="shape"):
        undersample(scan, np.ones((80, 96), bool))
    with pytest.raises(InputError, match="no sample"):
        undersample(scan, np.zeros((96, 80), bool))
