"""The problems of the MRI benchmark, as files that every method reads.

Simulated: slices of the validation patients, 8 coils, complex noise at 30 dB, 1D random masks with
16 calibration lines, R = 4 and 8; the reference is the noise-free magnitude. The validation
patients have no T2 with the skull on: the T2 slice is of patient 19 of the skull-stripped set.
Tuning slices are of the same scans, 30 mm or more from the slices of the test.

Real: the fully sampled 16-channel scan, undersampled afterwards, R = 4 and 6, four masks each. Its
reference is the fully sampled k-space combined with ESPIRiT maps of all of it,
|sum_c conj(s_c) x_c| with sum_c |s_c|^2 = 1: it holds the scan's own noise.

Every method gets the same whitened k-space, the same maps and the same noise level, as our own
pipeline estimates them from the undersampled data (``prepare``). What differs is the prior and the
algorithm.

    python -m benchmarks.problems FOLDER          write them
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

COILS, SNR_DB, ACS = 8, 30.0, 16
SIMULATED_R, REAL_R, REAL_MASKS = (4, 8), (4, 6), (0, 1, 2, 3)

#: (set, patient, contrast, study, slice): test slices at the level of the ventricles or basal
#: ganglia with one above and one below, and tuning slices of the same scans, further away. One
#: slice and mask alone can be 2 dB away from the mean of several.
TEST = (
    ("axial", "09", "FLAIR", "study2", 22),
    ("axial", "19", "FLAIR", "study2", 28),
    ("axial", "19", "T1W", "study2", 28),
    ("mni", "19", "T2", "", 14),
    ("axial", "09", "FLAIR", "study2", 18),
    ("axial", "09", "FLAIR", "study2", 26),
    ("axial", "19", "FLAIR", "study2", 24),
    ("axial", "19", "FLAIR", "study2", 32),
    ("axial", "19", "T1W", "study2", 24),
    ("axial", "19", "T1W", "study2", 32),
    ("mni", "19", "T2", "", 11),
    ("mni", "19", "T2", "", 17),
)
TUNE = (
    ("axial", "09", "FLAIR", "study2", 7),
    ("axial", "19", "FLAIR", "study2", 44),
    ("axial", "19", "T1W", "study2", 13),
    ("mni", "19", "T2", "", 22),
)


@dataclass
class Problem:
    """One undersampled slice and its reference.

    Attributes:
        raw: measured k-space (coil, ky, kx), units of the file, 0 where not sampled.
        mask: (ky, kx) bool.
        kspace: whitened k-space (coil, ky, kx) in the prior's units; noise of standard deviation
            ``sigma`` (E|n|^2 = sigma^2) in every coil, independent.
        maps: (coil, y, x) sensitivities of the whitened coils times the image's low-resolution
            phase.
        zero_filled: (y, x) magnitude, in the reference's units.
        reference: (y, x) magnitude.
        head: (y, x) bool, pixels of the head.
        sigma: noise level of ``kspace``.
        gain: an image in the prior's units times this is in the reference's.
        info: name, kind ("simulated"/"real"), role ("test"/"tune"), contrast, patient,
            acceleration, seconds (of the preparation) and what else identifies it.

    kspace = mask F (maps x) + noise, bright tissue of x near 1, and gain * |x| estimates the
    reference.
    """

    raw: NDArray[np.complex64]
    mask: NDArray[np.bool_]
    kspace: NDArray[np.complex64]
    maps: NDArray[np.complex64]
    zero_filled: NDArray[np.float32]
    reference: NDArray[np.float32]
    head: NDArray[np.bool_]
    sigma: float
    gain: float
    info: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> Path:
        arrays = {k: v for k, v in vars(self).items() if k != "info"}
        path = folder / f"{self.info['name']}.npz"
        np.savez(path, **arrays, info=json.dumps(self.info))
        return path

    @classmethod
    def load(cls, path: Path) -> Problem:
        with np.load(path) as file:
            arrays = {k: file[k] for k in file.files}
        info = json.loads(str(arrays.pop("info")))
        numbers = {k: float(arrays[k]) for k in ("sigma", "gain")}
        return cls(**arrays | numbers, info=info)

    def digest(self) -> str:
        """Identifies the data that a method saw and is scored by."""
        h = hashlib.sha256()
        for array in (self.raw, self.kspace, self.maps, self.reference):
            h.update(np.ascontiguousarray(array).tobytes())
        return h.hexdigest()[:16]


def load_problems(folder: Path, role: str | None = None) -> list[Problem]:
    """All problems of a folder, by name; those of one role if given."""
    problems = [Problem.load(p) for p in sorted(Path(folder).glob("*.npz"))]
    return [p for p in problems if role is None or p.info["role"] == role]


def first_slices(problems: list[Problem], count: int) -> list[Problem]:
    """The first ``count`` slices of each simulated scan and acceleration; all of the real scan."""
    seen: dict[tuple[Any, ...], int] = {}
    kept = []
    for p in problems:
        scan = tuple(p.info[k] for k in ("kind", "patient", "contrast", "acceleration"))
        seen[scan] = seen.get(scan, 0) + 1
        if p.info["kind"] == "real" or seen[scan] <= count:
            kept.append(p)
    return kept


def data_root() -> Path:
    """$SCIDDM_DATA, else ../shared/data."""
    return Path(os.environ.get("SCIDDM_DATA", "../shared/data"))


def build(folder: Path) -> list[Path]:
    """Writes all problems; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.npz"):
        stale.unlink()
    paths = []
    for role, cases in (("test", TEST), ("tune", TUNE)):
        for number, case in enumerate(cases):
            for acceleration in SIMULATED_R:
                paths.append(simulated(case, role, acceleration, seed=number).save(folder))
    for acceleration in REAL_R:
        for seed in REAL_MASKS:
            paths.append(_real(acceleration, seed).save(folder))
    return paths


def prepare(raw: NDArray, mask: NDArray) -> dict[str, Any]:
    """Fields of a Problem that our own pipeline estimates from the undersampled k-space.

    The noise covariance, ESPIRiT maps, phase and scale; and the seconds it took.
    """
    from time import perf_counter

    import torch

    from sciddm.physics.mri.encoding import encode
    from sciddm.physics.mri.noise import estimate_covariance

    start = perf_counter()
    k, sampled = torch.from_numpy(raw), torch.from_numpy(mask)
    covariance = torch.as_tensor(estimate_covariance(raw, mask)).to(torch.complex64)
    coded = encode(k, sampled, covariance)
    seconds = perf_counter() - start
    return {
        "kspace": coded.measurement.y.numpy().astype(np.complex64),
        "maps": coded.measurement.A.maps.numpy().astype(np.complex64),
        "zero_filled": coded.zero_filled.abs().numpy().astype(np.float32),
        "sigma": coded.measurement.sigma,
        "gain": coded.frame.gain,
        "seconds": seconds,
    }


def simulated(
    case: tuple[str, str, str, str, int], role: str, acceleration: int, seed: int
) -> Problem:
    """One slice of `read_slice`, seen by 8 coils through a random 1D mask."""
    from sciddm.physics.mri.masks import make_mask
    from sciddm.simulation.mri.scan import simulate_scan, undersample

    image = read_slice(*case)
    offset = 0 if role == "test" else 50
    full = simulate_scan(image, COILS, snr_db=SNR_DB, seed=100 + offset + seed)
    mask = make_mask("random", image.shape, acceleration, ACS, seed=200 + offset + seed)
    scan = undersample(full, mask)
    _, patient, contrast, _, z = case
    info = {
        "name": f"{role}-{patient}-{contrast}-{z}-R{acceleration}",
        "kind": "simulated",
        "contrast": {"T1W": "T1"}.get(contrast, contrast),
        "patient": patient,
    }
    raw = scan["kspace"].values[0]
    return _problem(raw, mask, full["reference"].values[0], role, acceleration, info)


def _real(acceleration: int, seed: int) -> Problem:
    import h5py
    import torch

    from sciddm.physics.mri.masks import make_mask
    from sciddm.physics.mri.sensitivities import espirit
    from sciddm.simulation.mri.scan import ifft2c

    with h5py.File(data_root() / "mri" / "pulseq_brain_16ch_128.h5") as file:
        full = file["kspace"][0]
    maps = espirit(torch.from_numpy(full), (slice(None), slice(None))).numpy()
    reference = np.abs((maps.conj() * ifft2c(full)).sum(0))
    mask = make_mask("random", full.shape[-2:], acceleration, ACS, seed=seed)
    info = {
        "name": f"test-real16-R{acceleration}-m{seed}",
        "kind": "real",
        "contrast": "FLASH",
        "patient": "pulseq 16ch",
        "mask_seed": seed,
    }
    return _problem(full * mask, mask, reference, "test", acceleration, info)


def _problem(
    raw: NDArray,
    mask: NDArray,
    reference: NDArray,
    role: str,
    acceleration: int,
    info: dict[str, Any],
) -> Problem:
    from benchmarks.metrics import head_mask

    raw = raw.astype(np.complex64)
    fields = prepare(raw, mask)
    info |= {"role": role, "acceleration": acceleration, "seconds": fields.pop("seconds")}
    return Problem(
        raw=raw,
        mask=mask,
        reference=reference.astype(np.float32),
        head=head_mask(reference),
        info=info,
        **fields,
    )


def read_slice(group: str, patient: str, contrast: str, study: str, z: int) -> NDArray[np.float32]:
    """Magnitude (y, x) in 0..1 of one slice of the validation patients."""
    import h5py

    folder = data_root() / "mri"
    if group == "mni":
        with h5py.File(folder / "openms_mni_skullstripped_u8.h5") as file:
            return file[f"patient{patient}/{contrast}"][z].astype(np.float32) / 255
    if group == "limb":
        with h5py.File(folder / "sts_t1_limb_1p5mm.h5") as file:
            return file[f"STS_{patient}"][z].astype(np.float32) / 255
    with h5py.File(folder / "openms_brain_axial_224x192_u8.h5") as file:
        here = (
            (file["patient"][:].astype(str) == f"patient{patient}")
            & (file["contrast"][:].astype(str) == contrast)
            & (file["study"][:].astype(str) == study)
            & (file["slice_index"][:] == z)
        )
        (index,) = np.flatnonzero(here)
        return file["images"][index].astype(np.float32) / 255


if __name__ == "__main__":
    for written in build(Path(sys.argv[1])):
        print(written)
