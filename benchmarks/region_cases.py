"""Results whose truth is known, for what is said of regions: MRI, CT and hyperspectral.

    calibration   what the correlation of errors is measured on: MRI of patient 09 and of five
                  training patients, CT of training patients, simulated scenes of four seeds
    validation    what its intervals are tested on: MRI of patient 19, CT of patients 037-042,
                  simulated scenes of four other seeds

Each is made by the verb itself, at its defaults but for the quality, and kept in a cache.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.problems import data_root, read_slice

__all__ = ["DOMAINS", "Known", "Role", "names_of", "result_of"]

CACHE = Path(__file__).resolve().parent / ".cache" / "regions"
Role = Literal["calibration", "validation"]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """One result beside the truth, all (layer, y, x): slices or bands.

    Attributes:
        name: of the case.
        estimate, std, truth: in the unit of the result.
        draws: (sample, layer, y, x) where the verb can keep them, else empty.
        attrs: numbers and texts of the result.
    """

    name: str
    estimate: Array
    std: Array
    truth: Array
    draws: Array
    attrs: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Into one file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {k: getattr(self, k) for k in ("estimate", "std", "truth", "draws")}
        np.savez(path, **arrays, about=json.dumps([self.name, self.attrs], default=str))

    @classmethod
    def load(cls, path: Path) -> Known:
        """From that file."""
        with np.load(path) as file:
            name, attrs = json.loads(str(file["about"]))
            return cls(name, *(file[k] for k in ("estimate", "std", "truth", "draws")), attrs)


Make = Callable[[str], Known]


def result_of(domain: str, name: str, quality: str) -> Known:
    """The result of a case, from the cache where it lies there."""
    path = CACHE / domain / quality / f"{name.replace(' ', '-')}.npz"
    if not path.exists():
        _MAKE[domain](name, quality).save(path)
    return Known.load(path)


def names_of(domain: str, role: Role) -> list[str]:
    """Of the cases."""
    return list(_NAMES[domain](role))


# MRI -----------------------------------------------------------------------------------------


_HEADS: dict[Role, tuple[tuple[str, str, str, str, int], ...]] = {
    "calibration": (
        *(("axial", "09", "FLAIR", "study2", z) for z in (6, 10, 14, 31)),
        ("axial", "01", "T1W", "study1", 18),
        ("axial", "12", "T2W", "study1", 20),
        ("axial", "20", "T1W", "study2", 22),
        ("axial", "04", "FLAIR", "study1", 24),
        ("mni", "07", "T2", "", 14),
    ),
    "validation": (
        *(("axial", "19", c, "study2", z) for z in (14, 42) for c in ("FLAIR", "T1W")),
        *(("mni", "19", "T2", "", z) for z in (8, 22)),
    ),
}


def _mri_names(role: Role) -> Iterator[str]:
    for head in _HEADS[role]:
        for r in (4, 8):
            yield f"{' '.join(str(part) for part in head if part)} R{r}"


def _mri(name: str, quality: str) -> Known:
    import sciddm
    from sciddm.physics.mri.masks import make_mask
    from sciddm.simulation.mri.scan import simulate_scan, undersample

    *words, r = name.split()
    head = (*words[:3], words[3] if len(words) > 4 else "", int(words[-1]))
    image = read_slice(*head)  # type: ignore[arg-type]
    seed = sum(map(ord, name))
    full = simulate_scan(image, 8, snr_db=30.0, seed=seed)
    mask = make_mask("random", image.shape, int(r[1:]), 16, seed=seed)
    result = sciddm.mri.reconstruct(undersample(full, mask), quality=quality, keep_samples=True)
    data = result.data
    return _known(name, data, full["reference"], abs(data["samples"]))


# CT ------------------------------------------------------------------------------------------

_PATIENTS: dict[Role, tuple[int, ...]] = {
    "calibration": (1, 5, 9, 13, 17, 21, 25, 29, 33),
    "validation": (37, 38, 39, 40, 41, 42),
}


def _ct_names(role: Role) -> Iterator[str]:
    for number in _PATIENTS[role]:
        for dose in (0.25, 0.1):
            yield f"STS_{number:03d} {dose:g}"


def _projection_names(role: Role) -> Iterator[str]:
    """Low dose, and few views, whose errors are streaks."""
    for number in _PATIENTS[role]:
        for dose, views in ((0.25, 360), (0.1, 360), (1.0, 90)):
            yield f"STS_{number:03d} {dose:g} {views}"


def _ct_volume(name: str) -> tuple[Any, float, int]:
    import h5py
    import xarray as xr

    patient, dose = name.split()
    with h5py.File(data_root() / "ct" / "sts_ct_1mm_slices.h5") as file:
        item = file[patient]
        size = [float(v) for v in item.attrs["spacing_zyx"]]
        middle = len(item) // 2 - 1
        hu = 8 * item[middle : middle + 3].astype(np.float32) - 1000
    volume = xr.DataArray(hu, dims=("z", "y", "x"), attrs={"voxel_size_mm": size, "units": "HU"})
    return volume, float(dose), int(patient[-3:])


def _ct(name: str, quality: str) -> Known:
    import sciddm

    volume, dose, seed = _ct_volume(name)
    low = sciddm.ct.simulate_dose(volume, dose=dose, seed=seed).data["hu"]
    data = sciddm.ct.denoise(low, quality=quality).data
    return _known(name, data, volume)


def _ct_projections(name: str, quality: str) -> Known:
    import sciddm

    patient, dose, views = name.split()
    volume, fraction, seed = _ct_volume(f"{patient} {dose}")
    one = volume[1:2]
    sinogram = sciddm.ct.simulate_dose(
        one, dose=fraction, seed=seed, views=int(views), projections=True
    ).data
    return _known(name, sciddm.ct.reconstruct(sinogram, quality=quality).data, one)


# Hyperspectral -------------------------------------------------------------------------------

_SEEDS: dict[Role, tuple[int, ...]] = {
    "calibration": (3001, 3002, 3003, 3004),
    "validation": (4001, 4002, 4003, 4004),
}
_SIDE = 64


def _hsi_names(role: Role) -> Iterator[str]:
    for seed in _SEEDS[role]:
        for scene in ("finch", "general"):
            for case in ("even", "per-band", "stripes"):
                yield f"{scene} {seed} {case}"


def _hsi(name: str, quality: str) -> Known:
    import sciddm
    from sciddm.data_adapters.hsi import build_cube
    from sciddm.pipelines.hsi.latent_training_data import SpectralCubes
    from sciddm.simulation.hsi.cases import add_case
    from sciddm.simulation.hsi.noise import add_gaussian, random_sigma
    from sciddm.simulation.hsi.pair import Wanted, simulate_pair

    scene, number, case = name.split()
    seed = int(number)
    rng = np.random.default_rng([seed, sum(map(ord, case))])
    if scene == "finch":
        spec = Wanted(lines=_SIDE, samples=_SIDE, bands=80, case="none", seed=seed)
        noisy_scene, _ = simulate_pair(spec)
        clean, wavelength = noisy_scene["cube"].values, noisy_scene["wavelength"].values
    else:
        data = SpectralCubes(split="validate", seed=seed, patch=_SIDE)
        clean, wavelength = data._general(np.random.default_rng(seed))
        clean = clean[:, :_SIDE, :_SIDE]
    noisy = {
        "even": lambda: add_gaussian(clean, 0.05, rng),
        "per-band": lambda: add_gaussian(clean, random_sigma(len(clean), rng), rng),
        "stripes": lambda: add_case(clean, "finch", 0.03, rng).cube,
    }[case]()
    cube = build_cube(
        Path(name), noisy.astype(np.float32), form="test", wavelength=wavelength, units="nm"
    )
    result = sciddm.hsi.denoise(cube, quality=quality).data
    return _known(name, result, clean)


def _known(name: str, data: Any, truth: Any, draws: Any = None) -> Known:
    def array(values: Any) -> Array:
        return np.asarray(getattr(values, "values", values), np.float32)

    estimate = array(data["estimate"])
    attrs = {k: v for k, v in data.attrs.items() if isinstance(v, int | float | str)}
    draw_array = np.zeros((0, *estimate.shape), np.float32) if draws is None else array(draws)
    return Known(name, estimate, array(data["std"]), array(truth), draw_array, attrs)


_MAKE: dict[str, Callable[[str, str], Known]] = {
    "mri": _mri,
    "ct denoise": _ct,
    "ct reconstruct": _ct_projections,
    "hsi": _hsi,
}
_NAMES: dict[str, Callable[[Role], Iterator[str]]] = {
    "mri": _mri_names,
    "ct denoise": _ct_names,
    "ct reconstruct": _projection_names,
    "hsi": _hsi_names,
}
DOMAINS = tuple(_MAKE)
