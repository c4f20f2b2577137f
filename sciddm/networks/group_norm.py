"""Group normalisation whose gradient with respect to its input is quick in bfloat16 on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.acceleration.norm_silu import norm_silu
from sciddm.acceleration.switch import active

__all__ = ["GroupNorm", "silu_of"]


class _Normalise(torch.autograd.Function):
    """y = w (x - m) / d + b, with m and d = sqrt(var + eps) of each group; gradient of x only.

    With n values in a group, and <.> the sum over them,

        dL/dx = g w / d - x^ <g w x^> / (n d) - <g w> / (n d),     x^ = (x - m) / d,

    which is c1 g + c2 x + c3 with constants per channel or group.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Any:
        batch, channels = x.shape[:2]
        y, mean, rstd = torch.native_group_norm(
            x, weight, bias, batch, channels, x[0, 0].numel(), groups, eps
        )
        ctx.save_for_backward(x, weight, mean, rstd)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        g = gradients[0]
        x, weight, mean, rstd = ctx.saved_tensors
        precise = torch.promote_types(x.dtype, torch.float32)
        mean, rstd, w = mean.to(precise), rstd.to(precise), weight.to(precise)
        groups = mean.shape[1]
        space = tuple(range(2, x.ndim))
        n = x[0].numel() / groups

        def per_group(values: Tensor) -> Tensor:
            sums = values.sum(space).to(precise)  # sum(dtype=...) would copy the whole array
            out: Tensor = (sums * w).unflatten(1, (groups, -1)).sum(-1)
            return out

        gw, gwx = per_group(g), per_group(g * x)
        c1 = rstd[..., None] * w.unflatten(0, (groups, -1))
        c2 = (gw * mean - gwx) * rstd**3 / n
        c3 = -c2 * mean - gw * rstd / n

        def spread(constants: Tensor) -> Tensor:
            if constants.ndim == 2:
                constants = constants[..., None].expand_as(c1)
            return constants.flatten(1).to(x.dtype)[(...,) + (None,) * len(space)]

        dx = torch.addcmul(spread(c3), x, spread(c2)).addcmul_(g, spread(c1))
        return dx, None, None, None, None


class GroupNorm(nn.GroupNorm):
    """``nn.GroupNorm``; torch's own backward in bfloat16 is about six times slower on a CPU.

    Used where the network is frozen, as in guidance: while the weights are trained, torch's own
    code gives their gradients too.
    """

    def for_input_alone(self, input: Tensor) -> bool:
        """Whether a gradient is wanted with respect to the input and nothing else."""
        frozen = self.affine and not (self.weight.requires_grad or self.bias.requires_grad)
        return frozen and input.requires_grad and torch.is_grad_enabled()

    def forward(self, input: Tensor) -> Tensor:
        if self.for_input_alone(input):
            out: Tensor = _Normalise.apply(input, self.weight, self.bias, self.num_groups, self.eps)  # type: ignore[no-untyped-call]
            return out
        return super().forward(input)


def silu_of(norm: GroupNorm, x: Tensor) -> Tensor:
    """silu(norm(x)), as the plan of the network says."""
    if active().norm_silu and norm.for_input_alone(x):
        return norm_silu(norm, x)
    # Nobody else sees the norm's output. A gradient needs it, so it is overwritten without one.
    y = norm(x)
    return functional.silu(y, inplace=not y.requires_grad)
