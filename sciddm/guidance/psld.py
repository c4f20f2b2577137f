"""Posterior sampling with latent diffusion: codes that are glued to their image."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.loss import LossGuidance
from sciddm.physics.measurement import Measurement
from sciddm.physics.operator import inner

__all__ = ["PSLD", "gluing"]


def gluing(
    z: Tensor, measurement: Measurement, encode: Callable[[Tensor], Tensor], image: Tensor
) -> Tensor:
    """|z - E(A^+ y + (I - A^+ A) dec(z))|^2 of each item (B,).

    0 for codes whose image has the data and is left as it is by the autoencoder. A^+ is A^H where
    A A^H = I, as published.

    Args:
        z: codes (B, ...).
        measurement: of the image, linear A.
        encode: E.
        image: dec(z).
    """
    target = encode(image + measurement.A.pinv(measurement.residual(image)))
    out: Tensor = (z - target).abs().square().flatten(1).sum(1)
    return out


class PSLD(LossGuidance):
    """z0^ - (s^2/a) J^H grad ( eta |y - A dec(z0^)| + gamma gluing(z0^) ).

    Many codes fit the data; the gluing term takes those that the autoencoder maps to themselves
    once the data are put into their image. Rout et al., Solving Linear Inverse Problems Provably
    via Posterior Sampling with Latent Diffusion Models, 2023, algorithm 2, with weights 1 and .1 as
    there. One VJP of the denoiser; the decoder and the encoder are differentiated as well. Without
    gluing it is latent DPS, and ``physics.Decoded`` gives codes to every other guidance.

    Args:
        denoiser: the prior of codes.
        measurement: of the image, linear A.
        encode: image (B, ...) -> codes, differentiable.
        decode: codes -> image (B, ...), differentiable.
        eta: weight of the data.
        gamma: weight of the gluing, 0 for none.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        measurement: Measurement,
        encode: Callable[[Tensor], Tensor],
        decode: Callable[[Tensor], Tensor],
        eta: float = 1.0,
        gamma: float = 0.1,
    ) -> None:
        self.measurement = measurement

        def loss(z: Tensor) -> Tensor:
            image = decode(z)
            e = measurement.residual(image)
            power = inner(e, e, measurement.A.range_ndim).real.flatten(1).sum(1)
            # LossGuidance multiplies by no more than s^2/a: DPS's norm, not its square.
            total = eta * power.clamp(min=1e-24).sqrt()
            if gamma:
                total = total + gamma * gluing(z, measurement, encode, image)
            return total

        super().__init__(denoiser, loss, jacobian=True)
