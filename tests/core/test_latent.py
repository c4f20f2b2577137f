"""Guidance of codes: in the range of a linear decoder it is guidance of the image."""

from __future__ import annotations

import pytest
import torch
from support import F64, randn
from torch import Tensor

import sciddm
from sciddm.guidance import DPS, MMPS, DiffPIR, PiGDM
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import Decoded, Matrix, Measurement, NonlinearMeasurement
from sciddm.process import EDM

N, K = 6, 3
W = torch.linalg.qr(randn(N, K, seed=1))[0]  # orthonormal columns
ROOT = randn(K, K, seed=2)
MEAN, S = randn(K, seed=3), ROOT @ ROOT.T + 0.2 * torch.eye(K, dtype=F64)
H, Y, SIGMA = randn(4, N, seed=4), randn(4, seed=5), 0.3


def decoder(z: Tensor) -> Tensor:
    return z @ W.T


@pytest.mark.parametrize("guidance", [MMPS, DPS, DiffPIR, PiGDM])
@pytest.mark.parametrize("t", [0.1, 2.0])
def test_codes_of_a_linear_decoder_are_guided_as_its_images(guidance, t):
    """W times the guided code is the guided image of N(W m, W S W^T), at x = W z."""
    codes = GaussianDenoiser(EDM(), MEAN, S)
    images = GaussianDenoiser(EDM(), W @ MEAN, W @ S @ W.T)
    images.data_std = codes.data_std
    latent = guidance(codes, NonlinearMeasurement(Y, Decoded(Matrix(H), decoder, 1), SIGMA))
    z = randn(2, K, seed=6)
    in_range = Matrix(H @ W @ W.T)  # the prior has nothing outside
    direct = guidance(images, Measurement(Y, in_range, SIGMA))
    assert torch.allclose(latent(z, t) @ W.T, direct(z @ W.T, t), atol=1e-7)


def test_a_posterior_of_codes_through_a_decoder_that_is_not_linear():
    """x = z + z^3/3 of one code, measured: mean by quadrature."""
    A = Decoded(Matrix(torch.eye(1, dtype=F64)), lambda z: z + z**3 / 3, 1)
    prior = GaussianDenoiser(EDM(), torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64))
    y, sigma = torch.tensor([1.8], dtype=F64), 0.2
    out = sciddm.sample_posterior(
        y, A, prior, sigma, samples=150, steps=30, like=torch.zeros(1, dtype=F64)
    )
    z = torch.linspace(-4, 4, 4001, dtype=F64)
    log_p = -0.5 * z**2 - 0.5 * ((y - z - z**3 / 3) / sigma) ** 2
    weights = log_p.softmax(0)
    mean = float(weights @ z)
    std = float((weights @ (z - mean) ** 2).sqrt())
    assert float(out.mean) == pytest.approx(mean, abs=0.4 * std)
    assert float(out.std) == pytest.approx(std, rel=0.3)
