"""Models whose answer is known: of the real classes, with networks that are formulas."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sciddm.denoiser import Denoiser
from sciddm.ledger import record
from sciddm.priors.predictor import Predictor
from sciddm.priors.regeneration import StochasticRegeneration
from sciddm.process import SBVE, Process, Scalar, expand


class ConstantMask(nn.Module):
    """The network of a `Predictor` with D(y) = gain y, gain below 2."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.value = math.atanh(gain / 2)
        self.config: dict[str, float] = {"gain": gain}

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None) -> Tensor:
        """(B, 2C, F, T) -> (B, 4C, F, T): the mask's real and imaginary part, and no rest."""
        mask = torch.cat([torch.full_like(x[:, :1], self.value), torch.zeros_like(x[:, 1:])], 1)
        return torch.cat([mask, torch.zeros_like(x)], dim=1)


def scaling(gain: float) -> Predictor:
    """D(y) = gain y."""
    return Predictor(ConstantMask(gain))


class Smearing(Denoiser):
    """The exact mean for independent x0 ~ N(m, v), m the average of y over 2 `reach` + 1 frames.

    With u = x_t - b y,  E[x0 | x_t] = m + a v / (a^2 v + s^2) (u - a m).
    """

    def __init__(self, process: Process | None = None, variance: float = 0.01, reach: int = 4):
        super().__init__()
        self.process = SBVE() if process is None else process
        self.variance, self.reach = variance, reach

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        """See the class."""
        assert y is not None
        record(nfe=x_t.shape[0])
        a, b, s = (expand(c, x_t) for c in self.process(t))
        mean = self.prior_mean(y)
        gain = a * self.variance / (a**2 * self.variance + s**2) if a else 0.0
        return mean + gain * (x_t - b * y - a * mean)

    def prior_mean(self, y: Tensor) -> Tensor:
        """m (B, C, F, T)."""
        size = 2 * self.reach + 1
        kernel = torch.full((1, 1, 1, size), 1 / size)
        parts = [
            nn.functional.conv2d(part.flatten(0, 1)[:, None], kernel, padding=(0, self.reach))
            for part in (y.real, y.imag)
        ]
        return torch.complex(*parts).reshape(y.shape)


def regeneration(gain: float = 0.5, **options: float) -> StochasticRegeneration:
    """A predictor D(y) = gain y, and `Smearing` between x0 and D(y)."""
    return StochasticRegeneration(scaling(gain), Smearing(**options))  # type: ignore[arg-type]
