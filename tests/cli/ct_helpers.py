"""CT volumes to give to the command line, and a denoiser that needs no model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch.nn.functional import avg_pool2d, pad

from sciddm.data_adapters.ct import save_ct
from sciddm.geometry.slice_stack import SliceStack
from sciddm.pipelines.ct.methods.base import Estimate
from sciddm.pipelines.ct.pipeline_denoising import Denoising

SHAPE, PIXEL, THICK = (3, 48, 48), 4.0, 5.0


def disk_volume(seed: int = 0, noise: float = 20.0) -> xr.DataArray:
    """A disk of water with an insert, in whole HU, off the centre of the patient's axes."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]] - 23.5
    hu = np.where(np.hypot(y, x) < 20, 0.0, -1000.0)
    hu[np.hypot(y + 6, x - 4) < 5] = 60.0
    volume = np.repeat(hu[None], SHAPE[0], axis=0)
    volume += noise * np.random.default_rng(seed).standard_normal(SHAPE)
    affine = np.diag([-PIXEL, -PIXEL, THICK, 1.0])
    affine[:3, 3] = [94.0, 81.0, -12.0]
    attrs = {
        "units": "HU",
        "voxel_size_mm": [THICK, PIXEL, PIXEL],
        "affine": affine.tolist(),
        "orientation_known": True,
    }
    values = np.rint(volume).astype(np.float32)
    return xr.DataArray(values, dims=("z", "y", "x"), name="hu", attrs=attrs)


def write_series(folder: Path, seed: int = 0) -> xr.DataArray:
    """The volume as a DICOM series."""
    volume = disk_volume(seed)
    save_ct(volume, folder, description="disk")
    return volume


class BoxDenoiser:
    """The mean of 3 x 3 pixels, through the run that all methods share."""

    untrained: tuple[str, ...] = ()

    def __init__(self, shift: float = 0.0) -> None:
        self.calls: list[dict[str, Any]] = []
        self.shift = shift

    def open(self, volume: xr.DataArray, **options: Any) -> Denoising:
        self.calls.append(options)
        told = {k: options[k] for k in ("method", "quality", "seed", "strength")}
        told |= {"model": "box", "weights_sha256": "0" * 64}
        return Denoising(
            SliceStack(volume), lambda stack, seed: self, told, options.get("progress")
        )

    steps = 1

    @property
    def attributes(self) -> dict[str, Any]:
        return {"sampler": "none", "samples": 4, "steps": 1}

    def __call__(
        self, stack: SliceStack, index: int, seed: int, tick: Callable[[str], None]
    ) -> Estimate:
        image = stack.slice(index)
        smooth = avg_pool2d(pad(image[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
        tick("")
        maps = {"width": torch.full_like(image, 3.0)}
        return Estimate(smooth + self.shift, torch.full_like(image, 7.0), maps)
