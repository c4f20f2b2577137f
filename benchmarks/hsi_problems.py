"""Problems of the hyperspectral benchmark: clean cubes and the cases of noise.

    python -m benchmarks.hsi_problems FOLDER [--tiny]     writes them as .npz

salton   48 x 48 pixels of the 204 good bands of Salton Sea (AVIRIS), scaled to [0, 1]; nothing was
         trained or chosen on it. The size is one that HyDe's padding can do
finch    a simulated scene of FINCH, 64 x 64 pixels of 80 bands, of a seed that no recipe uses
--tiny   a simulated scene of 24 x 24 pixels and 20 bands, in their place: to try the benchmark

Cases: Gaussian noise of 10, 30, 50, 70 in 255 in all bands; another level in each band; the mixture
of QRNN3D; Gaussian noise of 10 in 255 with FINCH's stripe clusters and dead pixels. Nothing is
clipped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.problems import data_root

Cube = NDArray[np.float32]
SIGMAS = (10, 30, 50, 70)
_SALTON = "hyperspectral/salton_sea_aviris_51x56x224_f16.npz"
_SIDE = 48
_HELD_SEED = 20_261


@dataclass
class HSIProblem:
    """One case.

    Attributes:
        noisy: (band, y, x), what a method is given.
        clean: (band, y, x), the truth, in [0, 1].
        sigma: (band,) true standard deviation of the Gaussian part, for methods that ask for it.
        wavelength_nm: (band,).
        info: name, scene, case.
    """

    noisy: Cube
    clean: Cube
    sigma: NDArray[np.float64]
    wavelength_nm: NDArray[np.float64]
    info: dict[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """Of all that a method is given."""
        return hashlib.sha256(self.noisy.tobytes() + self.sigma.tobytes()).hexdigest()[:16]


def load_problems(folder: Path) -> list[HSIProblem]:
    """All of them, in the order they were made."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            arrays = [file[k] for k in ("noisy", "clean", "sigma", "wavelength_nm")]
            found.append(HSIProblem(*arrays, info=json.loads(str(file["info"]))))
    return found


def build(folder: Path, *, tiny: bool = False) -> None:
    """Makes those that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = {"tiny": _tiny} if tiny else {"salton": _salton, "finch": _finch}
    for s, (scene, make) in enumerate(scenes.items()):
        names = [f"{s}{c}-{scene}-{case}" for c, case in enumerate(_cases())]
        if all((folder / f"{name}.npz").exists() for name in names):
            continue
        clean, wavelength = make()
        for c, (name, (case, add)) in enumerate(zip(names, _cases().items(), strict=True)):
            noisy, sigma = add(clean, np.random.default_rng([c, len(clean)]))
            info = json.dumps({"name": name, "scene": scene, "case": case})
            np.savez(
                folder / f"{name}.npz",
                noisy=noisy.astype(np.float32),
                clean=clean.astype(np.float32),
                sigma=sigma,
                wavelength_nm=wavelength,
                info=info,
            )


Add = Callable[[Cube, np.random.Generator], tuple[NDArray[Any], NDArray[np.float64]]]


def _cases() -> dict[str, Add]:
    cases: dict[str, Add] = {f"iid {s}": _iid(s / 255) for s in SIGMAS}
    return cases | {"per band": _per_band, "mixture": _mixture, "finch noise": _stripes_and_dead}


def _iid(level: float) -> Add:
    def add(clean: Cube, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[np.float64]]:
        from sciddm.simulation.hsi.noise import add_gaussian

        return add_gaussian(clean, level, rng), np.full(len(clean), level)

    return add


def _per_band(clean: Cube, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[np.float64]]:
    from sciddm.simulation.hsi.noise import add_gaussian, random_sigma

    sigma = random_sigma(len(clean), rng)
    return add_gaussian(clean, sigma, rng), sigma


def _mixture(clean: Cube, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[np.float64]]:
    from sciddm.simulation.hsi.noise import add_mixture, random_sigma

    # The levels are what a generator in the same state draws first.
    sigma = random_sigma(len(clean), np.random.default_rng(rng.bit_generator.seed_seq))
    return add_mixture(clean, rng).cube, sigma


def _stripes_and_dead(
    clean: Cube, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    from sciddm.simulation.hsi.cases import add_case

    return add_case(clean, "finch", 10 / 255, rng).cube, np.full(len(clean), 10 / 255)


def _salton() -> tuple[Cube, NDArray[np.float64]]:
    with np.load(data_root() / _SALTON, allow_pickle=False) as file:
        cube = next(file[k] for k in file.files if file[k].ndim == 3).astype(np.float32)
        wavelength = file["wavelength"].astype(np.float64)
        good = file["bbl"].astype(bool)
    if cube.shape[-1] == len(good):
        cube = np.moveaxis(cube, -1, 0)
    cube, wavelength = cube[good][:, :_SIDE, :_SIDE], wavelength[good]
    return (cube - cube.min()) / np.ptp(cube), wavelength


def _finch() -> tuple[Cube, NDArray[np.float64]]:
    return _simulated(64, 80)


def _tiny() -> tuple[Cube, NDArray[np.float64]]:
    return _simulated(24, 20)


def _simulated(side: int, bands: int) -> tuple[Cube, NDArray[np.float64]]:
    from sciddm.simulation.hsi.pair import Wanted, simulate_pair

    wanted = Wanted(lines=side, samples=side, bands=bands, case="none", seed=_HELD_SEED)
    clean, _ = simulate_pair(wanted)
    return clean["cube"].values, clean["wavelength"].values


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    build(given.folder, tiny=given.tiny)
