"""The mirrored denoiser against mirroring by hand."""

from __future__ import annotations

import torch

from sciddm.denoiser import Denoiser
from sciddm.priors.mirrored import Mirrored
from sciddm.process import ResShift
from sciddm.sampling.draws import draws, mirrored


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
