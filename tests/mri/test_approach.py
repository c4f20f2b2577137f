"""The pairs of samples that go before: what they cost, and where they lead."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sciddm.denoiser import Denoiser
from sciddm.guidance import MMPS
from sciddm.ledger import record, tally
from sciddm.physics import CartesianMRI, Measurement
from sciddm.physics.fourier import fft2c, ifft2c
from sciddm.physics.mri.encoding import EncodedSlice, Frame
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.settings import PriorSettings
from sciddm.pipelines.mri.slices import SliceChains, reconstruct_slice
from sciddm.process import EDM
from sciddm.simulation.mri.scan import coil_maps

SIZE, SIGMA = 24, 0.05
SHORT = PriorSettings(samples=4, steps=3, start=0, sigma_max=0.2)


class SmoothPrior(Denoiser):
    """The exact denoiser of stationary Gaussian images with a falling spectrum."""

    sees_estimate = False

    def __init__(self) -> None:
        super().__init__()
        self.process = EDM(0.002, 10.0)
        k = torch.arange(SIZE) - SIZE // 2
        self.power = 4.0 / (1 + (k[:, None].square() + k.square()) / 4.0) ** 2
        self.data_std = float(self.power.mean().sqrt())

    def forward(self, x_t, t, y=None, cond=None):
        record(nfe=x_t.shape[0])
        _, _, s = self.process(t)
        return ifft2c(fft2c(x_t) * self.power / (self.power + s**2))


@pytest.fixture(scope="module")
def problem() -> tuple[SmoothPrior, EncodedSlice, torch.Tensor]:
    """A prior, a measurement of every third line of one of its images, and E[x | y]."""
    prior = SmoothPrior()
    generator = torch.Generator().manual_seed(4)

    def white(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.complex64, generator=generator)

    truth = ifft2c(white(1, 1, SIZE, SIZE) * prior.power.sqrt())
    maps = torch.from_numpy(coil_maps(2, (SIZE, SIZE), seed=1)).to(torch.complex64)
    mask = torch.from_numpy(make_mask("random", (SIZE, SIZE), 3, 4, seed=2))
    A = CartesianMRI(mask, maps)
    m = Measurement((A(truth) + SIGMA * mask * white(1, 2, SIZE, SIZE))[0], A, SIGMA)
    ones = torch.ones(SIZE, SIZE, dtype=torch.complex64)
    encoded = EncodedSlice(m, Frame(maps, ones, 1.0, SIGMA, lambda k: k, maps.shape[-2:]), ones)
    # E[x | y] = C^(1/2) (C^(1/2) A^H A C^(1/2) + sigma^2)^-1 C^(1/2) A^H y
    basis = torch.eye(SIZE**2, dtype=torch.complex64).view(-1, 1, SIZE, SIZE)
    root = ifft2c(fft2c(basis) * prior.power.sqrt())
    seen = A(root).flatten(1).mT
    system = seen.mH @ seen + SIGMA**2 * torch.eye(SIZE**2)
    weights = torch.linalg.solve(system, seen.mH @ m.y.flatten())
    mean = (root.flatten(1).mT @ weights).view(1, 1, SIZE, SIZE)
    return prior, encoded, mean


def distance(problem, settings: PriorSettings) -> float:
    prior, encoded, mean = problem
    found = reconstruct_slice(prior, encoded, settings, seed=0, item=0).mean
    return float((found - mean).abs().square().mean().sqrt())


def test_chains_from_one_another_end_nearer_the_posterior_mean(problem):
    alone = distance(problem, SHORT)
    twice = distance(problem, replace(SHORT, approach=((3, 0.2),)))
    thrice = distance(problem, replace(SHORT, approach=((3, 0.2), (3, 0.2))))
    assert twice < 0.9 * alone
    assert thrice < 0.95 * twice


def test_it_costs_what_the_settings_say(problem):
    prior, encoded, _ = problem
    settings = replace(SHORT, approach=((2, 0.5), (3, 0.3)))
    ticks = 0

    def tick(*_: object) -> None:
        nonlocal ticks
        ticks += 1

    with tally() as cost:
        reconstruct_slice(prior, encoded, settings, 0, 0, tick)
    assert cost.nfe + cost.nvjp == settings.evaluations == (2 * (3 + 4) + 4 * 4) * settings.each
    assert ticks == settings.levels
    assert settings.attributes()["approach"] == "2 from 0.5, 3 from 0.3"


def test_every_chain_of_the_approach_has_noise_of_its_own(problem):
    prior, encoded, _ = problem
    seen = []

    class Chains(SliceChains):
        def pair(self, number):
            seen.append(number)
            return super().pair(number)

    settings = replace(SHORT, approach=((1, 0.4), (1, 0.3), (1, 0.2)))
    chains = Chains(prior, encoded.measurement, settings, 0, 0, lambda *_: None)
    settings.begin(chains, torch.zeros(1, 1, SIZE, SIZE, dtype=torch.complex64))
    assert seen == [0, 1, 2]


def test_the_proximal_step_brings_a_cartesian_estimate_to_its_data(problem):
    # Two Krylov steps of MMPS do not reach data of eight coils with little noise; the step does.
    prior, encoded, _ = problem
    m = encoded.measurement
    sharp = Measurement(m.y, m.A, SIGMA / 10)
    x_t = 0.1 * torch.randn(
        1, 1, SIZE, SIZE, dtype=torch.complex64, generator=torch.Generator().manual_seed(1)
    )
    t = prior.process.time(0.1)
    settings = replace(SHORT, krylov=1)

    def residual(guided) -> float:
        return float(sharp.residual(guided(x_t, t)).abs().square().mean().sqrt())

    alone = MMPS(prior, sharp, settings.krylov, settings.inflation)
    assert residual(settings.guide(prior, sharp, x_t, [t])) < 0.5 * residual(alone)


def test_preconditioned_steps_are_fewer_and_lead_to_the_same_mean(problem):
    prior, encoded, _ = problem
    m = encoded.measurement
    x = torch.randn(1, 1, SIZE, SIZE, dtype=torch.complex64, generator=torch.Generator())

    def mean(krylov: int, precondition: int) -> torch.Tensor:
        return MMPS(prior, m, krylov, precondition=precondition)(x, 0.3)

    exact = mean(40, 0)
    assert (mean(12, 20) - exact).norm() < 0.01 * exact.norm()
    for steps in (1, 2):
        assert (mean(steps, 8) - exact).norm() < 0.75 * (mean(steps, 0) - exact).norm()
