"""The representation of a prior of MRI, and a folder of one's own in it.

Contract of a prior of MRI, which ``sciddm mri reconstruct`` relies on:

=================  =========================================================================
array              complex, (1, y, x): one slice, the coils combined
units              bright tissue 1: the image over the bright level of its low resolution
phase              that of the low resolution is removed: near 0, smooth, of either sign
resolution         the scan's own, with the ringing of a k-space that ends
=================  =========================================================================

A folder holds magnitudes: volumes (NIfTI, MetaImage, NRRD), DICOM series, grey pictures, or full
k-space, whose coils are combined with the maps of its own centre. Every volume is divided by its
99.8th percentile, slices with next to nothing in them are left out, and phase, normalisation and
some variety of contrast and resolution are simulated at each draw (``image_simulation``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.data_adapters.dicom_series import MR, read_series
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.mri.open import open_kspace
from sciddm.data_adapters.pictures import PICTURES, read_pictures
from sciddm.data_adapters.volume_files import READ_SUFFIXES, read_volume
from sciddm.errors import InputError
from sciddm.pipelines.mri.image_simulation import ImageSimulation
from sciddm.pipelines.mri.retrospective import full_image, is_full
from sciddm.pipelines.own_prior.items import PreparedItems, TrainingPart
from sciddm.pipelines.own_prior.prepared import Stack
from sciddm.pipelines.own_prior.sources import Kind, Source

__all__ = ["KIND", "OwnSlices", "read_slices"]

_KSPACE = (".h5", ".mrd", ".dat", ".cfl")
_PICTURES = tuple(suffix for suffix in PICTURES if suffix != ".npy")
KIND = Kind("mri", (*READ_SUFFIXES, *_PICTURES, *_KSPACE), modality="MR")

#: Of a volume: what counts as bright, and a slice with less of what is not dark is left out.
_BRIGHT_PERCENTILE, _DARK, _LEAST_SHARE = 99.8, 0.08, 0.1
#: Part of the brightest by which interpolation makes a magnitude negative.
_UNDERSHOOT = 0.1


def read_slices(source: Source) -> Stack:
    """The slices of a source that show something, (slice, y, x), bright tissue about 1.

    Raises:
        InputError: not magnitudes, undersampled, or unreadable.
    """
    values = _magnitudes(source)
    bright = float(np.percentile(values, _BRIGHT_PERCENTILE))
    if not bright > 0:
        return Stack(values[:0])
    lowest = float(values.min())
    if lowest < -_UNDERSHOOT * bright:
        raise InputError(
            f"{source.path}: values down to {lowest:.4g} are no magnitudes of MRI: CT in HU "
            "belongs to --domain ct"
        )
    values = np.asarray(np.clip(values / bright, 0, None), np.float32)
    return Stack(values[(values > _DARK).mean((1, 2)) > _LEAST_SHARE])


class OwnSlices(PreparedItems):
    """Simulated complex images (1, crop, crop), complex64, of a run's slices.

    Args:
        prepared, split, length, seed: as of ``PreparedItems``.
        crop: side of the random crop in pixels; smaller slices lie in empty space.
        off_resonance, variety: as of ``ImageSimulation``.
        keep: RUN/data of a second folder, of the kind that the starting model was trained on.
        keep_share: how often its slices are drawn in training.
    """

    def __init__(
        self,
        prepared: str,
        split: TrainingPart = "train",
        length: int = 2000,
        seed: int = 0,
        crop: int = 96,
        off_resonance: float = 0.2,
        variety: float = 0.3,
        keep: str | None = None,
        keep_share: float = 0.25,
    ) -> None:
        super().__init__(prepared, split, length, seed)
        self.simulation = ImageSimulation(crop, off_resonance=off_resonance, variety=variety)
        mixes = keep is not None and split == "train"
        self.kept: Dataset[Any] | None = (
            OwnSlices(str(keep), "train", length, seed, crop, 0.4, 1.0) if mixes else None
        )
        self.keep_share = keep_share

    def __getitem__(self, index: int) -> Tensor:
        if self.kept is not None and float(torch.rand(())) < self.keep_share:
            other: Tensor = self.kept[index]
            return other
        own: Tensor = super().__getitem__(index)
        return own

    def item(self, values: NDArray[Any], rng: np.random.Generator) -> Tensor:
        """See ``PreparedItems``."""
        return self.simulation.simulate(torch.from_numpy(np.array(values, np.float32)), rng)


def _magnitudes(source: Source) -> NDArray[np.float32]:
    name = source.path.name.lower()
    if source.series:
        return _dicom(source.path, source.series)
    if name.endswith(_PICTURES):
        return read_pictures(source.path)
    if name.endswith(READ_SUFFIXES):
        return np.asarray(read_volume(source.path).values, np.float32)
    scan = open_kspace(source.path)
    if "trajectory" in scan or not is_full(scan):
        raise InputError(
            f"{source.path}: undersampled k-space: a prior is trained on full scans or images"
        )
    return full_image(scan)


@isolated
def _dicom(folder: Any, uid: str) -> NDArray[np.float32]:
    series = read_series(folder, uid, MR)
    values = np.empty(series.shape, np.float32)
    for index, plane, _ in series.values():
        values[index] = plane
    return values
