"""The score of noisy images, learned from the noisy images themselves.

A small network s learns the score l'(y) = d log p(y) / dy as an amortised residual denoising
autoencoder (Lim et al., 2020):

    min E |sigma s(y + sigma u) + u|^2,      u ~ N(0, I), sigma falling during training

No clean image is seen. With Tweedie's formulas (`tweedie`) it gives Noise2Score (Kim and Ye, 2021).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sciddm.networks import UNet
from sciddm.precision import network_arithmetic
from sciddm.random.streams import fold

__all__ = ["Score", "learn_score", "least_variation"]

_PATCH, _BATCH = 64, 8
# The noise that training adds, in units of the data's own, at the start and at the end.
_ANNEALED = (0.5, 0.05)

Score = Callable[[Tensor], Tensor]
_FIRST, _TRAIN = 0, 1


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
    network.to(slices[0].device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=iterations)
    centre = float(torch.cat([s.flatten() for s in slices]).mean())
    unit = [(s - centre) / level for s in slices]
    for i in range(iterations):
        y = _patches(unit, generator)
        first, last = _ANNEALED
        sigma = first * (last / first) ** (i / max(1, iterations - 1))
        u = torch.randn(y.shape, generator=generator).to(y)
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
    patches = []
    for _ in range(_BATCH):
        image = slices[draw(len(slices))]
        y, x = draw(image.shape[0] - side + 1), draw(image.shape[1] - side + 1)
        patch = torch.rot90(image[y : y + side, x : x + side], draw(4))
        patches.append(patch.flip(-1) if draw(2) else patch)
    return torch.stack(patches)[:, None]
