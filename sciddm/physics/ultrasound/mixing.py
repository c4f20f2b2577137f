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
from sciddm.physics.ultrasound.spectra import LocalSpectra
from sciddm.physics.ultrasound.veil import veil

__all__ = ["CompandedEchoes", "CompandedEnvelopes", "CompandedSum"]

_MOST = 1.5  # companded: 16 times full scale


class CompandedSum(Operator):
    """A(x, h) for a state (B, 2, z, x) that stacks tissue and haze; its value is (B, 1, z, x)."""

    def __init__(self, gamma: float = 1.0, mu: float = MU) -> None:
        self.gamma, self.mu = float(gamma), float(mu)

    def __call__(self, x: Tensor) -> Tensor:
        tissue, haze = self.parts(x)
        return compand(self._together(tissue, haze), self.mu)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(X, gamma H), in units of full scale."""
        tissue, haze = self._expanded(x).chunk(2, dim=-3)
        return tissue, self.gamma * haze

    def _expanded(self, x: Tensor) -> Tensor:
        """C^-1(x), of values that a guess far from the scan cannot drive to infinity."""
        return expand_companded(x.clamp(-_MOST, _MOST), self.mu)

    def begin(self, y: Tensor, noise: Tensor) -> Tensor:
        """States (K, 2, z, x) to begin with: first guesses of parts that together give y (z, x).

        gamma takes from the haze of the guess, or, above 1, from the state that stands for it.

        Args:
            y: the scan, companded.
            noise: (K, 2, z, x), white and of variance 1, by which guesses differ.
        """
        whole = expand_companded(y, self.mu)
        tissue, haze = self._guess(whole, noise)
        return compand(torch.stack([tissue, haze], dim=-3), self.mu)

    def linearised(self, x: Tensor) -> Linear:
        """The Jacobian: one weight per pixel and part, dA/dx = C'(R) (dR/dX) / C'(X)."""
        tissue, haze = self.parts(x)
        slopes = compand_slope(self._together(tissue, haze), self.mu)
        # The inner slope of haze is C'(H), without gamma.
        raw = haze / self.gamma if self.gamma else self._expanded(x).chunk(2, dim=-3)[1]
        by_tissue, by_haze = self._rates(tissue, haze)
        return Superposition(
            [
                slopes * by_tissue / compand_slope(tissue, self.mu),
                slopes * by_haze * self.gamma / compand_slope(raw, self.mu),
            ]
        )

    def _guess(self, whole: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """(X, H), each (K, z, x), with R(X, gamma H) = ``whole``, in units of full scale."""
        raise NotImplementedError

    def _together(self, tissue: Tensor, haze: Tensor) -> Tensor:
        """R(X, G), G = gamma H."""
        raise NotImplementedError

    def _rates(self, tissue: Tensor, haze: Tensor) -> tuple[Tensor, Tensor]:
        """dR/dX and dR/dG."""
        raise NotImplementedError


class CompandedEchoes(CompandedSum):
    """R = X + gamma H.

    Args:
        gamma, mu: as of `CompandedSum`.
        beam: of the scanner, where the local spectra of another frame have told it
            (`LocalSpectra.beam`); fitted to every frame if None.
    """

    def __init__(self, gamma: float = 1.0, mu: float = MU, beam: Tensor | None = None) -> None:
        super().__init__(gamma, mu)
        self.beam = beam

    def _guess(self, whole: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """By their local spectra."""
        haze = (whole - LocalSpectra(whole, self.beam).tissue(noise)) / max(self.gamma, 1.0)
        return whole - self.gamma * haze, haze

    def _together(self, tissue: Tensor, haze: Tensor) -> Tensor:
        return tissue + haze

    def _rates(self, tissue: Tensor, haze: Tensor) -> tuple[Tensor, Tensor]:
        one = torch.ones_like(tissue)
        return one, one


class CompandedEnvelopes(CompandedSum):
    """R = sqrt(X^2 + (gamma H)^2)."""

    _SMALL = 1e-6  # of full scale: keeps the root smooth where both parts are nothing

    def _guess(self, whole: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Haze as a smooth veil; all guesses alike."""
        whole = whole.expand(len(noise), -1, -1)
        haze = whole * veil(whole[0]).sqrt() / max(self.gamma, 1.0)
        return (whole.square() - (self.gamma * haze).square()).clamp_min(0).sqrt(), haze

    def _together(self, tissue: Tensor, haze: Tensor) -> Tensor:
        return (tissue.square() + haze.square() + self._SMALL**2).sqrt()

    def _rates(self, tissue: Tensor, haze: Tensor) -> tuple[Tensor, Tensor]:
        whole = self._together(tissue, haze)
        return tissue / whole, haze / whole
