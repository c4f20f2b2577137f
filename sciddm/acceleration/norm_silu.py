"""silu(group norm x) with one backward of few passes over memory.

With y = w (x - m) / d + b, m and d = sqrt(var + eps) of each group of n values, k = silu'(y) and
t = g k,

    dL/dx = t w / d - x^ <t w x^> / (n d) - <t w> / (n d),     x^ = (x - m) / d,

which is c1 t + c2 x + c3 with constants per channel. k is the same for every gradient g through one
evaluation, so it is
computed once, and t is turned into dL/dx in place.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["norm_silu"]


def norm_silu(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """silu(norm(x)); the gradient is with respect to x (B, C, *spatial) alone.

    Args:
        norm: frozen, with weight and bias.
        x: input that needs a gradient.
    """
    out: Tensor = _NormSiLU.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps)  # type: ignore[no-untyped-call]
    return out


class _NormSiLU(torch.autograd.Function):
    """See the module."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
    ) -> Tensor:
        batch, channels = x.shape[:2]
        y, mean, rstd = torch.native_group_norm(
            x, weight, bias, batch, channels, x[0, 0].numel(), groups, eps
        )
        ctx.save_for_backward(x, weight, mean, rstd)
        ctx.argument, ctx.slope = y, None
        return functional.silu(y)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        g = gradients[0]
        x, weight, mean, rstd = ctx.saved_tensors
        if ctx.slope is None:
            y = ctx.argument
            ctx.slope = torch.ops.aten.silu_backward(torch.ones_like(y), y)
            ctx.argument = None
        precise = torch.promote_types(x.dtype, torch.float32)
        mean, rstd, w = mean.to(precise), rstd.to(precise), weight.to(precise)
        groups = mean.shape[1]
        space = tuple(range(2, x.ndim))
        n = x[0].numel() / groups
        t = g * ctx.slope

        def per_group(values: Tensor) -> Tensor:
            out: Tensor = (values.sum(space).to(precise) * w).unflatten(1, (groups, -1)).sum(-1)
            return out

        tw, twx = per_group(t), per_group(t * x)
        c1 = rstd[..., None] * w.unflatten(0, (groups, -1))
        c2 = (tw * mean - twx) * rstd**3 / n
        c3 = -c2 * mean - tw * rstd / n

        def of_channels(constants: Tensor) -> Tensor:
            if constants.ndim == 2:
                constants = constants[..., None].expand_as(c1)
            return constants.flatten(1).to(x.dtype)[(...,) + (None,) * len(space)]

        dx = t.mul_(of_channels(c1)).addcmul_(x, of_channels(c2)).add_(of_channels(c3))
        return dx, None, None, None, None
