"""Pictures of discs and bars, as PNG."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray


def picture(rng: np.random.Generator, side: int = 32) -> NDArray[np.float64]:
    """One to three discs and bars of random brightness on dark ground, in 0..1."""
    y, x = np.mgrid[:side, :side]
    image = np.full((side, side), 0.1)
    for _ in range(int(rng.integers(1, 4))):
        middle = rng.uniform(4, side - 4, 2)
        if rng.random() < 0.5:
            share = np.clip(rng.uniform(3, 8) - np.hypot(y - middle[0], x - middle[1]) + 0.5, 0, 1)
        else:
            height, width = rng.uniform(3, 14, 2)
            share = np.clip(height / 2 - abs(y - middle[0]) + 0.5, 0, 1)
            share = share * np.clip(width / 2 - abs(x - middle[1]) + 0.5, 0, 1)
        image = image * (1 - share) + rng.uniform(0.3, 1.0) * share
    return image


def write_pictures(folder: Path, count: int, seed: int = 0, side: int = 32) -> Path:
    """Pictures as 8-bit PNG; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        image = (255 * picture(rng, side)).round().astype(np.uint8)
        iio.imwrite(folder / f"img_{number:04}.png", image)
    return folder
