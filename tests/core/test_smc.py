"""Twisted sequential Monte Carlo against exact posteriors and exact evidence."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import Bulk, measured_mixture
from support import F64, randn, sliced_w2

from sciddm.guidance import PiGDM
from sciddm.ledger import tally
from sciddm.oracles import GaussianDenoiser, MixtureDenoiser
from sciddm.physics import Diagonal, Matrix, Measurement
from sciddm.posterior import Posterior
from sciddm.process import EDM, OUVE
from sciddm.random.streams import Streams
from sciddm.sampling import Ancestral, DPMSolver2M, karras, log_snr, sample, smc
from sciddm.sampling.rejuvenation import copies
from sciddm.sampling.smc import _Weights


def run(kind: str, particles: int, steps: int, chains: int = 1000, **options):
    o = measured_mixture(kind)
    x = 20 * randn(chains, 8, seed=7)
    grid = karras(o.prior.process, steps, 20.0, 0.02)
    guided = PiGDM(o.prior, o.measurement)
    return smc(guided, x, grid, particles=particles, generator=Bulk(5), **options)


@pytest.mark.parametrize(
    ("kind", "steps", "multistep", "bound"),
    [
        ("random", 20, False, 0.12),
        ("random", 50, False, 0.07),
        ("random", 20, True, 0.14),
        ("random", 50, True, 0.08),
        ("mask", 50, True, 0.045),
    ],
)
def test_four_particles_get_the_weights_of_modes_right(kind, steps, multistep, bound):
    """Sliced W2 .100, .053, .127, .070, .038; MMPS has .256, .254, .032, exact sets .033, .019."""
    out = run(kind, 4, steps, multistep=multistep).x0
    assert sliced_w2(out, measured_mixture(kind).draws) < bound


def test_a_weight_without_the_proposal_is_seen(monkeypatch):
    """The classic fault, twists without the ratio of the transitions: .094 and not .053."""
    whole = _Weights.add
    calls = 0

    def twists_only(self, change):
        nonlocal calls
        calls += 1
        whole(self, change if calls % 2 else torch.zeros_like(change))

    monkeypatch.setattr(_Weights, "add", twists_only)
    assert (
        sliced_w2(run("random", 4, 50, multistep=False).x0, measured_mixture("random").draws) > 0.08
    )


@pytest.mark.parametrize("kind", ["random", "mask"])
def test_evidence_of_many_particles(kind):
    """Exact -3.698 and -3.101; -3.82 and -2.92 here."""
    o = measured_mixture(kind)
    result = run(kind, 1000, 200)
    assert float(result.log_evidence) == pytest.approx(o.log_evidence, abs=0.4)
    assert float(result.ess.min()) > 50


def test_evidence_finds_the_gain():
    """Of five, .85 as the exact evidence does (-3.81 -2.87 -3.10 -3.85 -4.80), each within .4."""
    o = measured_mixture("mask")
    grid, x = karras(o.prior.process, 40, 20.0, 0.02), 20 * randn(1000, 8, seed=7)
    R = 0.01 * torch.eye(4, dtype=F64)
    found, exact = [], []
    for gain in (0.7, 0.85, 1.0, 1.15, 1.3):
        guided = PiGDM(o.prior, Measurement(o.y, Matrix(gain * o.H), 0.1))
        found.append(float(smc(guided, x, grid, particles=1000, generator=Bulk(5)).log_evidence))
        exact.append(float(o.prior.log_evidence(o.y, gain * o.H, R)))
    assert exact == pytest.approx([-3.81, -2.87, -3.10, -3.85, -4.80], abs=0.01)
    assert found == pytest.approx(exact, abs=0.4)
    assert max(range(5), key=found.__getitem__) == 1


def test_evidence_of_a_gaussian_is_unbiased_to_its_scatter():
    """One number y, exact log N(y; H m, H S H^T + R), with a gain that is not 1."""
    prior = GaussianDenoiser(
        EDM(), torch.tensor([0.3], dtype=F64), torch.tensor([[0.5]], dtype=F64)
    )
    H, sigma, y = torch.tensor([[1.7]], dtype=F64), 0.4, torch.tensor([2.0], dtype=F64)
    exact = float(prior.log_evidence(y, H, sigma**2 * torch.eye(1, dtype=F64)))
    x = 20 * randn(2000, 1, seed=1)
    guided = PiGDM(prior, Measurement(y, Matrix(H), sigma))
    result = smc(guided, x, karras(EDM(), 150, 20.0, 0.01), particles=500, generator=Bulk(1))
    assert result.log_evidence.tolist() == pytest.approx([exact] * 4, abs=0.2)


def test_scaling_data_and_operator_shifts_the_evidence_by_their_unit():
    """log p(c y) = log p(y) - m ln c."""
    o, c = measured_mixture("random"), 1e3
    m = o.measurement
    scaled = Measurement(c * m.y, Matrix(c * m.A.matrix), c * m.sigma)
    grid = karras(o.prior.process, 10, 20.0, 0.02)
    both = [
        smc(PiGDM(o.prior, v), 20 * randn(8, 8), grid, particles=4, generator=Streams(3, 8))
        for v in (m, scaled)
    ]
    assert torch.allclose(both[0].x0, both[1].x0, atol=1e-6)
    shift = both[0].log_evidence - both[1].log_evidence
    assert shift.tolist() == pytest.approx([4 * math.log(c)] * 2)


def test_one_particle_is_pigdm():
    """Bit by bit the run of ``PiGDM`` with the same noise and step."""
    o = measured_mixture("random")
    guided, x = PiGDM(o.prior, o.measurement), 20 * randn(3, 8)
    grid = karras(o.prior.process, 10, 20.0, 0.02)
    for multistep, step in ((False, Ancestral()), (True, DPMSolver2M(sde=True))):
        alone = smc(guided, x, grid, particles=1, generator=Streams(3, 3), multistep=multistep).x0
        assert torch.equal(alone, sample(guided, x, grid, step, generator=Streams(3, 3)))


def test_an_item_does_not_depend_on_its_batch():
    """Four particles of three items, and those of the middle one by themselves."""
    o, k = measured_mixture("random"), 4
    guided = PiGDM(o.prior, o.measurement)
    grid = karras(o.prior.process, 8, 20.0, 0.05)
    x = 20 * randn(k, 3, 8)
    ids = torch.arange(k * 3).reshape(k, 3)
    every = Streams(2, ids.flatten().tolist())
    together = smc(guided, x.reshape(-1, 8), grid, particles=k, generator=every)
    alone = smc(guided, x[:, 1], grid, particles=k, generator=Streams(2, ids[:, 1].tolist()))
    assert torch.allclose(together.x0.reshape(k, 3, 8)[:, 1], alone.x0)
    assert float(together.log_evidence[1]) == pytest.approx(float(alone.log_evidence[0]))


def test_complex_data_are_pairs_of_real_data():
    """A circular prior, its data and noise as (re, im): the same evidence."""
    v, sigma, y = 0.6, 0.5, complex(0.7, -1.1)

    class Circular(GaussianDenoiser):
        def forward(self, x_t, t, y=None, cond=None):
            both = super().forward(torch.view_as_real(x_t)[:, 0], t, y, cond)
            return torch.view_as_complex(both)[:, None]

    # x0 with E|x0|^2 = v: each part v/2. Time is the std of complex noise; parts have t/sqrt 2,
    # which the gain v / (v + t^2) of both does not see.
    prior = Circular(EDM(), torch.zeros(2, dtype=F64), v * torch.eye(2, dtype=F64))
    prior.data_std = v**0.5
    m = Measurement(torch.tensor([y]), Matrix(torch.ones(1, 1, dtype=torch.complex128)), sigma)
    total = v + sigma**2
    exact = -(abs(y) ** 2) / total - math.log(math.pi * total)
    x = 20 * randn(1000, 1, dtype=torch.complex128)
    grid = karras(EDM(), 100, 20.0, 0.01)
    result = smc(PiGDM(prior, m), x, grid, particles=1000, generator=Bulk(1))
    assert float(result.log_evidence) == pytest.approx(exact, abs=0.15)
    gain = v / total
    mean = result.x0.mean()
    assert abs(complex(mean) - gain * y) < 4 * math.sqrt(gain * sigma**2 / 1000)


def test_resampling_is_in_proportion_to_the_weights():
    """Systematic: each particle is copied within one of K w times; even weights copy none."""
    log = torch.log(torch.tensor([0.05, 0.5, 0.3, 0.15], dtype=F64))
    for u in torch.linspace(0.01, 0.99, 9, dtype=F64):
        weights = _Weights(4, 1, 0.9, False, 0.0, log)
        weights.add(log)
        counts = weights.resample(u[None]).bincount(minlength=4)
        assert (counts - 4 * log.exp()).abs().max() < 1
        even = _Weights(4, 1, 0.9, False, 0.0, log)
        even.add(torch.full((4,), -7.0, dtype=F64))
        assert even.resample(u[None], 1.0).tolist() == [0, 1, 2, 3]
        assert float(even.log_evidence) == pytest.approx(-7.0)


def test_tempering_keeps_the_particles_apart_and_says_so():
    """Sixteen particles and very clean data: without it one particle is left."""
    o = measured_mixture("mask", sigma=0.005)
    x, grid = 20 * randn(16, 8), karras(o.prior.process, 10, 20.0, 0.02)
    guided = PiGDM(o.prior, o.measurement)
    plain, kept = (
        smc(guided, x, grid, particles=16, generator=Streams(0, 16), temper=temper)
        for temper in (False, True)
    )
    assert float(plain.ess.min()) < 2
    assert float(plain.tempering) == 1
    assert 0 < float(kept.tempering) < 0.9
    assert len(kept.x0.unique(dim=0)) > len(plain.x0.unique(dim=0))


def gaussian(n: int, items: int = 10, draws: int = 4, **options):
    """Coverage of 90 % intervals; half of n independent unknowns of uneven variance are seen."""
    levels = torch.linspace(0.05, 2, n, dtype=F64)
    prior = GaussianDenoiser(EDM(), torch.zeros(n, dtype=F64), torch.diag(levels**2))
    seen = (torch.arange(n) % 2 == 0).to(F64)
    truth = levels * randn(items, n, seed=1)
    y = seen * (truth + 0.1 * randn(items, n, seed=2))
    guided = PiGDM(prior, Measurement(y.repeat(draws, 1), Diagonal(seen, ndim=1), 0.1))
    x, grid = 20 * randn(items * draws, n, seed=7), karras(prior.process, 20, 20.0, 0.02)
    out = smc(guided, x, grid, particles=draws, generator=Bulk(5), **options)
    return Posterior(out.x0.reshape(draws, items, n)).coverage(truth), out


def test_weights_that_collapse_are_set_aside_for_good():
    """Two items: hundreds of nats apart in the first, where no power keeps two of four."""
    log = torch.zeros(1, dtype=F64)
    weights, u = _Weights(4, 2, 0.5, False, 0.05, log), torch.full((2,), 0.5, dtype=F64)
    uneven = torch.tensor([-900.0, 0.0, -600.0, -300.0], dtype=F64)
    even = torch.tensor([-1.0, 0.0, -1.0, -0.5], dtype=F64)
    weights.add(torch.stack([uneven, even], 1))
    assert weights.resample(u) is None
    assert weights.tempering.tolist() == [0, 1]
    weights.add(torch.stack([6 * even, 6 * even], 1))  # would be drawn anew
    chosen = weights.resample(u)
    assert chosen.reshape(4, 2)[:, 0].tolist() == [0, 2, 4, 6]
    assert (chosen.reshape(4, 2)[:, 1] == 3).sum() >= 2
    assert weights.tempering.tolist() == [0, 1]


def test_copies_are_moved_apart():
    """Hundreds of data: of four particles one or two are left, whose intervals hold 7 %."""
    held, plain = gaussian(300)
    assert held < 0.2
    assert int(copies(plain.x0, 4).sum()) > 10
    held, moved = gaussian(300, rejuvenation=1.0)
    assert held > 0.65
    assert not copies(moved.x0, 4).any()
    first = ~copies(plain.x0, 4)
    assert (moved.x0[first] == plain.x0[first]).all()
    assert (moved.log_evidence == plain.log_evidence).all()


def test_moved_copies_keep_the_weights_of_modes():
    """Sliced W2 .127 with copies, .122 without."""
    plain, moved = (run("random", 4, 20, rejuvenation=level).x0 for level in (0.0, 1.0))
    draws = measured_mixture("random").draws
    assert sliced_w2(moved, draws) < sliced_w2(plain, draws)


def test_weights_of_few_data_do_not_collapse():
    assert (run("mask", 4, 20, collapse=0.05).tempering == 0).double().mean() < 0.05


def test_a_process_with_an_endpoint():
    """OUVE's u = x - b y: law of a Gaussian posterior, with the endpoint of every particle."""
    prior = GaussianDenoiser(OUVE(), torch.zeros(2, dtype=F64), 0.3 * torch.eye(2, dtype=F64))
    y, sigma = torch.tensor([0.8, -0.4], dtype=F64), 0.3
    end = torch.tensor([0.5, 0.1], dtype=F64).expand(800, 2)
    grid = log_snr(prior.process, 60, prior.process.sigma(1.0), 0.02)
    a, b, s = prior.process(grid[0])
    start = b * end + (a**2 * 0.3 + s**2) ** 0.5 * randn(800, 2)
    guided = PiGDM(prior, Measurement(y, Matrix(torch.eye(2, dtype=F64)), sigma))
    out = smc(guided, start, grid, particles=8, generator=Bulk(2), y=end).x0
    gain = 0.3 / (0.3 + sigma**2)
    error = math.sqrt(gain * sigma**2 / 800)
    assert torch.allclose(out.mean(0), gain * y, atol=6 * error)
    assert torch.allclose(out.var(0), torch.full((2,), gain * sigma**2, dtype=F64), rtol=0.2)


def test_cost_and_refusal():
    prior = MixtureDenoiser(
        EDM(),
        torch.ones(1, dtype=F64),
        torch.zeros(1, 2, dtype=F64),
        torch.eye(2, dtype=F64)[None],
    )
    guided = PiGDM(prior, Measurement(randn(2), Matrix(torch.eye(2, dtype=F64)), 0.3))
    grid = karras(EDM(), 6, 5.0, 0.1)
    with tally() as cost:
        smc(guided, randn(4, 2), grid, particles=2, generator=Streams(0, 4))
    assert (cost.nfe, cost.nvjp) == (4 * 7, 4 * 7)
    with pytest.raises(ValueError, match="5 does not hold sets of 2"):
        smc(guided, randn(5, 2), grid, particles=2, generator=Streams(0, 5))
