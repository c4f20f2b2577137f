"""Total variation of a scan (`classical.tv_weighted`): the classical iterative answer."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor

from sciddm.classical.tv_weighted import weighted_tv
from sciddm.errors import InputError
from sciddm.pipelines.ct.methods.base import Reconstruction, Tick
from sciddm.pipelines.ct.projections import Scan
from sciddm.pipelines.ct.settings import TVSettings

__all__ = ["WeightedTotalVariation"]

_AIR = -1000.0


class WeightedTotalVariation:
    """The method for scans.

    Args:
        scan: geometry, flux, and the image that is made.
        settings: weight and number of iterations.
    """

    def __init__(self, scan: Scan, settings: TVSettings) -> None:
        self.scan, self.settings = scan, settings
        self.steps = settings.iterations
        self.attributes = asdict(settings)

    @torch.no_grad()
    def __call__(self, p: Tensor, index: int, seed: int, tick: Tick) -> Reconstruction:
        try:
            start = self.scan.fbp(p, "hann").clamp(min=_AIR)[None]
        except InputError:  # too few views
            start = p.new_full((1, *self.scan.shape), _AIR)
        m = self.scan.measurement(p)
        image = weighted_tv(m, start, self.settings.weight, self.settings.iterations, tick)
        return Reconstruction(image[0])
