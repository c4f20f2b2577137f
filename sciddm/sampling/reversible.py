"""Exact inversion: samplers whose steps can be undone to rounding.

DDIM run backwards evaluates the denoiser at the wrong end of each step, and misses. Two coupled
states make each step solvable for what came before. Both run in w = u/a with z^ = (w - D)/sigma; a
pair of states goes in and comes out, and the way back needs both.

References:
    Zhang, Niwa, Kleijn, Exact Diffusion Inversion via Bi-directional Integration Approximation
    (BDIA), 2023, eq. 19.
    Wallace, Gokul, Naik, EDICT: Exact Diffusion Inversion via Coupled Transformations, 2023,
        eq. 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser

__all__ = ["bdia", "edict", "invert_bdia", "invert_edict"]

Pair = tuple[Tensor, Tensor]


@torch.no_grad()
def bdia(denoiser: Denoiser, x: Tensor, grid: Sequence[float], gamma: float = 1.0) -> Pair:
    """Runs down ``grid``; returns the states at its last two times, the last one second.

        w_next = w_before - (1 - gamma)(w_before - w) - gamma (back - w) + (forth - w)

    with ``forth`` and ``back`` DDIM's steps from w to the next and to the last time, which share
    one evaluation. gamma = 1 is second order; gamma = .5 is better with 20 steps. The way back
    magnifies rounding by 1/gamma a step.

    Args:
        denoiser: of a process without an endpoint.
        x: state at ``grid[0]`` (B, ...).
        grid: decreasing times, two or more.
        gamma: in (0, 1].
    """
    _check(gamma)
    w = _to_w(denoiser, x, grid[0])
    before, w = w, _ddim(denoiser, w, grid[0], grid[1])
    for i in range(1, len(grid) - 1):
        back, forth = _both(denoiser, w, grid, i)
        before, w = w, before - (1 - gamma) * (before - w) - gamma * (back - w) + (forth - w)
    return _to_x(denoiser, before, grid[-2]), _to_x(denoiser, w, grid[-1])


@torch.no_grad()
def invert_bdia(denoiser: Denoiser, pair: Pair, grid: Sequence[float], gamma: float = 1.0) -> Pair:
    """What ``bdia`` started from: the states at the grid's first two times, from its result."""
    _check(gamma)
    w, after = _to_w(denoiser, pair[0], grid[-2]), _to_w(denoiser, pair[1], grid[-1])
    for i in range(len(grid) - 2, 0, -1):
        back, forth = _both(denoiser, w, grid, i)
        before = (after - (forth - w) + gamma * (back - w) - (1 - gamma) * w) / gamma
        w, after = before, w
    return _to_x(denoiser, w, grid[0]), _to_x(denoiser, after, grid[1])


@torch.no_grad()
def edict(denoiser: Denoiser, pair: Pair, grid: Sequence[float], mixing: float = 0.93) -> Pair:
    """Two states that evaluate each other; returns both at the last time.

    With d = sigma_r - sigma_t: w' = w + d z^(v), v' = v + d z^(w'), then w = p w' + (1 - p) v' and
    v = p v' + (1 - p) w. Two evaluations a step, and far less accurate than ``bdia``.

    Args:
        denoiser: of a process without an endpoint.
        pair: states at ``grid[0]``, usually twice the same.
        grid: decreasing times.
        mixing: p.
    """
    w, v = (_to_w(denoiser, x, grid[0]) for x in pair)
    for t, r in pairwise(grid):
        d = _sigma(denoiser, r) - _sigma(denoiser, t)
        w = w + d * _noise(denoiser, v, t)
        v = v + d * _noise(denoiser, w, t)
        w = mixing * w + (1 - mixing) * v
        v = mixing * v + (1 - mixing) * w
    return _to_x(denoiser, w, grid[-1]), _to_x(denoiser, v, grid[-1])


@torch.no_grad()
def invert_edict(
    denoiser: Denoiser, pair: Pair, grid: Sequence[float], mixing: float = 0.93
) -> Pair:
    """What ``edict`` started from."""
    w, v = (_to_w(denoiser, x, grid[-1]) for x in pair)
    for t, r in zip(grid[-2::-1], grid[:0:-1], strict=True):
        d = _sigma(denoiser, r) - _sigma(denoiser, t)
        v = (v - (1 - mixing) * w) / mixing
        w = (w - (1 - mixing) * v) / mixing
        v = v - d * _noise(denoiser, w, t)
        w = w - d * _noise(denoiser, v, t)
    return _to_x(denoiser, w, grid[0]), _to_x(denoiser, v, grid[0])


def _check(gamma: float) -> None:
    if not 0 < gamma <= 1:
        raise ValueError(f"gamma lies above 0 and is 1 at most, not {gamma}")


def _sigma(denoiser: Denoiser, t: float) -> float:
    return float(denoiser.process.sigma(t))


def _to_w(denoiser: Denoiser, x: Tensor, t: float) -> Tensor:
    if denoiser.process.has_endpoint:
        raise ValueError("inversion is for processes without an endpoint")
    return x / denoiser.process(t)[0]


def _to_x(denoiser: Denoiser, w: Tensor, t: float) -> Tensor:
    return denoiser.process(t)[0] * w


def _noise(denoiser: Denoiser, w: Tensor, t: float) -> Tensor:
    out: Tensor = (w - denoiser(_to_x(denoiser, w, t), t)) / _sigma(denoiser, t)
    return out


def _ddim(denoiser: Denoiser, w: Tensor, t: float, r: float) -> Tensor:
    return w + (_sigma(denoiser, r) - _sigma(denoiser, t)) * _noise(denoiser, w, t)


def _both(denoiser: Denoiser, w: Tensor, grid: Sequence[float], i: int) -> Pair:
    """DDIM's steps from time i to i - 1 and to i + 1, with one evaluation."""
    z = _noise(denoiser, w, grid[i])
    last, now, following = (_sigma(denoiser, grid[j]) for j in (i - 1, i, i + 1))
    return w + (last - now) * z, w + (following - now) * z
