"""Group norm and attention of our own against torch's and MONAI's."""

from __future__ import annotations

import pytest
import torch
from monai.networks.blocks.selfattention import SABlock
from monai.networks.blocks.spatialattention import SpatialAttentionBlock
from torch import nn

from sciddm.networks.attention import Attention, use_quick_attention, use_windowed_attention
from sciddm.networks.group_norm import GroupNorm, use_quick_group_norm


def norm(dtype: torch.dtype, groups: int = 3, channels: int = 12) -> nn.Sequential:
    torch.manual_seed(0)
    layer = nn.GroupNorm(groups, channels, eps=1e-3)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return nn.Sequential(layer).to(dtype).requires_grad_(False)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("shape", [(2, 12, 7, 5), (1, 12, 4, 3, 2), (3, 12, 9)])
def test_group_norm_of_frozen_weights_is_torchs(dtype, atol, shape):
    ours, torchs = norm(dtype), norm(torch.float64)
    use_quick_group_norm(ours)
    assert type(ours[0]) is GroupNorm
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
    ours, torchs = norm(torch.float64).requires_grad_(True), norm(torch.float64)
    torchs.requires_grad_(True)
    use_quick_group_norm(ours)
    x = torch.randn(2, 12, 5, dtype=torch.float64)
    for layer in (ours, torchs):
        (layer(x) ** 3).sum().backward()
    for a, b in zip(ours.parameters(), torchs.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad)


def test_attention_is_monais():
    torch.manual_seed(1)
    plain = nn.Sequential(
        SABlock(hidden_size=24, num_heads=4, qkv_bias=True, use_combined_linear=False)
    )
    x = torch.randn(2, 11, 24, requires_grad=True)
    weights = torch.randn(2, 11, 24)
    y_ref = plain(x)
    (g_ref,) = torch.autograd.grad(y_ref, x, weights)
    use_quick_attention(plain)
    assert type(plain[0]) is Attention
    y = plain(x)
    (g,) = torch.autograd.grad(y, x, weights)
    assert torch.allclose(y, y_ref, atol=1e-6)
    assert torch.allclose(g, g_ref, atol=1e-6)


def test_attention_that_does_more_is_left_alone():
    causal = nn.Sequential(
        SABlock(
            hidden_size=8, num_heads=2, causal=True, sequence_length=5, use_combined_linear=False
        ),
        SABlock(hidden_size=8, num_heads=2, use_combined_linear=True),
    )
    use_quick_attention(causal)
    assert all(type(m) is SABlock for m in causal)


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
    torch.manual_seed(2)
    plain = nn.Sequential(SpatialAttentionBlock(2, 12, 4, norm_num_groups=3)).double()
    nn.init.normal_(plain[0].norm.weight)
    x = torch.randn(2, 12, *shape, dtype=torch.float64)
    normed, attention = plain[0].norm(x), plain[0].attn
    expected = torch.empty_like(x)
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            part = normed[:, :, top:bottom, left:right]
            tokens = part.permute(0, 2, 3, 1).reshape(2, -1, 12)
            seen = attention(tokens).reshape(2, *part.shape[2:], 12).permute(0, 3, 1, 2)
            expected[:, :, top:bottom, left:right] = seen
    whole = plain(x)
    use_windowed_attention(plain, 3)
    assert torch.allclose(plain(x), x + expected, atol=1e-12)
    assert torch.allclose(plain(x), whole, atol=1e-12) == (shape == (3, 2))


@pytest.mark.parametrize("size", [(4, 3), (2, 3, 3)])
@torch.no_grad()
def test_windows_of_a_volume_are_of_every_axis(size):
    torch.manual_seed(3)
    block = nn.Sequential(SpatialAttentionBlock(len(size), 8, 4, norm_num_groups=1)).double()
    use_windowed_attention(block, 1)
    x = torch.randn(1, 8, *size, dtype=torch.float64)
    # A cell that sees itself alone has one value to attend to.
    normed = block[0].norm(x).flatten(2).transpose(1, 2)
    attn = block[0].attn
    value = attn.out_proj(attn.to_v(normed)).transpose(1, 2).reshape(x.shape)
    assert torch.allclose(block(x), x + value, atol=1e-12)
