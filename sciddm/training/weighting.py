"""Weights of the noise levels in training: min-SNR, and a learned uncertainty.

A denoiser's own loss already weights the levels by its parametrization; for "edm" nearly all of
them alike, and there little is to be gained.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sciddm.denoiser import NetworkDenoiser

__all__ = ["UncertaintyWeight", "min_snr"]

_FEATURES = 128


def min_snr(model: NetworkDenoiser, t: Tensor, gamma: float = 5.0) -> Tensor:
    """The factor of the loss of the network's own output F at times t: (B,).

    min(SNR, gamma) (dx0/dF)^2 with SNR = (a data_std / s)^2, so that x0's squared error is weighted
    by min(SNR, gamma): for noise min(SNR, gamma)/SNR, for v of a variance-preserving process
    min(SNR, gamma)/(SNR + 1), with data of unit size. Hang et al., Efficient Diffusion Training via
    Min-SNR Weighting Strategy, 2023, section 3.4.

    Args:
        model: its parametrization is x0, eps, v, score or edm.
        t: times (B,).
        gamma: 5 as published.

    Raises:
        ValueError: another parametrization.
    """
    a, _, s = model.process(t)
    d, k = model.data_std, model.scale
    snr = (a * d / s) ** 2
    # d(x0 / data_std) / dF: the network sees data and noise in units of its scale.
    slopes = {
        "x0": torch.full_like(a, k / d),
        "eps": s / (a * d),
        "v": s / d / (a**2 + (s / k) ** 2) ** 0.5,
        "score": s**2 / (a * d * k),
        "edm": s / (a**2 * d**2 + s**2) ** 0.5,
    }
    if model.parametrization not in slopes:
        raise ValueError(f"min-SNR does not weight the {model.parametrization} parametrization")
    weight = snr.clamp(max=gamma) * slopes[model.parametrization] ** 2
    return weight.to(torch.float32)


class UncertaintyWeight(nn.Module):
    """L -> L e^-u + u, with u(ln(s/a)) learned: every level gets the same share of the gradient.

    u is linear in 128 Fourier features of the level and converges to ln E[L | level]. It is dropped
    after training. Karras et al., Analyzing and Improving the Training Dynamics of Diffusion
    Models, 2024, eq. 21.
    """

    frequencies: Tensor
    phases: Tensor

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("frequencies", torch.randn(_FEATURES, generator=generator) / 2)
        phases = 2 * math.pi * torch.rand(_FEATURES, generator=generator)
        self.register_buffer("phases", phases)
        self.weight = nn.Parameter(torch.zeros(_FEATURES))
        self.bias = nn.Parameter(torch.zeros(()))

    def log_uncertainty(self, level: Tensor) -> Tensor:
        """u of ln(s/a) (B,)."""
        angles = level.float()[:, None] * self.frequencies + self.phases
        return math.sqrt(2) * angles.cos() @ self.weight + self.bias

    def forward(self, loss: Tensor, level: Tensor) -> Tensor:
        """The weighted loss of each item (B,).

        Args:
            loss: (B,).
            level: ln(s/a) (B,).
        """
        u = self.log_uncertainty(level)
        return loss * (-u).exp() + u
