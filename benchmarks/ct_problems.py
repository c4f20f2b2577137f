"""Problems of the CT benchmark: slices, what a low dose makes of them, and their projections.

    python -m benchmarks.ct_problems FOLDER [--tiny]     writes them as .npz

A slice is scanned by the standard fan beam (`physics.tomography.scanner`), its pixels split into
2 x 2 of the same value so that no method is given the very projector that made the data. A dose is
a fraction of the one that leaves 20 HU of noise in the middle of the body.

test    validation patients 037-042 of the STS slices, one slice each; two slices of the
        TotalSegmentator example and of the VTK head
tune    other slices of patients 037-040, 65 mm or more away: the parameters of classical methods;
        ours are chosen on slices of training patients
--tiny  two slices of the body phantom, 64 x 64, in their place: to try the benchmark itself
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.problems import data_root

if TYPE_CHECKING:
    from sciddm.physics import FanBeam, Projector

DOSES = (0.5, 0.25, 0.1)
SPARSE_VIEWS = 60
ELECTRONIC_SD = 10.0
SPLIT = 2
NEAR_MM = 6.0


@dataclass
class CTProblem:
    """One slice.

    Attributes:
        reference: (y, x) HU.
        images: (z, y, x) HU, the low-dose images of the slice and, where they are near, of its
            neighbours, each reference plus reconstructed noise, as an image of low dose has the
            resolution of one of full dose; of a sparse scan its FBP.
        fbp: (y, x) HU, filtered back-projection (Ram-Lak) of the sinogram, and of nothing else.
        sinogram: (view, cell), line integrals.
        angles: (view,), radians.
        beam: the other arguments of `FanBeam`.
        info: name, group, role ("test"/"tune"), kind ("dose"/"sparse"), dose, views, flux,
            middle (index of the slice in images), voxel_size_mm.
    """

    reference: NDArray[np.float32]
    images: NDArray[np.float32]
    fbp: NDArray[np.float32]
    sinogram: NDArray[np.float32]
    angles: NDArray[np.float64]
    beam: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def image(self) -> NDArray[np.float32]:
        """The slice's own low-dose image (y, x)."""
        return self.images[self.info["middle"]]

    def save(self, folder: Path) -> Path:
        arrays = {k: v for k, v in vars(self).items() if k not in ("beam", "info")}
        path = folder / f"{self.info['name']}.npz"
        np.savez(path, **arrays, about=json.dumps([self.beam, self.info]))
        return path

    @classmethod
    def load(cls, path: Path) -> CTProblem:
        with np.load(path) as file:
            arrays = {k: file[k] for k in file.files}
        beam, info = json.loads(str(arrays.pop("about")))
        return cls(**arrays, beam=beam, info=info)

    @property
    def setting(self) -> str:
        """What is asked: a dose, or so many views."""
        if self.info["kind"] == "sparse":
            return f"{self.info['views']} views"
        return f"{self.info['dose']:.0%} dose"

    def digest(self) -> str:
        """Identifies the data that a method saw and is scored by."""
        h = hashlib.sha256()
        for array in (self.reference, self.images, self.fbp, self.sinogram):
            h.update(np.ascontiguousarray(array).tobytes())
        return h.hexdigest()[:16]


def load_problems(folder: Path, role: str | None = None) -> list[CTProblem]:
    """All problems of a folder, by name; those of one role if given."""
    problems = [CTProblem.load(p) for p in sorted(Path(folder).glob("*.npz"))]
    return [p for p in problems if role is None or p.info["role"] == role]


@dataclass(frozen=True)
class _Case:
    """A slice with its neighbours (z, y, x) in HU."""

    name: str
    group: str
    role: str
    stack: NDArray[np.float32]
    middle: int
    voxel_size_mm: tuple[float, float, float]


def build(folder: Path, *, tiny: bool = False) -> None:
    """Writes all problems; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = list(_phantoms() if tiny else _real())
    wanted = set()
    for number, case in enumerate(cases):
        kinds: list[tuple[str, float, int | None]] = [("dose", dose, None) for dose in DOSES]
        kinds.append(("sparse", 1.0, SPARSE_VIEWS))
        for kind, dose, views in kinds:
            what = f"{views}-views" if views else f"{round(100 * dose):03d}"
            name = f"{case.role}-{case.name}-{what}"
            wanted.add(f"{name}.npz")
            if not (folder / f"{name}.npz").exists():
                _problem(case, name, kind, dose, views, seed=number).save(folder)
    for stale in folder.glob("*.npz"):
        if stale.name not in wanted:
            stale.unlink()


def _problem(
    case: _Case, name: str, kind: str, dose: float, views: int | None, seed: int
) -> CTProblem:
    import torch

    from sciddm.physics import filtered_back_projection
    from sciddm.physics.tomography.dose import low_dose_sinogram
    from sciddm.physics.tomography.scanner import VIEWS, full_dose_flux
    from sciddm.physics.tomography.units import MU_WATER, to_attenuation
    from sciddm.random.streams import Streams

    side = max(case.stack.shape[1:]) + max(case.stack.shape[1:]) % 2
    stack = _square(case.stack, side)
    pixel = case.voxel_size_mm[2]
    beam, projector, project = _scanner(side, pixel, views or VIEWS)
    fine = stack.repeat(SPLIT, axis=1).repeat(SPLIT, axis=2)
    slices = torch.from_numpy(fine)[:, None]
    p = project(to_attenuation(slices).clamp(min=0))
    middle = slices[case.middle : case.middle + 1, :, ::SPLIT, ::SPLIT]
    flux = float(full_dose_flux(middle, projector))
    items = [seed * 10 + k for k in range(len(stack))]
    low = low_dose_sinogram(p, dose * flux, ELECTRONIC_SD, Streams(11, items))

    def fbp(sinogram: Any) -> NDArray[np.float32]:
        image = filtered_back_projection(sinogram[:, 0], beam, (side, side), pixel)
        return (image * (1000 / MU_WATER)).numpy()

    reconstructed = fbp(low) - 1000
    images = reconstructed if kind == "sparse" else stack + fbp(low - p)
    return CTProblem(
        reference=stack[case.middle],
        images=images.astype(np.float32),
        fbp=reconstructed[case.middle].astype(np.float32),
        sinogram=low[case.middle, 0].numpy(),
        angles=np.array(beam.angles),
        beam={
            "cells": beam.cells,
            "pitch_mm": beam.pitch_mm,
            "source_axis_mm": beam.source_axis_mm,
            "source_detector_mm": beam.source_detector_mm,
            "detector": beam.detector,
        },
        info={
            "name": name,
            "group": case.group,
            "role": case.role,
            "kind": kind,
            "dose": dose,
            "views": beam.views,
            "flux": dose * flux,
            "middle": case.middle,
            "voxel_size_mm": list(case.voxel_size_mm),
        },
    )


@lru_cache(maxsize=2)
def _scanner(side: int, pixel: float, views: int) -> tuple[FanBeam, Projector, Projector]:
    """Beam, projector of the image, and that of the image with its pixels split."""
    from sciddm.physics import Projector
    from sciddm.physics.tomography.scanner import standard_beam

    beam = standard_beam((side, side), pixel, views)
    fine = SPLIT * side
    return (
        beam,
        Projector(beam, (side, side), pixel),
        Projector(beam, (fine, fine), pixel / SPLIT),
    )


def _square(stack: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """With air about it."""
    more = [(0, 0)]
    for n in stack.shape[1:]:
        more.append(((side - n) // 2, side - n - (side - n) // 2))
    return np.pad(stack, more, constant_values=-1000).astype(np.float32)


def _phantoms() -> list[_Case]:
    from sciddm.simulation.ct.phantom import body_phantom

    cases = []
    for role, seed in (("test", 0), ("test", 1), ("tune", 2)):
        body = body_phantom((64, 64), 3, seed=seed)
        size = tuple(body.attrs["voxel_size_mm"])
        cases.append(_Case(f"phantom{seed}", "phantom", role, body.values, 1, size))
    return cases


def _real() -> list[_Case]:
    import h5py

    folder = data_root() / "ct"
    cases = []
    with h5py.File(folder / "sts_ct_1mm_slices.h5") as file:
        for number in range(37, 43):
            item = file[f"STS_{number:03d}"]
            size = tuple(float(v) for v in item.attrs["spacing_zyx"])
            hu = 8 * item[:].astype(np.float32) - 1000
            middle = len(hu) // 2
            cases.append(_case(f"sts{number:03d}", "STS 1 mm", "test", hu, middle, size))
            if number <= 40:
                cases.append(_case(f"sts{number:03d}", "STS 1 mm", "tune", hu, middle - 2, size))
    hu, size = _nifti(folder / "totalsegmentator_example_ct_3mm.nii.gz")
    cases += [_case("totalseg", "TotalSegmentator", "test", hu, z, size) for z in _thirds(len(hu))]
    with h5py.File(folder / "vtk_headsq_quarter.h5") as file:
        size = tuple(float(v) for v in file.attrs["spacing_zyx"])
        hu = file["volume"][:].astype(np.float32) - 1024
    cases += [_case("head", "head", "test", hu, z, size) for z in _thirds(len(hu))]
    return cases


def _nifti(path: Path) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """A volume with the y axis towards the back and z towards the head, however it is stored."""
    import nibabel as nib

    image = nib.as_closest_canonical(nib.load(path))  # x right, y front, z head
    values = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)[:, ::-1, ::-1]
    x, y, z = (float(v) for v in image.header.get_zooms()[:3])
    return np.ascontiguousarray(values), (z, y, x)


def _case(
    name: str,
    group: str,
    role: str,
    hu: NDArray[np.float32],
    z: int,
    size: tuple[float, ...],
) -> _Case:
    near = [k for k in (z - 1, z, z + 1) if 0 <= k < len(hu)] if size[0] <= NEAR_MM else [z]
    stack = np.clip(hu[near[0] : near[-1] + 1], -1000, 3000)
    return _Case(f"{name}-{z}", group, role, stack, near.index(z), (size[0], size[1], size[2]))


def _thirds(count: int) -> tuple[int, int]:
    return count // 3, 2 * count // 3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    build(arguments.folder, tiny=arguments.tiny)
