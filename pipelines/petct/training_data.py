"""Training data of tumour segmentation: patches of studies, half of them about tumour.

Items are x0, the mask (1, z, y, x) in -1 and 1, and cond, the images (modality, z, y, x) as the
`Representation` has them. A patch one voxel high is an image: (1, y, x) and (modality, y, x).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.errors import InputError
from sciddm.pipelines.petct.augment import Augmentation, cut_patch
from sciddm.pipelines.petct.folders import FolderStudies
from sciddm.pipelines.petct.representation import Representation
from sciddm.pipelines.petct.sarcoma import sarcoma_studies
from sciddm.pipelines.petct.study import Study

__all__ = ["FolderPatches", "SarcomaPatches", "StudyPatches", "millimetres"]

Split = Literal["train", "validate"]
_FIXED = 32  # items of validation


class StudyPatches(Dataset[Any], ABC):
    """Random patches of studies; what the data sets share.

    Args:
        split: "train" (endless variation, changed by `Augmentation`) or "validate" (a fixed set).
        patch: (z, y, x) voxels.
        length: patches of an epoch.
        seed: with the item's index and the epoch's draw it fixes every random choice.
        tumour: share of patches whose middle is a voxel of tumour.
        representation: arguments of `Representation`; its window is the patch if not given.
        augmentation: arguments of `Augmentation`.
    """

    def __init__(
        self,
        split: Split,
        patch: Sequence[int],
        length: int,
        seed: int,
        tumour: float,
        representation: dict[str, Any] | None,
        augmentation: dict[str, Any] | None,
    ) -> None:
        nz, ny, nx = patch
        self.patch = (int(nz), int(ny), int(nx))
        self.split, self.seed, self.tumour = split, seed, tumour
        self.length = length if split == "train" else _FIXED
        self.seen = Representation(**{"window": self.patch, **(representation or {})})
        self.augmentation = Augmentation(**(augmentation or {})) if split == "train" else None
        self.representation = self.seen.config

    @abstractmethod
    def study(self, rng: np.random.Generator) -> Study:
        """One of the split's studies, at random."""

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        # Training draws a new seed each time (from torch's global generator, which Lightning
        # seeds and restores); validation items are the same every time.
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        rng = np.random.default_rng([self.seed, index, fresh])
        study = self.study(rng)
        centre = self._centre(study, rng)
        suv, hu, mask = cut_patch(study, self.patch, centre, rng, self.augmentation)
        x0, cond = mask[None], self.seen.channels(suv.numpy(), hu.numpy())
        if self.patch[0] == 1:
            x0, cond = x0[:, 0], cond[:, 0]
        return {"x0": x0.contiguous(), "cond": cond.contiguous()}

    def _centre(self, study: Study, rng: np.random.Generator) -> tuple[float, float, float]:
        """Index (z, y, x) of a patch's middle: a voxel of tumour, shifted, or any voxel."""
        size = np.asarray(study.mask.shape)
        if rng.random() < self.tumour and study.mask.any():
            places = np.flatnonzero(study.mask)
            at = np.asarray(np.unravel_index(rng.choice(places), study.mask.shape), float)
            at += (
                rng.uniform(-0.25, 0.25, 3) * np.asarray(self.patch) * (np.asarray(self.patch) > 1)
            )
        else:
            at = rng.uniform(0, size - 1)
        # Where the study is large enough the patch stays within it.
        half = np.asarray(self.patch) / 2 - 0.5
        low, high = half, size - 1 - half
        at = np.where(low > high, (size - 1) / 2, np.clip(at, low, np.maximum(low, high)))
        z, y, x = at
        return float(z), float(y), float(x)


class SarcomaPatches(StudyPatches):
    """Patches of the soft-tissue sarcoma studies.

    Args:
        root: folder of the real data; see `data_root`.
        train_patients: first and last number, both included.
        validate_patients: likewise.
        others: as of `StudyPatches`.
    """

    def __init__(
        self,
        root: str | None = None,
        split: Split = "train",
        patch: Sequence[int] = (48, 80, 80),
        length: int = 2000,
        seed: int = 0,
        tumour: float = 0.7,
        train_patients: Sequence[int] = (1, 36),
        validate_patients: Sequence[int] = (37, 42),
        representation: dict[str, Any] | None = None,
        augmentation: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(split, patch, length, seed, tumour, representation, augmentation)
        wanted = train_patients if split == "train" else validate_patients
        self.studies = [_compact(s) for s in sarcoma_studies(root, wanted)]
        # Crops round tumours, not bodies: what the model may be shown is no larger.
        extents = [np.multiply(s.mask.shape, s.grid.spacing_mm) for s in self.studies]
        field, crop = np.max(extents, axis=0), np.median(extents, axis=0)
        self.seen = replace(
            self.seen,
            field_mm=millimetres(field),
            crop_mm=millimetres(crop),
        )
        self.representation = self.seen.config

    def study(self, rng: np.random.Generator) -> Study:
        return self.studies[int(rng.integers(len(self.studies)))]


class FolderPatches(StudyPatches):
    """Patches of studies in a folder laid out as HECKTOR's or AutoPET's; see `folders`.

    Args:
        root: the folder.
        validate_every: one case in so many, in the order of their names, is for validation.
        cache: folder for the resampled studies; read once and kept there. Without it each patch
            reads its study anew.
        others: as of `StudyPatches`.
    """

    def __init__(
        self,
        root: str | None = None,
        split: Split = "train",
        patch: Sequence[int] = (48, 96, 96),
        length: int = 2000,
        seed: int = 0,
        tumour: float = 0.7,
        validate_every: int = 5,
        cache: str | None = None,
        representation: dict[str, Any] | None = None,
        augmentation: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(split, patch, length, seed, tumour, representation, augmentation)
        if root is None:
            raise InputError("data.arguments.root: name the folder of the studies")
        cases = FolderStudies(root, self.seen.spacing_mm, cache)
        if len(cases) < 2 or validate_every < 2:
            raise InputError(f"{root}: two cases at least are needed, one of them for validation")
        kept = [
            i
            for i in range(len(cases))
            if (i % validate_every == validate_every - 1) == (split == "validate")
        ]
        self.cases, self.kept = cases, kept or [len(cases) - 1]

    def study(self, rng: np.random.Generator) -> Study:
        return self.cases[self.kept[int(rng.integers(len(self.kept)))]]


def millimetres(sizes: NDArray[np.float64]) -> tuple[float, float, float]:
    z, y, x = (round(float(v), 1) for v in sizes)
    return z, y, x


def _compact(study: Study) -> Study:
    """As half floats: SUV to 0.1 %, HU to 1."""
    suv, hu = study.suv.astype(np.float16), study.hu.astype(np.float16)
    return Study(study.name, suv, hu, study.mask, study.grid)
