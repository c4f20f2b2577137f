"""The local U-Net: how far its inputs reach, and that tiles give what the whole gives."""

from __future__ import annotations

import pytest
import torch

from sciddm.networks import LocalUNet


def network(**settings):
    torch.manual_seed(0)
    small = {"channels": (4, 6, 8), "blocks": (1, 1, 1), "cond_channels": 1} | settings
    net = LocalUNet(1, 1, **small)
    for weight in net.parameters():  # blocks begin as the identity, which reaches nowhere
        torch.nn.init.normal_(weight, std=0.2)
    return net.double().eval()


@pytest.mark.parametrize("patch", [1, 2])
def test_nothing_beyond_the_context_matters(patch):
    net = network(patch=patch)
    x = torch.randn(1, 1, 96, 96, dtype=torch.float64, requires_grad=True)
    cond = torch.randn(1, 1, 96, 96, dtype=torch.float64)
    out = net(x, torch.zeros(1, dtype=torch.float64), cond)
    for y, z in ((47, 50), (44, 48)):
        (g,) = torch.autograd.grad(out[0, 0, y, z], x, retain_graph=True)
        rows, columns = torch.nonzero(g[0, 0], as_tuple=True)
        reach = max(int((rows - y).abs().max()), int((columns - z).abs().max()))
        assert net.context - 3 * net.stride <= reach <= net.context


def test_a_tile_with_its_context_gives_what_the_whole_gives():
    net = network()
    x = torch.randn(1, 1, 90, 110, dtype=torch.float64)
    cond = torch.randn(1, 1, 90, 110, dtype=torch.float64)
    level = torch.full((1,), -1.0, dtype=torch.float64)
    margin = -(-net.context // net.stride) * net.stride
    with torch.no_grad():
        whole = net(x, level, cond)
        y, z = slice(40 - margin, 90), slice(44 - margin, 56 + margin)
        tile = net(x[..., y, z], level, cond[..., y, z])
    torch.testing.assert_close(tile[..., margin:, margin:-margin], whole[..., 40:, 44:56])


def test_blocks_begin_as_the_identity_and_levels_matter_after():
    torch.manual_seed(0)
    fresh = LocalUNet(1, 1, channels=(4, 8), blocks=(1, 1))
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(fresh(x, torch.zeros(2)), torch.zeros_like(x))
    net = network(cond_channels=0)
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64).expand(2, -1, -1, -1)
    one, other = net(x, torch.tensor([-3.0, 1.0], dtype=torch.float64))
    assert (one - other).abs().max() > 1e-3


def test_bad_calls():
    with pytest.raises(ValueError, match="3 levels need 3"):
        LocalUNet(1, 1, blocks=(1, 2))
    with pytest.raises(ValueError, match="0 channels of conditioning"):
        LocalUNet(1, 1, channels=(4,), blocks=(1,))(torch.zeros(1, 1, 4, 4), torch.zeros(1), 0)
