"""What all guidance shares: a denoiser that wraps another and knows a measurement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.physics.measurement import Measurement, NonlinearMeasurement

__all__ = ["AnyMeasurement", "Guidance", "Guided", "prior_means"]

AnyMeasurement = Measurement | NonlinearMeasurement


class Guidance(Denoiser):
    """A denoiser that corrects the mean of another one, ``denoiser``."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.process = denoiser.process
        self.data_std = denoiser.data_std

    @property
    def prior(self) -> Denoiser:
        """The denoiser under all guidance."""
        inner = self.denoiser
        return inner.prior if isinstance(inner, Guidance) else inner


@contextmanager
def prior_means(denoiser: Denoiser) -> Iterator[list[Tensor]]:
    """What the prior under guidance says while ``denoiser`` is called: one mean per evaluation."""
    prior = denoiser.prior if isinstance(denoiser, Guidance) else denoiser
    means: list[Tensor] = []
    handle = prior.register_forward_hook(lambda module, x, mean: means.append(mean.detach()))
    try:
        yield means
    finally:
        handle.remove()


class Guided(Guidance):
    """A denoiser whose mean is corrected towards a measurement: E[x0 | x_t, y_measured].

    Guidance is never a sampler, so every guidance works with every sampler. Strengths are per
    item: an item's result does not depend on the rest of its batch. With u = x_t - b y,
    sigma = s/a and V = (s^2/a) J = Cov[x0 | x_t] for an exact denoiser (Tweedie's second moment).
    A measurement that is not linear is taken as it is near the mean (``NonlinearMeasurement``).
    """

    def __init__(self, denoiser: Denoiser, measurement: AnyMeasurement) -> None:
        super().__init__(denoiser)
        self.measurement = measurement
