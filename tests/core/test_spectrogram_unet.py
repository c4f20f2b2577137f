"""The U-Net for spectrograms: exactly local in time, so that pieces give what the whole gives."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from sciddm.networks import SpectrogramUNet, build_network

TINY = {
    "bins": 16,
    "channels": [4, 6],
    "blocks": [1],
    "dilations": [1, 2],
    "squeeze": 2,
}


def unet(in_channels: int = 2, out_channels: int = 2, **options) -> SpectrogramUNet:
    torch.manual_seed(0)
    net = SpectrogramUNet(in_channels, out_channels, **{**TINY, **options})
    for p in net.parameters():
        nn.init.normal_(p, std=0.3)
    return net.double().eval()


def changed(net: SpectrogramUNet, frames: int, at: int) -> list[int]:
    """Frames of the output that a change of one input frame reaches."""
    x = torch.randn(1, 2, 16, frames, dtype=torch.float64)
    other = x.clone()
    other[..., at] += 1.0
    level = torch.zeros(1)
    apart = (net(x, level) - net(other, level)).abs().amax(dim=(0, 1, 2))
    return torch.nonzero(apart).flatten().tolist()


@torch.no_grad()
@pytest.mark.parametrize("patch", [1, 2])
def test_beyond_its_context_a_frame_has_no_influence(patch):
    net = unet(patch=patch)
    frames = 4 * net.context
    reach = 0
    for at in range(frames // 2, frames // 2 + net.stride):
        reached = changed(net, frames, at)
        reach = max(reach, at - reached[0], reached[-1] - at)
    assert net.context - net.stride < reach <= net.context


@torch.no_grad()
def test_pieces_are_the_whole():
    net = unet()
    c = -(-net.context // net.stride) * net.stride
    x = torch.randn(1, 2, 16, 6 * c + 3, dtype=torch.float64)
    level = torch.tensor([-0.7])
    whole = net(x, level)
    start, stop = 2 * c, 4 * c
    piece = net(x[..., start - c : stop + c], level)[..., c:-c]
    assert torch.allclose(piece, whole[..., start:stop], rtol=1e-9, atol=1e-9)
    # A piece that begins elsewhere sees other patches: the stride matters.
    shifted = net(x[..., start - c + 1 : stop + c + 1], level)[..., c:-c]
    assert (shifted - whole[..., start + 1 : stop + 1]).abs().max() > 1e-3


@torch.no_grad()
def test_all_bins_reach_all_bins():
    net = unet()
    x = torch.randn(1, 2, 16, 8, dtype=torch.float64)
    for row in (0, 15):
        other = x.clone()
        other[:, :, row, 4] += 1.0
        apart = (net(x, torch.zeros(1)) - net(other, torch.zeros(1))).abs().amax(dim=(0, 1))
        assert (apart[:, 4] > 0).all()


@torch.no_grad()
def test_any_number_of_frames_is_padded_with_silence():
    net = unet()
    for frames in (1, 5, 8):
        x = torch.randn(1, 2, 16, frames, dtype=torch.float64)
        padded = torch.cat([x, x.new_zeros(1, 2, 16, -frames % net.stride)], dim=-1)
        out = net(x, torch.zeros(1))
        assert torch.allclose(out, net(padded, torch.zeros(1))[..., :frames])
    with pytest.raises(ValueError, match="16 frequency bins, not 17"):
        net(torch.randn(1, 2, 17, 8, dtype=torch.float64), torch.zeros(1))


@torch.no_grad()
def test_levels_items_and_conditioning():
    net = unet(1, 1, cond_channels=1)
    x, cond = (torch.randn(2, 1, 16, 8, dtype=torch.float64) for _ in range(2))
    level = torch.tensor([-3.0, 1.0])
    out = net(x, level, cond)
    for i in range(2):
        one = net(x[i : i + 1], level[i : i + 1], cond[i : i + 1])
        assert torch.allclose(one[0], out[i])
    assert (net(x, level.flip(0), cond) - out).abs().max() > 1e-3
    assert (net(x, level, cond.flip(0)) - out).abs().max() > 1e-3
    with pytest.raises(ValueError, match="1 channels of conditioning"):
        net(x, level)
    deaf = unet(levels=False)
    y = torch.randn(2, 2, 16, 8, dtype=torch.float64)
    assert torch.equal(deaf(y, level), deaf(y, level.flip(0)))


def test_an_untrained_network_says_nothing():
    net = SpectrogramUNet(2, 4, **TINY)
    x = torch.randn(1, 2, 16, 8)
    out: Tensor = net(x, torch.zeros(1))
    assert torch.equal(out, torch.zeros(1, 4, 16, 8))
    out.sum().backward()
    assert net.last.weight.grad is not None
    assert net.last.weight.grad.abs().max() > 0


def test_built_again_from_its_configuration():
    net = unet(levels=False, cond_channels=2)
    config = json.loads(json.dumps({"name": "SpectrogramUNet", **net.config}))
    copy = build_network(config).double().eval()
    copy.load_state_dict(net.state_dict())
    x, cond = (torch.randn(1, 2, 16, 8, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        assert torch.equal(copy(x, torch.zeros(1), cond), net(x, torch.zeros(1), cond))


@pytest.mark.parametrize(
    ("options", "says"),
    [({"blocks": [1, 1]}, "numbers of blocks"), ({"bins": 18}, "multiple of the stride 4")],
)
def test_impossible_shapes(options, says):
    with pytest.raises(ValueError, match=says):
        SpectrogramUNet(2, 2, **{**TINY, **options})


def test_adopted_features_are_the_other_networks():
    """Before the last layer the networks agree, whatever x and the level are."""
    other = unet(2, 4, levels=False)
    net = unet(4, 2, cond_channels=2)
    assert net.embedding is not None
    untouched = net.last.weight.clone()
    net.adopt(other)
    seen: dict[str, Tensor] = {}
    for name, module in (("mine", net), ("theirs", other)):
        module.norm.register_forward_hook(lambda m, i, out, name=name: seen.update({name: out}))
    x, cond = (torch.randn(2, n, 16, 24, dtype=torch.float64) for n in (4, 2))
    net(x, torch.tensor([-1.0, 2.0]), cond)
    other(cond, torch.zeros(2))
    assert torch.allclose(seen["mine"], seen["theirs"], atol=1e-5)
    assert seen["mine"].std() > 0.1
    assert torch.equal(net.last.weight, untouched)
    with pytest.raises(ValueError, match="width or number"):
        net.adopt(unet(2, 4, levels=False, channels=[5, 6]))
    with pytest.raises(ValueError, match="conditioning alone"):
        net.adopt(unet(4, 4, levels=False))
