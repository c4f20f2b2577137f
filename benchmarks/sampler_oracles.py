"""Problems whose posterior is known exactly, and the distance of draws to it.

A mixture of six Gaussians in eight dimensions and four data (eight for the blur): the posterior is
again a mixture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciddm.oracles import MixtureDenoiser
from sciddm.physics import Mask, Matrix, Measurement
from sciddm.process import EDM

__all__ = ["F64", "Bulk", "Problem", "normal", "problems", "sliced_w2"]

F64 = torch.float64


class Bulk:
    """One generator for a large batch: quicker than a stream per item."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def at(self, step: int) -> Callable[[Tensor], Tensor]:
        """Noise of any step."""
        return lambda like: torch.randn(like.shape, dtype=like.dtype, generator=self.generator)


@dataclass(frozen=True)
class Problem:
    """A mixture, data of it, and exact draws of its posterior."""

    title: str
    prior: MixtureDenoiser
    measurement: Measurement
    sigma: float
    H: Tensor
    y: Tensor
    draws: Tensor
    floor: float
    variance: float


def problems(chains: int, truth_seed: int = 11, noise_seed: int = 13) -> list[Problem]:
    """Random operator at two noise levels, a mask, a deconvolution; one image and its data each.

    Args:
        chains: exact draws of each posterior.
        truth_seed: of the image.
        noise_seed: of the data's noise.
    """
    g = torch.Generator().manual_seed(2)
    weights = torch.rand(6, dtype=F64, generator=g) + 0.3
    means = torch.randn(6, 8, dtype=F64, generator=g)
    roots = 0.35 * torch.randn(6, 8, 8, dtype=F64, generator=g)
    eye = torch.eye(8, dtype=F64)
    prior = MixtureDenoiser(
        EDM(sigma_max=20.0), weights / weights.sum(), means, roots @ roots.mT / 8 + 0.02 * eye
    )
    truth = prior.sample(1, torch.Generator().manual_seed(truth_seed))[0]
    mixing = normal(4, 8, seed=12) / math.sqrt(8)
    offsets = torch.arange(8)[:, None] - torch.arange(8)
    blur = torch.exp(-0.5 * (offsets / 1.2) ** 2).to(F64)
    cases = [
        ("random, noise .1", mixing, 0.1),
        ("random, noise .5", mixing, 0.5),
        ("mask, noise .1", eye[::2], 0.1),
        ("blur, noise .1", blur / blur.sum(1, keepdim=True), 0.1),
    ]
    out = []
    for title, H, sigma in cases:
        y = H @ truth + sigma * normal(len(H), seed=noise_seed)
        posterior = prior.posterior(y, H, sigma**2 * torch.eye(len(H), dtype=F64))
        draws, other = (posterior.sample(chains, torch.Generator().manual_seed(s)) for s in (1, 2))
        measurement = Measurement(y, Matrix(H), sigma)
        if title.startswith("mask"):
            data = torch.zeros(8, dtype=F64)
            data[::2] = y
            measurement = Measurement(data, Mask(torch.arange(8) % 2 == 0, ndim=1), sigma)
        exact = posterior.moments()[1].diagonal().sum()
        floor = sliced_w2(draws, other)
        out.append(Problem(title, prior, measurement, sigma, H, y, draws, floor, float(exact)))
    return out


def normal(*shape: int, seed: int) -> Tensor:
    """Fixed normal numbers."""
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def sliced_w2(x: Tensor, y: Tensor, directions: int = 64) -> float:
    """Sliced Wasserstein-2 distance over fixed random directions."""
    d = normal(x.shape[1], directions, seed=17)
    d = d / d.norm(dim=0)
    apart = (x @ d).sort(dim=0).values - (y @ d).sort(dim=0).values
    return float(apart.square().mean().sqrt())
