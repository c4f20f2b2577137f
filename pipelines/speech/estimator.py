"""From a noisy compressed spectrogram to draws of the clean one, by whichever model there is.

============  ==========================================================  ==================
kind          model                                                       a draw
============  ==========================================================  ==================
predictor     D, a network that answers at once                           D(y), no draw
diffusion     E[x0 | x_t, y], a process that ends at y (SGMSE+)           sampled from y
regeneration  both (StoRM; a bridge if the process is SB-VE)              sampled from D(y)
============  ==========================================================  ==================

References:
    J. Richter et al., "Speech Enhancement and Dereverberation with Diffusion-based Generative
    Models", 2023 (SGMSE+).
    J.-M. Lemercier et al., "StoRM: A Diffusion-based Stochastic Regeneration Model for Speech
    Enhancement and Dereverberation", 2023.
    A. Jukic et al., "Schroedinger Bridge for Generative Speech Enhancement", 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.errors import InputError
from sciddm.methods import SOLVERS
from sciddm.pipelines.speech.settings import Kind, Settings
from sciddm.priors.predictor import Predictor
from sciddm.priors.regeneration import StochasticRegeneration
from sciddm.priors.views import ViewedDenoiser, mean_of_views, stride_of
from sciddm.process import Process
from sciddm.random.streams import Streams
from sciddm.sampling import (
    DDIM,
    Ancestral,
    DPMSolver2M,
    PredictorCorrector,
    ReverseDiffusion,
    Step,
    sample,
    uniform,
)

__all__ = ["Estimator", "is_random", "kind_of", "plan"]

_PRIOR = 2**31  # the step under which the noise of the start is drawn
_LANGEVIN_SNR = 0.5


def kind_of(model: Any) -> Kind:
    """Which of the table's rows a model is.

    Raises:
        InputError: none of them.
    """
    if isinstance(model, StochasticRegeneration):
        return "regeneration"
    if isinstance(model, Predictor):
        return "predictor"
    if isinstance(model, Denoiser) and model.process.has_endpoint:
        return "diffusion"
    raise InputError(
        f"a {type(model).__name__} does not enhance speech: that needs a predictor, a denoiser "
        "whose process ends at the noisy signal, or both"
    )


def is_random(model: Any, settings: Settings) -> bool:
    """Whether draws differ: a predictor has one answer, and so has a bridge, which starts at y
    without noise, by its ODE or in one step."""
    if settings.sampler == "predictor" or kind_of(model) == "predictor":
        return False
    process: Process = model.process
    noisy_start = process(process.t_max)[2] != 0
    return (
        noisy_start
        or settings.sampler == "pc"
        or (settings.steps > 1 and _adds_noise(settings.sampler))
    )


def _adds_noise(sampler: str) -> bool:
    return sampler == "sde" or (sampler in SOLVERS and SOLVERS[sampler].stochastic)


@dataclass(frozen=True)
class Estimator:
    """Draws of the clean spectrogram.

    Attributes:
        model: see the module's docstring.
        settings: sampler, steps and samples.
    """

    model: Any
    settings: Settings

    @torch.no_grad()
    def __call__(self, y: Tensor, streams: Sequence[Streams]) -> list[Tensor]:
        """One draw for each of `streams`.

        Args:
            y: compressed noisy spectrogram (1, 1, F, T), complex.
            streams: the noise of each draw.

        Returns:
            The draws, each in the shape of y; the same tensor for all where nothing is random.
        """
        kind = kind_of(self.model)
        if kind == "predictor":
            return [self._predict(self.model, y)] * len(streams)
        if kind == "diffusion":
            return [self._draw(self.model, y, None, s) for s in streams]
        first = self._predict(self.model.predictor, y)
        if self.settings.sampler == "predictor":
            return [first] * len(streams)
        return [self._draw(self.model.denoiser, first, y, s) for s in streams]

    def _predict(self, predictor: Predictor, y: Tensor) -> Tensor:
        stride = stride_of(predictor.network)
        return mean_of_views(predictor, self.settings.views, stride, y)

    def _draw(
        self, denoiser: Denoiser, end: Tensor, cond: Tensor | None, streams: Streams
    ) -> Tensor:
        if self.settings.views > 1:
            denoiser = ViewedDenoiser(denoiser, self.settings.views)
        process = denoiser.process
        x = process.prior(streams.randn(end, _PRIOR), end)
        grid, step = plan(process, self.settings)
        # The published sampler steps to t = 0 and answers with the mean of its last step; the
        # others end with an estimate at their last time, which costs no extra evaluation.
        return sample(
            denoiser,
            x,
            grid,
            step,
            generator=streams,
            y=end,
            cond=cond,
            denoise_last=self.settings.sampler != "pc",
        )


def plan(process: Process, settings: Settings) -> tuple[list[float], Step]:
    """Time grid and step of a sampler.

    Raises:
        InputError: fewer evaluations than the sampler needs.
    """
    n = settings.steps
    if n < 1:
        raise InputError(f"{n} steps: a diffusion sampler needs at least 1")
    times = uniform(process, n - 1) if n > 1 else [process.t_max]
    if settings.sampler == "pc":
        return [*times, 0.0], PredictorCorrector(ReverseDiffusion(), snr=_LANGEVIN_SNR)
    steps = {"ode": DDIM(), "sde": Ancestral(), "dpm++": DPMSolver2M()}
    name = settings.sampler
    return times, steps[name] if name in steps else SOLVERS[name].make()
