"""A denoiser that sees every image of a batch turned by its own number of quarter turns.

A network that was trained on turned images errs differently on each, so that the mean over all four
turns errs less, and a rotation of its input by 90 degrees hardly changes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.process import Scalar

__all__ = ["Turned"]


class Turned(Denoiser):
    """x -> M^-1 f(M x), M the rotation of each item.

    Args:
        denoiser: f, of images (B, C, y, x).
        turns: for each item of the batch the number of quarter turns, counter-clockwise.
    """

    def __init__(self, denoiser: Denoiser, turns: Sequence[int]) -> None:
        super().__init__()
        self.denoiser, self.turns = denoiser, tuple(n % 4 for n in turns)
        self.process, self.data_std = denoiser.process, denoiser.data_std

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        out = torch.empty_like(x_t)
        square = x_t.shape[-1] == x_t.shape[-2]
        # Half turns have the shape of the image, quarter turns that of its transpose.
        for group in ((0, 1, 2, 3),) if square else ((0, 2), (1, 3)):
            items = [i for i, turn in enumerate(self.turns) if turn in group]
            if not items:
                continue
            turns = [self.turns[i] for i in items]
            seen = [None if v is None else _turned(v[items], turns) for v in (x_t, y, cond)]
            assert seen[0] is not None
            estimate = self.denoiser(seen[0], t, seen[1], seen[2])
            out[items] = _turned(estimate, [-turn for turn in turns])
        return out


def _turned(images: Tensor, turns: Sequence[int]) -> Tensor:
    """(B, ..., y, x): each image turned by its own quarters."""
    return torch.stack(
        [torch.rot90(image, turn, (-2, -1)) for image, turn in zip(images, turns, strict=True)]
    )
