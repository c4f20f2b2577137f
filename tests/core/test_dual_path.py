"""The dual-path network: what it can see, and its recurrences against a loop of cells."""

import pytest
import torch
from torch import nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.networks.build import build_network
from sciddm.networks.dual_path import DualPathNetwork, _Recurrence, _with_decibels
from sciddm.process import SBVE

SMALL = {"bins": 16, "width": 4, "channels": 8, "blocks": 2, "block": 16, "reach": 8}
LEVEL = torch.zeros(1)


def network(seed=0, **changes):
    """Small, with an output that is not the zero it begins with."""
    torch.manual_seed(seed)
    made = DualPathNetwork(2, 4, **{**SMALL, **changes}).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter += 0.2 * torch.randn_like(parameter)
    return made


def test_training_begins_at_zero():
    assert not DualPathNetwork(2, 4, **SMALL)(torch.randn(1, 2, 16, 20), LEVEL).any()


@pytest.mark.parametrize("axis", [1, 2])
def test_a_recurrence_is_a_gru_in_both_directions(axis):
    torch.manual_seed(1)
    run = _Recurrence(8, axis).requires_grad_(False)
    x = torch.randn(2, 5, 6, 8)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    h = nn.functional.layer_norm(x, (8,), run.norm.weight, run.norm.bias).movedim(axis, 0)
    ways = []
    for suffix, order in (("_l0", 1), ("_l0_reverse", -1)):
        cell = nn.GRUCell(8, 4)
        cell.load_state_dict({n: getattr(run.run, n + suffix) for n in names})
        state, states = torch.zeros(h[0].numel() // 8, 4), []
        for now in list(h)[::order]:
            state = cell(now.reshape(-1, 8), state)
            states.append(state.reshape(*now.shape[:-1], 4))
        ways.append(torch.stack(states[::order]))
    wanted = x + run.out(torch.cat(ways, dim=-1)).movedim(0, axis)
    torch.testing.assert_close(run(x), wanted, rtol=1e-5, atol=1e-6)


def test_a_frame_depends_on_its_context_only():
    made = network()
    assert made.context == 23
    x = torch.randn(1, 2, 16, 100)
    before = made(x, LEVEL)
    for frame in (0, 40, 99):
        other = x.clone()
        other[..., frame] += 1
        changed = (made(other, LEVEL) != before).any(dim=(0, 1, 2)).nonzero().flatten()
        assert (changed - frame).abs().max() <= made.context
        seen = [b for b in range(7) if 16 * b - 8 <= frame < 16 * b + 24]
        assert (changed // 16).unique().tolist() == seen


def test_pieces_that_begin_with_a_block_give_what_the_whole_gives():
    made = network(patch=2)
    x = torch.randn(2, 2, 16, 161)
    whole = made(x, LEVEL)
    piece = made(x[..., 48:144], LEVEL)
    inner = slice(made.context, -made.context)
    torch.testing.assert_close(piece[..., inner], whole[..., 48:144][..., inner])
    assert (piece - whole[..., 48:144]).abs().max() > 1e-3  # at the ends


def test_every_bin_sees_all_others():
    made = network()
    x = torch.randn(1, 2, 16, 12)
    other = x.clone()
    other[:, :, 0] += 1
    assert ((made(other, LEVEL) - made(x, LEVEL)).abs().amax(dim=(0, 1, 3)) > 0).all()


@pytest.mark.parametrize("options", [{}, {"cond_channels": 2, "levels": True}])
def test_configuration_makes_it_again(options):
    made = network(**options)
    again = build_network({"name": "DualPathNetwork", **made.config})
    again.load_state_dict(made.state_dict())
    x = torch.randn(1, 2, 16, 30)
    cond = torch.randn(1, 2, 16, 30) if options else None
    torch.testing.assert_close(again(x, LEVEL, cond), made(x, LEVEL, cond))


def test_the_level_is_told_for_each_item():
    made = network(levels=True)
    x = torch.randn(1, 2, 16, 12).expand(2, -1, -1, -1)
    both = made(x, torch.tensor([-1.0, 2.0]))
    for item, level in zip(both, (-1.0, 2.0), strict=True):
        torch.testing.assert_close(item, made(x[:1], torch.tensor([level]))[0])
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_pairs_are_told_as_powers():
    """A phase that turns all of a pair's values leaves its log power, and no other does."""
    x = torch.randn(1, 4, 16, 12)
    levels = _with_decibels(x)[:, 4:]
    wanted = [(x[0, k] ** 2 + x[0, k + 1] ** 2 + 1e-4).log() / 4 for k in (0, 2)]
    torch.testing.assert_close(levels[0], torch.stack(wanted))


def test_adopted_features_are_the_other_networks():
    """Before the last layer the networks agree, whatever x and the level are."""
    other = network(1)
    torch.manual_seed(2)
    made = DualPathNetwork(4, 2, **SMALL, cond_channels=2, levels=True).eval()
    made.adopt(other)
    seen = {}
    for name, module in (("mine", made), ("theirs", other)):
        module.last.register_forward_hook(lambda m, i, out, name=name: seen.update({name: i[0]}))
    x, cond = torch.randn(2, 4, 16, 20), torch.randn(2, 2, 16, 20)
    assert not made(x, torch.tensor([-1.0, 2.0]), cond).any()
    other(cond, LEVEL)
    torch.testing.assert_close(seen["mine"], seen["theirs"])
    assert seen["mine"].std() > 0.1
    with pytest.raises(ValueError, match="width or number"):
        made.adopt(network(blocks=3))
    with pytest.raises(ValueError, match="conditioning alone"):
        made.adopt(DualPathNetwork(4, 4, **SMALL))


def test_what_it_cannot_take():
    made = network()
    with pytest.raises(ValueError, match="16 frequency bins"):
        made(torch.randn(1, 2, 8, 12), LEVEL)
    with pytest.raises(ValueError, match="0 channels of conditioning"):
        made(torch.randn(1, 2, 16, 12), LEVEL, torch.randn(1, 2, 16, 12))
    with pytest.raises(ValueError, match="2 channels of conditioning"):
        network(cond_channels=2)(torch.randn(1, 2, 16, 12), LEVEL)
    with pytest.raises(ValueError, match="must be even"):
        DualPathNetwork(3, 4, **SMALL)
    with pytest.raises(ValueError, match="multiples of 2"):
        DualPathNetwork(2, 4, **{**SMALL, "block": 15})


def test_a_share_of_a_mask_denoiser_lies_that_far_from_the_endpoint():
    """The last layer times k gives y + k (answer - y): what recipes/shrink_regeneration.py does."""
    torch.manual_seed(0)
    sizes = {"width": 8, "channels": 8, "blocks": 1, "cond_channels": 2, "levels": True}
    network = DualPathNetwork(4, 6, bins=16, **sizes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    denoiser = NetworkDenoiser(network, SBVE(), "mask", scale=0.1, complex_data=True)
    x, y, cond = (0.1 * torch.randn(1, 1, 16, 12, dtype=torch.complex64) for _ in range(3))
    with torch.no_grad():
        whole = denoiser(x, 0.7, y, cond)
        network.last.weight *= 0.3
        network.last.bias *= 0.3
        part = denoiser(x, 0.7, y, cond)
    assert (whole - y).abs().max() > 0.01
    assert torch.allclose(part, y + 0.3 * (whole - y), atol=1e-6)
