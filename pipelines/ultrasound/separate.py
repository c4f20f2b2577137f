"""Tissue and haze of one frame: samples of their joint posterior, in patches where it is large."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sciddm.companding import compand, expand_companded
from sciddm.denoiser import Denoiser
from sciddm.device import current
from sciddm.guidance import DPS, MMPS, Guided, PiGDM
from sciddm.ledger import Cost, tally
from sciddm.methods import SOLVERS
from sciddm.physics import NonlinearMeasurement
from sciddm.physics.ultrasound.mixing import CompandedSum
from sciddm.pipelines.ultrasound.settings import Settings
from sciddm.priors.joint import JointDenoiser
from sciddm.random.plane_streams import PlaneStreams
from sciddm.sampling import Ancestral, karras, sample

__all__ = ["Separated", "reconciled", "separate", "spans", "uncertainty"]

#: The steps under which the noise that sampling starts with, and its first guess, are drawn.
_START, _GUESS = 2**31, 2**31 + 1
#: Rows and columns of a patch, and how far neighbours overlap: some 10 %, as in the published work.
PATCH, OVERLAP = (768, 384), (72, 40)
_ALIGN = 8  # patches begin at multiples of the networks' stride

Tick = Callable[[], None]


@dataclass(frozen=True)
class Separated:
    """The two parts of a frame.

    Attributes:
        state: (K, 2, z, x) samples of tissue and haze, companded: where the next frame starts.
        residual: root mean square over samples of y - A(x, h), in units of `uncertainty`; counts
            only where `seen`.
        cost: of all samples.
    """

    state: Tensor
    residual: float
    cost: Cost


def separate(
    y: Tensor,
    prior: JointDenoiser,
    mixture: CompandedSum,
    settings: Settings,
    *,
    seed: int,
    seen: Tensor,
    before: Tensor | None = None,
    tick: Tick = lambda: None,
) -> Separated:
    """Samples of p(tissue, haze | y).

    Every patch has the noise that belongs to its place, so overlapping patches agree there but for
    what they see of their surroundings; they are cross-faded in units of amplitude.

    Args:
        y: (z, x), companded.
        prior: of the stacked state.
        mixture: how the parts make y.
        settings: how it is sampled.
        seed: of all noise; the same for all frames of a clip, so that what is uncertain does not
            flicker.
        seen: (z, x), where y is an image.
        before: the `state` of the frame before, (K, 2, z, x).
        tick: called after every step of every patch.
    """
    grid = grid_of(prior, settings, follows=before is not None)
    shape = y.shape
    # The first guess goes by statistics of neighbourhoods that SciPy computes, on the CPU.
    guess = _first_guess(y, mixture, settings, seed)
    if before is not None:
        guess = _midway(guess, before, mixture.mu)
    y, seen, guess = (v.to(current()) for v in (y, seen, guess))
    total = y.new_zeros(settings.samples, 2, *shape)
    weights = y.new_zeros(shape)
    with tally() as cost:
        for rows, columns, window in patches((shape[0], shape[1])):
            window = window.to(y.device)
            part = y[rows, columns][None, None].expand(settings.samples, -1, -1, -1)
            start = guess[..., rows, columns]
            measurement = NonlinearMeasurement(part, mixture, settings.noise)
            guided = guide(prior, measurement, settings)
            streams = PlaneStreams(
                seed, settings.samples, (rows.start, columns.start), antithetic=True
            )
            first = start + prior.process(grid[0])[2] * streams.randn(start, step=_START)
            drawn = sample(
                guided,
                first,
                grid,
                Ancestral() if settings.solver is None else SOLVERS[settings.solver].make(),
                generator=streams,
                callback=lambda *_: tick(),
            )
            amplitude = torch.cat(CompandedSum(1.0, mixture.mu).parts(drawn), dim=-3)
            total[..., rows, columns] += window * amplitude
            weights[rows, columns] += window
    state = compand(total / weights, mixture.mu)
    error = (y - mixture(state)[:, 0])[:, seen]
    residual = float(error.square().mean().sqrt()) / uncertainty(settings) if error.numel() else 0.0
    return Separated(reconciled(state, y, mixture, settings), residual, cost)


def reconciled(state: Tensor, y: Tensor, mixture: CompandedSum, settings: Settings) -> Tensor:
    """States that give the scan, by a Gauss-Newton step from where sampling leaves both parts,
    each known to sigma_min in companded units:

        x + J^T (J J^T + noise^2 / sigma_min^2)^-1 (y - A(x))

    What the parts lack together so goes to the stronger of them, whose amplitude is known less
    well. Haze, as the scan less tissue, would get all of it. A second step changes nothing that
    could be measured.

    Args:
        state: x, (K, 2, z, x).
        y: (z, x), companded.
        mixture: A, with the Jacobian J.
        settings: noise and sigma_min.
    """
    left = (settings.noise / settings.sigma_min) ** 2
    return state + mixture.linearised(state).ridge(y - mixture(state), left)


def uncertainty(settings: Settings) -> float:
    """How well y - A(x, h) is known to be 0, companded: to the noise, and to the level at which
    sampling leaves each of the parts."""
    out: float = (settings.noise**2 + 2 * settings.sigma_min**2) ** 0.5
    return out


def _first_guess(y: Tensor, mixture: CompandedSum, settings: Settings, seed: int) -> Tensor:
    """States (K, 2, z, x) of the whole frame, one per sample."""
    streams = PlaneStreams(seed, settings.samples, (0, 0), antithetic=True)
    like = torch.zeros(settings.samples, 2, *y.shape)
    return mixture.begin(y, streams.randn(like, step=_GUESS))


def _midway(guess: Tensor, before: Tensor, mu: float) -> Tensor:
    """Half the frame before, half this frame's own guess, in units of amplitude.

    Parts that cancel each other leave no trace in the scan. If a frame began with all of the one
    before, they would grow along the clip; this way they are halved with every frame.
    """
    return compand((expand_companded(guess, mu) + expand_companded(before, mu)) / 2, mu)


def grid_of(prior: Denoiser, settings: Settings, *, follows: bool) -> list[float]:
    """Times of the steps: to `sigma_min` from `sigma_max`, or from `sigma_follow`."""
    top = settings.sigma_follow if follows else settings.sigma_max
    steps = settings.follow_steps if follows else settings.steps
    return karras(prior.process, steps, top, settings.sigma_min, rho=4)


def guide(prior: Denoiser, measurement: NonlinearMeasurement, settings: Settings) -> Guided:
    """The prior with the likelihood step of the settings."""
    if settings.guidance == "dps":
        pixels = measurement.y.shape[-2] * measurement.y.shape[-1]
        return DPS(prior, measurement, settings.zeta * pixels**0.5)
    if settings.guidance == "pigdm":
        # Its intervals are calibrated on the published step; from where it starts, that is stable.
        return PiGDM(prior, measurement, overshoot=math.inf)
    return MMPS(prior, measurement, settings.krylov, settings.inflation)


def patches(shape: tuple[int, int]) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and cross-fading weight of every patch of a plane."""
    for rows in spans(shape[0], PATCH[0], OVERLAP[0]):
        for columns in spans(shape[1], PATCH[1], OVERLAP[1]):
            down = _fade(rows, shape[0], OVERLAP[0])
            yield rows, columns, down[:, None] * _fade(columns, shape[1], OVERLAP[1])


def spans(length: int, size: int, overlap: int) -> list[slice]:
    """Slices of at most ``size`` that cover 0..length and overlap by ``overlap`` at least."""
    if length <= size:
        return [slice(0, length)]
    count = -(-(length - overlap) // (size - overlap))
    step = -(-(length - overlap) // count)
    step -= step % _ALIGN
    starts = [i * step for i in range(count)]
    while starts[-1] + size < length:
        starts.append(starts[-1] + step)
    return [slice(s, min(s + size, length)) for s in starts]


def _fade(span: slice, length: int, overlap: int) -> Tensor:
    """1 inside, falling linearly towards borders that are not those of the plane."""
    weight = torch.ones(span.stop - span.start)
    ramp = (torch.arange(overlap) + 1.0) / (overlap + 1)
    if span.start > 0:
        weight[:overlap] *= ramp
    if span.stop < length:
        weight[-overlap:] *= ramp.flip(0)
    return weight
