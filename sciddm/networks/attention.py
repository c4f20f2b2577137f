"""Self-attention that is quick on a CPU and does not keep the attention matrix."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.acceleration.attention import FEWEST_TOKENS, attend
from sciddm.acceleration.switch import active
from sciddm.networks.group_norm import GroupNorm

__all__ = ["Attention", "SpatialAttention"]


class Attention(nn.Module):
    """softmax(q k^T / sqrt(d)) v of tokens (B, n, C), by torch's fused kernel in float32.

    For heads of few channels bfloat16 gains nothing on a CPU: its fused kernel is about three
    times slower backwards, and the plain product keeps matrices of heads x tokens x tokens.

    Args:
        width: C, a multiple of ``heads``.
        heads: each looks at C / heads = d channels.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # In the order of MONAI's block: a seed gives the same weights.
        self.out_proj = nn.Linear(width, width)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, n, C) -> the same shape."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.to_q, self.to_k, self.to_v)
        )
        with torch.autocast(x.device.type, enabled=False):
            quick = (
                active().attention
                and torch.is_grad_enabled()
                and q.requires_grad
                and q.dtype == torch.bfloat16
                and q.device.type == "cpu"
                and q.shape[-2] >= FEWEST_TOKENS
            )
            attention = attend if quick else functional.scaled_dot_product_attention
            y = attention(q.float(), k.float(), v.float())
        out: Tensor = self.out_proj(y.to(v.dtype).transpose(1, 2).flatten(2))
        return out


class SpatialAttention(nn.Module):
    """x + attention(norm(x)) of cells (B, C, *spatial), each window of x to itself.

    Windows are what an even division of every axis into as few parts as needed makes of x, so that
    none has more than ``window`` cells a side; what fits into one is attended to as a whole. The
    cost grows with the cells, not with their square, and a network trained on crops meets no more
    tokens in an image than it has seen there. The norm is of all of x.

    Args:
        width: C.
        groups: of the norm.
        eps: of the norm.
        head_channels: channels of a head; C is a multiple.
        window: cells along an axis; None for all of them.

    Raises:
        ValueError: C is no multiple.
    """

    def __init__(
        self, width: int, groups: int, eps: float, *, head_channels: int, window: int | None = None
    ) -> None:
        super().__init__()
        if width % head_channels:
            raise ValueError(f"a width of {width} is no multiple of a head's {head_channels}")
        self.norm = GroupNorm(groups, width, eps=eps)
        self.attn = Attention(width, width // head_channels)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, *spatial) -> the same shape."""
        return self._windows(self.norm(x), axis=2) + x

    def _windows(self, x: Tensor, axis: int) -> Tensor:
        if axis == x.ndim:
            tokens = x.reshape(*x.shape[:2], -1).transpose(1, 2)
            out: Tensor = self.attn(tokens).transpose(1, 2).reshape(x.shape)
            return out
        parts = 1 if self.window is None else -(-x.shape[axis] // self.window)
        if parts == 1:
            return self._windows(x, axis + 1)
        return torch.cat([self._windows(p, axis + 1) for p in x.tensor_split(parts, axis)], axis)
