"""Filtered back-projection, for comparison and where no prior is wanted."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sciddm.physics.fbp import Window
from sciddm.pipelines.ct.methods.base import Reconstruction, Tick
from sciddm.pipelines.ct.projections import Scan

__all__ = ["FilteredBackProjection"]


class FilteredBackProjection:
    """See `sciddm.physics.filtered_back_projection`."""

    steps = 1

    def __init__(self, scan: Scan, window: Window = "ram-lak") -> None:
        self.scan = scan
        self.window: Window = window
        self.attributes: dict[str, Any] = {}

    def __call__(self, p: Tensor, index: int, seed: int, tick: Tick) -> Reconstruction:
        image = self.scan.fbp(p, self.window)
        tick("")
        return Reconstruction(image)
