"""The items of a training, each a function of the seed and of its place in the whole training.

Epoch e is a permutation of the data set drawn from (seed, e), and the item at a place draws all
that is random in it from (seed, place). So a training that goes on at a step is given the items
that it would have been given without a break, whatever the number of worker processes.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

__all__ = ["Batches", "NumberedItems", "SeededItems", "Stream", "derived_seed", "share"]


def derived_seed(*parts: int | str) -> int:
    """A seed of 63 bits that depends on all parts and on nothing else."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


class Stream(Sampler[tuple[int, int]]):
    """Pairs (place, index) without end.

    Args:
        length: of the data set.
        seed: of the training.
        start: the first place.
    """

    def __init__(self, length: int, seed: int, start: int = 0) -> None:
        self.length, self.seed, self.start = length, seed, start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        place, epoch, order = self.start, -1, [0]
        while True:
            if place // self.length != epoch:
                epoch = place // self.length
                generator = torch.Generator().manual_seed(derived_seed(self.seed, "epoch", epoch))
                order = torch.randperm(self.length, generator=generator).tolist()
            yield place, order[place % self.length]
            place += 1


def share(batch_size: int, rank: int, ranks: int) -> slice:
    """The part of a batch that one of several processes is handed; all parts make the batch."""
    return slice(batch_size * rank // ranks, batch_size * (rank + 1) // ranks)


class Batches(Sampler[list[tuple[int, int]]]):
    """One process's parts of the batches of a training, without end.

    Args:
        stream: all items of the training, in order.
        batch_size: of all processes together.
        rank, ranks: number of this process, and how many train together.
    """

    def __init__(self, stream: Stream, batch_size: int, rank: int = 0, ranks: int = 1) -> None:
        self.stream, self.batch_size = stream, batch_size
        self.part = share(batch_size, rank, ranks)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        items = iter(self.stream)
        while True:
            yield list(islice(items, self.batch_size))[self.part]


class SeededItems(Dataset[Any]):
    """A data set whose items are asked for by (place, index); each comes as (place, item).

    Args:
        items: the data set; whatever its items draw comes from the global generators of torch,
            NumPy and Python, which are as before afterwards.
        seed: of the training.
    """

    def __init__(self, items: Any, seed: int) -> None:
        self.items, self.seed = items, seed

    def __len__(self) -> int:
        assert isinstance(self.items, Sized)
        return len(self.items)

    def __getitem__(self, at: tuple[int, int]) -> Any:
        place, index = at
        seed = derived_seed(self.seed, "item", place)
        numbers, plain = np.random.get_state(), random.getstate()  # noqa: NPY002
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            try:
                return place, self.items[index]
            finally:
                np.random.set_state(numbers)  # noqa: NPY002
                random.setstate(plain)


class NumberedItems(Dataset[Any]):
    """The items of a data set with their numbers, (number, item).

    Args:
        items: the data set.
        numbers: those that are served.
    """

    def __init__(self, items: Any, numbers: range) -> None:
        self.items, self.numbers = items, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, at: int) -> Any:
        number = self.numbers[at]
        return number, self.items[number]
