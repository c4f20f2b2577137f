"""Noise2Score: the score of the noisy volume itself, then Tweedie's formula (Kim and Ye, 2021).

A small network s learns the score l'(y) = d log p(y) / dy of the noisy slices as an amortised
residual denoising autoencoder (Lim et al., 2020):

    min E |sigma s(y + sigma u) + u|^2,      u ~ N(0, I), sigma falling during training

No clean image is seen. The formula of the noise's law (`classical.tweedie`) then gives the mean of
the clean values. The one parameter of that law is the value that leaves the least total variation,
if it is not given: too little leaves noise, too much adds its opposite.

The formulas are those of noise that is independent from pixel to pixel; that of a reconstruction
is not, and some of its texture stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from sciddm.classical.tweedie import gamma_mean, gaussian_mean, poisson_mean
from sciddm.errors import InputError
from sciddm.networks import UNet
from sciddm.physics.tomography.noise_level import noise_level
from sciddm.pipelines.ct.methods.base import Estimate, Tick
from sciddm.pipelines.ct.settings import ScoreSettings
from sciddm.pipelines.ct.slices import SliceStack
from sciddm.precision import network_arithmetic
from sciddm.random.streams import fold

__all__ = ["Noise2Score", "learn_score", "least_variation", "noise_level"]

_AIR = -1000.0
_LEAST = 1.0  # above air: Poisson and Gamma noise have no values at or below 0
_TRAINED_ON = 16  # slices at most
_PATCH, _BATCH = 64, 8
_SMALLEST = 16  # pixels a side
# The noise that training adds, in units of the data's own, at the start and at the end.
_ANNEALED = (0.5, 0.05)
# Parameters that are tried, in units of the estimate, in the noise's standard deviation.
_TRIED = tuple(0.3 * 1.1**k for k in range(22))

Score = Callable[[Tensor], Tensor]
_FIRST, _TRAIN = 0, 1


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


def learn_score(slices: list[Tensor], level: float, iterations: int, seed: int) -> Score:
    """The score of noisy slices, as a function (y, x) -> (y, x), per unit of the slices.

    Args:
        slices: (y, x) each, at least 16 pixels a side.
        level: standard deviation of their noise, about.
        iterations: of AdamW, with one cycle of the learning rate.
        seed: of weights, patches and noise.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(seed, _FIRST))
        network = UNet(1, 1, (24, 32, 48), num_res_blocks=1, patch=2, norm_num_groups=8)
    generator = torch.Generator().manual_seed(fold(seed, _TRAIN))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=iterations)
    centre = float(torch.cat([s.flatten() for s in slices]).mean())
    unit = [(s - centre) / level for s in slices]
    for i in range(iterations):
        y = _patches(unit, generator)
        first, last = _ANNEALED
        sigma = first * (last / first) ** (i / max(1, iterations - 1))
        u = torch.randn(y.shape, generator=generator)
        loss = (sigma * _evaluate(network, y + sigma * u) + u).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        cycle.step()
    network.eval().requires_grad_(False)
    return lambda y: _evaluate(network, (y[None, None] - centre) / level)[0, 0] / level


def least_variation(tried: list[float], image: Callable[[float], Tensor]) -> float:
    """The parameter whose image has the least total variation (anisotropic)."""

    def variation(value: float) -> float:
        x = image(value)
        return float(x.diff(dim=-1).abs().sum() + x.diff(dim=-2).abs().sum())

    return min(tried, key=variation)


def _evaluate(network: nn.Module, y: Tensor) -> Tensor:
    with network_arithmetic("auto", y.device):
        out: Tensor = network(y, y.new_zeros(len(y))).float()
        return out


def _patches(slices: list[Tensor], generator: torch.Generator) -> Tensor:
    """(B, 1, p, p) at random places, mirrored and turned at random."""

    def draw(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    side = min(_PATCH, *(min(s.shape) for s in slices))
    found = []
    for _ in range(_BATCH):
        image = slices[draw(len(slices))]
        y, x = draw(image.shape[0] - side + 1), draw(image.shape[1] - side + 1)
        patch = torch.rot90(image[y : y + side, x : x + side], draw(4))
        found.append(patch.flip(-1) if draw(2) else patch)
    return torch.stack(found)[:, None]
