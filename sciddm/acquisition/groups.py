"""Which data of an operator's range are measured together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Groups"]


class Groups:
    """Data (..., *range) in groups: all data that share their place along some axes of the range.

    Lines of k-space (coil, ky, kx) share their ky: axes (-2,). Single samples: axes (-2, -1).
    Views of a sinogram (..., view, bin): axes (-2,).

    Args:
        shape: of the range, such as (coil, ky, kx).
        axes: of the range, negative, whose places number the groups.
    """

    def __init__(self, shape: Sequence[int], axes: Sequence[int]) -> None:
        if not axes or any(not -len(shape) <= axis < 0 for axis in axes):
            raise ValueError(f"axes {tuple(axes)} are not negative axes of a range {tuple(shape)}")
        self.shape = tuple(shape)
        self.axes = tuple(sorted(axes))
        self.count = 1
        for axis in self.axes:
            self.count *= self.shape[axis]

    def split(self, data: Tensor) -> Tensor:
        """(N, G, D) of data (N, *range)."""
        if data.shape[1:] != self.shape:
            raise ValueError(f"data {tuple(data.shape)} are not of the range {self.shape}")
        ahead = tuple(range(1, 1 + len(self.axes)))
        moved = data.movedim(self.axes, ahead)
        return moved.reshape(len(data), self.count, -1)

    def mask(self, taken: Tensor) -> Tensor:
        """Bool mask that broadcasts against the range: true for data of groups taken (G,)."""
        if taken.shape != (self.count,):
            raise ValueError(f"{self.count} groups, but {tuple(taken.shape)} are marked")
        sizes = [n if i - len(self.shape) in self.axes else 1 for i, n in enumerate(self.shape)]
        return taken.to(torch.bool).reshape(sizes)
