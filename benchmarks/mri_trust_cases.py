"""Scans with a known truth on which the verdicts and intervals of MRI are tried: good heads,
planted faults, other objects, coil arrays of any phase, and noise levels of any size.

Every case is made from its name alone: a seed follows from it, so that cases can be run in parts.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.metrics import head_mask
from benchmarks.problems import data_root
from sciddm.physics.mri.masks import make_mask
from sciddm.physics.mri.sensitivities import espirit
from sciddm.simulation.mri.scan import coil_maps, fft2c, ifft2c, simulate_scan, smooth_phase

__all__ = ["STAGES", "UNTRAINED", "Case", "Trial", "cases_of"]

#: Stands for the model that was trained for 60 steps.
UNTRAINED = "untrained"
_ACS = 16
_MATRIX = (224, 192)
_SMALL = 96


@dataclass(frozen=True)
class Trial:
    """One scan.

    Attributes:
        scan: what the pipeline gets.
        truth: (y, x) magnitude.
        inside: (y, x), pixels of the object.
        options: of the pipeline.
        model: a name, or `UNTRAINED`.
    """

    scan: xr.Dataset
    truth: NDArray[np.float32]
    inside: NDArray[np.bool_]
    options: dict[str, Any] = field(default_factory=dict)
    model: str = "mri-brain"


@dataclass(frozen=True)
class Case:
    """A trial by its name.

    Attributes:
        stage: one of `STAGES`.
        kind: what is wrong, or what it shows.
        acceleration: R.
        number: of the trial.
    """

    stage: str
    kind: str
    acceleration: int
    number: int
    build: Callable[[np.random.Generator], Trial]

    @property
    def name(self) -> str:
        return f"{self.stage} {self.kind} R{self.acceleration} {self.number}"

    def trial(self) -> Trial:
        return self.build(np.random.default_rng(zlib.crc32(self.name.encode())))


def cases_of(stage: str, trials: int, accelerations: tuple[int, ...]) -> Iterator[Case]:
    """The cases of a stage, one trial of every kind before the second of any."""
    kinds = STAGES[stage]
    for number in range(trials):
        for r in accelerations:
            for kind, make in kinds.items():
                yield Case(stage, kind, r, number, lambda rng, m=make, r=r: m(rng, r))


# Heads ------------------------------------------------------------------------------------------


def _slice(rng: np.random.Generator, patients: tuple[str, ...]) -> NDArray[np.float32]:
    """A slice of a head that is not nearly empty."""
    with h5py.File(data_root() / "mri" / "openms_brain_axial_224x192_u8.h5") as file:
        who = file["patient"].asstr()[:]
        mine = np.flatnonzero(np.isin(who, [f"patient{p}" for p in patients]))
        while True:
            image = file["images"][int(rng.choice(mine))].astype(np.float32) / 255
            if (image > 0.1).mean() > 0.2:
                return image


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _sampled(
    image: NDArray[np.float32], rng: np.random.Generator, r: int, coils: int, snr_db: float
) -> tuple[xr.Dataset, NDArray[np.bool_]]:
    """The fully sampled scan, and a mask."""
    full = simulate_scan(image, coils, snr_db=snr_db, seed=_seed(rng))
    return full, make_mask("random", image.shape, r, _ACS, seed=_seed(rng))


def _trial(
    full: xr.Dataset, mask: NDArray[np.bool_], image: NDArray[np.float32], **options: Any
) -> Trial:
    kspace = full["kspace"].values * mask
    scan = xr.Dataset(
        {
            "kspace": (("slice", "coil", "ky", "kx"), kspace.astype(np.complex64)),
            "mask": (("ky", "kx"), mask),
        },
        attrs={"source": "benchmark"},
    )
    return Trial(scan, image, head_mask(image), options)


def _head(patients: tuple[str, ...]) -> Callable[[np.random.Generator, int], Trial]:
    def make(rng: np.random.Generator, r: int) -> Trial:
        image = _slice(rng, patients)
        coils, snr = int(rng.choice([6, 8, 8, 12])), float(rng.choice([25, 30, 30, 35]))
        full, mask = _sampled(image, rng, r, coils, snr)
        return _trial(full, mask, image)

    return make


def _real(rng: np.random.Generator, r: int) -> Trial:
    """The gradient echo of 16 coils; the truth is its own full combination, with its noise."""
    with h5py.File(data_root() / "mri" / "pulseq_brain_16ch_128.h5") as file:
        full = file["kspace"][0]
    maps = espirit(torch.from_numpy(full), (slice(None), slice(None))).numpy()
    image = np.abs((maps.conj() * ifft2c(full)).sum(0)).astype(np.float32)
    mask = np.ones(full.shape[-2:], bool)
    if r > 1:
        mask = make_mask("random", full.shape[-2:], r, _ACS, seed=_seed(rng))
    dims = ("slice", "coil", "ky", "kx")
    return _trial(xr.Dataset({"kspace": (dims, full[None])}), mask, image)


# Planted faults ---------------------------------------------------------------------------------

_VALIDATION = ("09", "19")


def _maps_rolled(rng: np.random.Generator, r: int) -> Trial:
    image = _slice(rng, _VALIDATION)
    full, mask = _sampled(image, rng, r, 8, 30)
    k = torch.from_numpy(full["kspace"].values[0])
    n = image.shape[0]
    centre = (slice(n // 2 - _ACS // 2, n // 2 + _ACS // 2), slice(None))
    maps = espirit(k, centre, crop=0.0, noise_std=full.attrs["noise_std"]).numpy()
    by = int(rng.integers(3, 9)) * int(rng.choice([-1, 1]))
    return _trial(full, mask, image, maps=np.roll(maps, by, axis=int(rng.integers(1, 3))))


def _noise_times(factor: float) -> Callable[[np.random.Generator, int], Trial]:
    def make(rng: np.random.Generator, r: int) -> Trial:
        image = _slice(rng, _VALIDATION)
        full, mask = _sampled(image, rng, r, 8, 30)
        return _trial(full, mask, image, noise_std=factor * full.attrs["noise_std"])

    return make


def _motion(alternating: bool) -> Callable[[np.random.Generator, int], Trial]:
    """Lines of two positions, in turn or before and after one step beside the calibration lines."""

    def make(rng: np.random.Generator, r: int) -> Trial:
        image = _slice(rng, _VALIDATION)
        amount = float(rng.uniform(3, 8)) * float(rng.choice([-1, 1]))
        if rng.random() < 0.5:
            moved = ndimage.shift(image, (amount, 0) if rng.random() < 0.5 else (0, amount))
        else:
            moved = ndimage.rotate(image, amount, reshape=False)
        full, mask = _sampled(image, rng, r, 8, 30)
        state = full.attrs["seed"]
        other = simulate_scan(np.clip(moved, 0, None), 8, snr_db=30, seed=state)
        n = image.shape[0]
        lines = np.flatnonzero(mask[:, 0])
        late = lines[1::2] if alternating else lines[lines >= n // 2 + _ACS // 2]
        kspace = full["kspace"].values.copy()
        kspace[..., late, :] = other["kspace"].values[..., late, :]
        return _trial(full.assign(kspace=(full["kspace"].dims, kspace)), mask, image)

    return make


def _untrained(rng: np.random.Generator, r: int) -> Trial:
    image = _slice(rng, _VALIDATION)
    full, mask = _sampled(image, rng, r, 8, 30)
    made = _trial(full, mask, image)
    return Trial(made.scan, made.truth, made.inside, {}, UNTRAINED)


# Other objects ----------------------------------------------------------------------------------


def _framed(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image within the matrix of the heads, in three quarters of it."""
    zoom = min(0.75 * _MATRIX[0] / image.shape[0], 0.75 * _MATRIX[1] / image.shape[1])
    small = np.clip(ndimage.zoom(image, zoom, order=1), 0, 1)
    out = np.zeros(_MATRIX, np.float32)
    y, x = ((n - m) // 2 for n, m in zip(_MATRIX, small.shape, strict=True))
    out[y : y + small.shape[0], x : x + small.shape[1]] = small
    return out


def _limb(rng: np.random.Generator) -> NDArray[np.float32]:
    with h5py.File(data_root() / "mri" / "sts_t1_limb_1p5mm.h5") as file:
        stack = file[f"STS_{int(rng.integers(37, 43)):03d}"]
        return _framed(stack[int(rng.integers(len(stack)))].astype(np.float32) / 255)


def _ct(rng: np.random.Generator) -> NDArray[np.float32]:
    with h5py.File(data_root() / "ct" / "sts_ct_1mm_slices.h5") as file:
        stack = file[f"STS_{int(rng.integers(37, 43)):03d}"]
        values = 8.0 * stack[int(rng.integers(len(stack)))] - 1000
    return _framed(np.clip((values + 200) / 500, 0, 1).astype(np.float32))


def _disc(rng: np.random.Generator) -> NDArray[np.float32]:
    y, x = np.mgrid[: _MATRIX[0], : _MATRIX[1]]
    y, x = (y - _MATRIX[0] / 2) / 112, (x - _MATRIX[1] / 2) / 112
    image = 0.8 * (np.hypot(y, x) < rng.uniform(0.6, 0.8))
    for k in range(6):
        at = rng.uniform(0.2, 0.45) * np.exp(2j * np.pi * (k / 6 + rng.uniform(0, 0.1)))
        here = np.hypot(y - at.imag, x - at.real) < rng.uniform(0.03, 0.12)
        image = np.where(here, rng.uniform(0.1, 1), image)
    return image.astype(np.float32)


def _bars(rng: np.random.Generator) -> NDArray[np.float32]:
    image = _disc(np.random.default_rng(0)) > 0
    columns, out = np.arange(_MATRIX[1]), 0.8 * image
    for row, width in enumerate(rng.permutation([2, 3, 4, 6, 8])):
        dark = ((columns // width) % 2 == 0) & (np.abs(columns - 96) < 45)
        top = 40 + 30 * row
        out[top : top + 18] = np.where(dark, 0.15, out[top : top + 18])
    return (out * image).astype(np.float32)


def _object(
    image_of: Callable[[np.random.Generator], NDArray[np.float32]],
) -> Callable[[np.random.Generator, int], Trial]:
    def make(rng: np.random.Generator, r: int) -> Trial:
        image = image_of(rng)
        full, mask = _sampled(image, rng, r, 8, 30)
        return _trial(full, mask, image)

    return make


# Coil arrays and noise levels -------------------------------------------------------------------


def _ellipses(side: int) -> NDArray[np.float64]:
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    image = 1.0 * (np.hypot(x / 0.62, y / 0.8) < 1) - 0.5 * (np.hypot(x / 0.55, y / 0.72) < 1)
    image += 0.4 * (np.hypot((x - 0.2) / 0.12, (y + 0.3) / 0.2) < 1)
    return np.asarray(image - 0.3 * (np.hypot((x + 0.25) / 0.15, (y - 0.2) / 0.1) < 1))


def _array(loops: int, noise: float) -> Callable[[np.random.Generator, int], Trial]:
    """Loops about the object, each with a phase of its own, for which no coil combination of fixed
    weights is free of zeros."""

    def make(rng: np.random.Generator, r: int) -> Trial:
        n = _SMALL
        image = _ellipses(n)
        y, x = np.mgrid[-1 : 1 : n * 1j, -1 : 1 : n * 1j]
        maps = []
        for i in range(loops):
            t = 2 * np.pi * i / loops
            far = (y - 0.95 * np.sin(t)) ** 2 + (x - 0.95 * np.cos(t)) ** 2
            turn = 2.5 * np.arctan2(y - 1.3 * np.sin(t), x - 1.3 * np.cos(t))
            maps.append((1 + far / 0.25) ** -1.5 * np.exp(1j * (rng.uniform(0, 2 * np.pi) + turn)))
        s = np.array(maps) / np.linalg.norm(maps, axis=0)
        k = fft2c(s * image)
        k += noise * (rng.standard_normal(k.shape) + 1j * rng.standard_normal(k.shape)) / 2**0.5
        mask = np.ones((n, n), bool)
        if r > 1:
            mask = make_mask("random", (n, n), r, _ACS, seed=_seed(rng))
        made = _trial(xr.Dataset({"kspace": (("slice", "coil", "ky", "kx"), k[None])}), mask, image)
        return Trial(made.scan, image.astype(np.float32), made.inside)

    return make


def _level(noise: float) -> Callable[[np.random.Generator, int], Trial]:
    """Exact maps, and noise of a level from one tenth of the signal to nothing."""

    def make(rng: np.random.Generator, r: int) -> Trial:
        n = _SMALL
        maps = coil_maps(8, (n, n), 0)
        image = _ellipses(n) * np.exp(1j * smooth_phase((n, n), 0, 0.3))
        mask = make_mask("random", (n, n), r, _ACS, seed=1)
        k = fft2c(image * maps)
        k += noise * (rng.standard_normal(k.shape) + 1j * rng.standard_normal(k.shape)) / 2**0.5
        truth = np.abs(image).astype(np.float32)
        full = xr.Dataset({"kspace": (("slice", "coil", "ky", "kx"), k[None])})
        return _trial(full, mask, truth, maps=maps, noise_std=noise)

    return make


#: Stage -> kind -> what makes a trial of it at an acceleration.
STAGES: dict[str, dict[str, Callable[[np.random.Generator, int], Trial]]] = {
    "limits": {"head of a training patient": _head(("01", "03", "04", "12", "20"))},
    "heads": {"head of a validation patient": _head(_VALIDATION), "real gradient echo": _real},
    "faults": {
        "maps rolled": _maps_rolled,
        "noise level halved": _noise_times(0.5),
        "noise level doubled": _noise_times(2.0),
        "motion, positions alternate": _motion(True),
        "motion, one step": _motion(False),
        "prior of 60 steps": _untrained,
    },
    "objects": {
        "resolution phantom": _object(_bars),
        "round phantom": _object(_disc),
        "limb": _object(_limb),
        "CT slice": _object(_ct),
    },
    "dots": {
        f"{loops} loops, noise {noise}": _array(loops, noise)
        for loops in (8, 16, 32)
        for noise in (0.005, 0.02)
    }
    | {"real gradient echo": _real},
    "levels": {f"noise 1e-{k}": _level(10.0**-k) for k in range(1, 7)},
}
