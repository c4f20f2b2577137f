"""Training data of the CT models: full-dose slices, and the same at simulated low doses.

Slices are those of soft-tissue sarcoma patients, cropped around the tumour: full resolution
(0.98 mm, 3 cm apart) and 2 mm volumes (3.27 mm apart, with neighbours). Both have the noise of a
whole-body scan themselves, about 20 HU, which is what "full dose" means here: the models learn to
bring low doses back to it, not to remove it.

Low dose is added in the image: noise that was reconstructed from the projections of that very
slice, so that its strength and streaks are those of the anatomy (`noise_fields`), at a random dose
and with a random window of the reconstruction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.errors import InputError
from sciddm.pipelines.engine.real_data import data_root, stored
from sciddm.simulation.ct.noise_fields import NoiseFields, reconstruct_noise, window_noise

__all__ = ["CTSlices", "LowDosePairs", "Source", "load_sources"]

Split = Literal["train", "validate"]

_LAST_TRAINING_PATIENT = 36
_AIR = -1000.0
_BODY_HU = -300.0
_FINE_MM, _COARSE_MM = 0.976562, 2.0
_PIXELS_MM = [_FINE_MM, _COARSE_MM]
_FINE_SIDE, _COARSE_SIDE = 224, 112  # larger slices lose their border in the simulation of noise
_EVERY = 8  # of the 2 mm volumes' slices, one in so many is the middle of a triple
_MARGIN = 8  # pixels around a patch that the noise's periodic window may spoil
_SHARE_FINE = 0.6


@dataclass(frozen=True)
class Source:
    """Slices of one kind.

    Attributes:
        triples: (3, y, x) uint8 each, HU = 8 q - 1000: a slice between its neighbours, or the slice
            three times where it has none.
        pixel_mm: size of their pixels.
        share: how often they are drawn.
    """

    triples: list[np.ndarray]
    pixel_mm: float
    share: float


def load_sources(root: str | None, split: Split) -> list[Source]:
    """The slices of the split's patients: 001-036 for training, 037-042 for validation.

    Args:
        root: folder of the real data, or None for $SCIDDM_DATA, else ../shared/data.
        split: "train" or "validate".

    Raises:
        InputError: the files are not there.
    """
    folder = data_root(root)
    fine, coarse = [], []
    try:
        with h5py.File(folder / "ct" / "sts_ct_1mm_slices.h5") as file:
            for name in _patients(file, split):
                fine += [_square(np.stack([s] * 3), _FINE_SIDE) for s in stored(file, name)]
        with h5py.File(folder / "petct" / "sts_petct_2mm.h5") as file:
            for name in _patients(file, split):
                volume = stored(file, f"{name}/ct_q")
                middles = range(1, len(volume) - 1, _EVERY)
                coarse += [_square(volume[i - 1 : i + 2], _COARSE_SIDE) for i in middles]
    except OSError as error:
        raise InputError(f"{folder}: training data cannot be read ({error})") from error
    return [
        Source(fine, _FINE_MM, _SHARE_FINE),
        Source(coarse, _COARSE_MM, 1 - _SHARE_FINE),
    ]


class _Patches(Dataset[Any]):
    """Random patches of the slices, turned and mirrored; what the two data sets share.

    Args:
        root: folder of the real data; see `load_sources`.
        split: "train" (endless variation) or "validate" (a fixed set).
        patch: side of a patch in pixels.
        length: patches of an epoch.
        seed: with the item's index and the epoch's draw it fixes every random choice.
    """

    def __init__(self, root: str | None, split: Split, patch: int, length: int, seed: int) -> None:
        self.sources = load_sources(root, split)
        self.split, self.patch, self.seed = split, patch, seed
        self.length = length if split == "train" else 128

    def __len__(self) -> int:
        return self.length

    def _rng(self, index: int) -> np.random.Generator:
        # Training draws a new seed each time (from torch's global generator, which Lightning
        # seeds and restores); validation items are the same every time.
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        return np.random.default_rng([self.seed, index, fresh])

    def _place(self, rng: np.random.Generator, margin: int) -> tuple[int, int, slice, slice]:
        """Source, triple, and the rows and columns of a patch that shows a body, not only air."""
        which = int(rng.choice(len(self.sources), p=[s.share for s in self.sources]))
        triples = self.sources[which].triples
        number = int(rng.integers(len(triples)))
        side = self.patch + 2 * margin
        middle = triples[number][1]
        rows = columns = slice(0, side)
        for _ in range(8):
            y, x = (int(rng.integers(n - side + 1)) for n in middle.shape)
            rows, columns = slice(y, y + side), slice(x, x + side)
            if (middle[rows, columns] > (_BODY_HU - _AIR) / 8).mean() > 0.15:
                break
        return which, number, rows, columns

    def _hounsfield(
        self, which: int, number: int, rows: slice, columns: slice, rng: np.random.Generator
    ) -> Tensor:
        """(3, y, x), HU; between the steps of 8 HU that are stored values are spread evenly."""
        stored = self.sources[which].triples[number][:, rows, columns].astype(np.float32)
        spread = rng.random(stored.shape, dtype=np.float32) - 0.5
        inside = (stored > 0) & (stored < 250)  # the ends of the scale are where it was cut
        return torch.from_numpy(8 * (stored + np.where(inside, spread, 0)) + _AIR)


class CTSlices(_Patches):
    """Full-dose patches (1, patch, patch) in HU: for the prior.

    Arguments as of `_Patches`.
    """

    def __init__(
        self,
        root: str | None = None,
        split: Split = "train",
        patch: int = 64,
        length: int = 20_000,
        seed: int = 0,
    ) -> None:
        super().__init__(root, split, patch, length, seed)
        self.representation = {"kind": "ct-prior", "units": "HU", "pixel_mm": _PIXELS_MM}

    def __getitem__(self, index: int) -> Tensor:
        rng = self._rng(index)
        hu = self._hounsfield(*self._place(rng, 0), rng)[1:2]
        return _turned(hu, rng)


class LowDosePairs(_Patches):
    """Pairs of full dose and low dose in HU: x0 and y (1, patch, patch), cond (2, patch, patch).

    `cond` are the two neighbouring slices at the low dose, divided by `scale`; the slice itself
    where it has no neighbours.

    Args:
        root, split, patch, length, seed: as of `_Patches`.
        scale: of the denoiser, HU: a network sees its condition as it is.
        doses: least and greatest fraction of the full dose, drawn evenly in the logarithm.
        neighbours: how often neighbours are shown where there are any.
        views: of the simulated turn.
    """

    def __init__(
        self,
        root: str | None = None,
        split: Split = "train",
        patch: int = 64,
        length: int = 20_000,
        seed: int = 0,
        scale: float = 100.0,
        doses: tuple[float, float] = (0.04, 1.5),
        neighbours: float = 0.85,
        views: int = 360,
    ) -> None:
        super().__init__(root, split, patch, length, seed)
        self.scale, self.neighbours = float(scale), neighbours
        self.doses = (math.log(doses[0]), math.log(doses[1]))
        self.representation = {
            "kind": "ct-denoise",
            "units": "HU",
            "pixel_mm": _PIXELS_MM,
            "neighbours": 1,
            "condition_scale": self.scale,
        }
        self.noise = [
            [_stored(f) for f in reconstruct_noise(_middles(s), s.pixel_mm, seed, views=views)]
            for s in self.sources
        ]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = self._rng(index)
        which, number, rows, columns = self._place(rng, _MARGIN)
        hu = self._hounsfield(which, number, rows, columns, rng)
        fields = self.noise[which][number].crop(rows, columns)
        dose = math.exp(rng.uniform(*self.doses))
        softness = 0.0 if rng.random() < 0.4 else float(rng.uniform(0, 1.5))
        noise = window_noise(fields.draw(dose, rng), softness)
        inner = slice(_MARGIN, -_MARGIN)
        hu, noise = hu[:, inner, inner], noise[:, inner, inner]
        low = hu + noise
        alone = np.array_equal(*self.sources[which].triples[number][[0, 1]])
        if alone or rng.random() > self.neighbours:
            low = low[1:2].expand(3, -1, -1)
        both = _turned(torch.cat([hu[1:2], low]), rng)
        if rng.random() < 0.5:  # the patient the other way up
            both = both[[0, 3, 2, 1]]
        return {"x0": both[:1], "y": both[2:3], "cond": both[[1, 3]] / self.scale}


def _patients(file: h5py.File, split: Split) -> list[str]:
    return [
        name
        for name in sorted(file)
        if (int(name[-3:]) <= _LAST_TRAINING_PATIENT) == (split == "train")
    ]


def _square(triple: np.ndarray, side: int) -> np.ndarray:
    """(3, side, side): the middle, with air around it where it is smaller."""
    out = np.zeros((len(triple), side, side), np.uint8)
    cuts, places = [], []
    for n in triple.shape[1:]:
        kept = min(n, side)
        cuts.append(slice((n - kept) // 2, (n - kept) // 2 + kept))
        places.append(slice((side - kept) // 2, (side - kept) // 2 + kept))
    out[:, places[0], places[1]] = triple[:, cuts[0], cuts[1]]
    return out


def _middles(source: Source) -> Tensor:
    return 8.0 * torch.from_numpy(np.stack([t[1] for t in source.triples])).float() + _AIR


def _stored(fields: NoiseFields) -> NoiseFields:
    return NoiseFields(fields.quantum.half(), fields.electronic.half())


def _turned(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirrored and turned by quarters at random, all images alike."""
    if rng.random() < 0.5:
        images = images.flip(-1)
    return torch.rot90(images, int(rng.integers(4)), (-2, -1)).contiguous()
