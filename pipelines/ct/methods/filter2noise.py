"""Filter2Noise (`classical.filter2noise`), trained on the volume that it denoises."""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.classical.filter2noise import Filtered, Trained
from sciddm.errors import InputError
from sciddm.geometry.slice_stack import SliceStack
from sciddm.pipelines.ct.methods.base import Estimate, Tick

__all__ = ["SelfTrainedFilter"]

_TRAINED_ON = 8  # slices of a volume at most
_FLOOR = 1e-6  # width of a filter that changes nothing


class SelfTrainedFilter:
    """The method for volumes: one filter, trained on slices of the volume itself.

    Args:
        stack: the volume.
        iterations: see `Trained`.
        seed: see `Trained`.
    """

    steps = 1

    def __init__(self, stack: SliceStack, iterations: int, seed: int) -> None:
        self.attributes = {"iterations": iterations}
        slices = [stack.slice(i) for i in range(0, len(stack), -(-len(stack) // _TRAINED_ON))]
        alive = [s for s in slices if float(s.max() - s.min()) > 0]
        if not alive:
            raise InputError(f"{stack.name}: the slices are constant: there is nothing to denoise")
        self._trained = Trained(alive, iterations=iterations, seed=seed)

    def __call__(self, stack: SliceStack, index: int, seed: int, tick: Tick) -> Estimate:
        image = stack.slice(index)
        found = self._trained(image) if float(image.max() - image.min()) > 0 else _untouched(image)
        tick("")
        names = ("sigma_x", "sigma_y", "sigma_r")
        return Estimate(found.image, maps={name: found.maps[:, i] for i, name in enumerate(names)})


def _untouched(image: Tensor) -> Filtered:
    """A constant slice, such as one of air, stays as it is."""
    return Filtered(image, torch.full((2, 3, *image.shape), _FLOOR).to(image))
