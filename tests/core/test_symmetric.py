"""A prior through its symmetries: the exact one is unmoved, a one-sided error averages out."""

from __future__ import annotations

import pytest
import torch

from sciddm.denoiser import Denoiser
from sciddm.guidance import MMPS
from sciddm.physics import CartesianMRI, Measurement
from sciddm.priors.symmetric import Symmetric, conjugate, mirror
from sciddm.process import EDM, OUVE

LEVELS = torch.tensor([1.0, 0.5, 0.25, 0.1, 0.0])


class OneSided(Denoiser):
    """Half of the state, and an error that has no symmetry."""

    def __init__(self, error: torch.Tensor) -> None:
        super().__init__()
        self.process = EDM(0.002, 10.0)
        self.error = error

    def forward(self, x_t, t, y=None, cond=None):
        return x_t / 2 + self.error


def white(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def test_every_member_of_the_group_is_used_once_in_four_levels():
    error, x = white(1, 5, 6), white(1, 1, 5, 6, seed=1)
    prior = Symmetric(OneSided(error), (mirror, conjugate), LEVELS)
    found = [prior(x, float(t))[0] - x[0] / 2 for t in LEVELS[:4]]
    group = [error, mirror(error), conjugate(error), conjugate(mirror(error))]
    for a, b in zip(found, group, strict=True):
        torch.testing.assert_close(a, b)
    items = prior(x.expand(4, -1, -1, -1), 1.0) - x / 2
    torch.testing.assert_close(items, torch.stack(group))
    later = Symmetric(prior.denoiser, prior.symmetries, LEVELS, first=2)
    torch.testing.assert_close(later(x, 1.0)[0] - x[0] / 2, group[2])


def test_its_vjp_is_that_of_the_symmetric_map():
    # D(x) = c x with c complex: J^H v = conj(c) v, and of the conjugated map c v.
    class Turned(OneSided):
        def forward(self, x_t, t, y=None, cond=None):
            return self.error * x_t

    c = torch.tensor(0.3 + 0.4j)
    prior = Symmetric(Turned(c), (conjugate,), LEVELS)
    x, v = white(2, 1, 4, 4), white(2, 1, 4, 4, seed=2)
    mean, vjp = prior.mean_and_vjp(x, 1.0)
    back = vjp(v)
    torch.testing.assert_close(mean, torch.stack([c * x[0], c.conj() * x[1]]))
    torch.testing.assert_close(back, torch.stack([c.conj() * v[0], c * v[1]]))


def test_a_symmetric_prior_and_its_guidance_stay_what_they_were():
    class White(OneSided):  # of variance 1
        def forward(self, x_t, t, y=None, cond=None):
            return x_t / (1 + t**2)

    exact = White(torch.zeros(1))
    prior = Symmetric(exact, (mirror, conjugate), LEVELS)
    mask = torch.ones(6, 6)
    mask[::2] = 0
    m = Measurement(white(1, 6, 6) * mask, CartesianMRI(mask.bool()), 0.1)
    x = white(4, 1, 6, 6, seed=3)
    plain, through = (MMPS(d, m, 4)(x, 0.5) for d in (exact, prior))
    torch.testing.assert_close(through, plain)


def test_an_estimate_that_is_shown_goes_through_the_same_symmetry():
    class Shown(OneSided):
        def forward(self, x_t, t, y=None, cond=None):
            return x_t / 2 + cond / 4 + self.error

    error, x, cond = (white(1, 1, 5, 6, seed=i) for i in range(3))
    prior = Symmetric(Shown(error), (mirror, conjugate), LEVELS)
    found = [prior(x, float(t), cond=cond) - x / 2 - cond / 4 for t in LEVELS[:4]]
    group = [error, mirror(error), conjugate(error), conjugate(mirror(error))]
    for a, b in zip(found, group, strict=True):
        torch.testing.assert_close(a, b)


def test_what_it_cannot_see_through_is_refused():
    prior = Symmetric(OneSided(torch.zeros(1)), (mirror,), LEVELS)
    x = white(2, 1, 4, 4)
    with pytest.raises(ValueError, match="alone"):
        prior(x, 0.5, y=x)
    with pytest.raises(ValueError, match="one time"):
        prior(x, torch.tensor([0.5, 0.1]))
    bridge = OneSided(torch.zeros(1))
    bridge.process = OUVE()
    with pytest.raises(ValueError, match="endpoint"):
        Symmetric(bridge, (mirror,), LEVELS)
