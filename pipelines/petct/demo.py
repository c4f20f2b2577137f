"""`sciddm demo petct`: a study of a thigh with a tumour that needs no file and no patient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sciddm.data_adapters.ct import save_ct
from sciddm.data_adapters.nifti import read_nifti
from sciddm.data_adapters.petct.images import save_volume
from sciddm.metrics.masks import mask_scores
from sciddm.pipelines.demonstration import show_job
from sciddm.pipelines.engine.batch import make_folder
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.summary import Fact
from sciddm.pipelines.petct.run import load_pipeline, segment_study
from sciddm.simulation.petct.phantom import thigh_phantom

__all__ = ["run_demo"]

_MODEL, _SEED = "petct-sarcoma", 0


def run_demo(folder: Path, quality: str) -> None:
    """Simulates a study and does what the command line would do with it.

    Writes ct/, a DICOM series; pet.nii.gz, in SUV; true.nii.gz, the tumour; and of the result
    mask.nii.gz with all that lies beside it, and mask.html, the report. Earlier ones of these
    names in the folder are replaced.

    Args:
        folder: made if it is not there.
        quality: fast, balanced or best.

    Raises:
        ModelError: the bundled model is missing.
        OutputError: the folder cannot be written.
    """
    load_pipeline(_MODEL)  # before anything is written
    make_folder(folder)
    phantom = thigh_phantom(_SEED)
    size = " x ".join(map(str, phantom.ct.shape))
    say("note", f"simulating a study, CT of {size} voxels")
    ct, pet, truth = folder / "ct", folder / "pet.nii.gz", folder / "true.nii.gz"
    target = folder / "mask.nii.gz"
    save_ct(phantom.ct, ct, description="thigh phantom", overwrite=True)
    save_volume(phantom.pet, pet, overwrite=True)
    save_volume(phantom.ct.copy(data=phantom.mask.astype(np.float32)), truth, overwrite=True)
    options = {
        "ct": str(ct),
        "model": _MODEL,
        "quality": quality,
        "samples": None,
        "threshold": 0.5,
        "seed": _SEED,
        "pet_series": None,
        "ct_series": None,
        "weight_kg": None,
        "dose_mbq": None,
        "rtstruct": False,
    }
    command = (
        f"sciddm petct segment --pet {pet} --ct {ct} -o {target} --seed {_SEED} --quality {quality}"
    )

    def facts() -> Iterator[Fact]:
        spacing = phantom.ct.attrs["voxel_size_mm"]
        found = mask_scores(read_nifti(target).values, phantom.mask, spacing)
        yield Fact("dice", "Dice with the truth", found["dice"], f"{found['dice']:.3f}")
        hd95 = found["hd95_mm"]
        yield Fact("hd95_mm", "HD95", hd95, f"{hd95:.1f} mm")

    show_job(
        pet,
        target,
        segment_study,
        options,
        command,
        page=folder / "mask.html",
        simulated=[ct, pet, truth],
        facts=facts,
    )
