"""The expected gain of a line, against Gaussian posteriors in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.acquisition.line_gain import line_gain
from sciddm.physics.fourier import fft2c, ifft2c
from sciddm.simulation.mri.scan import coil_maps

N, Y, X = 6, 12, 8


def particles(seed: int) -> torch.Tensor:
    """Images (N, 1, Y, X) with more spread in some lines of their k-space than in others."""
    generator = torch.Generator().manual_seed(seed)
    k = torch.randn(N, 1, Y, X, dtype=torch.complex64, generator=generator)
    return ifft2c(k * torch.rand(Y, 1, generator=generator))


def line_variance(images: torch.Tensor) -> np.ndarray:
    k = fft2c(images)[:, 0].numpy()
    return (np.abs(k - k.mean(0)) ** 2).sum(0).mean(1) / (len(k) - 1)


def encoding(maps: np.ndarray) -> np.ndarray:
    """(coil, y, x, ky) matrices from an image's lines in hybrid space (ky, x) to those of coils."""
    f = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(np.eye(Y), axes=0), axis=0, norm="ortho"), 0)
    return np.einsum("ky,cyx,ly->ckxl", f, maps, f.conj())


def posterior_gain(maps: np.ndarray, variance: np.ndarray, sigma: float, line: int) -> float:
    """tr C - tr C', C' = C - C B^H (B C B^H + sigma^2)^-1 B C, column by column of the image."""
    b = encoding(maps)[:, line]
    gain = 0.0
    for x in range(X):
        c = np.diag(variance).astype(complex)
        cross = b[:, x] @ c
        left = np.linalg.solve(cross @ b[:, x].conj().T + sigma**2 * np.eye(len(b)), cross)
        gain += float(np.trace(cross.conj().T @ left).real)
    return gain


@given(seed=st.integers(0, 1000), coils=st.integers(1, 5), sigma=st.floats(0.01, 3))
@settings(max_examples=20, deadline=None)
def test_it_is_what_the_posterior_of_a_gaussian_belief_loses(seed, coils, sigma):
    images = particles(seed)
    maps = coil_maps(coils, (Y, X), seed).astype(np.complex64)
    found = line_gain(images, torch.from_numpy(maps), sigma, torch.ones(Y, dtype=torch.bool))
    expected = [posterior_gain(maps, line_variance(images), sigma, line) for line in range(Y)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_one_flat_coil_gains_the_variance_less_what_noise_hides():
    images, sigma = particles(3), 0.4
    flat = torch.ones(1, Y, X, dtype=torch.complex64)
    u = line_variance(images)
    found = line_gain(images, flat, sigma, torch.ones(Y, dtype=torch.bool))
    np.testing.assert_allclose(found, X * u**2 / (u + sigma**2), rtol=1e-4)


def test_what_is_measured_is_never_chosen():
    free = torch.tensor([True, False] * (Y // 2))
    maps = torch.from_numpy(coil_maps(3, (Y, X), 1).astype(np.complex64))
    found = line_gain(particles(0), maps, 0.1, free)
    assert torch.isinf(found[~free]).all()
    assert (found[free] > 0).all()


def test_coils_favour_the_middle_of_a_gap_over_a_line_beside_what_is_known():
    """Uncertainty all along a gap: its middle tells of both sides, and variance sees no middle."""
    gap = torch.zeros(Y, 1)
    gap[3:8] = 1.0
    generator = torch.Generator().manual_seed(5)
    k = torch.randn(400, 1, Y, X, dtype=torch.complex64, generator=generator) * gap
    maps = torch.from_numpy(coil_maps(8, (Y, X), 2).astype(np.complex64))
    found = line_gain(ifft2c(k), maps, 0.05, torch.ones(Y, dtype=torch.bool))
    assert int(found.argmax()) == 5
    assert found[3] < 0.9 * found[5]


def test_a_single_particle_and_no_noise_are_refused():
    free = torch.ones(Y, dtype=torch.bool)
    maps = torch.ones(1, Y, X, dtype=torch.complex64)
    with pytest.raises(ValueError, match="two particles"):
        line_gain(particles(0)[:1], maps, 0.1, free)
    with pytest.raises(ValueError, match="noise level"):
        line_gain(particles(0), maps, 0.0, free)
