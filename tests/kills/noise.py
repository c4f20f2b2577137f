"""Items of a training that costs nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

__all__ = ["Noise"]


class Noise(Dataset[Any]):
    """Sixteen images of noise."""

    def __init__(self, split: str, seed: int = 0) -> None:
        self.split = split

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        fixed = torch.full((1, 8, 8), 0.5 * index)
        return {"x0": fixed if self.split != "train" else fixed + torch.randn(1, 8, 8)}
