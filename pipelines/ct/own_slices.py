"""The representation of a prior of CT, and a folder of one's own in it.

Contract of a prior of CT, which ``sciddm ct reconstruct`` relies on:

=================  =========================================================================
array              real, (1, y, x) float32: one slice, square pixels
units              HU, air -1000, with the noise of the dose that the folder's scans have
pixels             in mm; the model folder keeps the range that training saw, and results warn
                   outside of it
=================  =========================================================================

A folder holds volumes in HU: NIfTI, MetaImage, NRRD or DICOM series of CT. Slices with next to no
body in them are left out. Training sees crops, mirrored and turned by quarters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciddm.data_adapters.ct import open_ct
from sciddm.data_adapters.volume_files import READ_SUFFIXES
from sciddm.errors import InputError
from sciddm.pipelines.own_prior.items import CroppedItems, TrainingPart
from sciddm.pipelines.own_prior.prepared import Stack, load_prepared
from sciddm.pipelines.own_prior.sources import Kind, Source
from sciddm.pipelines.own_prior.split import Part

__all__ = ["KIND", "OwnCTSlices", "read_slices"]

KIND = Kind("ct", READ_SUFFIXES, modality="CT")

_LOWEST, _HIGHEST, _BODY_HU = -1024.0, 3071.0, -300.0
_LEAST_SHARE, _SQUARE = 0.05, 0.01
#: A volume of CT has air somewhere, magnitudes of MRI have none.
_AIR_HU = -200.0


def read_slices(source: Source) -> Stack:
    """The slices of a volume that show a body, (slice, y, x) in HU, and ``pixel_mm``.

    Raises:
        InputError: not HU, pixels that are not square, or unreadable.
    """
    volume = open_ct(source.path, source.series or None)
    hu = np.asarray(volume.values, np.float32)
    _, dy, dx = (float(v) for v in volume.attrs["voxel_size_mm"])
    if abs(dy - dx) > _SQUARE * max(dy, dx):
        raise InputError(f"{source.path}: pixels of {dy:g} x {dx:g} mm: resample to square ones")
    if float(hu.min()) > _AIR_HU:
        raise InputError(
            f"{source.path}: no value below {hu.min():.0f}: CT in HU has air at -1000; images of "
            "MRI belong to --domain mri"
        )
    hu = np.clip(hu, _LOWEST, _HIGHEST)
    return Stack(hu[(hu > _BODY_HU).mean((1, 2)) > _LEAST_SHARE], {"pixel_mm": (dy + dx) / 2})


class OwnCTSlices(CroppedItems):
    """Crops (1, crop, crop) in HU that show a body.

    Args:
        prepared, split, length, seed, crop: as of ``CroppedItems``.
    """

    def __init__(
        self,
        prepared: str,
        split: TrainingPart = "train",
        length: int = 2000,
        seed: int = 0,
        crop: int = 64,
    ) -> None:
        super().__init__(prepared, split, length, seed, crop)
        part: Part = split
        pixels = [entry.about["pixel_mm"] for entry in load_prepared(prepared).of(part)]
        self.representation = {
            "kind": "ct-prior",
            "units": "HU",
            "pixel_mm": [min(pixels), max(pixels)],
        }

    def item(self, values: NDArray[Any], rng: np.random.Generator) -> Tensor:
        """See ``PreparedItems``."""
        hu = self.cropped(
            values, rng, lambda part: bool((part > _BODY_HU).mean() > _LEAST_SHARE), empty=-1000.0
        )
        turned = np.rot90(hu, int(rng.integers(4)))
        return torch.from_numpy(np.ascontiguousarray(turned))[None]
