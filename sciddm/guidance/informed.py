"""A network that was trained to see the measurement: the conditional mean itself."""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.guidance.base import AnyMeasurement, Guided
from sciddm.physics.measurement import Measurement
from sciddm.process import Scalar, expand

__all__ = ["Informed", "informed_loss"]

# Variance about zero of the image that the first estimate is pulled to; data are near 1.
_BLANK = 0.1


class Informed(Guided):
    """E[x0 | x_t, y] of a network whose condition is an image that agrees with the data.

    With prox(m, r^2) = argmin_z |y - A z|^2 / sigma_y^2 + |z - m|^2 / r^2:

        c_0 = prox(0, 0.1),     m_k = D(x_t, t, c_k),     c_{k+1} = prox(m_k, r^2)

    and the mean is c_n after n rounds. An exact D would need neither a second round nor the last
    prox; the error of a trained one has been near to white, which is what prox takes it for, and
    data consistency in every step is what keeps the samples to the scan.

    A denoiser of the prior alone has to be corrected towards the data by an approximation of
    p(y | x_t) (``DPS``, ``MMPS``, ``DiffPIR``); this one was trained (``informed_loss``) on the
    answer. Feeding the estimate back is the self-conditioning of Chen et al., Analog Bits, 2023,
    section 3, with the data put into it; unrolled networks (Hammernik et al., Variational Network,
    2018) alternate in the same way.

    Args:
        denoiser: D, which takes ``cond`` in the units of x0.
        measurement: linear, x0 near 1 in size.
        rounds: network evaluations n of every mean.
        error: standard deviation e of the error of m, 0 for an exact D; r^2 is that of what both m
            and the state know, 1 / (1 / sigma^2 + 1 / e^2).
    """

    measurement: Measurement

    def __init__(
        self,
        denoiser: Denoiser,
        measurement: AnyMeasurement,
        rounds: int = 2,
        error: float = 0.1,
    ) -> None:
        super().__init__(denoiser, measurement)
        self.rounds, self.error = rounds, error

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        return self.condition(x_t, t, self.rounds)

    def condition(self, x_t: Tensor, t: Scalar, rounds: int) -> Tensor:
        """c_n: what the network is shown in its round ``rounds`` + 1, the shape of x_t."""
        agreeing = self.measurement.prox(torch.zeros_like(x_t), _BLANK)
        for _ in range(rounds):
            mean = self.denoiser(x_t, t, None, agreeing)
            agreeing = self.measurement.prox(mean, self._variance(t, x_t))
        return agreeing

    def _variance(self, t: Scalar, like: Tensor) -> Scalar:
        known = self.process.sigma(t) ** 2
        return expand(known * self.error**2 / (known + self.error**2), like)


def informed_loss(
    denoiser: NetworkDenoiser, measurement: Measurement, x0: Tensor, t: Tensor, rounds: int
) -> Tensor:
    """The denoiser's loss per item (B,) in round ``rounds`` + 1 of ``Informed``.

    The rounds before it are not differentiated, which makes a step cheap and of one network's
    depth; a training draws ``rounds`` anew in every step.

    Args:
        denoiser: the network.
        measurement: of ``x0``.
        x0: truth (B, C, ...), in data units.
        t: one time per item (B,).
    """
    z = torch.randn_like(x0)
    with torch.no_grad():
        x_t = denoiser.process.add_noise(x0, t, None, z)
        cond = Informed(denoiser, measurement).condition(x_t, t, rounds)
    return denoiser.loss(x0, t, cond=cond, z=z)
