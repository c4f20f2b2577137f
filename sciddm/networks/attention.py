"""Self-attention that is quick on a CPU and does not keep the attention matrix."""

from __future__ import annotations

from typing import cast

import torch
from monai.networks.blocks.selfattention import SABlock
from monai.networks.blocks.spatialattention import SpatialAttentionBlock
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Attention", "WindowedAttention", "use_quick_attention", "use_windowed_attention"]


class Attention(SABlock):
    """MONAI's self-attention block, softmax(scale q k^T) v, by torch's fused kernel in float32.

    For heads of few channels bfloat16 gains nothing on a CPU: its fused kernel is about three
    times slower backwards, and the plain product keeps matrices of heads x tokens x tokens.
    """

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        if attn_mask is not None:
            out: Tensor = super().forward(x, attn_mask)
            return out
        q, k, v = (self.input_rearrange(f(x)) for f in (self.to_q, self.to_k, self.to_v))
        with torch.autocast(x.device.type, enabled=False):
            y = functional.scaled_dot_product_attention(
                q.float(), k.float(), v.float(), scale=self.scale
            )
        y = self.out_rearrange(y.to(v.dtype))
        out = self.drop_output(self.out_proj(y) if self.include_fc else y)
        return out


def use_quick_attention(network: nn.Module) -> None:
    """Turns MONAI's plain self-attention blocks into ``Attention``; weights stay as they are."""
    for module in network.modules():
        plain = type(module) is SABlock and not module.use_combined_linear
        if plain and not module.causal and module.rel_positional_embedding is None:
            module.__class__ = Attention


class WindowedAttention(SpatialAttentionBlock):
    """MONAI's spatial self-attention, x + attention(norm(x)), of each window of x to itself.

    Windows are what an even division of every axis into as few parts as needed makes of x, so that
    none has more than ``window`` cells a side; what fits into one is attended to as a whole. The
    cost grows with the cells, not with their square, and a network trained on crops meets no more
    tokens in an image than it has seen there. The norm is of all of x.
    """

    window: int

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) -> the same shape."""
        return x + self._windows(self.norm(x), axis=2)

    def _windows(self, x: Tensor, axis: int) -> Tensor:
        if axis == x.ndim:
            tokens = x.flatten(2).transpose(1, 2)
            return cast(Tensor, self.attn(tokens)).transpose(1, 2).reshape(x.shape)
        parts = -(-x.shape[axis] // self.window)
        if parts == 1:
            return self._windows(x, axis + 1)
        return torch.cat([self._windows(p, axis + 1) for p in x.tensor_split(parts, axis)], axis)


def use_windowed_attention(network: nn.Module, window: int) -> None:
    """Keeps MONAI's spatial self-attention to windows; weights stay as they are."""
    for module in network.modules():
        if type(module) is SpatialAttentionBlock:
            module.__class__ = WindowedAttention
            assert isinstance(module, WindowedAttention)
            module.window = window
