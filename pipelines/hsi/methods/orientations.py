"""The eight orientations of an image, on a network's grid."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["turned", "turned_back"]

_SQUARE = 32


def turned(x: Tensor, turn: int) -> Tensor:
    """One of the eight orientations of images, padded to multiples of 32 pixels first.

    With whole squares the network's grid is the same in every orientation, and in every tile.
    """
    height, width = x.shape[-2:]
    margin = (0, -width % _SQUARE, 0, -height % _SQUARE)
    if turn and any(margin):
        x = torch.nn.functional.pad(x, margin, mode="replicate")
    x = torch.rot90(x, 2 * (turn & 1), (-2, -1))
    x = x.flip(-1) if turn & 2 else x
    return x.transpose(-2, -1) if turn & 4 else x


def turned_back(x: Tensor, turn: int, shape: torch.Size) -> Tensor:
    """Undoes `turned`."""
    x = x.transpose(-2, -1) if turn & 4 else x
    x = x.flip(-1) if turn & 2 else x
    x = torch.rot90(x, 2 * (turn & 1), (-2, -1))
    return x[..., : shape[-2], : shape[-1]]
