"""Self-attention that is quick on a CPU and does not keep the attention matrix."""

from __future__ import annotations

import torch
from monai.networks.blocks.selfattention import SABlock
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Attention", "use_quick_attention"]


class Attention(SABlock):
    """MONAI's self-attention block, softmax(scale q k^T) v, by torch's fused kernel in float32.

    For heads of few channels bfloat16 gains nothing on a CPU: its fused kernel is about three
    times slower backwards, and the plain product keeps matrices of heads x tokens x tokens.
    """

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        if attn_mask is not None:
            return super().forward(x, attn_mask)
        q, k, v = (self.input_rearrange(f(x)) for f in (self.to_q, self.to_k, self.to_v))
        with torch.autocast(x.device.type, enabled=False):
            y = functional.scaled_dot_product_attention(
                q.float(), k.float(), v.float(), scale=self.scale
            )
        y = self.out_rearrange(y.to(v.dtype))
        return self.drop_output(self.out_proj(y) if self.include_fc else y)


def use_quick_attention(network: nn.Module) -> None:
    """Turns MONAI's plain self-attention blocks into ``Attention``; weights stay as they are."""
    for module in network.modules():
        plain = type(module) is SABlock and not module.use_combined_linear
        if plain and not module.causal and module.rel_positional_embedding is None:
            module.__class__ = Attention
