"""How tissue and haze add up to what a scanner shows, in the companded units of the models.

With C the mu-law (`sciddm.companding`), X = C^-1(x) and H = C^-1(h):

    echoes      A(x, h) = C(X + gamma H)
    envelopes   A(x, h) = C(sqrt(X^2 + (gamma H)^2))

Echoes are waves and add with their sign. Envelopes of waves of unrelated phase add in power, on
average: |X + gamma H|^2 differs from that by 2 gamma X H cos(phase), which the noise level of the
measurement has to allow for. gamma is the dial: how much of the scan haze may explain, 0 for
nothing. Stevens et al. 2024, eq. 9 with gamma, for echoes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.companding import MU, compand, compand_slope, expand_companded
from sciddm.physics import Linear, Operator, Superposition

__all__ = ["CompandedEchoes", "CompandedEnvelopes", "CompandedSum"]


class CompandedSum(Operator):
    """A(x, h) for a state (B, 2, z, x) that stacks tissue and haze; its value is (B, 1, z, x)."""

    def __init__(self, gamma: float = 1.0, mu: float = MU) -> None:
        self.gamma, self.mu = float(gamma), float(mu)

    def __call__(self, x: Tensor) -> Tensor:
        tissue, haze = self.parts(x)
        return compand(self._together(tissue, haze), self.mu)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(X, gamma H), in units of full scale."""
        tissue, haze = expand_companded(x, self.mu).chunk(2, dim=-3)
        return tissue, self.gamma * haze

    def share(self, y: Tensor) -> Tensor:
        """A state (B, 2, z, x) whose two parts are equally strong and together give y."""
        raise NotImplementedError

    def linearised(self, x: Tensor) -> Linear:
        """The Jacobian: one weight per pixel and part, dA/dx = C'(R) (dR/dX) / C'(X)."""
        tissue, haze = self.parts(x)
        slopes = compand_slope(self._together(tissue, haze), self.mu)
        # The inner slope of haze is C'(H), without gamma.
        raw = haze / self.gamma if self.gamma else expand_companded(x, self.mu).chunk(2, dim=-3)[1]
        by_tissue, by_haze = self._rates(tissue, haze)
        return Superposition(
            [
                slopes * by_tissue / compand_slope(tissue, self.mu),
                slopes * by_haze * self.gamma / compand_slope(raw, self.mu),
            ]
        )

    def _together(self, tissue: Tensor, haze: Tensor) -> Tensor:
        """R(X, G), G = gamma H."""
        raise NotImplementedError

    def _rates(self, tissue: Tensor, haze: Tensor) -> tuple[Tensor, Tensor]:
        """dR/dX and dR/dG."""
        raise NotImplementedError


class CompandedEchoes(CompandedSum):
    """R = X + gamma H."""

    def share(self, y: Tensor) -> Tensor:
        half = compand(expand_companded(y, self.mu) / (1 + self.gamma), self.mu)
        return torch.cat([half, half], dim=-3)

    def _together(self, tissue: Tensor, haze: Tensor) -> Tensor:
        return tissue + haze

    def _rates(self, tissue: Tensor, haze: Tensor) -> tuple[Tensor, Tensor]:
        one = torch.ones_like(tissue)
        return one, one


class CompandedEnvelopes(CompandedSum):
    """R = sqrt(X^2 + (gamma H)^2)."""

    _SMALL = 1e-6  # of full scale: keeps the root smooth where both parts are nothing

    def share(self, y: Tensor) -> Tensor:
        part = expand_companded(y, self.mu) / (1 + self.gamma**2) ** 0.5
        part = compand(part, self.mu)
        return torch.cat([part, part], dim=-3)

    def _together(self, tissue: Tensor, haze: Tensor) -> Tensor:
        return (tissue.square() + haze.square() + self._SMALL**2).sqrt()

    def _rates(self, tissue: Tensor, haze: Tensor) -> tuple[Tensor, Tensor]:
        whole = self._together(tissue, haze)
        return tissue / whole, haze / whole
