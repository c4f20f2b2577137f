"""Noise2Score: the score of the noisy volume itself, then Tweedie's formula (Kim and Ye, 2021).

A small network learns the score of the noisy slices (`classical.learned_score`); no clean image is
seen. The formula of the noise's law (`classical.tweedie`) then gives the mean of the clean values.
The one parameter of that law is the value that leaves the least total variation,
if it is not given: too little leaves noise, too much adds its opposite.

The formulas are those of noise that is independent from pixel to pixel; that of a reconstruction
is not, and some of its texture stays.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from sciddm.classical.learned_score import learn_score, least_variation
from sciddm.classical.tweedie import gamma_mean, gaussian_mean, poisson_mean
from sciddm.errors import InputError
from sciddm.geometry.slice_stack import SliceStack
from sciddm.physics.tomography.noise_level import noise_level
from sciddm.pipelines.ct.methods.base import Estimate, Tick
from sciddm.pipelines.ct.settings import ScoreSettings

__all__ = ["Noise2Score"]

_AIR = -1000.0
_LEAST = 1.0  # above air: Poisson and Gamma noise have no values at or below 0
_TRAINED_ON = 16  # slices at most
_SMALLEST = 16  # pixels a side
# Parameters that are tried, in units of the estimate, in the noise's standard deviation.
_TRIED = tuple(0.3 * 1.1**k for k in range(22))


class Noise2Score:
    """The method for one volume, whose score is learned when it is made.

    Args:
        stack: the volume.
        settings: law of the noise and length of the training.
        seed: of the network's first weights and of the training.

    Raises:
        InputError: the volume is too small, or holds no noise.
    """

    steps = 1

    def __init__(self, stack: SliceStack, settings: ScoreSettings, seed: int) -> None:
        if min(stack.shape) < _SMALLEST:
            raise InputError(
                f"{stack.name}: slices of {stack.shape}: at least {_SMALLEST} pixels a side are "
                "needed to learn from"
            )
        self.settings = settings
        spread = range(0, len(stack), math.ceil(len(stack) / _TRAINED_ON))
        slices = [self._shifted(stack.slice(i)) for i in spread]
        level = float(torch.tensor([noise_level(s) for s in slices]).median())
        if not level > 0:
            raise InputError(f"{stack.name}: the volume holds no noise to learn from")
        self.score = learn_score(slices, level, settings.iterations, seed)
        self.attributes: dict[str, Any] = {**asdict(settings), "noise_estimate_hu": round(level, 3)}
        self._level = level

    def __call__(self, stack: SliceStack, index: int, seed: int, tick: Tick) -> Estimate:
        y = self._shifted(stack.slice(index))
        score = self.score(y)
        parameter = self.settings.parameter
        if parameter is None:
            parameter = self._blind(y, score)
        image = self._mean(y, score, parameter)
        tick("")
        return Estimate(image + (_AIR if self.settings.noise != "gaussian" else 0.0))

    def _shifted(self, hu: Tensor) -> Tensor:
        """HU for Gaussian noise; above air, and positive, for the others."""
        return hu if self.settings.noise == "gaussian" else (hu - _AIR).clamp(min=_LEAST)

    def _mean(self, y: Tensor, score: Tensor, parameter: float) -> Tensor:
        match self.settings.noise:
            case "gaussian":
                return gaussian_mean(y, score, parameter)
            case "poisson":
                return poisson_mean(y, parameter * score, parameter)
            case _:
                return gamma_mean(y, score.clamp(max=(parameter - 1) / (2 * y)), parameter)

    def _blind(self, y: Tensor, score: Tensor) -> float:
        middle = float(y.median())
        sigmas = [share * self._level for share in _TRIED]
        match self.settings.noise:
            case "gaussian":
                tried = sigmas
            case "poisson":  # variance eta x
                tried = [s**2 / max(middle, _LEAST) for s in sigmas]
            case _:  # variance x^2 / a
                tried = [max(1.5, (middle / s) ** 2) for s in sigmas]
        return least_variation(tried, lambda value: self._mean(y, score, value))
