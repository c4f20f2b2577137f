"""Noise for images that are processed in tiles, the same where tiles overlap."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sciddm.random.streams import Streams, fold

__all__ = ["PlaneStreams"]


class PlaneStreams(Streams):
    """Noise that belongs to the pixels of a plane (the last two axes), not to a tile of it.

    The plane is divided into squares of ``block`` pixels, each with a stream of its own.

    Args:
        seed: the run's seed.
        items: an identity for each image of the batch; tiles of one image have the same.
        origin: (y, x) of the tile's first pixel in the plane.
        antithetic: item 2i + 1 gets item 2i's numbers with the other sign; see
            ``AntitheticStreams``.
        block: side of a square.
    """

    def __init__(
        self,
        seed: int,
        items: int | Iterable[int],
        origin: tuple[int, int],
        *,
        antithetic: bool = False,
        block: int = 32,
    ) -> None:
        super().__init__(seed, items)
        if min(origin) < 0:
            raise ValueError(f"a plane begins at (0, 0), before {origin}")
        self.origin = origin
        self.antithetic = antithetic
        self.block = block

    def randn(self, like: Tensor, step: int, draw: int = 0) -> Tensor:
        """Unit normal noise in the shape, type and place of ``like`` (B, ..., y, x)."""
        if like.shape[0] != len(self.items):
            raise ValueError(f"{len(self.items)} streams for a batch of {like.shape[0]}")
        out = torch.empty(like.shape, dtype=like.dtype)
        drawn: dict[int, Tensor] = {}
        for slot, item in zip(out, self.items, strict=True):
            source = item // 2 if self.antithetic else item
            if source not in drawn:
                drawn[source] = self._plane(slot, source, step, draw)
            slot.copy_(-drawn[source] if self.antithetic and item % 2 else drawn[source])
        return out.to(like.device)

    def _plane(self, like: Tensor, item: int, step: int, draw: int) -> Tensor:
        """One item's noise (..., y, x): whole squares, cropped."""
        side = self.block
        spans = []
        for first, length in zip(self.origin, like.shape[-2:], strict=True):
            spans.append(range(first // side, (first + length - 1) // side + 1))
        rows = []
        for i in spans[0]:
            squares = Streams(self.seed, [fold(item, i, j) for j in spans[1]])
            empty = torch.empty((len(spans[1]), *like.shape[:-2], side, side), dtype=like.dtype)
            rows.append(torch.cat(list(squares.randn(empty, step, draw)), dim=-1))
        whole = torch.cat(rows, dim=-2)
        y, x = (n % side for n in self.origin)
        return whole[..., y : y + like.shape[-2], x : x + like.shape[-1]]
