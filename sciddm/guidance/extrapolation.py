"""Guidance between two denoisers: classifier-free guidance, autoguidance, perturbed attention."""

from __future__ import annotations

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import Guidance
from sciddm.process import Scalar

__all__ = ["ClassifierFree", "Extrapolated"]


class Extrapolated(Guidance):
    """D + k (D - D_bad): away from what a worse denoiser says.

    Autoguidance (Karras et al., Guiding a Diffusion Model with a Bad Version of Itself, 2024, eq.
    3) with a smaller or less trained network, perturbed attention guidance (Ahn et al., 2024) with
    attention replaced by the identity. Images get cleaner and lose their variety: samples no
    longer have the law of the data, and intervals made of them are too narrow.

    Args:
        denoiser: D.
        worse: D_bad, of the same process.
        strength: k; 0 is D.
    """

    def __init__(self, denoiser: Denoiser, worse: Denoiser, strength: float = 1.0) -> None:
        super().__init__(denoiser)
        self.worse, self.strength = worse, strength

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean = self.denoiser(x_t, t, y, cond)
        out: Tensor = mean + self.strength * (mean - self.worse(x_t, t, y, cond))
        return out


class ClassifierFree(Guidance):
    """D(x_t) + k (D(x_t, cond) - D(x_t)) of one network that was trained with and without ``cond``.

    k = 1 is the conditional mean, and the only k that keeps the conditional law. Ho and Salimans,
    Classifier-Free Diffusion Guidance, 2022, eq. 6. Two evaluations.

    Args:
        denoiser: takes ``cond``, and None for none.
        strength: k.
        absent: what stands for no condition, if not None.
    """

    def __init__(
        self, denoiser: Denoiser, strength: float = 1.0, absent: Tensor | None = None
    ) -> None:
        super().__init__(denoiser)
        self.strength, self.absent = strength, absent

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        conditional = self.denoiser(x_t, t, y, cond)
        if self.strength == 1:
            out: Tensor = conditional
            return out
        absent = None if self.absent is None else self.absent.expand_as(conditional)
        plain = self.denoiser(x_t, t, y, absent)
        out = plain + self.strength * (conditional - plain)
        return out
