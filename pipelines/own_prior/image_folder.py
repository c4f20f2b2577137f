"""A plain folder of images, for operators of one's own.

Contract of such a prior, which ``sciddm.sample_posterior`` takes:

=================  =========================================================================
array              real, (1, y, x) float32
units              integer pictures over the largest value of their type (8 and 16 bit become 0
                   to 1); floating point values as they are
size               one size for all images; training sees crops of it
=================  =========================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.data_adapters.pictures import PICTURES, read_pictures
from sciddm.errors import InputError
from sciddm.pipelines.own_prior.items import PreparedItems, TrainingPart, corner
from sciddm.pipelines.own_prior.prepared import Prepared, Stack
from sciddm.pipelines.own_prior.sources import Kind, Source, sources_of

__all__ = ["KIND", "ImageCrops", "ImageFolder", "check_one_size", "read_images"]

KIND = Kind("images", PICTURES, word="group", alone=True)


class ImageFolder(Dataset[Tensor]):
    """The images of a folder and its subfolders, (1, y, x) float32 each, in the order of names.

        truth = ImageFolder("discs")[0]

    Args:
        folder: of PNG, JPEG, BMP, TIFF, and .npy arrays (y, x) or (item, y, x).

    Raises:
        InputError: no image, a damaged one, or images of several sizes.
    """

    def __init__(self, folder: str | Path) -> None:
        sources = sources_of(Path(folder), KIND)
        stacks = [read_images(source).values for source in sources]
        named = [(s.name, v.shape[1:]) for s, v in zip(sources, stacks, strict=True)]
        _check(str(folder), named)
        self.images = torch.from_numpy(np.concatenate(stacks))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index][None]


class ImageCrops(PreparedItems):
    """Crops (1, crop, crop) of a run's images, mirrored and turned by quarters where asked for.

    Args:
        prepared, split, length, seed: as of ``PreparedItems``.
        crop: side in pixels.
        mirrors: mirror and turn at random; only where images are as likely that way.
    """

    def __init__(
        self,
        prepared: str,
        split: TrainingPart = "train",
        length: int = 2000,
        seed: int = 0,
        crop: int = 64,
        mirrors: bool = False,
    ) -> None:
        super().__init__(prepared, split, length, seed)
        self.crop, self.mirrors = crop, mirrors
        self.representation = {"kind": "images"}

    def item(self, values: NDArray[Any], rng: np.random.Generator) -> Tensor:
        """See ``PreparedItems``."""
        y, x = corner(values.shape, self.crop, rng)
        image = torch.from_numpy(np.array(values[y, x], np.float32))[None]
        if self.mirrors:
            image = torch.rot90(image, int(rng.integers(4)), (1, 2))
            image = image.flip(2) if rng.random() < 0.5 else image
        return image.contiguous()


def read_images(source: Source) -> Stack:
    """The images of a file, (item, y, x)."""
    return Stack(read_pictures(source.path))


def check_one_size(prepared: Prepared) -> None:
    """Raises InputError where images are of several sizes."""
    _check(prepared.source, [(entry.file, entry.shape[1:]) for entry in prepared.entries])


def _check(folder: str, named: list[tuple[str, tuple[int, ...]]]) -> None:
    first, size = named[0]
    other = next(((name, shape) for name, shape in named if shape != size), None)
    if other is not None:
        sizes = f"{_words(size)} ({first}) and {_words(other[1])} ({other[0]})"
        raise InputError(f"{folder}: images of {sizes}: crop or resample them to one size")


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
