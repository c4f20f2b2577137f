"""Null-space guidance."""

from __future__ import annotations

from torch import Tensor

from sciddm.guidance.base import Guided
from sciddm.process import Scalar

__all__ = ["DDNM"]


class DDNM(Guided):
    """x0^ + A^+ (y - A x0^): the data replace the range of A, the prior fills its null space.

    Wang et al., Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model, 2023, eq.
    13. For noise-free data: the noise of y enters as it is.
    """

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean = self.denoiser(x_t, t, y, cond)
        m = self.measurement.at(mean)
        out: Tensor = mean + m.A.pinv(m.residual(mean))
        return out
