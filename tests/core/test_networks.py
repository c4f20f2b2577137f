"""The U-Net's wrapper against its steps written by hand."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sciddm.networks import UNet, build_network

TINY = {"channels": [4, 8], "num_res_blocks": 1, "norm_num_groups": 2}


def unet(in_channels: int = 2, out_channels: int = 2, **options) -> UNet:
    """A tiny network with random weights; MONAI's own start has a zero at the output."""
    torch.manual_seed(0)
    net = UNet(in_channels, out_channels, **{**TINY, **options})
    for p in net.parameters():
        nn.init.normal_(p, std=0.2)
    return net.eval()


NET, PATCHED = unet(), unet(patch=2)


def padded_by_hand(x: Tensor, stride: int) -> Tensor:
    """Repeats the last row and column up to the stride."""
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        total = -(-n // stride) * stride
        index = torch.arange(total).clamp(max=n - 1)
        x = x.index_select(axis, index)
    return x


@torch.no_grad()
@given(ny=st.integers(2, 19), nx=st.integers(2, 19), patched=st.booleans())
@settings(max_examples=12, deadline=None)
def test_any_size_equals_hand_padding(ny, nx, patched):
    net = PATCHED if patched else NET
    assert net.stride == (4 if patched else 2)
    x, level = torch.randn(2, 2, ny, nx), torch.tensor([-2.0, 0.5])
    out = net(x, level)
    assert out.shape == x.shape
    assert torch.isfinite(out).all()
    assert out.std() > 1e-2
    expected = net(padded_by_hand(x, net.stride), level)[..., :ny, :nx]
    assert torch.allclose(out, expected, atol=1e-5)


@torch.no_grad()
def test_volumes_of_any_size():
    net = unet(1, 1, spatial_dims=3)
    x, level = torch.randn(1, 1, 5, 4, 7), torch.tensor([0.3])
    expected = net(padded_by_hand(x, 2), level)[..., :5, :4, :7]
    assert torch.allclose(net(x, level), expected, atol=1e-5)


@torch.no_grad()
def test_patches_are_channels_of_the_inner_network():
    """Space to depth by hand: pixel (2i + p, 2j + q) of channel c is channel 4c + 2p + q."""
    x, level = torch.randn(2, 2, 8, 12), torch.tensor([-1.0, 0.0])
    blocks = x.reshape(2, 2, 4, 2, 6, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, 8, 4, 6)
    out = PATCHED.net(blocks, 10 * level).reshape(2, 2, 2, 2, 4, 6)
    expected = out.permute(0, 1, 4, 2, 5, 3).reshape(2, 2, 8, 12)
    assert torch.allclose(PATCHED(x, level), expected, atol=1e-5)


@torch.no_grad()
def test_memory_format_does_not_change_the_values():
    x, level = torch.randn(2, 2, 8, 6), torch.tensor([-1.0, 1.0])
    out = NET(x, level)
    for layout in (torch.channels_last, torch.contiguous_format):
        assert torch.equal(NET(x.contiguous(memory_format=layout), level), out)
    kernels = [p for p in NET.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert kernels
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    plain = unet()
    plain.net = plain.net.to(memory_format=torch.contiguous_format)
    assert torch.allclose(plain(x, level), out, atol=1e-5)


@torch.no_grad()
def test_every_item_has_its_own_level():
    x, level = torch.randn(2, 2, 8, 8), torch.tensor([-3.0, 1.0])
    out = NET(x, level)
    for i in range(2):
        assert torch.allclose(NET(x[i : i + 1], level[i : i + 1])[0], out[i], atol=1e-5)
    assert (NET(x, level.flip(0)) - out).abs().max() > 1e-2


@torch.no_grad()
def test_conditioning_is_stacked_behind_the_input():
    net, plain = unet(1, 1, cond_channels=2), unet(3, 1)
    plain.load_state_dict(net.state_dict())
    x, cond, level = torch.randn(2, 1, 7, 8), torch.randn(2, 2, 7, 8), torch.zeros(2)
    out = net(x, level, cond)
    assert torch.equal(out, plain(torch.cat([x, cond], 1), level))
    assert (net(x, level, cond.flip(0)) - out).abs().max() > 1e-3
    with pytest.raises(ValueError, match="2 channels of conditioning"):
        net(x, level)
    with pytest.raises(ValueError, match="0 channels of conditioning"):
        NET(torch.randn(1, 2, 4, 4), torch.zeros(1), torch.randn(1, 1, 4, 4))


def test_a_network_is_built_again_from_its_configuration():
    net = unet(3, 1, patch=2, cond_channels=1, attention_levels=[False, True])
    config = json.loads(json.dumps({"name": "UNet", **net.config}))
    copy = build_network(config)
    copy.load_state_dict(net.state_dict())
    x, cond, level = torch.randn(1, 3, 6, 6), torch.randn(1, 1, 6, 6), torch.zeros(1)
    with torch.no_grad():
        assert torch.equal(copy.eval()(x, level, cond), net(x, level, cond))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"name": "VNet"}, "unknown network 'VNet'; known: UNet"),
        ({}, "unknown network"),
        ({"name": "UNet", "in_channels": 1, "out_channels": 1, "chanels": [4]}, "chanels"),
        ({"name": "UNet", "in_channels": 1}, "missing key out_channels"),
        ({"name": "UNet", "in_channels": 1, "out_channels": 1, "channels": [5, 7]}, "norm_num"),
    ],
)
def test_wrong_configurations_name_the_key(config, says):
    with pytest.raises(ValueError, match=says):
        build_network(config)
