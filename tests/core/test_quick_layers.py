"""Group norm and attention of our own against torch's and MONAI's."""

from __future__ import annotations

import pytest
import torch
from monai.networks.blocks.spatialattention import SpatialAttentionBlock
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from torch import nn

from sciddm.networks.attention import SpatialAttention
from sciddm.networks.diffusion_unet import DiffusionUNet
from sciddm.networks.group_norm import GroupNorm


def norm(kind: type[nn.GroupNorm], dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    layer = kind(3, 12, eps=1e-3)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer.to(dtype).requires_grad_(False)


def randomised(network: nn.Module, seed: int) -> nn.Module:
    """Nothing is zero, as in a trained network."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.normal_(0, 0.2, generator=generator)
    return network


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("shape", [(2, 12, 7, 5), (1, 12, 4, 3, 2), (3, 12, 9)])
def test_group_norm_of_frozen_weights_is_torchs(dtype, atol, shape):
    ours, torchs = norm(GroupNorm, dtype), norm(nn.GroupNorm, torch.float64)
    x = (3 * torch.randn(shape) + 1).to(dtype).requires_grad_(True)
    weights = torch.randn(shape, dtype=torch.float64)
    y = ours(x)
    assert "_Normalise" in type(y.grad_fn).__name__
    (g,) = torch.autograd.grad(y, x, weights.to(dtype))
    x_ref = x.detach().double().requires_grad_(True)
    y_ref = torchs(x_ref)
    (g_ref,) = torch.autograd.grad(y_ref, x_ref, weights)
    assert torch.allclose(y.double(), y_ref, atol=atol)
    assert torch.allclose(g.double(), g_ref, atol=atol)


def test_group_norm_in_training_gives_the_weights_gradients():
    ours = norm(GroupNorm, torch.float64).requires_grad_(True)
    torchs = norm(nn.GroupNorm, torch.float64).requires_grad_(True)
    x = torch.randn(2, 12, 5, dtype=torch.float64)
    for layer in (ours, torchs):
        (layer(x) ** 3).sum().backward()
    for a, b in zip(ours.parameters(), torchs.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad)


def attentions(width: int, groups: int, window: int | None, dims: int = 2) -> tuple:
    """Ours and MONAI's, of the same weights."""
    monais = randomised(SpatialAttentionBlock(dims, width, 4, norm_num_groups=groups), 1)
    ours = SpatialAttention(width, groups, 1e-6, head_channels=4, window=window)
    ours.load_state_dict(monais.state_dict())
    return ours, monais


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4)])
def test_attention_is_monais(shape):
    ours, monais = attentions(24, 3, None, len(shape))
    x = torch.randn(2, 24, *shape, requires_grad=True)
    weights = torch.randn(2, 24, *shape)
    y, y_ref = ours(x), monais(x)
    (g,), (g_ref,) = (torch.autograd.grad(a, x, weights) for a in (y, y_ref))
    assert torch.allclose(y, y_ref, atol=1e-5)
    assert torch.allclose(g, g_ref, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "edges"),
    [
        # 9 rows in three windows, 6 columns in two; 3 x 2 fit into one.
        ((9, 6), ([0, 3, 6, 9], [0, 3, 6])),
        ((7, 3), ([0, 3, 5, 7], [0, 3])),
        ((3, 2), ([0, 3], [0, 2])),
    ],
)
@torch.no_grad()
def test_windowed_attention_sees_its_window_alone(shape, edges):
    ours, monais = attentions(12, 3, 3)
    x = torch.randn(2, 12, *shape, generator=torch.Generator().manual_seed(2))
    normed = monais.norm(x)
    expected = torch.empty_like(x)
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            part = normed[:, :, top:bottom, left:right]
            tokens = part.permute(0, 2, 3, 1).reshape(2, -1, 12)
            seen = monais.attn(tokens).reshape(2, *part.shape[2:], 12).permute(0, 3, 1, 2)
            expected[:, :, top:bottom, left:right] = seen
    assert torch.allclose(ours(x), x + expected, atol=1e-5)
    assert torch.allclose(ours(x), monais(x), atol=1e-5) == (shape == (3, 2))


@pytest.mark.parametrize("size", [(4, 3), (2, 3, 3)])
@torch.no_grad()
def test_windows_of_a_volume_are_of_every_axis(size):
    block, _ = attentions(8, 1, 1, len(size))
    x = torch.randn(1, 8, *size, generator=torch.Generator().manual_seed(3))
    # A cell that sees itself alone has one value to attend to.
    normed = block.norm(x).flatten(2).transpose(1, 2)
    value = block.attn.out_proj(block.attn.to_v(normed)).transpose(1, 2).reshape(x.shape)
    assert torch.allclose(block(x), x + value, atol=1e-6)


@pytest.mark.parametrize(
    ("dims", "channels", "blocks", "levels"),
    [
        (2, (16, 24, 32), 1, (False, False, False)),
        (2, (24, 16), 2, (True, True)),
        (3, (8, 16), 1, (False, True)),
        (2, (8,), 1, (True,)),
    ],
)
def test_the_diffusion_unet_is_monais(dims, channels, blocks, levels):
    """Weights have the same names and give the same output and gradient."""
    monais = DiffusionModelUNet(
        spatial_dims=dims,
        in_channels=3,
        out_channels=2,
        channels=channels,
        num_res_blocks=blocks,
        attention_levels=levels,
        norm_num_groups=8,
    )
    randomised(monais, 4)
    ours = DiffusionUNet(dims, 3, 2, channels, blocks, levels, 8)
    ours.load_state_dict(monais.state_dict())
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, 3, *[8, 4, 4][:dims], generator=generator, requires_grad=True)
    time = torch.tensor([-31.0, 12.5])
    weights = torch.randn(2, 2, *x.shape[2:], generator=generator)
    y, y_ref = ours(x, time), monais(x, time)
    scale = float(y_ref.detach().abs().max())
    assert torch.allclose(y, y_ref, atol=1e-5 * scale)
    (g,), (g_ref,) = (torch.autograd.grad(a, x, weights) for a in (y, y_ref))
    assert torch.allclose(g, g_ref, atol=1e-5 * float(g_ref.abs().max()))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"channels": (16, 20)}, "multiples of the 8 groups"),
        ({"attention_levels": (True,)}, "2 values of attention_levels"),
        ({"channels": (4, 4), "norm_num_groups": 4}, "no multiple of a head's 8"),
    ],
)
def test_impossible_networks_are_named(settings, says):
    values = {"channels": (16, 16), "attention_levels": (False, False), "norm_num_groups": 8}
    with pytest.raises(ValueError, match=says):
        DiffusionUNet(2, 1, 1, num_res_blocks=1, **{**values, **settings})
