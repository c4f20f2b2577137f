"""Training data of the hyperspectral models, made on the fly.

A coefficient image is one component of a scene's spectra in a basis that whitens the noise, about
its mean and divided by its standard deviation over the scene. What such images look like hardly
depends on the sensor: they have the edges and textures of the land, and heavy tails. So the prior
learns from random scenes (`random_scenes`) rather than from the few cubes there are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.data_adapters.hsi.library import read_library
from sciddm.simulation.hsi.random_scenes import Split, random_stack
from sciddm.simulation.hsi.scene import Library

__all__ = ["GUIDES", "CoefficientImages", "coefficient_item", "find_library"]

GUIDES = 3
_REUSE = 8  # crops that are taken of a scene before another takes its place


def find_library(root: str | None = None) -> Library:
    """earthlib's spectra, in the folder of real data: `root`, else $SCIDDM_DATA, else
    ../shared/data.

    Raises:
        InputError: they are not there.
    """
    folder = Path(root or os.environ.get("SCIDDM_DATA", "../shared/data"))
    return read_library(folder / "hyperspectral" / "earthlib_optimized_317x180.npz")


class CoefficientImages(Dataset[Any]):
    """Coefficient images x0 (1, patch, patch) with their guides cond (3, patch, patch).

    Guides are the strongest components of the same scene before this one, as they are after
    denoising: nearly right, a little smooth. They show where its edges may be. What is missing is
    0, as all three are for the first component, and for three tenths of the others.

    Args:
        root: folder of the real data, or None for $SCIDDM_DATA.
        split: "train" (endless variation) or "validate" (a fixed set).
        patch: side of an item in pixels.
        side: of the scenes it is cut from.
        length: items per epoch (train) or in all (validate).
        seed: with the item's index and the epoch's draw it fixes every random choice.
    """

    #: Kept with the model: `HyperspectralDenoising.from_pretrained` takes its method from it.
    representation: ClassVar[dict[str, str]] = {"method": "subspace"}

    def __init__(
        self,
        root: str | None = None,
        split: Split = "train",
        patch: int = 64,
        side: int = 96,
        length: int = 20_000,
        seed: int = 0,
    ) -> None:
        self.library = find_library(root)
        self.split: Split = split
        self.patch, self.side, self.seed = patch, side, seed
        self.length = length if split == "train" else 256
        self._pool: list[NDArray[np.float32]] = []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        # Training draws a new seed each time (from torch's global generator, which Lightning
        # seeds and restores); validation items are the same every time.
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        rng = np.random.default_rng([self.seed, index, fresh])
        return coefficient_item(self._scene(rng), self.patch, rng)

    def _scene(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """A new scene, or in training mostly one of the last 64."""
        if self.split == "validate":
            return random_stack(self.side, rng, self.library, self.split)
        if len(self._pool) < 64 or rng.random() < 1 / _REUSE:
            made = random_stack(self.side, rng, self.library, self.split)
            if len(self._pool) < 64:
                self._pool.append(made)
            else:
                self._pool[int(rng.integers(64))] = made
            return made
        return self._pool[int(rng.integers(64))]


def coefficient_item(
    stack: NDArray[np.float32], patch: int, rng: np.random.Generator
) -> dict[str, Tensor]:
    """A crop of one coefficient image of a scene (component, y, x), with its guides.

    Returns:
        x0 (1, patch, patch) and cond (3, patch, patch); see ``CoefficientImages``.
    """
    p = patch
    y, x = (int(rng.integers(n - p + 1)) for n in stack.shape[1:])
    part = stack[:, y : y + p, x : x + p]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    part = np.rot90(part, int(rng.integers(4)), (1, 2))
    which = int(rng.integers(len(part)))
    count = min(which, GUIDES) if rng.random() < 0.7 else 0
    guides = np.zeros((GUIDES, p, p), np.float32)
    for k in range(count):
        guides[k] = _as_denoised(part[k], rng)
    x0 = part[which] * rng.lognormal(0, 0.2) + rng.normal(0, 0.2)
    return {
        "x0": torch.from_numpy(np.ascontiguousarray(x0[None], np.float32)),
        "cond": torch.from_numpy(guides),
    }


def _as_denoised(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """An image with some of its detail gone, and smooth remains of noise."""
    error = np.exp(rng.uniform(np.log(0.02), np.log(0.3)))
    width = rng.uniform(0.4, 1.2)
    share = min(1.0, 2 * error)
    smooth = (1 - share) * image + share * gaussian_filter(image, width)
    noise = gaussian_filter(rng.standard_normal(image.shape), width)
    return np.asarray(smooth + 0.5 * error * noise / noise.std(), np.float32)
