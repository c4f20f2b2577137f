"""A diffusion U-Net as a denoising network for images (or volumes) of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.networks.diffusion_unet import DiffusionUNet
from sciddm.networks.patches import patches_of, pixels_of

__all__ = ["UNet"]

# The network embeds a time by sines of angular frequency 1 down to 1e-4, made for t = 0..1000.
# ln(sigma) spans about 10, so it is stretched to use the upper part of those frequencies
# without the fastest turning more than a few times per octave of noise.
_LEVEL_SCALE = 10.0


class UNet(nn.Module):
    """``(x, ln(s/a), cond) -> x``: ``DiffusionUNet`` for any size.

    Any spatial size is accepted: the input is padded at its far edges by replication up to the
    network's stride and cropped again. With ``patch`` p > 1 the network works on p x p blocks of
    pixels as channels (space to depth), which costs p^2 times less at the finest level; several
    numbers are the sides of a block along each axis.

    Args:
        in_channels: real channels of the input, endpoint included.
        out_channels: real channels of the output.
        channels: width of each level; the resolution halves between levels.
        num_res_blocks: residual blocks in each level.
        attention_levels: self-attention per level; the middle block always has one.
        patch: space-to-depth factor, of all axes or of each.
        spatial_dims: 2 or 3.
        cond_channels: channels of ``cond``, which is stacked behind the input.
        norm_num_groups: groups of the group normalisations.
        attention_window: cells of a level that self-attention looks at together, along an axis;
            None for all of them. As wide as the crops of the training, it changes nothing there.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int] = (64, 96, 128),
        num_res_blocks: int = 2,
        attention_levels: Sequence[bool] | None = None,
        patch: int | Sequence[int] = 1,
        spatial_dims: int = 2,
        cond_channels: int = 0,
        norm_num_groups: int = 32,
        attention_window: int | None = None,
    ) -> None:
        super().__init__()
        sides = [patch] * spatial_dims if isinstance(patch, int) else list(patch)
        if len(sides) != spatial_dims:
            raise ValueError(f"a patch of {sides} in {spatial_dims} dimensions")
        if attention_window is not None and attention_window < 1:
            raise ValueError(f"attention_window is {attention_window}: at least 1 is needed")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "channels": list(channels),
            "num_res_blocks": num_res_blocks,
            "attention_levels": None if attention_levels is None else list(attention_levels),
            "patch": patch if isinstance(patch, int) else sides,
            "spatial_dims": spatial_dims,
            "cond_channels": cond_channels,
            "norm_num_groups": norm_num_groups,
            "attention_window": attention_window,
        }
        self.patch = sides
        self.spatial_dims = spatial_dims
        self.cond_channels = cond_channels
        self.strides = [p * 2 ** (len(channels) - 1) for p in sides]
        size = math.prod(sides)
        self.net = DiffusionUNet(
            spatial_dims=spatial_dims,
            in_channels=(in_channels + cond_channels) * size,
            out_channels=out_channels * size,
            channels=tuple(channels),
            num_res_blocks=num_res_blocks,
            attention_levels=tuple(attention_levels or [False] * len(channels)),
            norm_num_groups=norm_num_groups,
            attention_window=attention_window,
        )
        # About twice as fast in bf16 on a CPU.
        self._format = {2: torch.channels_last, 3: torch.channels_last_3d}[spatial_dims]
        self.net = self.net.to(memory_format=self._format)  # type: ignore[call-overload]

    @property
    def stride(self) -> int:
        """The largest of ``strides``: the sides of an input are padded to multiples of those."""
        out: int = max(self.strides)
        return out

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        """Output for x (B, C, *spatial), level (B,) = ln(s/a) and cond (B, C', *spatial)."""
        if (cond is None) != (self.cond_channels == 0):
            raise ValueError(f"the network takes {self.cond_channels} channels of conditioning")
        if cond is not None:
            x = torch.cat([x, cond], dim=1)
        size = x.shape[2:]
        x = self._pad(x)
        blocks = max(self.patch) > 1
        if blocks:
            x = patches_of(x, self.patch)
        out = self.net(x.contiguous(memory_format=self._format), level * _LEVEL_SCALE)
        if blocks:
            out = pixels_of(out, self.patch)
        answer: Tensor = out[(..., *(slice(n) for n in size))]
        return answer

    def adopt(self, other: UNet) -> None:
        """Begins as the function that ``other`` is; if that has no conditioning, blind to it.

        Raises:
            RuntimeError: the networks differ in anything else.
        """
        weights = other.state_dict()
        if self.cond_channels > 0 == other.cond_channels:
            first = "net.conv_in.conv.weight"
            mine = torch.zeros_like(self.state_dict()[first])
            # In patches, too, channels of x come first and those of cond behind them.
            mine[:, : weights[first].shape[1]] = weights[first]
            weights[first] = mine
        self.load_state_dict(weights)

    def _pad(self, x: Tensor) -> Tensor:
        margin = [-n % s for n, s in zip(x.shape[2:], self.strides, strict=True)]
        if not any(margin):
            return x
        widths = [w for m in reversed(margin) for w in (0, m)]
        return functional.pad(x, widths, mode="replicate")
