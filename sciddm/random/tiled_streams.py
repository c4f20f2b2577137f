"""Noise for items that are processed in tiles, the same where tiles overlap."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sciddm.random.streams import Streams, fold

__all__ = ["TiledStreams"]


class TiledStreams(Streams):
    """Noise that belongs to places along the last axis of an item, not to the tile it is in.

    The axis is divided into blocks of ``block`` places, each with a stream of its own.

    Args:
        seed: the run's seed.
        items: an identity for each tile's item; tiles of one item have the same.
        offsets: first place of each tile.
        block: places per stream.
    """

    def __init__(
        self, seed: int, items: Iterable[int], offsets: Iterable[int], block: int = 64
    ) -> None:
        super().__init__(seed, items)
        self.offsets = tuple(offsets)
        self.block = block
        if len(self.offsets) != len(self.items):
            raise ValueError(f"{len(self.offsets)} offsets for {len(self.items)} items")

    def randn(self, like: Tensor, step: int, draw: int = 0) -> Tensor:
        """Unit normal noise in the shape, type and place of ``like`` (B, ..., length)."""
        if like.shape[0] != len(self.items):
            raise ValueError(f"{len(self.items)} streams for a batch of {like.shape[0]}")
        length = like.shape[-1]
        tiles = []
        for item, offset in zip(self.items, self.offsets, strict=True):
            first, last = offset // self.block, (offset + length - 1) // self.block
            numbers = range(first, last + 1)
            places = Streams(self.seed, [fold(item, number) for number in numbers])
            shape = (len(numbers), *like.shape[1:-1], self.block)
            blocks = places.randn(torch.empty(shape, dtype=like.dtype), step, draw)
            row = blocks.movedim(0, -2).flatten(-2)
            begin = offset - first * self.block
            tiles.append(row[..., begin : begin + length])
        return torch.stack(tiles).to(like.device)
