"""MONAI's U-Net for segmentation, which is told no noise level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets.unet import UNet
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PlainUNet"]


class PlainUNet(nn.Module):
    """``(x, level, cond) -> logits``: a thin wrapper of ``monai.networks.nets.UNet``.

    The level is ignored. Inputs of any size are padded at their far edges by replication up to the
    network's stride.

    Args:
        in_channels: of the input, conditioning included.
        out_channels: of the output.
        channels: width of each level.
        strides: of each step down, one fewer than levels.
        num_res_units: residual units in each level.
        spatial_dims: 2 or 3.
        norm: MONAI's name of the normalisation.
        dropout: share of features left out in training.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int] = (16, 32, 64, 128),
        strides: Sequence[int] = (2, 2, 2),
        num_res_units: int = 2,
        spatial_dims: int = 3,
        norm: str = "INSTANCE",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(strides) != len(channels) - 1:
            raise ValueError(f"{len(channels)} levels need {len(channels) - 1} strides")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "channels": list(channels),
            "strides": list(strides),
            "num_res_units": num_res_units,
            "spatial_dims": spatial_dims,
            "norm": norm,
            "dropout": dropout,
        }
        self.spatial_dims = spatial_dims
        self.stride = 1
        for s in strides:
            self.stride *= s
        self.net = UNet(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            out_channels=out_channels,
            channels=tuple(channels),
            strides=tuple(strides),
            num_res_units=num_res_units,
            norm=norm,
            dropout=dropout,
        )
        self._format = {2: torch.channels_last, 3: torch.channels_last_3d}[spatial_dims]
        self.net = self.net.to(memory_format=self._format)  # type: ignore[call-overload]

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        """Logits for x (B, C, *spatial)."""
        if cond is not None:
            x = torch.cat([x, cond], dim=1)
        size = x.shape[2:]
        widths = [w for n in reversed(size) for w in (0, -n % self.stride)]
        if any(widths):
            x = functional.pad(x, widths, mode="replicate")
        out = self.net(x.contiguous(memory_format=self._format))
        answer: Tensor = out[(..., *(slice(n) for n in size))]
        return answer
