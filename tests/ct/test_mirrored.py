"""Mirrored and turned denoisers against mirroring and turning by hand."""

from __future__ import annotations

import torch

from sciddm.denoiser import Denoiser
from sciddm.priors.mirrored import Mirrored
from sciddm.priors.turned import Turned
from sciddm.process import ResShift
from sciddm.sampling.draws import draws, mirrored, turned


class Shifted(Denoiser):
    """What lies up and to the left, with a part of y and of cond there: as one-sided as can be."""

    def __init__(self) -> None:
        super().__init__()
        self.process = ResShift()

    def forward(self, x_t, t, y=None, cond=None):
        return (x_t + 2 * y + 3 * cond[:, :1] - 5 * cond[:, 1:]).roll((1, 2), (-2, -1))


def images(seed: int, channels: int = 1) -> torch.Tensor:
    return torch.randn(4, channels, 6, 5, generator=torch.Generator().manual_seed(seed))


def test_each_image_is_mirrored_in_its_own_way():
    x, y, cond = images(0), images(1), images(2, 2)
    total = x + 2 * y + 3 * cond[:, :1] - 5 * cond[:, 1:]
    out = Mirrored(Shifted(), (0, 1, 2, 7))(x, 0.5, y, cond)
    ways = (((1, 2), 0), ((1, -2), 1), ((-1, 2), 2), ((-1, -2), 3))
    for shift, k in ways:
        assert torch.allclose(out[k], total[k].roll(shift, (-2, -1)))


def test_antithetic_pairs_share_their_way_whatever_the_batch():
    """The draws of a slice, one way for each pair: a slice's number plays no part."""
    seen: list[tuple[int, ...]] = []

    def sampler(like, streams, callback):
        seen.append(mirrored(Shifted(), streams).ways)
        return like

    ticks: list[str] = []
    out = draws(torch.zeros(1, 1, 4, 4), 6, 3, 0, ticks.append, sampler)
    assert out.shape == (6, 1, 4, 4)
    assert seen == [(0, 0, 1, 1, 2, 2)]
    assert len(ticks) == 6


def test_each_image_is_turned_by_its_own_quarters():
    """Of images that are not square, too: the shift, one down and two to the right, turns."""
    x, y, cond = images(0), images(1), images(2, 2)
    total = x + 2 * y + 3 * cond[:, :1] - 5 * cond[:, 1:]
    out = Turned(Shifted(), (0, 1, 2, 7))(x, 0.5, y, cond)
    for k, shift in enumerate(((1, 2), (2, -1), (-1, -2), (-2, 1))):
        assert torch.allclose(out[k], total[k].roll(shift, (-2, -1)))


def test_four_turns_commute_with_a_rotation_of_the_input():
    x, y, cond = (v.expand(4, -1, -1, -1) for v in (images(0)[:1], images(1)[:1], images(2, 2)[:1]))
    model = Turned(Shifted(), range(4))
    mean = model(x, 0.5, y, cond).mean(0)
    rotated = model(*(torch.rot90(v, 1, (-2, -1)) for v in (x,)), 0.5,
                    *(torch.rot90(v, 1, (-2, -1)) for v in (y, cond))).mean(0)  # fmt: skip
    assert torch.allclose(rotated, torch.rot90(mean, 1, (-2, -1)), atol=1e-5)


def test_every_draw_is_turned_by_a_quarter_more():
    seen: list[tuple[int, ...]] = []

    def sampler(like, streams, callback):
        seen.append(turned(Shifted(), streams).turns)
        return like

    draws(torch.zeros(1, 1, 4, 4), 6, 3, 0, lambda part: None, sampler)
    assert seen == [(0, 1, 2, 3, 0, 1)]
