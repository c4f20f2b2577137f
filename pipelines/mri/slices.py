"""Posterior samples of one slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sciddm.classical.tv_measurement import starting_image
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.method_choice import OWN, MethodChoice
from sciddm.methods import Run
from sciddm.physics import CartesianMRI, Measurement, as_lines
from sciddm.physics.mri.encoding import EncodedSlice
from sciddm.pipelines.mri.settings import Settings
from sciddm.posterior import Posterior
from sciddm.random.streams import AntitheticStreams
from sciddm.sampling import Ancestral, karras, sample

__all__ = ["SliceChains", "reconstruct_slice"]

_ITEMS = 10_000  # identities of noise for each slice


def reconstruct_slice(
    denoiser: NetworkDenoiser,
    encoded: EncodedSlice,
    settings: Settings,
    seed: int,
    item: int,
    callback: Callable[..., None] | None = None,
    first: Tensor | None = None,
    choice: MethodChoice = OWN,
) -> Posterior:
    """Posterior of one slice: samples (K, 1, 1, y, x), in the prior's units.

    Sampling starts at an image of total variation, or what ``Settings.begin`` makes of it, plus
    noise of ``sigma_max``: the calibration lines fix whatever is coarser than that noise leaves
    visible. Samples come in antithetic pairs, one after the other, whose mean was 0.75 dB nearer
    the truth than that of independent ones. ``first`` is the image of total variation (1, 1, y, x)
    where it is there already. A ``choice`` of guidance draws all samples at once.

    Raises:
        InputError: a scan along a trajectory, and a model that was trained on Cartesian ones.
    """
    m = encoded.measurement
    turned = False
    if denoiser.sees_estimate:
        m, turned = _as_trained(m)
    if first is None:
        first = starting_image(m, settings.start)
    elif turned:
        first = first.mT
    chains = SliceChains(denoiser, as_lines(m), settings, seed, item, callback, choice)
    first = settings.begin(chains, first)
    # Pair by pair: a CPU is as fast with two items as with more, and every size of batch costs its
    # own preparation of the network, half a second each.
    own = range(settings.samples)
    count = 2 if choice.guidance is None else settings.samples
    drawn = torch.cat(
        [
            chains.draw(own[i : i + count], first, settings.steps, settings.sigma_max, before=i)
            for i in range(0, settings.samples, count)
        ]
    )
    return Posterior((drawn.mT if turned else drawn)[:, None])


class SliceChains:
    """Chains of one slice: its model and measurement, and noise of its own.

    Args:
        denoiser: the model.
        measurement: of the slice.
        settings: whose guidance the chains have.
        seed: of all noise.
        item: the slice's number.
        callback: called after every evaluation.
        choice: of another sampler or guidance.
    """

    def __init__(
        self,
        denoiser: NetworkDenoiser,
        measurement: Measurement,
        settings: Settings,
        seed: int,
        item: int,
        callback: Callable[..., None] | None = None,
        choice: MethodChoice = OWN,
    ) -> None:
        self.denoiser, self.measurement, self.settings = denoiser, measurement, settings
        self.choice = choice
        self.callback = callback or (lambda *_: None)
        self._seed, self._first_item = seed, item * _ITEMS

    def draw(
        self, items: Sequence[int], first: Tensor, steps: int, sigma: float, before: int = 0
    ) -> Tensor:
        """Samples (items, 1, y, x): from ``first`` and noise of ``sigma`` in ``steps`` steps.

        Args:
            items: numbers of the samples: what noise each has.
            first: image (1, 1, y, x).
            steps: noise levels after the first.
            sigma: the first level.
            before: samples that were drawn in the same way.
        """
        s, streams = self.settings, self._streams(items)
        start = first.expand(len(items), *first.shape[1:])
        x = start + sigma * streams.randn(start, step=2**31)
        grid = karras(self.denoiser.process, steps, sigma, s.sigma_min, rho=4)
        if self.choice.guidance is not None:
            step = None if self.choice.sampler is None else self.choice.step(Ancestral)
            run = Run(
                self.denoiser,
                self.measurement,
                x,
                grid,
                len(items),
                streams,
                callback=self.callback,
                step=step,
            )
            x = self.choice.draw(run)
        else:
            guided = s.guide(self.denoiser, self.measurement, first, grid, before)
            step = self.choice.step(Ancestral)
            x = sample(guided, x, grid, step, generator=streams, callback=self.callback)
        self.callback()  # the last level is no step
        return x

    def pair(self, number: int) -> list[int]:
        """Numbers of the two samples of the ``number``-th chain before the others."""
        return [_ITEMS - 2 - 2 * number + j for j in range(2)]

    def white(self, items: Sequence[int], like: Tensor) -> Tensor:
        """Noise of unit variance (items, 1, y, x) for an image (1, 1, y, x)."""
        return self._streams(items).randn(like.expand(len(items), *like.shape[1:]), step=2**31)

    def _streams(self, items: Sequence[int]) -> AntitheticStreams:
        return AntitheticStreams(self._seed, [self._first_item + i for i in items])


def _as_trained(m: Measurement) -> tuple[Measurement, bool]:
    """With the phase encoding along the rows, as models of estimates have seen scans; and whether
    that has turned it."""
    A = m.A
    if not isinstance(A, CartesianMRI):
        raise InputError(
            "this model was trained on Cartesian scans: along a trajectory take mri-brain"
        )
    columns = (A.mask == A.mask[..., :1, :]).all() and (A.mask != A.mask[..., :1]).any()
    if not bool(columns):
        return m, False
    maps = None if A.maps is None else A.maps.mT
    return Measurement(
        m.y.mT, CartesianMRI(A.mask.mT, maps), m.sigma, iterations=m.iterations
    ), True
