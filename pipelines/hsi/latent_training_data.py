"""Training data of `hsi-finch`: cubes of spectra over random fields, made on the fly.

General cubes are mixtures of random spectra, of any part of 0.4 to 2.45 um and bands of any
distance, over random scenes (`random_scenes`), some in reflectance and some as radiance, which has
the sun's spectrum and the atmosphere's absorption bands. FINCH's are its simulated scenes
(`simulation`). Spectra are those of earthlib and procedural ones of a new seed for every scene.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.physics.spectral.band_positions import band_positions
from sciddm.pipelines.hsi.training_data import find_library
from sciddm.simulation.hsi.procedural_spectra import procedural_spectra
from sciddm.simulation.hsi.random_scenes import Split, field, random_stack
from sciddm.simulation.hsi.scene import Library, finch_sensor, simulate_scene

__all__ = ["PLANES", "SpectralCubes"]

PLANES = 8  # bands of a code
_POOL, _REUSE = 64, 40
_GRID = np.arange(400.0, 2451.0, 5.0)
_FIRST_SEED = 1  # seed 0 is that of the bundled library
#: (centre nm, width nm, largest depth) of absorption bands of oxygen and water vapour.
_AIR = (
    *((762.0, 6.0, 1.0), (820.0, 12.0, 0.4), (940.0, 22.0, 1.2), (1130.0, 25.0, 1.5)),
    *((1385.0, 35.0, 5.0), (1870.0, 45.0, 5.0), (2010.0, 20.0, 0.6)),
)
Kind = Literal["general", "finch"]
Cube = NDArray[np.float32]


class SpectralCubes(Dataset[Any]):
    """Clean cubes x0 (1, bands, patch, patch) and positions cond (POSITIONS, bands / 8, 1, 1).

    Args:
        root: folder of the real data, or None for $SCIDDM_DATA.
        split: "train" (endless variation) or "validate" (a fixed set).
        kind: "general", or "finch" for those alone.
        bands: of a cube, a multiple of 8.
        patch: side of an item in pixels.
        side: of the scenes it is cut from.
        length: items per epoch (train) or in all (validate).
        seed: with the item's index and the epoch's draw it fixes every random choice.
    """

    #: Kept with the model: `HyperspectralDenoising.from_pretrained` takes its method from it.
    representation: ClassVar[dict[str, str]] = {"method": "finch"}

    def __init__(
        self,
        root: str | None = None,
        split: Split = "train",
        kind: Kind = "general",
        bands: int = 64,
        patch: int = 32,
        side: int = 64,
        length: int = 20_000,
        seed: int = 0,
    ) -> None:
        if bands % PLANES:
            raise ValueError(f"{bands} bands are no multiple of {PLANES}")
        self.library = find_library(root)
        self.split: Split = split
        self.kind, self.bands = kind, bands
        self.patch, self.side, self.seed = patch, side, seed
        self.length = length if split == "train" else 64
        self._pool: list[tuple[Cube, NDArray[np.float64]]] = []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        # As in `training_data`: new in training, the same every time in validation.
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        rng = np.random.default_rng([self.seed, index, fresh])
        cube, wavelength = self._scene(rng)
        p = self.patch
        y, x = (int(rng.integers((n - p) // 2 + 1)) * 2 for n in cube.shape[1:])
        part = cube[:, y : y + p, x : x + p]
        if rng.random() < 0.5:
            part = part[:, ::-1]
        part = np.rot90(part, int(rng.integers(4)), (1, 2)) * rng.lognormal(0, 0.15)
        known = None if self.kind == "general" and rng.random() < 0.1 else wavelength
        where = band_positions(known, self.bands, PLANES)
        return {
            "x0": torch.from_numpy(np.ascontiguousarray(part[None], np.float32)),
            "cond": torch.from_numpy(where[:, :, None, None]),
        }

    def _scene(self, rng: np.random.Generator) -> tuple[Cube, NDArray[np.float64]]:
        """(cube, wavelengths) of a new scene, or in training mostly one of the last few."""
        full = len(self._pool) == _POOL
        if self.split == "train" and full and rng.random() > 1 / _REUSE:
            return self._pool[int(rng.integers(_POOL))]
        finch = self.kind == "finch" or rng.random() < 0.2
        made = self._finch(rng) if finch else self._general(rng)
        if full:
            self._pool[int(rng.integers(_POOL))] = made
        elif self.split == "train":
            self._pool.append(made)
        return made

    def _finch(self, rng: np.random.Generator) -> tuple[Cube, NDArray[np.float64]]:
        sensor = finch_sensor(self.bands, 900.0, 900.0 + 10.0 * self.bands)
        scene = simulate_scene(
            self.library if rng.random() < 0.5 else _new_library(rng),
            (self.side, self.side),
            rng,
            sensor=sensor,
            sharpness=rng.uniform(2, 5),
            relief=rng.uniform(0.05, 0.2),
        )
        return scene["cube"].values, sensor.centre_nm

    def _general(self, rng: np.random.Generator) -> tuple[Cube, NDArray[np.float64]]:
        most = (_GRID[-1] - _GRID[0]) / self.bands
        spacing = float(np.exp(rng.uniform(np.log(4), np.log(min(18.0, most)))))
        start = rng.uniform(_GRID[0], _GRID[-1] - spacing * (self.bands - 1))
        wavelength = start + spacing * np.arange(self.bands)
        spectra = _spectra(int(rng.integers(3, 10)), wavelength, self.library, rng)
        stack = random_stack(self.side, rng, self.library, self.split)
        mixing = rng.standard_normal((len(spectra), len(stack))) / np.arange(1, len(stack) + 1)
        logits = rng.uniform(0.5, 3) * np.tensordot(mixing, stack, 1)
        raised = np.exp(logits - logits.max(axis=0))
        cube = np.tensordot(spectra.T, raised / raised.sum(axis=0), 1)
        cube *= np.exp(rng.uniform(0, 0.2) * field(self.side, rng, rng.uniform(2, 4)))
        if rng.random() < 0.5:
            cube *= _radiance(wavelength, rng)[:, None, None]
            cube *= rng.uniform(0.6, 1.1) / max(float(np.percentile(cube, 99.5)), 1e-6)
        return cube.astype(np.float32), wavelength


def _new_library(rng: np.random.Generator) -> Library:
    seed = int(rng.integers(_FIRST_SEED, 2**31))
    return Library(_GRID, procedural_spectra(_GRID, count=6, seed=seed))


def _spectra(
    count: int, wavelength: NDArray[np.float64], library: Library, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(count, band): of all classes, each bent by a smooth random curve."""
    new = _new_library(rng)
    made = np.empty((count, len(wavelength)))
    for i in range(count):
        source = library if rng.random() < 0.5 else new
        kind = source.spectra[str(rng.choice(list(source.spectra)))]
        spectrum = kind[int(rng.integers(len(kind)))]
        made[i] = np.interp(wavelength, source.wavelength_nm, spectrum)
    bends = rng.standard_normal((count, 9)) * rng.uniform(0, 0.3)
    knots = np.linspace(_GRID[0], _GRID[-1], bends.shape[1])
    return made * np.exp([np.interp(wavelength, knots, bend) for bend in bends])


def _radiance(wavelength: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(band,): a black body of 5800 K, its absorption by air, and uneven gains of the bands."""
    with np.errstate(over="ignore"):
        sun = wavelength**-5 / np.expm1(1.4388e7 / wavelength / 5800)
    amount = rng.uniform(0.3, 1.2)
    depth = sum(d * np.exp(-0.5 * ((wavelength - c) / w) ** 2) for c, w, d in _AIR)
    uneven = np.exp(rng.uniform(0, 0.03) * rng.standard_normal(len(wavelength)))
    return np.asarray(sun / sun.max() * np.exp(-amount * depth) * uneven)
