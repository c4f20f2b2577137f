"""Slices whose object is wider than the field of view: what a second set of maps shows is found
first and taken off the data; see ``physics.mri.second_set``."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from sciddm.classical.tv_measurement import starting_image
from sciddm.physics import CartesianMRI, Measurement
from sciddm.physics.mri.encoding import EncodedSlice
from sciddm.physics.mri.second_set import second_image

__all__ = ["overlap_remark", "separated"]

#: Turns of the first image, by total variation, and the second: .3 dB more by the fourth.
_TURNS = 4


def separated(encoded: EncodedSlice, iterations: int) -> tuple[EncodedSlice, Tensor, Tensor | None]:
    """A slice without what its second set of maps shows.

    Args:
        encoded: the slice.
        iterations: of each image of total variation.

    Returns:
        The slice, its image of total variation (1, 1, y, x), and the second image (1, 1, y, x),
        None without a second set.
    """
    m = encoded.measurement
    first = starting_image(m, iterations)
    if encoded.second is None or not isinstance(m.A, CartesianMRI):
        return encoded, first, None
    for _ in range(_TURNS):
        second, beside = second_image(m, first, encoded.second)
        rest = Measurement(m.y - beside * m.A.mask, m.A, m.sigma, iterations=m.iterations)
        first = starting_image(rest, iterations)
    frame = replace(encoded.frame, beside=beside)
    return replace(encoded, measurement=rest, frame=frame), first, second


def overlap_remark(slices: list[EncodedSlice]) -> str | None:
    """A sentence where an object reaches beyond the field of view."""
    worst = max((encoded.overlap for encoded in slices), default=0.0)
    if not worst:
        return None
    return (
        f"In {100 * worst:.0f} % of the object two places lie in one pixel: it is wider than the "
        "field of view and folds over its edge. A second set of coil maps separates them; the "
        "image shows both there."
    )
