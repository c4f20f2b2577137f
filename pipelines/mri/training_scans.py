"""Undersampled scans made on the fly, for a model that is trained to see the measurement.

The images are those of ``training_data``. Each is measured as a scan would: coil sensitivities,
undersampled phase encoding, noise. Along the readout nothing is undersampled, so every column of
the image (every readout position) is a measurement of its own, and a crop of columns with all
rows is exactly what a smaller readout would have given.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from sciddm.classical.tv_measurement import starting_image
from sciddm.physics import CartesianMRI, Measurement
from sciddm.physics.fourier import fft2c
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.image_simulation import smooth_field
from sciddm.pipelines.mri.training_data import BrainSlices
from sciddm.simulation.mri.scan import coil_maps

__all__ = ["UndersampledScans"]

_ARRAYS, _GRID = 48, 96
_NOISE = (0.003, 0.08)
# Level of the blurred image above which there are maps, and how often they are everywhere.
_SUPPORT = (0.02, 0.15)
_EVERYWHERE = 0.2
# Iterations of the image of total variation.
_START = 100
_KINDS = {"random": 0.55, "gaussian": 0.2, "equispaced": 0.15, "scattered": 0.1}


class UndersampledScans(Dataset[Any]):
    """Images and their measurements, phase encoding along rows.

    An item holds x0 (1, rows, columns) complex64, tissue near 1; ``start``, the image of total
    variation that sampling starts from; and of its measurement ``kspace`` (coil, rows, columns) and
    ``maps``, both divided by the noise level, and ``mask`` (1, rows, columns). The maps are not
    quite those the data were made with, as estimated ones are not, and often end where there is
    nothing to see.

    Args:
        root: folder of the real data, or None for $SCIDDM_DATA.
        split: "train" (endless variation) or "validate" (a fixed set).
        rows: lines of phase encoding, all of them; an image with fewer lies in empty space.
        columns: width of the random crop along the readout.
        coils: receive channels.
        length: items per epoch (train) or in all (validate).
        seed: with the item's index and the epoch's draw it fixes every random choice.
    """

    def __init__(
        self,
        root: str | None = None,
        split: Literal["train", "validate"] = "train",
        rows: int = 192,
        columns: int = 80,
        coils: int = 6,
        length: int = 20_000,
        seed: int = 0,
    ) -> None:
        self.images = BrainSlices(root, split, seed=seed)
        self.split, self.seed = split, seed
        self.rows, self.columns = rows, columns
        self.length = length if split == "train" else 64
        arrays = [coil_maps(coils, (_GRID, _GRID), seed * 1000 + i) for i in range(_ARRAYS)]
        self.arrays = torch.from_numpy(np.stack(arrays))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        rng = np.random.default_rng([self.seed, index, fresh])
        slices = self.images
        drawn = int(rng.choice(len(slices.slices), p=slices.share))
        magnitude = torch.from_numpy(slices.slices[drawn]).float() / 255
        return self.simulate(magnitude, rng, fat=slices.fat[drawn])

    @staticmethod
    def measurement(batch: dict[str, Tensor]) -> Measurement:
        """``kspace = mask F (maps x0) + n`` with E|n|^2 = 1 of a batch of items."""
        operator = CartesianMRI(batch["mask"], batch["maps"])
        return Measurement(batch["kspace"], operator, 1.0, iterations=6)

    def simulate(
        self, magnitude: Tensor, rng: np.random.Generator, *, fat: bool = True
    ) -> dict[str, Tensor]:
        """One item from a magnitude slice (y, x) in 0..1; ``fat``: it shows some."""
        image = self.images.image(magnitude, rng, fat=fat)
        if rng.random() < 0.3:
            image = image.T
        image, true = self._field_of_view(image, rng)
        maps = self._estimated(true, image, rng)
        noise = math.exp(rng.uniform(*np.log(_NOISE)))
        mask = torch.from_numpy(self._mask(rng)).float()
        white = torch.from_numpy(rng.standard_normal((2, *maps.shape), np.float32)) / 2**0.5
        kspace = mask * (fft2c(true * image) / noise + torch.complex(white[0], white[1]))
        # In the units of reconstruction, which the weight of total variation is meant for.
        scan = Measurement(noise * kspace, CartesianMRI(mask, maps), noise)
        return {
            "x0": image[None],
            "start": starting_image(scan, _START)[0],
            "kspace": kspace,
            "maps": maps / noise,
            "mask": mask[None],
        }

    def _field_of_view(self, image: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The image in (rows, columns), and sensitivities over the same field."""
        h, w = image.shape
        if h > self.rows:
            first = int(rng.integers(h - self.rows + 1))
            image = image[first : first + self.rows]
        else:
            above = int(rng.integers(self.rows - h + 1))
            image = functional.pad(image, (0, 0, above, self.rows - h - above))
        image = functional.pad(image, (0, max(0, self.columns - w)))
        w = image.shape[1]
        maps = self.arrays[int(rng.integers(len(self.arrays)))]
        maps = torch.view_as_real(maps).movedim(-1, 1)
        if rng.random() < 0.5:
            maps = maps.flip(-1)
        if rng.random() < 0.5:
            maps = maps.flip(-2)
        maps = functional.interpolate(
            maps, size=(self.rows, w), mode="bicubic", align_corners=False
        )
        left = int(rng.integers(w - self.columns + 1))
        crop = slice(left, left + self.columns)
        maps = torch.view_as_complex(maps[..., crop].movedim(1, -1).contiguous())
        return image[:, crop].to(torch.complex64), maps / _root_sum_of_squares(maps)

    def _estimated(self, maps: Tensor, image: Tensor, rng: np.random.Generator) -> Tensor:
        """The maps as a calibration would find them: with smooth errors of up to 4 %, and most
        often 0 where the image, at the resolution of the calibration region, shows nothing."""
        size = float(rng.uniform(0, 0.04))
        parts = [
            [smooth_field(maps.shape[-2:], rng, cells=8) for _ in range(2)]
            for _ in range(len(maps))
        ]
        error = torch.stack([torch.complex(real, imaginary) for real, imaginary in parts])
        largest = maps.abs().amax((-2, -1), keepdim=True)
        found = maps + size * largest * error
        found = found / _root_sum_of_squares(found)
        width, level = 2 * int(rng.integers(3, 13)) + 1, math.exp(rng.uniform(*np.log(_SUPPORT)))
        if rng.random() < _EVERYWHERE:
            return found
        blurred = image.abs()[None, None]
        for _ in range(2):
            blurred = functional.avg_pool2d(blurred, width, 1, width // 2)
        return found * (blurred[0, 0] > level)

    def _mask(self, rng: np.random.Generator) -> np.ndarray:
        """(rows, columns): whole lines, or scattered points as of a 3D scan."""
        acceleration = math.exp(rng.uniform(math.log(2.5), math.log(10)))
        budget = round(self.rows / acceleration)
        centre = int(rng.integers(8, 33))
        kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
        shape = (self.rows, self.columns)
        if kind != "scattered":
            acs = min(centre, round(0.7 * budget))
            return make_mask(kind, shape, self.rows / budget, acs, int(rng.integers(2**31)))
        y, x = ((np.arange(n) - n // 2) / n for n in shape)
        density = np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * 0.25**2))
        mask = rng.random(shape) < density / density.mean() / acceleration
        mask[
            np.ix_(np.abs(y) * self.rows <= centre / 2, np.abs(x) * self.columns <= centre / 2)
        ] = 1
        out: np.ndarray = mask
        return out


def _root_sum_of_squares(maps: Tensor) -> Tensor:
    out: Tensor = torch.linalg.vector_norm(maps, dim=0).clamp(min=1e-6)
    return out
