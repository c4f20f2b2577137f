"""Crops of a run's prepared arrays, as a training asks for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from sciddm.pipelines.own_prior.prepared import load_prepared
from sciddm.pipelines.own_prior.split import Part

__all__ = ["VALIDATION_ITEMS", "CroppedItems", "PreparedItems", "TrainingPart"]

TrainingPart = Literal["train", "validate"]

#: Items that every validation sees.
VALIDATION_ITEMS = 64
_TRIES = 8  # at a crop that shows something


class PreparedItems(Dataset[Any]):
    """Items at random of all arrays of a part; every image is as likely as every other.

    Args:
        prepared: RUN/data, as ``prepare`` wrote it.
        split: "train" (endless variation) or "validate" (a fixed set).
        length: items per epoch (train).
        seed: with the item's index and the epoch's draw it fixes every random choice.
    """

    def __init__(
        self, prepared: str, split: TrainingPart = "train", length: int = 2000, seed: int = 0
    ) -> None:
        part: Part = split
        data = load_prepared(prepared)
        self.arrays = [data.values(entry) for entry in data.of(part)]
        self.ends = np.cumsum([len(values) for values in self.arrays])
        self.split, self.seed = split, seed
        self.length = length if split == "train" else VALIDATION_ITEMS

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        # Training draws a new seed each time (from torch's global generator, which Lightning
        # seeds and restores); validation items are the same every time.
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        rng = np.random.default_rng([self.seed, index, fresh])
        number = int(rng.integers(self.ends[-1]))
        which = int(np.searchsorted(self.ends, number, side="right"))
        first = self.ends[which - 1] if which else 0
        return self.item(self.arrays[which][number - first], rng)

    @abstractmethod
    def item(self, values: NDArray[Any], rng: np.random.Generator) -> Any:
        """A training item made of one image."""


class CroppedItems(PreparedItems):
    """Items that are crops of images.

    Args:
        prepared, split, length, seed: as of ``PreparedItems``.
        crop: side in pixels.
    """

    def __init__(
        self,
        prepared: str,
        split: TrainingPart = "train",
        length: int = 2000,
        seed: int = 0,
        crop: int = 64,
    ) -> None:
        super().__init__(prepared, split, length, seed)
        self.crop = crop

    def cropped(
        self,
        values: NDArray[Any],
        rng: np.random.Generator,
        shows: Callable[[NDArray[Any]], bool],
        empty: float = 0.0,
    ) -> NDArray[np.float32]:
        """A crop (crop, crop) at random, mirrored sideways half of the time.

        Args:
            values: (y, x).
            rng: of all choices.
            shows: whether a crop has something in it; some tries are made for one that has.
            empty: value where the image is smaller than the crop.
        """
        for _ in range(_TRIES):
            y, x = corner(values.shape, self.crop, rng)
            part = values[y, x]
            if shows(part):
                break
        square = np.full((self.crop, self.crop), empty, np.float32)
        square[: part.shape[0], : part.shape[1]] = part
        return square[:, ::-1] if rng.random() < 0.5 else square


def corner(shape: tuple[int, ...], side: int, rng: np.random.Generator) -> list[slice]:
    """The place of a crop, along the last two axes."""
    starts = [int(rng.integers(max(0, n - side) + 1)) for n in shape[-2:]]
    return [slice(start, start + side) for start in starts]
