"""From a scan's units and phase to the prior's: what the centre of k-space tells.

The prior is trained on images whose low-resolution phase is removed and whose bright level is 1
(see ``training_data``); a scan is brought there by the same functions, and back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.physics.fourier import ifft2c

__all__ = ["bright_level", "low_resolution", "unit_norm", "unit_phase"]


def low_resolution(k: Tensor, width: tuple[int, int]) -> Tensor:
    """Image of the k-space centre under a Hann window of ``width`` (ky, kx) samples.

    Args:
        k: centred k-space (..., ky, kx).
        width: full widths of the window in samples; only these samples are read.

    Returns:
        Complex low-resolution image (..., y, x), in the units of the full image.
    """
    window = torch.ones((), device=k.device)
    for axis, (n, w) in enumerate(zip(k.shape[-2:], width, strict=True)):
        offset = (torch.arange(n, device=k.device) - n // 2).abs() / (w / 2 + 0.5)
        taper = torch.where(offset < 1, 0.5 + 0.5 * torch.cos(torch.pi * offset), 0.0)
        window = window * (taper[:, None] if axis == 0 else taper)
    return ifft2c(k * window)


def bright_level(image: Tensor, quantile: float = 0.98) -> float:
    """The 98th percentile of the magnitude: bright tissue, whatever the share of background; 0 for
    an image of zeros."""
    magnitude = image.abs().flatten()
    if not bool(magnitude.max() > 0):
        return 0.0
    inside = magnitude[magnitude > 0.1 * magnitude.max()]
    return float(torch.quantile(inside, quantile))


def unit_phase(image: Tensor) -> Tensor:
    """exp(i arg image), 1 where the image is 0."""
    return torch.polar(torch.ones_like(image.real), image.angle())


def unit_norm(maps: Tensor) -> Tensor:
    """Coil maps (coil, y, x) of norm 1 over the coils, 0 where they are 0."""
    norm = torch.linalg.vector_norm(maps, dim=0)
    out: Tensor = maps / norm.where(norm > 0, 1.0)
    return out
