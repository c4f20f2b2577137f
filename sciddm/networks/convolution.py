"""A convolution whose weights' gradient is quick on CPUs without matrix units.

In training, torch's backward computes the gradients of input and weights from tensors in the
layout that the forward pass chose. On a CPU with AVX2 alone the weights' gradient takes two to
three times as long from channels-last tensors as from contiguous ones, and it is a third of the
whole step; the copy costs little. The numbers are the same but for rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sciddm.precision import native_precision

__all__ = ["Conv2d"]


class _Convolve(torch.autograd.Function):
    """conv2d of zero padding and one group, first derivatives only."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: tuple[Any, ...]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.bias = geometry, bias is not None
        return torch.nn.functional.conv2d(x, weight, bias, *geometry)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (g,), (x, weight) = gradients, ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        rest = (None, stride, padding, dilation, False, (0, 0), 1)
        to_input = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_input = torch.ops.aten.convolution_backward(
                g, x, weight, *rest, (True, False, False)
            )[0]
        if ctx.needs_input_grad[1]:
            dense = [v.contiguous(memory_format=torch.contiguous_format) for v in (g, x, weight)]
            to_weight = torch.ops.aten.convolution_backward(*dense, *rest, (False, True, False))[1]
        if ctx.bias and ctx.needs_input_grad[2]:
            to_bias = g.sum((0, 2, 3))
        return to_input, to_weight, to_bias, None


class Conv2d(nn.Conv2d):
    """As ``nn.Conv2d`` with zero padding; see the module's docstring."""

    def forward(self, input: Tensor) -> Tensor:
        quick = (
            torch.is_grad_enabled()
            and self.weight.requires_grad
            and input.dtype == torch.float32
            and not torch.is_autocast_enabled(input.device.type)
            and input.device.type == "cpu"
            and self.groups == 1
            and self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
            and native_precision("cpu") == "float32"
        )
        if not quick:
            return super().forward(input)
        geometry = (self.stride, self.padding, self.dilation)
        out: Tensor = _Convolve.apply(input, self.weight, self.bias, geometry)  # type: ignore[no-untyped-call]
        return out
