"""The oracle problems that posterior samplers are weighed on, with their exact answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from support import F64, randn, random_mixture
from torch import Tensor

from sciddm.oracles import MixtureDenoiser
from sciddm.physics import Mask, Matrix, Measurement
from sciddm.process import EDM


@dataclass(frozen=True)
class Oracle:
    prior: MixtureDenoiser
    measurement: Measurement
    posterior: MixtureDenoiser
    draws: Tensor
    log_evidence: float
    H: Tensor
    y: Tensor


class Bulk:
    """One generator for a large batch: quicker than a stream per item."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def at(self, step: int) -> Callable[[Tensor], Tensor]:
        return lambda like: torch.randn(like.shape, dtype=like.dtype, generator=self.generator)


@cache
def measured_mixture(kind: str, sigma: float = 0.1) -> Oracle:
    """K = 6, d = 8, m = 4: a random operator, which mixes the modes, or a mask."""
    prior = MixtureDenoiser(EDM(sigma_max=20.0), *random_mixture(6, 8, seed=2, spread=1.0))
    truth = prior.sample(1, torch.Generator().manual_seed(11))[0]
    H = randn(4, 8, seed=12) / math.sqrt(8) if kind == "random" else torch.eye(8, dtype=F64)[::2]
    y = H @ truth + sigma * randn(4, seed=13)
    R = sigma**2 * torch.eye(4, dtype=F64)
    posterior = prior.posterior(y, H, R)
    if kind == "random":
        m = Measurement(y, Matrix(H), sigma)
    else:
        data = torch.zeros(8, dtype=F64)
        data[::2] = y
        m = Measurement(data, Mask(torch.arange(8) % 2 == 0, ndim=1), sigma)
    draws = posterior.sample(1000, torch.Generator().manual_seed(1))
    return Oracle(prior, m, posterior, draws, float(prior.log_evidence(y, H, R)), H, y)
