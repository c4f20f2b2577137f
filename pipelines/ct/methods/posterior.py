"""Reconstruction from projections by posterior sampling with a prior of CT images.

For every sample the reverse diffusion starts at a regularised reconstruction plus noise, and the
denoiser's mean is corrected towards the projections at every step: by MMPS, which knows how the
prior ties pixels together, and by a proximal step with the statistical weights of the readings,
which needs no derivative of the network (DiffPIR). The mean of the samples is the estimate.

The proximal step takes what the data leave open for white. With few views it is detail between the
measured directions, and the step fills it with streaks the more, the less it trusts the estimate:
so the error that it reckons with is bounded, the more tightly, the more views are missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.errors import InputError, ModelError
from sciddm.guidance import MMPS, DiffPIR, Guided
from sciddm.method_choice import OWN, MethodChoice
from sciddm.methods import Run
from sciddm.physics import Measurement, WeightedProjection
from sciddm.pipelines.ct.methods.base import Reconstruction, Tick
from sciddm.pipelines.ct.methods.kept_out import filled, kept_views
from sciddm.pipelines.ct.projections import Scan
from sciddm.pipelines.ct.settings import PosteriorSettings
from sciddm.posterior import Consistency, Posterior, residual_ratio
from sciddm.random.streams import AntitheticStreams
from sciddm.sampling import Ancestral, karras, sample
from sciddm.sampling.draws import START, draws, mirrored
from sciddm.uncertainty.prediction import Prediction, prediction_of

__all__ = ["PosteriorSampling"]

_FLOOR_STEPS = 15
_QUICK_STEPS, _QUICK_SAMPLES = 6, 2  # of the chain that is not shown all views


class PosteriorSampling:
    """Samples of p(image | projections).

    Args:
        model: the prior, of images in HU.
        scan: geometry, flux, and the image that is made.
        settings: how often and in how many steps is sampled.
        choice: of another sampler or guidance.

    Raises:
        ModelError: a model of another kind.
    """

    def __init__(
        self,
        model: Denoiser,
        scan: Scan,
        settings: PosteriorSettings,
        choice: MethodChoice = OWN,
    ) -> None:
        if model.process.has_endpoint:
            raise ModelError("reconstruction needs a prior without an endpoint: take ct-prior")
        self.model, self.scan, self.settings, self.choice = model, scan, settings, choice
        self.grid = karras(
            model.process, settings.steps, settings.sigma_max, settings.sigma_min, rho=4
        )
        missing = scan.missing_views
        self.error = settings.error / (missing - 1) if missing > 1 else math.inf
        self.spread = settings.spread * max(missing, 1.0) ** 0.25
        self.steps = (settings.steps + 1) * settings.samples
        self.attributes = {
            **asdict(settings),
            "sampler": "ancestral steps on a Karras grid (rho 4)",
            "noise": "stated" if scan.flux is not None else "estimated from the projections",
            **choice.stamp(),
        }

    @torch.no_grad()
    def __call__(self, p: Tensor, index: int, seed: int, tick: Tick) -> Reconstruction:
        s = self.settings
        m = self.scan.measurement(p, iterations=s.iterations, tolerance=s.tolerance)
        start = m.prox(self._rough(p)[None, None], s.sigma_max**2)
        posterior = self._sampled(m, start, self.grid, s.samples, index, seed, tick)
        return Reconstruction(
            posterior.mean[0, 0],
            posterior.std[0, 0] * self.spread,
            _consistency(posterior, m),
        )

    @torch.no_grad()
    def predict(self, p: Tensor, index: int, seed: int) -> Prediction | None:
        """How well a short chain predicts views (V, D) that it was not shown.

        Returns:
            None where there are too few views to keep any out.
        """
        s, out = self.settings, kept_views(len(p), seed)
        if out is None:
            return None
        out = out.to(p.device)
        shown, rest = (
            self.scan.measurement(p, iterations=s.iterations, tolerance=s.tolerance, views=views)
            for views in (~out, out)
        )
        start = shown.prox(self._rough(filled(p, out))[None, None], s.sigma_max**2)
        grid = karras(self.model.process, _QUICK_STEPS, s.sigma_max, s.sigma_min, rho=4)
        posterior = self._sampled(
            shown, start, grid, _QUICK_SAMPLES, index, seed, lambda part: None
        )
        measured = out[:, None].expand(rest.y.shape)
        prediction = prediction_of(rest, measured, posterior.samples[:, 0], start[0], self.spread)
        # As a density of the line integrals themselves, whatever their statistical weights.
        assert isinstance(rest.A, WeightedProjection)
        roots = rest.A.root.expand(rest.y.shape)[measured]
        change = float(roots[roots > 0].double().log().sum())
        return replace(prediction, log_score=prediction.log_score + change)

    def _sampled(
        self,
        m: Measurement,
        start: Tensor,
        grid: list[float],
        samples: int,
        index: int,
        seed: int,
        tick: Tick,
    ) -> Posterior:
        """Samples (K, 1, 1, y, x) of the image of a measurement."""
        s = self.settings

        def sampler(x: Tensor, streams: AntitheticStreams, callback: Callable[..., None]) -> Tensor:
            x = x + s.sigma_max * streams.randn(x, step=START)
            model, choice = mirrored(self.model, streams), self.choice
            if choice.guidance is None:
                guided, step = self._guided(model, m), choice.step(Ancestral)
                return sample(guided, x, grid, step, generator=streams, callback=callback)
            other = None if choice.sampler is None else choice.step(Ancestral)
            run = Run(model, m, x, grid, len(x), streams, callback=callback, step=other)
            return choice.draw(run)

        return Posterior(draws(start, samples, index, seed, tick, sampler)[:, None])

    def _rough(self, p: Tensor) -> Tensor:
        """Where sampling starts: a soft filtered back-projection; water where there is none."""
        try:
            return self.scan.fbp(p, "hann").clamp(min=-1000)
        except InputError:  # too few views
            return p.new_zeros(self.scan.shape)

    def _guided(self, model: Denoiser, m: Measurement) -> Guided:
        s, informed = self.settings, model
        if s.krylov:
            informed = MMPS(model, m, s.krylov, s.inflation)
        return DiffPIR(informed, m, s.lam, self.error)


def _consistency(posterior: Posterior, m: Measurement) -> Consistency:
    """Residual of the samples, beside that of the image that fits best without the prior."""
    measured = m.A.root > 0 if isinstance(m.A, WeightedProjection) else m.y != 0
    fitted = posterior.mean + m.A.ridge(m.residual(posterior.mean), 0.0, iterations=_FLOOR_STEPS)
    floor = residual_ratio(m, fitted, measured)
    return posterior.consistency(m, measured, floor=floor)
