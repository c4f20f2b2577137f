"""What all guidance shares: a denoiser that wraps another and knows a measurement."""

from __future__ import annotations

from sciddm.denoiser import Denoiser
from sciddm.physics.measurement import Measurement, NonlinearMeasurement

__all__ = ["AnyMeasurement", "Guided"]

AnyMeasurement = Measurement | NonlinearMeasurement


class Guided(Denoiser):
    """A denoiser whose mean is corrected towards a measurement: E[x0 | x_t, y_measured].

    Guidance is never a sampler, so every guidance works with every sampler. Strengths are per
    item: an item's result does not depend on the rest of its batch. With u = x_t - b y,
    sigma = s/a and V = (s^2/a) J = Cov[x0 | x_t] for an exact denoiser (Tweedie's second moment).
    A measurement that is not linear is taken as it is near the mean (``NonlinearMeasurement``).
    """

    def __init__(self, denoiser: Denoiser, measurement: AnyMeasurement) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.measurement = measurement
        self.process = denoiser.process
        self.data_std = denoiser.data_std
