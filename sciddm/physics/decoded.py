"""Data of an image that is described by its codes: latent posterior sampling."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sciddm.physics.operator import Operator

__all__ = ["Decoded"]


class Decoded(Operator):
    """y = A(decoder(z)) as an operator of the codes z.

    With a prior of codes every guidance works in the latent space: ``NonlinearMeasurement`` sees
    the decoder as it is near the current mean (Gauss-Newton). DPS there is latent DPS, the first
    term of PSLD (Rout et al., Solving Linear Inverse Problems Provably via Posterior Sampling with
    Latent Diffusion Models, 2023, eq. 8).

    Args:
        A: operator of the image, linear or not.
        decoder: z (B, ...) -> image (B, ...), differentiable.
        ndim: number of axes of one code, without the batch.
    """

    def __init__(self, A: Operator, decoder: Callable[[Tensor], Tensor], ndim: int = 3) -> None:
        self.A, self.decoder = A, decoder
        self.domain_ndim, self.range_ndim = ndim, A.range_ndim

    def __call__(self, x: Tensor) -> Tensor:
        return self.A(self.decoder(x))
