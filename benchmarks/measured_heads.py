"""Heads and their undersampled scans for `benchmarks.measurements_only`: 48 x 48, four coils."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.physics import CartesianMRI
from sciddm.physics.fourier import fft2c, ifft2c
from sciddm.physics.mri.masks import make_mask
from sciddm.physics.mri.scaling import bright_level
from sciddm.pipelines.mri.measured_slices import MeasuredSlices, SplitSlices
from sciddm.pipelines.mri.training_data import BrainSlices, load_slices
from sciddm.simulation.mri.scan import coil_maps
from sciddm.storage import write_durably

__all__ = ["COUNT", "NOISE", "SIDE", "Scans", "SplitScans", "heads", "scan_of", "write_clean"]

Split = Literal["train", "validate"]
SIDE, COILS, NOISE = 48, 4, 0.03
#: Slices of each side of the split, evenly spread over those of its patients.
COUNT = {"train": 192, "validate": 24}
_CENTRE = {2: 8, 4: 6, 8: 4}


@cache
def heads(split: Split) -> Tensor:
    """Complex images (n, 1, 48, 48): phase simulated as for `mri-brain`, bright tissue at 1."""
    slices = load_slices(None, split)["brain"]
    simulation = BrainSlices(None, split, patch=SIDE)
    images = []
    for place in np.linspace(0, len(slices) - 1, COUNT[split]).round().astype(int):
        rng = np.random.default_rng([1, int(place)])
        phase = simulation._phase(slices[place].shape, rng)
        image = torch.from_numpy(slices[place]).float() / 255 * torch.polar(torch.ones(()), phase)
        k = fft2c(image)
        y, x = ((n - SIDE) // 2 for n in k.shape)
        image = ifft2c(k[y : y + SIDE, x : x + SIDE])
        images.append((image / bright_level(image)).to(torch.complex64)[None])
    return torch.stack(images)


def scan_of(image: Tensor, acceleration: float, seed: int) -> dict[str, Tensor]:
    """The measurement of one image (1, 48, 48), as `MeasuredSlices` holds it."""
    rng = np.random.default_rng([2, seed])
    maps = torch.from_numpy(coil_maps(COILS, (SIDE, SIDE), seed)) / NOISE
    lines = make_mask(
        "random", (SIDE, SIDE), acceleration, _CENTRE[int(acceleration)], int(rng.integers(2**31))
    )
    mask = torch.from_numpy(lines).float()[None]
    white = torch.from_numpy(rng.standard_normal((2, COILS, SIDE, SIDE), np.float32)) / 2**0.5
    noise = torch.complex(white[0], white[1])
    return {"kspace": CartesianMRI(mask, maps)(image) + mask * noise, "maps": maps, "mask": mask}


class Scans(Dataset[Any]):
    """Each head, measured once.

    Args:
        split: training or validation patients.
        acceleration: of every scan.
        seed: not used: the scan of a head is always the same.
    """

    def __init__(self, split: Split = "train", acceleration: int = 4, seed: int = 0) -> None:
        first = 0 if split == "train" else 100_000
        self.items = [
            scan_of(image, acceleration, first + k) for k, image in enumerate(heads(split))
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.items[index]

    measurement = staticmethod(MeasuredSlices.measurement)


class SplitScans(SplitSlices):
    """The same scans in two parts."""

    def __init__(
        self, split: Split = "train", acceleration: int = 4, share: float = 0.4, seed: int = 0
    ) -> None:
        self.slices = Scans(split, acceleration)
        self.split, self.share, self.centre, self.seed = split, share, 4, seed

    measurement = staticmethod(MeasuredSlices.measurement)


def write_clean(folder: Path) -> None:
    """The images themselves, in the files of `training.expectation.Draws`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validate"):
        path = folder / f"{split}-000000.safetensors"
        if not path.exists():
            values = torch.view_as_real(heads(split)).contiguous()
            write_durably(path, save({"complex": values}))
