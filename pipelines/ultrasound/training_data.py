"""Training data of the ultrasound models: patches of simulated tissue and of simulated haze.

Every patch is new: a place in one of many maps, fresh scatterers, another beam, another gain. Two
kinds, each with a model of tissue and one of haze:

    rf          echoes, sampled at 4 times the carrier, companded (mu = 255)
    envelope    their envelopes on the coarser grid of a scanner's image, companded

so that values lie in [-1, 1], or [0, 1], at full scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.companding import MU, compand
from sciddm.physics.ultrasound.waves import SAMPLES_PER_PERIOD, Beam, envelope
from sciddm.simulation.ultrasound.anatomy import VIEWS, draw_anatomy
from sciddm.simulation.ultrasound.echoes import (
    draw_beam,
    draw_clutter,
    haze_echoes,
    tissue_echoes,
)

__all__ = ["HazePatches", "HazyPairs", "TissuePatches"]

Split = Literal["train", "validate"]
Kind = Literal["rf", "envelope"]

_LEVELS_DB = (-32.0, -8.0)  # of the myocardium, about full scale
_ROWS, _LINES = (384, 2000), (64, 288)  # sizes of a whole frame
_MAPS = {"train": 384, "validate": 32}


class _Patches(Dataset[Any]):
    """What both data sets share.

    Args:
        kind: "rf" or "envelope".
        split: "train" (endless variation) or "validate" (a fixed set, other maps).
        patch: (samples, lines) of a patch.
        length: patches of an epoch.
        seed: with the item's index and the epoch's draw it fixes every random choice.
    """

    part: str

    def __init__(
        self,
        kind: Kind = "rf",
        split: Split = "train",
        patch: tuple[int, int] = (128, 64),
        length: int = 20_000,
        seed: int = 0,
    ) -> None:
        self.kind, self.split, self.seed = kind, split, seed
        self.patch = (int(patch[0]), int(patch[1]))
        self.length = length if split == "train" else 128
        self.representation = {
            "kind": f"us-{self.part}",
            "data": kind,
            "mu": MU,
            "samples_per_period": SAMPLES_PER_PERIOD,
        }

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        rng = self.rng(index)
        shape = self.patch
        fine = (1.0, 1.0)
        if self.kind == "envelope":
            fine = (float(rng.uniform(2, 8)), float(rng.uniform(0.3, 1)))
            samples, lines = (int(np.ceil(n * f)) + 4 for n, f in zip(shape, fine, strict=True))
            shape = (samples, lines)
        rf = self.echoes(shape, rng, draw_beam(rng))
        values = rf if self.kind == "rf" else _resampled(envelope(rf), fine, self.patch)
        if rng.random() < 0.5:
            values = values[:, ::-1]
        return compand(torch.from_numpy(np.ascontiguousarray(values)))[None]

    def rng(self, index: int) -> np.random.Generator:
        """What decides everything about an item."""
        # Training draws a new seed each time (from torch's global generator, which Lightning
        # seeds and restores); validation items are the same every time.
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        return np.random.default_rng([self.seed, self.split == "train", index, fresh])

    def echoes(
        self, shape: tuple[int, int], rng: np.random.Generator, beam: Beam
    ) -> NDArray[np.float32]:
        """Echoes of a place at random, full scale 1."""
        raise NotImplementedError


class TissuePatches(_Patches):
    """Echoes of tissue alone, (1, samples, lines), companded.

    Args:
        kind, split, patch, length, seed: as of `_Patches`.
        views: the maps are of these (`anatomy.VIEWS`).
    """

    part = "tissue"

    def __init__(
        self,
        kind: Kind = "rf",
        split: Split = "train",
        patch: tuple[int, int] = (128, 64),
        length: int = 20_000,
        seed: int = 0,
        views: Sequence[str] = VIEWS,
    ) -> None:
        super().__init__(kind, split, patch, length, seed)
        count = _MAPS[split]
        rngs = [np.random.default_rng([seed, split == "train", 2**20, i]) for i in range(count)]
        self.maps = [draw_anatomy(r, view=views).echo_db.astype(np.float16) for r in rngs]

    def echoes(
        self, shape: tuple[int, int], rng: np.random.Generator, beam: Beam
    ) -> NDArray[np.float32]:
        stored = self.maps[int(rng.integers(len(self.maps)))]
        place = []
        for n, span, m in zip(shape, (_ROWS, _LINES), stored.shape, strict=True):
            whole = max(n, int(np.exp(rng.uniform(*np.log(span)))))
            first = float(rng.uniform(0, whole - n))
            place.append((first + np.arange(n)) / (whole - 1) * (m - 1))
        grid = np.meshgrid(*place, indexing="ij")
        values = ndimage.map_coordinates(stored.astype(np.float32), grid, order=1, mode="nearest")
        echo = np.asarray(values, np.float32)
        level = float(rng.uniform(*_LEVELS_DB))
        return tissue_echoes(echo, beam, level, rng)


class HazePatches(_Patches):
    """Echoes of haze and noise alone, (1, samples, lines), companded."""

    part = "haze"

    def echoes(
        self, shape: tuple[int, int], rng: np.random.Generator, beam: Beam
    ) -> NDArray[np.float32]:
        return haze_patch(shape, rng, beam)


def haze_patch(shape: tuple[int, int], rng: np.random.Generator, beam: Beam) -> NDArray[np.float32]:
    """Echoes of haze at a depth at random, full scale 1."""
    whole = max(shape[0], int(np.exp(rng.uniform(*np.log(_ROWS)))))
    first = float(rng.uniform(0, whole - shape[0]))
    rows = (first / whole, (first + shape[0]) / whole)
    return haze_echoes(shape, beam, draw_clutter(rng), rng, rows=rows)


class HazyPairs(Dataset[Any]):
    """Tissue x0 and hazy scan y of the same beam, echoes, companded: for a supervised network.

    Arguments as of `TissuePatches`.
    """

    def __init__(
        self,
        split: Split = "train",
        patch: tuple[int, int] = (128, 64),
        length: int = 20_000,
        seed: int = 0,
        views: Sequence[str] = VIEWS,
    ) -> None:
        self.tissue = TissuePatches("rf", split, patch, length, seed, views)
        self.representation = {**self.tissue.representation, "kind": "us-regression"}

    def __len__(self) -> int:
        return len(self.tissue)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = self.tissue.rng(index)
        beam = draw_beam(rng)
        tissue = self.tissue.echoes(self.tissue.patch, rng, beam)
        haze = haze_patch(self.tissue.patch, rng, beam)
        both = np.stack([tissue, tissue + haze])
        if rng.random() < 0.5:
            both = both[..., ::-1]
        x0, y = compand(torch.from_numpy(np.ascontiguousarray(both)))
        return {"x0": x0[None], "y": y[None]}


def _resampled(
    image: NDArray[np.float32], fine: tuple[float, float], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Linear interpolation at steps of ``fine`` samples, smoothed first where they are long."""
    blur = [0.35 * max(f - 1, 0) for f in fine]
    smooth = ndimage.gaussian_filter(image, blur, mode="nearest")
    grid = np.meshgrid(
        *[1 + f * np.arange(n) for f, n in zip(fine, shape, strict=True)], indexing="ij"
    )
    return np.asarray(ndimage.map_coordinates(smooth, grid, order=1, mode="nearest"), np.float32)
