"""The U-Net of diffusers' ``UNet2DModel`` folders, so that they load without that package.

Parameters have the names that those folders give them. ``UNet2DModel`` itself is the network
F(x, k) as diffusers calls it; ``LeveledUNet2D`` is what a denoiser calls, with ln(sigma) in place
of an index k.

Reference:
    von Platen et al., Diffusers, 2022 (Apache-2.0): layout of the folder; the code here is our own.
    Ho et al., Denoising diffusion probabilistic models, 2020: the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.process import DDPM, DDPMCosine

__all__ = ["LeveledUNet2D", "UNet2DModel"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "swish": functional.silu,
    "mish": functional.mish,
    "gelu": functional.gelu,
    "relu": functional.relu,
}
_DOWN = ("DownBlock2D", "AttnDownBlock2D")
_UP = ("UpBlock2D", "AttnUpBlock2D")
#: What says nothing of the network, or has one value only here.
_FIXED: dict[str, tuple[Any, ...]] = {
    "time_embedding_type": ("positional",),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "downsample_type": ("conv", None),
    "upsample_type": ("conv", None),
    "mid_block_type": ("UNetMidBlock2D", None),
}


class UNet2DModel(nn.Module):
    """``(x (B, C, y, x), k (B,)) -> (B, C', y, x)``; the arguments are those of diffusers.

    Raises:
        ValueError: a block or an option that is not supported, by its name.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        block_out_channels: Sequence[int] = (224, 448, 672, 896),
        down_block_types: Sequence[str] = ("DownBlock2D", *("AttnDownBlock2D",) * 3),
        up_block_types: Sequence[str] = (*("AttnUpBlock2D",) * 3, "UpBlock2D"),
        layers_per_block: int = 2,
        attention_head_dim: int | None = 8,
        norm_num_groups: int = 32,
        attn_norm_num_groups: int | None = None,
        norm_eps: float = 1e-5,
        act_fn: str = "silu",
        resnet_time_scale_shift: str = "default",
        add_attention: bool = True,
        mid_block_type: str | None = "UNetMidBlock2D",
        mid_block_scale_factor: float = 1.0,
        downsample_padding: int = 1,
        center_input_sample: bool = False,
        flip_sin_to_cos: bool = True,
        freq_shift: float = 0,
        time_embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        channels = list(block_out_channels)
        if not len(channels) == len(down_block_types) == len(up_block_types):
            raise ValueError("as many down and up blocks as widths")
        for kind, known in ((down_block_types, _DOWN), (up_block_types, _UP)):
            for name in kind:
                if name not in known:
                    raise ValueError(f"block {name} is not supported, only {', '.join(known)}")
        if act_fn not in _ACTIVATIONS:
            raise ValueError(f"act_fn {act_fn} is not supported, only {', '.join(_ACTIVATIONS)}")
        if resnet_time_scale_shift not in ("default", "scale_shift"):
            raise ValueError(f"resnet_time_scale_shift {resnet_time_scale_shift} is not supported")
        self.center = center_input_sample
        self.multiple = 2 ** (len(channels) - 1)
        self.embedding = _Index(channels[0], flip_sin_to_cos, freq_shift)
        width = time_embedding_dim or 4 * channels[0]
        self.time_embedding = _TwoLayers(channels[0], width)
        self.conv_in = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        block = _Blocks(
            width,
            norm_num_groups,
            norm_eps,
            _ACTIVATIONS[act_fn],
            resnet_time_scale_shift == "scale_shift",
            attention_head_dim,
        )
        self.down_blocks = nn.ModuleList()
        self.up_blocks = nn.ModuleList()
        last = len(channels) - 1
        for i, name in enumerate(down_block_types):
            before = channels[max(i - 1, 0)]
            widths = [
                (before if j == 0 else channels[i], channels[i]) for j in range(layers_per_block)
            ]
            sampler = None if i == last else _Down(channels[i], downsample_padding)
            self.down_blocks.append(_Block(block, widths, "Attn" in name, down=sampler))
        self.mid_block = None
        if mid_block_type is not None:
            groups = attn_norm_num_groups
            if groups is None and resnet_time_scale_shift == "default":
                groups = norm_num_groups
            middle = _Blocks(**{**vars(block), "scale": mid_block_scale_factor})
            self.mid_block = _Middle(middle, channels[-1], add_attention, groups)
        back = channels[::-1]
        for i, name in enumerate(up_block_types):
            out, before, skip = back[i], back[max(i - 1, 0)], back[min(i + 1, last)]
            count = layers_per_block + 1
            widths = [
                ((before if j == 0 else out) + (skip if j == count - 1 else out), out)
                for j in range(count)
            ]
            grown = None if i == last else _Up(out)
            self.up_blocks.append(_Block(block, widths, "Attn" in name, up=grown))
        self.conv_norm_out = nn.GroupNorm(norm_num_groups, channels[0], norm_eps)
        self.conv_out = nn.Conv2d(channels[0], out_channels, 3, padding=1)

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        x = 2 * x - 1 if self.center else x
        embedding = self.time_embedding(self.embedding(k))
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            assert isinstance(block, _Block)
            x, states = block.down(x, embedding)
            skips += states
        if self.mid_block is not None:
            x = self.mid_block(x, embedding)
        for block in self.up_blocks:
            assert isinstance(block, _Block)
            x = block.up(x, skips, embedding)
        out: Tensor = self.conv_out(functional.silu(self.conv_norm_out(x)))
        return out


class LeveledUNet2D(nn.Module):
    """A ``UNet2DModel`` that is told ln(sigma), (x (B, C, y, x), ln sigma (B,), cond).

    ``x`` is w = x0 + sigma z and the answer E[x0 | w], for a network of a discrete schedule with
    a^2 + s^2 = 1: F sees a w and the index k whose level is sigma, between two indices linear in
    ln sigma. With the schedule "edm" the answer is F(x, ln(sigma) / 4) itself, which EDM's
    preconditioning takes. Images are padded to the network's multiple by replication.

    Args:
        unet: arguments of ``UNet2DModel``; those that say nothing of the network are left out.
        schedule: "ddpm" (betas rise by ``power``), "cosine" or "edm".
        prediction: "epsilon", "v_prediction" or "sample", as diffusers has it.
        beta_min, beta_max, power, steps: of the schedule "ddpm"; the last of "cosine" too.

    Raises:
        ValueError: an unknown schedule or prediction, or a network that is not supported.
    """

    def __init__(
        self,
        unet: Mapping[str, Any],
        schedule: str = "ddpm",
        prediction: str = "epsilon",
        beta_min: float = 1e-4,
        beta_max: float = 0.02,
        power: float = 1.0,
        steps: int = 1000,
    ) -> None:
        super().__init__()
        if schedule not in ("ddpm", "cosine", "edm"):
            raise ValueError(f"unknown schedule {schedule!r}: ddpm, cosine or edm")
        if prediction not in ("epsilon", "v_prediction", "sample"):
            raise ValueError(f"unknown prediction {prediction!r}: epsilon, v_prediction or sample")
        arguments = _arguments(unet)
        self.config: dict[str, Any] = {
            "unet": arguments,
            "schedule": schedule,
            "prediction": prediction,
            "beta_min": beta_min,
            "beta_max": beta_max,
            "power": power,
            "steps": steps,
        }
        self.unet = UNet2DModel(**arguments)
        self.channels = self.unet.conv_in.in_channels
        self.schedule, self.prediction = schedule, prediction
        self.register_buffer("levels", torch.zeros(0), persistent=False)
        if schedule != "edm":
            process = (
                DDPMCosine(steps)
                if schedule == "cosine"
                else DDPM(beta_min, beta_max, power, steps)
            )
            self.levels = process_levels(process)

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        if self.schedule == "edm":
            return self._padded(x, level / 4)
        column = level.reshape(-1, *[1] * (x.ndim - 1))
        sigma = column.exp()
        a = (1 + sigma**2) ** -0.5
        out = self._padded(a * x, self._index(level))
        if self.prediction == "epsilon":
            answer: Tensor = x - sigma * out
            return answer
        if self.prediction == "v_prediction":
            return a**2 * x - sigma * a * out
        return out

    def _index(self, level: Tensor) -> Tensor:
        """k of ln sigma, within the schedule."""
        levels = self.levels.to(level)
        upper = torch.searchsorted(levels, level.contiguous()).clamp(1, len(levels) - 1)
        low, high = levels[upper - 1], levels[upper]
        k = upper - 1 + (level - low) / (high - low)
        return k.clamp(0, len(levels) - 1)

    def _padded(self, x: Tensor, k: Tensor) -> Tensor:
        ny, nx = x.shape[-2:]
        more = [-n % self.unet.multiple for n in (ny, nx)]
        if any(more):
            x = functional.pad(x, (0, more[1], 0, more[0]), mode="replicate")
        out: Tensor = self.unet(x, k)[:, : self.channels, :ny, :nx]
        return out


def process_levels(process: DDPM) -> Tensor:
    """ln sigma_k (T,) of a discrete schedule."""
    log_abar = torch.log1p(-process.betas()).cumsum(0)
    return (0.5 * (torch.log(-torch.expm1(log_abar)) - log_abar)).float()


def _arguments(unet: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``UNet2DModel`` from a folder's configuration.

    Raises:
        ValueError: an option that changes the network and is not supported.
    """
    import inspect

    own = inspect.signature(UNet2DModel).parameters
    for name, values in _FIXED.items():
        if name in unet and unet[name] not in values:
            raise ValueError(f"{name} {unet[name]!r} is not supported, only {values[0]!r}")
    return {k: list(v) if isinstance(v, tuple) else v for k, v in unet.items() if k in own}


class _Blocks:
    """What the residual and attention blocks of a network share."""

    def __init__(
        self,
        width: int,
        groups: int,
        eps: float,
        activation: Callable[[Tensor], Tensor],
        scale_shift: bool,
        head: int | None,
        scale: float = 1.0,
    ) -> None:
        self.width, self.groups, self.eps = width, groups, eps
        self.activation, self.scale_shift, self.head = activation, scale_shift, head
        self.scale = scale


class _Index(nn.Module):
    """Sines and cosines of an index (B,), which may be fractional."""

    def __init__(self, size: int, flip: bool, shift: float) -> None:
        super().__init__()
        self.size, self.flip, self.shift = size, flip, shift

    def forward(self, k: Tensor) -> Tensor:
        half = self.size // 2
        rates = torch.arange(half, dtype=torch.float32, device=k.device) / (half - self.shift)
        phase = k.float()[:, None] * torch.exp(-math.log(10_000) * rates)
        parts = [phase.cos(), phase.sin()] if self.flip else [phase.sin(), phase.cos()]
        return functional.pad(torch.cat(parts, -1), (0, self.size % 2))


class _TwoLayers(nn.Module):
    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(size, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear_2(
            functional.silu(self.linear_1(x.to(self.linear_1.weight.dtype)))
        )
        return out


class _Residual(nn.Module):
    def __init__(self, b: _Blocks, channels: int, out: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(b.groups, channels, b.eps)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(b.width, 2 * out if b.scale_shift else out)
        self.norm2 = nn.GroupNorm(b.groups, out, b.eps)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(channels, out, 1) if channels != out else None
        self.activation, self.scale_shift, self.scale = b.activation, b.scale_shift, b.scale

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(self.activation(self.norm1(x)))
        shift = self.time_emb_proj(self.activation(embedding))[:, :, None, None]
        if self.scale_shift:
            gain, offset = shift.chunk(2, dim=1)
            h = self.norm2(h) * (1 + gain) + offset
        else:
            h = self.norm2(h + shift)
        h = self.conv2(self.activation(h))
        x = x if self.conv_shortcut is None else self.conv_shortcut(x)
        out: Tensor = (x + h) / self.scale
        return out


class _Attention(nn.Module):
    def __init__(self, b: _Blocks, channels: int, groups: int | None) -> None:
        super().__init__()
        head = channels if b.head is None else b.head
        self.heads = channels // head
        inner = self.heads * head
        self.group_norm = None if groups is None else nn.GroupNorm(groups, channels, b.eps)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, inner) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])
        self.scale = b.scale

    def forward(self, x: Tensor) -> Tensor:
        n, c, ny, nx = x.shape
        h = x if self.group_norm is None else self.group_norm(x)
        h = h.flatten(2).mT
        q, k, v = (
            f(h).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for f in (self.to_q, self.to_k, self.to_v)
        )
        h = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        h = self.to_out[0](h).mT.reshape(n, c, ny, nx)
        out: Tensor = (x + h) / self.scale
        return out


class _Down(nn.Module):
    def __init__(self, channels: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x if self.padding else functional.pad(x, (0, 1, 0, 1)))
        return out


class _Up(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


class _Block(nn.Module):
    """Residual blocks of one resolution, each perhaps with attention, and the way to the next."""

    def __init__(
        self,
        b: _Blocks,
        widths: Sequence[tuple[int, int]],
        attention: bool,
        *,
        down: nn.Module | None = None,
        up: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Residual(b, *pair) for pair in widths)
        self.attentions = nn.ModuleList(
            _Attention(b, out, b.groups) for _, out in (widths if attention else ())
        )
        if down is not None:
            self.downsamplers = nn.ModuleList([down])
        if up is not None:
            self.upsamplers = nn.ModuleList([up])

    def down(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The features of the next resolution, and all that the way back up sees."""
        states = []
        for i in range(len(self.resnets)):
            x = self._step(i, x, embedding)
            states.append(x)
        for sampler in getattr(self, "downsamplers", ()):
            x = sampler(x)
            states.append(x)
        return x, states

    def up(self, x: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """The features of the next resolution; what it sees is taken off ``skips``."""
        for i in range(len(self.resnets)):
            x = self._step(i, torch.cat([x, skips.pop()], dim=1), embedding)
        for sampler in getattr(self, "upsamplers", ()):
            x = sampler(x)
        return x

    def _step(self, i: int, x: Tensor, embedding: Tensor) -> Tensor:
        out: Tensor = self.resnets[i](x, embedding)
        return self.attentions[i](out) if len(self.attentions) else out


class _Middle(nn.Module):
    def __init__(self, b: _Blocks, channels: int, attention: bool, groups: int | None) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Residual(b, channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([_Attention(b, channels, groups)] * attention)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.resnets[0](x, embedding)
        for attention in self.attentions:
            x = attention(x)
        out: Tensor = self.resnets[1](x, embedding)
        return out
