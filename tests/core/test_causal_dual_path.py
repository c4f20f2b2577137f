"""CausalDualPath: causal, equivariant in level, the same in pieces, fed by a two-sided network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sciddm.networks import build_network
from sciddm.networks.causal_dual_path import CausalDualPath
from sciddm.networks.dual_path import DualPathNetwork

SIZE = {"bins": 16, "width": 4, "channels": 8, "blocks": 2}


def _network(seed: int = 0, **changes: float) -> CausalDualPath:
    torch.manual_seed(seed)
    network = CausalDualPath(**(SIZE | changes))  # type: ignore[arg-type]
    torch.nn.init.normal_(network.last.weight, std=0.1)
    return network.eval()


def _noise(frames: int, seed: int = 1, batch: int = 2) -> Tensor:
    return torch.randn(batch, 2, 16, frames, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_output_depends_on_nothing_later_than_its_patch() -> None:
    network, x = _network(), _noise(24)
    changed = x.clone()
    changed[..., 12:] = 100 * _noise(12, seed=2)
    before, after = network(x), network(changed)
    torch.testing.assert_close(before[..., :12], after[..., :12], rtol=1e-5, atol=1e-6)
    assert (before[..., 12:] - after[..., 12:]).abs().max() > 1e-2


@pytest.mark.parametrize("gain", [1e-3, 1e3])
@torch.no_grad()
def test_mask_does_not_change_with_the_level_and_rest_scales(gain: float) -> None:
    network, x = _network(), _noise(24)
    (mask, rest), (mask_g, rest_g) = (network(v).chunk(2, 1) for v in (x, gain * x))
    torch.testing.assert_close(mask_g, mask, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(rest_g, gain * rest, rtol=1e-4, atol=1e-6 * gain)


@torch.no_grad()
def test_pieces_with_carried_state_give_what_the_whole_gives() -> None:
    network, x = _network(), _noise(31)
    state, pieces, at = network.start(2, x), [], 0
    for size in (2, 8, 6, 15):  # the last piece is cut within a patch
        out, state = network.run(x[..., at : at + size], state)
        pieces.append(out)
        at += size
    torch.testing.assert_close(torch.cat(pieces, -1), network(x), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_level_follows_the_logarithm_and_leaves_silence_out() -> None:
    network = _network(memory=4.0)
    x = torch.full((1, 2, 16, 12), 3.0)
    x[..., 4:8] = 0  # silence, which has no level
    scale, *_ = network._level(x, torch.zeros(1, 2))
    torch.testing.assert_close(scale.flatten(), torch.full((12,), 18**0.5), rtol=1e-5, atol=0)
    x[..., 8:] *= 10.0
    scale, *_ = network._level(x, torch.zeros(1, 2))
    # Patches 0, 1 of the first level and 4, 5 of ten times as much: weights e^(-age / 4).
    old, new = (torch.tensor(ages).div(-4.0).exp().sum() for ages in ((5.0, 4.0), (1.0, 0.0)))
    expected = 18**0.5 * 10 ** float(new / (old + new))
    assert float(scale.flatten()[-1]) == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_digital_silence_stays_silence_whatever_came_before() -> None:
    network, x = _network(), _noise(24)
    x[..., 10:20] = 0
    out = network(x)
    assert not out[:, 2:, :, 10:20].any()  # the rest; a mask has nothing to act on
    assert out[:, 2:, :, 20:].any()


@torch.no_grad()
def test_a_bang_leaves_the_level_a_second_later_within_one_decibel() -> None:
    network = _network()
    quiet = 1e-2 * _noise(400, batch=1)
    bang = quiet.clone()
    bang[..., 100:104] *= 10**1.5  # 60 dB of the waveform
    levels = [network._level(x, torch.zeros(1, 2))[0].flatten()[226] for x in (quiet, bang)]
    # Units are compressed by 1/2: 1 dB of the waveform is half a dB of these.
    assert abs(20 * float(torch.log10(levels[1] / levels[0]))) < 0.5


@torch.no_grad()
def test_adopted_weights_give_the_two_sided_network_without_its_future() -> None:
    torch.manual_seed(0)
    other = DualPathNetwork(2, 4, **(SIZE | {"blocks": 1}))  # type: ignore[arg-type]
    torch.nn.init.normal_(other.last.weight, std=0.1)
    network = CausalDualPath(**(SIZE | {"blocks": 1}))  # type: ignore[arg-type]
    network.adopt(other)
    # One patch of frames: neither has a past, and both directions of a recurrence see one step.
    x = _noise(2, batch=1)
    x = x / x.square().sum(1).mean().sqrt()
    network_out = network(x)
    for conv in (other.first, other.down, other.join, other.last):
        conv.weight[:, :, 2] = 0
    power = x.square().sum(1, keepdim=True)
    bent = x * (1 + power / 16).rsqrt()
    assert network_out.shape == other(x, torch.zeros(1)).shape
    # What differs is the knee alone; without it the outputs are equal.
    torch.testing.assert_close(
        network_out, _without_knee(network, x), rtol=0, atol=float((bent - x).abs().max())
    )
    torch.testing.assert_close(
        _without_knee(network, x), other(x, torch.zeros(1)), rtol=1e-4, atol=1e-5
    )


def _without_knee(network: CausalDualPath, x: Tensor) -> Tensor:
    from sciddm.networks import causal_dual_path

    knee, causal_dual_path._KNEE = causal_dual_path._KNEE, 1e9
    try:
        return network(x)
    finally:
        causal_dual_path._KNEE = knee


def test_adopts_the_first_and_the_last_of_more_blocks_and_refuses_other_widths() -> None:
    other = DualPathNetwork(2, 4, **(SIZE | {"blocks": 3}))  # type: ignore[arg-type]
    network = CausalDualPath(**SIZE)  # type: ignore[arg-type]
    network.adopt(other)
    ours, theirs = network.state_dict(), other.state_dict()
    assert torch.equal(ours["blocks.2.out.weight"], theirs["blocks.4.out.weight"])
    with pytest.raises(ValueError, match="differ in size"):
        CausalDualPath(**(SIZE | {"width": 5})).adopt(other)  # type: ignore[arg-type]


def test_is_built_from_its_configuration_and_refuses_other_channels() -> None:
    network = _network()
    again = build_network({"name": "CausalDualPath", **network.config})
    again.load_state_dict(network.state_dict())
    with pytest.raises(ValueError, match="must be 2 and 4"):
        CausalDualPath(in_channels=4)
