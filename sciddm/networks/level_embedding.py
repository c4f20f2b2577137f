"""The noise level as a vector that a network can be told."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["EMBEDDING", "LevelEmbedding"]

EMBEDDING = 128


class LevelEmbedding(nn.Module):
    """ln(s/a) as sines and cosines of wavelengths from about one octave of noise to the range."""

    frequencies: Tensor

    def __init__(self, waves: int = 16) -> None:
        super().__init__()
        frequencies = torch.logspace(math.log10(0.2), math.log10(8.0), waves)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * waves, EMBEDDING),
            nn.SiLU(),
            nn.Linear(EMBEDDING, EMBEDDING),
            nn.SiLU(),
        )

    def forward(self, level: Tensor) -> Tensor:
        """(B, EMBEDDING) of levels (B,)."""
        angle = level[:, None].float() * self.frequencies
        out: Tensor = self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))
        return out
