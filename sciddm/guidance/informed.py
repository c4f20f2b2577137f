"""A network that was trained to see the measurement: the conditional mean itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import AnyMeasurement, Guided
from sciddm.physics.measurement import Measurement
from sciddm.process import Process, Scalar, expand

__all__ = ["Informed", "two_looks"]


def two_looks(
    process: Process, x_t: Tensor, t: Scalar, estimate: Tensor, error: Scalar
) -> tuple[Tensor, Scalar]:
    """A noisy state and an estimate of the same image as one state with less noise.

    If the estimate c were the image and white noise of standard deviation e, independent of that
    of x_t = a x0 + s z with sigma = s / a, both together would say no more of it than

        u = r^2 (x_t / (a sigma^2) + c / e^2),    1 / r^2 = 1 / sigma^2 + 1 / e^2

    which is the image and white noise of standard deviation r.

    Args:
        process: without an endpoint.
        x_t: state (B, C, ...).
        t: its time, one for all or one per item.
        estimate: c, the shape of x_t.
        error: e, one for all or one per item.

    Returns:
        u as a state of the process, and its time.
    """
    a, _, s = process(t)
    noise, other = (s / a) ** 2, error**2
    r2 = noise * other / (noise + other)
    time = process.times(torch.as_tensor(r2**0.5))
    a_then, _, _ = process(time)
    from_state, from_estimate = a_then * r2 / noise / a, a_then * r2 / other
    return expand(from_state, x_t) * x_t + expand(from_estimate, x_t) * estimate, time


class Informed(Guided):
    """E[x0 | x_t, y] of a network that is shown an estimate of x0 that agrees with the data.

    Evaluation k of a chain takes the state and the estimate c_k, whose error is taken for white
    noise of standard deviation e_k, for one state u with noise r (``two_looks``), and puts the
    data into what the network makes of both:

        m_k = D(u, t_r, c_k),    c_{k+1} = argmin_z |y - A z|^2 / sigma_y^2 + |z - m_k|^2 / r^2

    c_{k+1} is the mean, and the estimate that the next evaluation is shown, be it of this noise
    level or of the one after it: an ``Informed`` belongs to one chain. At the noisiest level the
    state says nothing, and the rounds are those of an unrolled network (Hammernik et al.,
    Variational Network, 2018; Aggarwal et al., MoDL, 2019); later on the estimate says what the
    state does not yet.

    A network D that is blind to c_k and knows the prior alone makes the rounds plug-and-play
    restoration, and takes the structured error of an estimate, aliasing, for white noise. Training
    (``sciddm.training.chains``) makes c_{k+1} the centre of p(x0 | x_t, y), its mean or, with the
    absolute error, its median; nothing here approximates p(y | x_t), as ``DPS``, ``MMPS`` and
    ``DiffPIR`` have to for a prior.

    Args:
        denoiser: D, which takes ``cond`` in the units of x0.
        measurement: linear, x0 near 1 in size.
        errors: e_0, e_1, ..., each for all items or one per item; the last is that of all later
            evaluations, too.
        first: c_0, the shape of x_t but for the batch.
    """

    measurement: Measurement

    def __init__(
        self,
        denoiser: Denoiser,
        measurement: AnyMeasurement,
        errors: Sequence[Scalar],
        first: Tensor,
    ) -> None:
        super().__init__(denoiser, measurement)
        if not errors or any(float(torch.as_tensor(e).min()) <= 0 for e in errors):
            raise ValueError(f"errors {list(errors)}: one or more above 0 are needed")
        self._errors = list(errors)
        self.estimate = first

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        error = self._errors.pop(0) if len(self._errors) > 1 else self._errors[0]
        shown = self.estimate.expand_as(x_t)
        x, time = two_looks(self.process, x_t, t, shown, error)
        mean = self.denoiser(x, time, None, shown)
        r2 = expand(self.process.sigma(time) ** 2, x_t)
        self.estimate = self.measurement.prox(mean, r2)
        return self.estimate
