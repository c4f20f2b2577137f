"""Blocks of pixels as channels, and back."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

__all__ = ["patches_of", "pixels_of"]


def patches_of(x: Tensor, patch: Sequence[int]) -> Tensor:
    """(B, C, n_1 p_1, ..., n_d p_d) -> (B, C p_1 ... p_d, n_1, ..., n_d).

    Channels are ordered as in ``torch.pixel_unshuffle``, which is the case p_1 = p_2 of two axes.
    """
    d = len(patch)
    for axis, p in zip(range(2, 2 + 2 * d, 2), patch, strict=True):
        x = x.unflatten(axis, (-1, p))
    inside = range(3, 3 + 2 * d, 2)
    return x.permute(0, 1, *inside, *(i - 1 for i in inside)).flatten(1, 1 + d)


def pixels_of(x: Tensor, patch: Sequence[int]) -> Tensor:
    """The inverse of ``patches_of``."""
    d = len(patch)
    x = x.unflatten(1, (-1, *patch))
    order = [axis for k in range(d) for axis in (2 + d + k, 2 + k)]
    x = x.permute(0, 1, *order)
    for k in range(d):
        x = x.flatten(2 + k, 3 + k)
    return x
