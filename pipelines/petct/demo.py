"""What ``sciddm demo petct`` simulates: a study of a thigh with a tumour, no file, no patient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sciddm.data_adapters.ct import save_ct
from sciddm.data_adapters.nifti import read_nifti
from sciddm.data_adapters.petct.images import save_volume
from sciddm.metrics.masks import mask_scores
from sciddm.pipelines.engine.domain import Example
from sciddm.pipelines.engine.summary import Fact
from sciddm.simulation.petct.phantom import thigh_phantom

__all__ = ["simulate"]

_SEED = 0


def simulate(folder: Path) -> Example:
    """Writes ct/, a DICOM series; pet.nii.gz, in SUV; and true.nii.gz, the tumour."""
    phantom = thigh_phantom(_SEED)
    ct, pet, truth = folder / "ct", folder / "pet.nii.gz", folder / "true.nii.gz"
    target = folder / "mask.nii.gz"
    save_ct(phantom.ct, ct, description="thigh phantom", overwrite=True)
    save_volume(phantom.pet, pet, overwrite=True)
    save_volume(phantom.ct.copy(data=phantom.mask.astype(np.float32)), truth, overwrite=True)

    def agreement() -> Iterator[Fact]:
        spacing = phantom.ct.attrs["voxel_size_mm"]
        scores = mask_scores(read_nifti(target).values, phantom.mask, spacing)
        yield Fact("dice", "Dice with the truth", scores["dice"], f"{scores['dice']:.3f}")
        hd95 = scores["hd95_mm"]
        yield Fact("hd95_mm", "HD95", hd95, f"{hd95:.1f} mm")

    return Example(pet, target, (ct, pet, truth), {"ct": ct, "seed": _SEED}, agreement, truth)
