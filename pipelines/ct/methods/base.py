"""What methods share: a slice in, an estimate in HU out.

A method is an object made ready for one volume or scan. Its `steps` say how often it calls `tick`
for a slice, its `attributes` are all that repeats the run. The index of a slice, with the seed,
fixes all random numbers, so that a slice's result does not depend on the others that are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from sciddm.geometry.slice_stack import SliceStack
from sciddm.posterior import Consistency

__all__ = ["Estimate", "Method", "Reconstruction", "SinogramMethod", "SliceMethod", "Tick"]

#: Called as tick(part) with what is being done.
Tick = Callable[[str], None]


@dataclass(frozen=True)
class Estimate:
    """One denoised slice.

    Attributes:
        values: (y, x), HU.
        std: its posterior standard deviation (y, x), HU, or None for methods that have none.
        maps: what the filter did, by name, each (..., y, x); {} for methods without maps.
    """

    values: Tensor
    std: Tensor | None = None
    maps: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Reconstruction:
    """One reconstructed slice.

    Attributes:
        values: (y, x), HU.
        std: as of an `Estimate`.
        consistency: its residual against the noise, or None where the noise plays no part.
    """

    values: Tensor
    std: Tensor | None = None
    consistency: Consistency | None = None


class Method(Protocol):
    """What all methods have; see above."""

    steps: int
    attributes: dict[str, Any]


class SliceMethod(Method, Protocol):
    """Denoises the slices of one volume."""

    def __call__(self, stack: SliceStack, index: int, seed: int, tick: Tick) -> Estimate:
        """The slice `index` of the volume."""
        ...


class SinogramMethod(Method, Protocol):
    """Reconstructs the slices of one scan."""

    def __call__(self, p: Tensor, index: int, seed: int, tick: Tick) -> Reconstruction:
        """The slice `index`, from its line integrals p (view, cell)."""
        ...
