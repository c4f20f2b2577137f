"""Studies in folders as the public challenges lay them out, in NIfTI with PET in SUV.

=========  ==========================================================================
layout     files
=========  ==========================================================================
HECKTOR    imagesTr/CASE__CT.nii.gz, imagesTr/CASE__PT.nii.gz, labelsTr/CASE.nii.gz
nnU-Net    imagesTr/CASE_0000.nii.gz (CT), imagesTr/CASE_0001.nii.gz (PET), labelsTr/CASE.nii.gz
AutoPET    PATIENT/STUDY/CTres.nii.gz, SUV.nii.gz, SEG.nii.gz
=========  ==========================================================================

Every label above 0 is tumour.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sciddm.data_adapters.nifti import read_nifti
from sciddm.errors import InputError
from sciddm.geometry.grid import Grid, common_grid, grid_of, resample
from sciddm.pipelines.engine.folders import files_below
from sciddm.pipelines.petct.representation import AIR_HU
from sciddm.pipelines.petct.study import Study

__all__ = ["Case", "FolderStudies", "find_cases"]

_PAIRS = (("__CT.nii.gz", "__PT.nii.gz"), ("_0000.nii.gz", "_0001.nii.gz"))


@dataclass(frozen=True)
class Case:
    """The files of a study."""

    name: str
    pet: Path
    ct: Path
    mask: Path


def find_cases(root: str | Path) -> list[Case]:
    """The cases of a folder that have all their files, by name.

    Raises:
        InputError: no such folder, or none in a layout that is known.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder: give that of the studies as data.arguments.root")
    cases = []
    for ct_end, pet_end in _PAIRS:
        for ct in sorted((root / "imagesTr").glob(f"*{ct_end}")):
            name = ct.name.removesuffix(ct_end)
            pet, mask = ct.with_name(name + pet_end), root / "labelsTr" / f"{name}.nii.gz"
            if pet.exists() and mask.exists():
                cases.append(Case(name, pet, ct, mask))
    masks = [place / "SEG.nii.gz" for place, names in files_below(root) if "SEG.nii.gz" in names]
    for mask in sorted(masks):
        pet, ct = mask.with_name("SUV.nii.gz"), mask.with_name("CTres.nii.gz")
        if pet.exists() and ct.exists():
            cases.append(Case("_".join(mask.parent.relative_to(root).parts), pet, ct, mask))
    if not cases:
        raise InputError(
            f"{root}: holds no studies: imagesTr/CASE__CT.nii.gz, imagesTr/CASE__PT.nii.gz and "
            "labelsTr/CASE.nii.gz (HECKTOR), _0000 and _0001 in their place (nnU-Net), or "
            "CTres, SUV and SEG.nii.gz in a folder for each study (AutoPET)"
        )
    return cases


class FolderStudies:
    """The studies of a folder on upright grids of one spacing.

    Args:
        root: see `find_cases`.
        spacing_mm: [z, y, x].
        cache: folder where resampled studies are kept; None to resample each time.
    """

    def __init__(
        self, root: str | Path, spacing_mm: tuple[float, float, float], cache: str | None = None
    ) -> None:
        self.cases = find_cases(root)
        self.spacing_mm = spacing_mm
        self.cache = None if cache is None else Path(cache)
        if self.cache is not None:
            self.cache.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Study:
        case = self.cases[index]
        if self.cache is None:
            return self._read(case)
        spacing = "x".join(f"{s:g}" for s in self.spacing_mm)
        kept = self.cache / f"{case.name}_{spacing}.npz"
        if not kept.exists():
            s = self._read(case)
            # Under a name of its own first: several workers may come upon the same case.
            draft = kept.with_name(f".{kept.stem}-{id(s):x}.npz")
            np.savez_compressed(
                draft, suv=s.suv.astype("f2"), hu=s.hu.astype("f2"), mask=s.mask, a=s.grid.affine
            )
            draft.replace(kept)
        with np.load(kept) as stored:
            mask = stored["mask"]
            nz, ny, nx = mask.shape
            grid = Grid(stored["a"], (nz, ny, nx))
            return Study(case.name, stored["suv"], stored["hu"], mask, grid)

    def _read(self, case: Case) -> Study:
        pet, ct, mask = (
            read_nifti(p).rename({"slice": "z"}) for p in (case.pet, case.ct, case.mask)
        )
        if float(pet.max()) > 1000 or float(pet.min()) < -100:
            raise InputError(
                f"{case.pet}: values from {float(pet.min()):.0f} to {float(pet.max()):.0f} are no "
                "SUV: convert PET to SUV first"
            )
        grid = common_grid(grid_of(pet), grid_of(ct), self.spacing_mm)
        suv = resample(pet.values, grid_of(pet), grid, method="spline")
        hu = resample(ct.values, grid_of(ct), grid, outside=AIR_HU)
        share = resample(mask.values > 0, grid_of(mask), grid)
        return Study(case.name, suv, hu, share > 0.5, grid)
