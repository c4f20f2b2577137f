"""Priors from measurements alone, by expectation maximisation.

For measurements y_i = A_i x_i + n_i of images that nobody has, each round does

    E: x_i ~ p_k(x | y_i)           one draw for each measurement, under the prior so far
    M: p_{k+1}                      the prior fitted to these draws

The likelihood of the measurements never falls. At the fixed point the draws have the law of the
prior: the truth, if the A_i together see all of it. Posterior *means* in place of draws have less
variance, and the prior shrinks in what each A_i leaves open, round after round.

The first prior is a stationary Gaussian (``priors.radial_gaussian``), for which both steps are
exact. Later ones are networks, sampled with MMPS. Rozet, Andry, Lanusse, Louppe: Learning Diffusion
Priors from Observations by Expectation Maximization, NeurIPS 2024, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from sciddm.denoiser import Denoiser
from sciddm.errors import InputError
from sciddm.guidance import MMPS
from sciddm.physics import Measurement
from sciddm.priors.radial_gaussian import RadialGaussian, radial_power
from sciddm.process import Process
from sciddm.random.streams import Streams
from sciddm.sampling import Ancestral, karras, sample
from sciddm.storage import write_durably

__all__ = ["Draws", "batches", "gaussian_prior", "mmps_draws", "write_draws"]

Batch = dict[str, Tensor]
Measure = Callable[[Batch], Measurement]

#: Step of the noise under which a chain starts.
_START = 2**31


def batches(items: Dataset[Any], size: int) -> Iterator[tuple[list[int], Batch]]:
    """Numbers and contents of the items of a data set, those of one shape together.

    Args:
        items: of measurements, each a dict of tensors.
        size: the largest batch.
    """
    numbers: list[int] = []
    content: list[Batch] = []
    for number in range(len(cast(Sized, items))):
        item = items[number]
        if content and (len(content) == size or _shapes(item) != _shapes(content[0])):
            yield numbers, default_collate(content)
            numbers, content = [], []
        numbers.append(number)
        content.append(item)
    if content:
        yield numbers, default_collate(content)


def mmps_draws(
    prior: Denoiser,
    measurement: Measurement,
    items: Sequence[int],
    *,
    seed: int,
    steps: int = 32,
    krylov: int = 3,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
) -> Tensor:
    """One draw of x given y for each measurement of a batch, by ancestral sampling with MMPS.

    Args:
        prior: of x, with a process without an endpoint.
        measurement: y (B, ...).
        items: an identity for each measurement, from which its noise follows.
        seed: of all noise.
        steps: noise levels.
        krylov: conjugate gradient steps of each evaluation, one VJP each.
        sigma_max, sigma_min: first and last level; the process's if not given.

    Returns:
        x (B, ...).
    """
    back = measurement.A.adjoint(measurement.y)
    streams = Streams(seed, items)
    grid = karras(prior.process, steps, sigma_max, sigma_min)
    a, _, s = prior.process(grid[0])
    # The level hides whatever a least-squares image has of aliasing and noise.
    first = measurement.A.solve(back, 10 * measurement.sigma**2, iterations=10)
    x = a * first + s * streams.randn(first, step=_START)
    return sample(MMPS(prior, measurement, krylov=krylov), x, grid, Ancestral(), generator=streams)


def gaussian_prior(
    items: Dataset[Any],
    measure: Measure,
    process: Process,
    *,
    rounds: int = 10,
    size: int = 64,
    seed: int = 0,
) -> RadialGaussian:
    """The stationary Gaussian prior that explains measurements best, by rounds of exact draws.

    Args:
        items: measurements.
        measure: makes a measurement of a batch of them.
        process: of the prior.
        rounds: of expectation maximisation.
        size: measurements at once.
        seed: of all draws.
    """
    prior: RadialGaussian | None = None
    for number in range(rounds + 1):
        images: list[Tensor] = []
        for numbers, batch in batches(items, size):
            m = measure(batch)
            back = m.A.adjoint(m.y)
            if prior is None:  # white, with the power of a least-squares image
                images += [m.A.solve(back, m.sigma**2, iterations=10)]
            else:
                streams = Streams(seed + number, numbers)
                draw = 0

                def randn(like: Tensor, streams: Streams = streams) -> Tensor:
                    nonlocal draw
                    draw += 1
                    return streams.randn(like, step=_START, draw=draw)

                images += [prior.posterior_draw(m, back, randn)]
        if not images:
            raise InputError("there are no measurements to learn a prior from")
        profile = radial_power(images)
        if prior is None:
            profile = torch.full_like(profile, float(profile.mean()))
        prior = RadialGaussian(process, profile)
    assert prior is not None
    return prior


def write_draws(
    items: Dataset[Any],
    measure: Measure,
    draw: Callable[[Measurement, list[int]], Tensor],
    folder: Path,
    split: str,
    size: int,
    after: Callable[[], None] = lambda: None,
) -> None:
    """The E step: a draw for each measurement, written batch by batch; those there are kept.

    Args:
        items: measurements.
        measure: makes a measurement of a batch of them.
        draw: draws x (B, ...), given the numbers of the items.
        folder: for the files.
        split: first part of their names.
        size: measurements at once.
        after: called when a batch is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for numbers, batch in batches(items, size):
        path = folder / f"{split}-{numbers[0]:06d}.safetensors"
        if not path.exists():
            images = draw(measure(batch), numbers).cpu()
            real = torch.view_as_real(images.resolve_conj()) if images.is_complex() else images
            name = "complex" if images.is_complex() else "real"
            write_durably(path, save({name: real.contiguous()}))
        after()


class Draws(Dataset[Any]):
    """Images that an E step has drawn, or any others in such files.

    Args:
        folder: of ``write_draws``.
        split: "train" or "validate".
        patch: side of the random crop of each image; None for whole images.
        mirror: axes of an item along which half of the images are mirrored, such as -1.
        seed: not used: what is random comes from the generator of the training.
    """

    def __init__(
        self,
        folder: str,
        split: Literal["train", "validate"] = "train",
        patch: int | None = None,
        mirror: Sequence[int] = (),
        seed: int = 0,
    ) -> None:
        self.images: list[Tensor] = []
        for path in sorted(Path(folder).glob(f"{split}-*.safetensors")):
            for name, values in load_file(path).items():
                self.images += [*(torch.view_as_complex(values) if name == "complex" else values)]
        if not self.images:
            raise InputError(f"{folder}: holds no draws of the split {split}")
        self.patch, self.mirror = patch, tuple(mirror)
        self.random = split == "train"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = self.images[index]
        if self.patch is not None:
            for axis in (-2, -1):
                room = image.shape[axis] - self.patch
                if room < 0:
                    raise InputError(f"patch {self.patch}: larger than {tuple(image.shape[-2:])}")
                first = int(torch.randint(room + 1, ())) if self.random else room // 2
                image = image.narrow(axis, first, self.patch)
        for axis in self.mirror if self.random else ():
            if torch.rand(()) < 0.5:
                image = image.flip(axis)
        return image


def _shapes(item: Batch) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in item.items()}
