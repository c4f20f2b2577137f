"""The representation of a segmenter of PET/CT, and a folder of one's own in it.

Contract of a model of PET/CT, which ``sciddm petct segment`` relies on:

=================  =========================================================================
mask               (1, z, y, x): 1 in the tumour, -1 outside
images             (modality, z, y, x), PET in SUV and CT in HU as ``Representation`` scales them
grid               upright voxels of 3.27 x 2 x 2 mm (z, y, x), PET and CT resampled to it
field of view      the model folder keeps the largest and a usual one in mm; results refuse a
                   larger one
=================  =========================================================================

A folder holds studies with masks in the layout of HECKTOR, nnU-Net or AutoPET; see ``folders``. A
study's patient is its first folder (AutoPET), else its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sciddm.geometry.grid import Grid
from sciddm.pipelines.own_prior.items import TrainingPart
from sciddm.pipelines.own_prior.prepared import Stack, load_prepared
from sciddm.pipelines.own_prior.sources import Kind, Source
from sciddm.pipelines.own_prior.split import Part
from sciddm.pipelines.petct.folders import FolderStudies, find_cases
from sciddm.pipelines.petct.study import Study
from sciddm.pipelines.petct.training_data import StudyPatches, millimetres

__all__ = ["KIND", "OwnStudies", "find_studies", "grid_of_array", "read_study"]

SPACING_MM = (3.27, 2.0, 2.0)
KIND = Kind("petct", (".nii.gz",), word="patient", alone=True)


def find_studies(folder: Path, kind: Kind) -> list[Source]:
    """The studies of a folder; a source's path is the mask's.

    Raises:
        InputError: none in a layout that is known.
    """
    return [
        Source(case.mask, case.mask.relative_to(folder).as_posix()) for case in find_cases(folder)
    ]


def read_study(source: Source) -> Stack:
    """One item (3, z, y, x), float16: SUV, HU and mask on the model's grid."""
    root = source.path
    for _ in source.name.split("/"):
        root = root.parent
    studies = FolderStudies(root, SPACING_MM)
    (number,) = [k for k, case in enumerate(studies.cases) if case.mask == source.path]
    study = studies[number]
    return Stack(np.stack([study.suv, study.hu, study.mask])[None].astype(np.float16))


def grid_of_array(shape: Sequence[int]) -> Grid:
    """An upright grid of the model's voxels."""
    nz, ny, nx = shape
    return Grid(np.diag([*SPACING_MM[::-1], 1.0]), (nz, ny, nx))


class OwnStudies(StudyPatches):
    """Patches of a run's studies.

    Args:
        prepared: RUN/data, as ``own_prior.prepare`` wrote it.
        others: as of ``StudyPatches``.
    """

    def __init__(
        self,
        prepared: str,
        split: TrainingPart = "train",
        patch: Sequence[int] = (48, 80, 80),
        length: int = 2000,
        seed: int = 0,
        tumour: float = 0.7,
        representation: dict[str, Any] | None = None,
        augmentation: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(split, patch, length, seed, tumour, representation, augmentation)
        held, part = load_prepared(prepared), _part(split)
        self.arrays = [(entry.group, held.values(entry)[0]) for entry in held.of(part)]
        extents = [np.multiply(values.shape[1:], SPACING_MM) for _, values in self.arrays]
        self.seen = replace(
            self.seen,
            field_mm=millimetres(np.max(extents, axis=0)),
            crop_mm=millimetres(np.median(extents, axis=0)),
        )
        self.representation = self.seen.config

    def study(self, rng: np.random.Generator) -> Study:
        """See ``StudyPatches``."""
        name, values = self.arrays[int(rng.integers(len(self.arrays)))]
        suv, hu, mask = np.asarray(values)
        return Study(name, suv, hu, mask > 0, grid_of_array(mask.shape))


def _part(split: TrainingPart) -> Part:
    return split
