"""The probability of a mask on the model's grid: draws of a diffusion, or one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from sciddm.denoiser import NetworkDenoiser
from sciddm.method_choice import OWN, MethodChoice
from sciddm.methods import SOLVERS
from sciddm.pipelines.petct.representation import Representation
from sciddm.pipelines.petct.settings import Settings
from sciddm.priors.segmenter import Segmenter
from sciddm.priors.windowed import WindowedDenoiser, in_windows
from sciddm.random.streams import Streams
from sciddm.sampling import DDIM, karras, sample

__all__ = ["DiffusionDraws", "OneEvaluation", "Source", "windows_of"]

Tick = Callable[[int], None]  # called with the number of windows that were evaluated
_IMAGES = 16  # of a network for images in one evaluation


class Source(Protocol):
    """Where probabilities come from: iterating gives one map (z, y, x) per sample."""

    attributes: dict[str, Any]

    def __call__(self, cond: Tensor, seed: int, tick: Tick) -> Iterator[Tensor]: ...

    @property
    def evaluations(self) -> int:
        """Of the network on each window, over all samples."""
        ...


class DiffusionDraws:
    """K masks drawn by DDIM, each of the study mirrored in another way.

    Sample k is drawn for the images mirrored along the axes that the bits of k name, and mirrored
    back: the network was trained on mirror images, so what it does with them is as likely, and
    where it differs it is not to be trusted.

    Args:
        model: a diffusion of masks.
        seen: its representation.
        settings: what is spent.
        choice: of another solver.
    """

    def __init__(
        self,
        model: NetworkDenoiser,
        seen: Representation,
        settings: Settings,
        choice: MethodChoice = OWN,
    ) -> None:
        self.model, self.seen, self.settings, self.choice = model, seen, settings, choice
        self.attributes = {
            "sampler": "DDIM",
            "steps": settings.steps,
            "samples": settings.samples,
            **choice.stamp(),
        }

    @property
    def evaluations(self) -> int:
        name = self.choice.sampler
        each = 1 if name is None else SOLVERS[name].evaluations
        return self.settings.samples * (each * (self.settings.steps - 1) + 1)

    def __call__(self, cond: Tensor, seed: int, tick: Tick) -> Iterator[Tensor]:
        """One map of P(tumour) per sample, for images (modality, z, y, x)."""
        s, process = self.settings, self.model.process
        window = self.seen.window
        windowed = WindowedDenoiser(self.model, window, s.overlap, _batch(window), tick)
        if s.steps > 1:
            grid = karras(process, s.steps - 1, self.seen.sigma_start, self.seen.sigma_end)
        else:
            grid = [process.time(self.seen.sigma_start)]
        for k in range(s.samples):
            axes = [1 + i for i in range(3) if (k >> (2 - i)) & 1]  # 1: x, 2: y, 4: z
            images = cond.flip(axes)[None] if axes else cond[None]
            streams = Streams(seed, [k])
            like = images[:, :1]
            # The state at the start: what is left of the mask is below the noise by sigma_start.
            x = process.prior(streams.randn(like, -1), t=grid[0])
            step = self.choice.step(DDIM)
            x0 = sample(windowed, x, grid, step, generator=streams, cond=images)[0]
            x0 = x0.flip(axes) if axes else x0
            yield ((x0[0] + 1) / 2).clamp(0, 1)


class OneEvaluation:
    """The probability a segmenter gives, as the one sample.

    Args:
        model: the segmenter.
        seen: its representation.
        settings: its overlap is used.
    """

    def __init__(self, model: Segmenter, seen: Representation, settings: Settings) -> None:
        self.model, self.seen, self.overlap = model, seen, settings.overlap
        self.attributes = {"sampler": "none", "steps": 1, "samples": 1}

    @property
    def evaluations(self) -> int:
        return 1

    @torch.no_grad()
    def __call__(self, cond: Tensor, seed: int, tick: Tick) -> Iterator[Tensor]:
        """One map of P(tumour)."""
        window = self.seen.window
        x0 = in_windows(self.model, cond[None], window, self.overlap, _batch(window), tick)
        yield ((x0[0, 0] + 1) / 2).clamp(0, 1)


def _batch(window: tuple[int, ...]) -> int:
    return _IMAGES if window[0] == 1 else 1


def windows_of(shape: tuple[int, ...], window: tuple[int, ...], overlap: float) -> int:
    """Number of windows over a volume, as `in_windows` lays them."""
    count = 1
    for n, w in zip(shape, window, strict=True):
        size = min(n, w)
        # MONAI's interval: the whole window where it covers the axis or has no room to overlap.
        step = size if size == n else max(1, int(size * (1 - overlap)))
        count *= 1 + max(0, -(-(n - size) // step))
    return count
