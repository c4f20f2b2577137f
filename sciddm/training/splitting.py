"""Training without clean images by splitting each measurement: the baseline of ``expectation``.

A network f is shown what one part of a measurement gives, and its image is compared with the other:

    loss = |y_2 - A_2 f(y_1)|^2 / (m_2 sigma^2)

The noise of both parts is independent, so the minimiser is that of |x - f(y_1)|^2 in all that the
second parts see together: E[x | y_1]. Yaman et al., Self-supervised learning of physics-guided
reconstruction neural networks without fully sampled reference data, MRM 2020 (SSDU). It gives one
image and no law of images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.physics import Measurement
from sciddm.priors.predictor import Predictor

__all__ = ["split", "splitting_loss"]


def splitting_loss(model: Predictor, y: Tensor, held_out: Measurement) -> Tensor:
    """The squared residual of the held-out part per measured entry, in units of the noise: (B,).

    It is 1 for an image that is the truth.

    Args:
        model: f.
        y: what f is shown (B, ...).
        held_out: y_2, 0 where nothing is measured.
    """
    residual = held_out.residual(model(y)).abs().square().flatten(1).sum(1)
    measured = (held_out.y != 0).flatten(1).sum(1).clamp(min=1)
    return residual / (measured * held_out.sigma**2)


def split(
    mask: Tensor, share: float, centre: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Divides the measured entries of k-space at random.

    Args:
        mask: (..., ky, kx), 0 or 1.
        share: of the entries that go to the second part.
        centre: side of the central square, which stays with the first part.
        generator: of the draw; the global one if not given.

    Returns:
        The masks of both parts, whose sum is ``mask``.
    """
    second = mask * (torch.rand(mask.shape, generator=generator) < share)
    ky, kx = (slice(n // 2 - centre // 2, n // 2 + (centre + 1) // 2) for n in mask.shape[-2:])
    second[..., ky, kx] = 0
    return mask - second, second
