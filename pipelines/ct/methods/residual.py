"""Residual diffusion: from the low-dose image back to the full dose, in a few steps.

The process ends at the low-dose image y, so that sampling starts there instead of at noise, and the
network, which sees y and its neighbours at every step, predicts the residual y - x0 (ResShift, Yue
et al., 2023; RDDM, Liu et al., 2024). Each run is a draw of p(x0 | y), and their standard deviation
is the uncertainty.

The estimate is E[x0 | y], for which no draw is needed: the first evaluation of every run gives it,
since the state there is y and noise. Errors of the network add up along a run; on slices of
training patients the mean of 4, 8 or 16 draws in four steps had 3 to 5 % more error. A conditional
mean looks smoother than any scan; with a share g of what was taken away left in, as scanners blend
iterative reconstructions with filtered back-projections,

    x = E[x0 | y] + g (y - E[x0 | y])

its noise has more of a scan's texture, at an error that grows with g^2 E|y - E[x0 | y]|^2 only.

The steps are those of the probability flow: with few of them, draws of a Gaussian p(x0 | y) are
narrower than they should be, by .49 with three steps, .62 with four, and still more with ResShift's
own noisy ones. So their standard deviation, pooled over neighbours, has a factor (`settings`).

A network may keep noise of a texture that it does not know. So the noise is measured in the image
(`noise_texture`), a draw of it is added as a probe, and two estimates that smooth more take the
network's place as far as it keeps more of the probe than a scan of full dose would
(`noise_response`): the network's own of an image with stretched contrast, and the blend of that
with the one of halved images (`coarse_fine`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from sciddm.denoiser import NetworkDenoiser
from sciddm.device import to_device, to_numpy
from sciddm.errors import ModelError
from sciddm.geometry.slice_stack import SliceStack
from sciddm.method_choice import OWN, MethodChoice
from sciddm.physics.tomography.coarse_fine import (
    Noise,
    body_of,
    coarse,
    detail_share,
    disagreement,
    flat_tissue,
    leftover,
    measured_noise,
    noise_like,
)
from sciddm.physics.tomography.noise_texture import noise_texture
from sciddm.pipelines.ct.methods.base import Estimate, Tick
from sciddm.pipelines.ct.settings import ResidualSettings
from sciddm.posterior import Posterior
from sciddm.random.streams import AntitheticStreams, Streams
from sciddm.sampling import DDIM, sample, uniform
from sciddm.sampling.draws import draws, turned, turning_noise
from sciddm.uncertainty.noise_response import Candidate, mixture, true_level
from sciddm.uncertainty.pooled_std import pooled_std

__all__ = ["MeasuredSlice", "ResidualDiffusion", "most_noise"]

# The most noise of the training, 4 % of the full dose and no window: HU at pixels of 1 mm, and the
# power of larger pixels by which it grows (130 HU at 2 mm).
_MOST_NOISE, _GROWTH = 100.0, 0.4
_OTHER_PIXELS = 1.3  # times larger or smaller than all of the training
_AIR = -1000.0
_STRETCH = 1.5
_FEW = 2  # draws at each scale of the check: one antithetic pair
_SMALLEST = 32  # pixels a side
# The blend of scales begins and is full at so many times the most noise of the training; at other
# pixels where so many HU of noise are left in flat tissue.
_BLEND, _BLEND_LEFT = (0.85, 1.0), (6.0, 13.0)
_LEAST_DOSE = 0.04  # of the training, in full doses: that of the most noise
_PROBE = 0.2  # of the noise
_PROBE_STEP = 2**31 + 1  # that its noise is drawn under
_LEAST_STD = 3.0  # HU: what the draws do not see, as of rounding


@dataclass(frozen=True)
class MeasuredSlice:
    """What the check of a slice at two scales found.

    Attributes:
        noise: in flat tissue.
        left: noise that stayed in the estimate, HU.
        share: how far the blend of scales replaced the estimate, from 0 to 1.
    """

    noise: Noise
    left: float
    share: float


def most_noise(pixel_mm: float) -> float:
    """The most noise of an unfiltered reconstruction that the training held, HU.

    Pixels of unknown size (NaN) count as those of 1 mm.
    """
    larger = pixel_mm if pixel_mm > 1 else 1.0
    return _MOST_NOISE * float(larger**_GROWTH)


class ResidualDiffusion:
    """Draws of the full-dose slice.

    Args:
        model: its process ends at the low-dose image, HU.
        representation: `neighbours`, how many on each side it sees (1, or 0 if not there), and
            `condition_scale`, what they are divided by, in HU.
        settings: how often and in how many steps is drawn.
        choice: of another solver.

    Raises:
        ModelError: a model of another kind.
    """

    def __init__(
        self,
        model: NetworkDenoiser,
        representation: dict[str, Any],
        settings: ResidualSettings,
        choice: MethodChoice = OWN,
    ) -> None:
        if not model.process.has_endpoint or model.complex_data:
            raise ModelError(
                "denoising needs a model whose process ends at the low-dose image: take ct-denoise"
            )
        neighbours = representation.get("neighbours", 0)
        if neighbours not in (0, 1):
            raise ModelError(f"the model sees {neighbours} neighbours on each side, not 0 or 1")
        self.model, self.settings, self.choice = model, settings, choice
        self.neighbours = bool(neighbours)
        self.condition_scale = float(representation.get("condition_scale", 1.0))
        #: By number of the slice; none for slices that show too little of a body.
        self.measured: dict[int, MeasuredSlice] = {}
        self.pixels_mm: tuple[float, float] | None = representation.get("pixel_mm")
        self.grid = _grid(model, settings.steps)
        self.steps = settings.steps * settings.samples
        self.attributes = {**asdict(settings), "sampler": "DDIM, uniform in t", **choice.stamp()}

    @torch.no_grad()
    def __call__(self, stack: SliceStack, index: int, seed: int, tick: Tick) -> Estimate:
        triple = stack.with_neighbours(index)
        runs = self._runs(triple, index, seed, tick, self.grid, self.settings.samples)
        first, drawn = runs[:, 0], runs[:, 1]
        noisy = triple[1]
        mean, wider = self._checked(triple, first, stack, index, seed)
        std = self._std(drawn, wider) if len(drawn) > 1 else None
        return Estimate(mean + self.settings.grain * (noisy - mean), std)

    def _std(self, drawn: Tensor, wider: Tensor | float) -> Tensor:
        """sqrt(f^2 s^2 + s_0^2 + w), s^2 the variance of the draws, pooled over neighbours."""
        pooled = to_device(pooled_std(to_numpy(Posterior(drawn).std)))
        factor = self.settings.spread * self.settings.error
        out: Tensor = ((factor * pooled).square() + _LEAST_STD**2 + wider).sqrt()
        return out

    def _checked(
        self,
        triple: Tensor,
        first: Tensor,
        stack: SliceStack,
        index: int,
        seed: int,
    ) -> tuple[Tensor, Tensor | float]:
        """The estimate, mixed with smoother ones as far as it keeps noise that it should not, and a
        further variance, HU^2: the local power by which both scales differ, at other pixels.

        Args:
            first: the first evaluation of every draw (K, y, x).
        """
        mean = first.mean(0)
        if min(triple.shape[-2:]) < _SMALLEST:
            return mean, 0.0

        def denoised(images: Tensor, stretch: float, samples: int) -> Tensor:
            contrast = (images - _AIR) * stretch + _AIR
            few = self._runs(contrast, index, seed, lambda part: None, self.grid[:1], samples)
            return (few[:, 0] - _AIR) / stretch + _AIR

        def halved_of(images: Tensor, samples: int) -> Tensor:
            return coarse(images, lambda small: denoised(small, _STRETCH, samples))

        halves = halved_of(triple, _FEW)
        halved = halves.mean(0)
        body = body_of(halved)
        if body is None:
            return mean, 0.0
        stretched = denoised(triple, _STRETCH, _FEW)
        fine = stretched.mean(0)
        flat = flat_tissue(fine, halved, body)
        texture = noise_texture(to_numpy((triple[1] - halved).double()), flat, body)
        white = Streams(seed, [index]).randn(triple.new_empty(1, *texture.shape), _PROBE_STEP)
        probe = texture.draw(to_numpy(white[0].double()))
        probed = _with(triple, _PROBE * torch.from_numpy(probe).to(triple))

        def response(after: Tensor, before: Tensor) -> Tensor:
            return (after - before) / _PROBE

        detail = detail_share(fine, halved, body)
        of_halved = response(halved_of(probed, 1)[0], halves[0])
        of_fine = response(denoised(probed, _STRETCH, 1)[0], stretched[0])
        level = true_level(to_numpy(of_halved.double()), probe, body)
        noise = measured_noise(triple[1], halved, flat)
        pixel_mm = stack.spacing[2] if stack.spacing else math.nan
        beyond = noise.unfiltered / most_noise(pixel_mm)
        blend = halved + detail * (fine - halved)
        least, other = _part(beyond, _BLEND), self._other_pixels(pixel_mm)
        if other:
            left = leftover(triple[1], fine, halved, flat)
            by_left = _part(left * noise_like(left, mean, blend, body), _BLEND_LEFT)
            least = max(least, by_left)
        mixed = mixture(
            Candidate(mean, response(denoised(probed, 1.0, 1)[0], first[0])),
            [
                Candidate(fine, of_fine),
                Candidate(blend, of_halved + detail * (of_fine - of_halved)),
            ],
            probe=probe,
            level=level,
            wanted=min(1.0, _LEAST_DOSE / max(level * beyond, 1e-3) ** 2),
            where=body,
            least=least,
        )
        self.measured[index] = MeasuredSlice(noise, mixed.left * noise.sd, mixed.share)
        wider: Tensor | float = 0.0
        if other:
            wider = torch.from_numpy(disagreement(mixed.estimate, halved) * body).to(mean)
        return mixed.estimate, wider

    def _other_pixels(self, pixel_mm: float) -> bool:
        """Whether pixels are unlike those of the training, so that noise has other textures."""
        if self.pixels_mm is None or not pixel_mm > 0:
            return False
        low, high = self.pixels_mm
        return not low / _OTHER_PIXELS <= pixel_mm <= high * _OTHER_PIXELS

    def _runs(
        self,
        triple: Tensor,
        index: int,
        seed: int,
        tick: Tick,
        grid: list[float],
        samples: int,
    ) -> Tensor:
        """(samples, 2, y, x): of every run the first evaluation, and the draw it ends with."""
        y = triple[1][None, None]
        cond = triple[None, [0, 2]] / self.condition_scale if self.neighbours else None

        def sampler(
            end: Tensor, streams: AntitheticStreams, callback: Callable[..., None]
        ) -> Tensor:
            first: list[Tensor] = []

            def told(step: int, steps: int, x: Tensor, estimate: Tensor) -> None:
                if step == 1:
                    first.append(estimate)
                callback()

            x = self.model.process.prior(turning_noise(streams, end), end, grid[0])
            drawn = sample(
                turned(self.model, streams),
                x,
                grid,
                self.choice.step(DDIM),
                generator=streams,
                y=end,
                cond=None if cond is None else cond.expand(len(end), -1, -1, -1),
                callback=told,
            )
            # A single evaluation is first and last.
            return torch.cat([first[0] if first else drawn, drawn], dim=1)

        return draws(y, samples, index, seed, tick, sampler)


def _with(triple: Tensor, probe: Tensor) -> Tensor:
    """The slices with a probe in the middle one, and where it stands for a missing neighbour."""
    middle = triple[1]
    return torch.stack([s + probe if torch.equal(s, middle) else s for s in triple])


def _part(value: float, ends: tuple[float, float]) -> float:
    """Where a value lies between two others: 0 up to the first, 1 from the second on."""
    start, full = ends
    return min(1.0, max(0.0, (value - start) / (full - start)))


def _grid(model: NetworkDenoiser, evaluations: int) -> list[float]:
    """Times of the evaluations; a single one is at the end, where x0 is not seen but through y."""
    process = model.process
    return uniform(process, evaluations - 1) if evaluations > 1 else [process.t_max]
