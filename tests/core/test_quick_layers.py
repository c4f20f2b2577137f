"""Group norm and attention of our own against torch's and MONAI's."""

from __future__ import annotations

import pytest
import torch
from monai.networks.blocks.selfattention import SABlock
from torch import nn

from sciddm.networks.attention import Attention, use_quick_attention
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
