"""A denoiser that sees every image of a batch mirrored in its own way.

A network that was trained on mirrored images errs differently on each, so that the mean of draws
that are mirrored in different ways errs less, at no cost.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.process import Scalar

__all__ = ["Mirrored"]

#: The axes that are reversed: none, x, y, both.
_WAYS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


class Mirrored(Denoiser):
    """x -> M f(M x), M the mirroring of each item; M is its own inverse.

    Args:
        denoiser: f.
        ways: for each item of the batch a number, of which the remainder by 4 decides: neither
            axis, x, y, or both are reversed.
    """

    def __init__(self, denoiser: Denoiser, ways: Sequence[int]) -> None:
        super().__init__()
        self.denoiser, self.ways = denoiser, tuple(ways)
        self.process, self.data_std = denoiser.process, denoiser.data_std

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        y = None if y is None else self._mirror(y)
        cond = None if cond is None else self._mirror(cond)
        return self._mirror(self.denoiser(self._mirror(x_t), t, y, cond))

    def _mirror(self, images: Tensor) -> Tensor:
        """(B, ..., y, x): each image reversed along its own axes."""
        return torch.stack(
            [
                image.flip(_WAYS[way % len(_WAYS)])
                for image, way in zip(images, self.ways, strict=True)
            ]
        )
