"""An untrained image generator: a U-Net whose form alone prefers images to noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SkipUNet"]


class SkipUNet(nn.Module):
    """(1, code, y, x) -> (1, C, y, x), after Ulyanov et al., Deep Image Prior, 2018.

    Strided convolutions down, bilinear interpolation up, narrow skips: fitted to a noisy image by
    gradient descent it finds what is smooth or repeats long before it finds noise. It is fitted to
    one image, so it normalises over that, and it is no network for tiles of a whole.

    Args:
        out_channels: C.
        generator: of the initial weights.
        code: channels of the input, which is noise that stays the same.
        channels: width of each level.
        skip: channels that bypass each level.
    """

    def __init__(
        self,
        out_channels: int,
        generator: torch.Generator,
        code: int = 8,
        channels: Sequence[int] = (32, 48, 64, 64),
        skip: int = 4,
    ) -> None:
        super().__init__()
        self.code = code
        before = [code, *channels[:-1]]
        self.skip = nn.ModuleList(_unit(b, skip, 1) for b in before)
        self.down = nn.ModuleList(
            nn.Sequential(_unit(b, c, 3, stride=2), _unit(c, c, 3))
            for b, c in zip(before, channels, strict=True)
        )
        above = [*channels[1:], channels[-1]]
        self.up = nn.ModuleList(
            nn.Sequential(_unit(a + skip, c, 3), _unit(c, c, 1))
            for a, c in zip(above, channels, strict=True)
        )
        self.last = nn.Conv2d(channels[0], out_channels, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan = module.weight[0].numel()
                module.weight.data.normal_(0, fan**-0.5, generator=generator)
                if module.bias is not None:
                    module.bias.data.zero_()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """The image of a code (1, code, y, x)."""
        x = x.contiguous(memory_format=torch.channels_last)
        kept = []
        for skip, down in zip(self.skip, self.down, strict=True):
            kept.append(skip(x))
            x = down(x)
        for up in reversed(self.up):
            beside = kept.pop()
            x = functional.interpolate(x, beside.shape[-2:], mode="bilinear", align_corners=False)
            x = up(torch.cat([x, beside], dim=1))
        out: Tensor = self.last(x)
        return out


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation of each channel over the image, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride,
            padding=kernel // 2,
            padding_mode="reflect" if kernel > 1 else "zeros",
            bias=False,
        ),
        nn.GroupNorm(outputs, outputs),
        nn.LeakyReLU(0.2),
    )
