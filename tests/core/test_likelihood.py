"""Likelihood by the flow, and steps that can be undone, against closed forms."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from support import F64, Impulses, randn, random_mixture
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.ledger import record, tally
from sciddm.oracles import GaussianDenoiser, MixtureDenoiser
from sciddm.process import EDM, OUVE, VPCosine
from sciddm.random.streams import Streams
from sciddm.sampling import DDIM, DPMSolver3S, log_snr, sample
from sciddm.sampling.likelihood import log_likelihood
from sciddm.sampling.reversible import bdia, edict, invert_bdia, invert_edict

WEIGHTS, MEANS = torch.tensor([0.3, 0.7], dtype=F64), torch.tensor([[-1.0], [0.8]], dtype=F64)
COVARIANCES = torch.tensor([[[0.1]], [[0.3]]], dtype=F64)


def golden(process) -> MixtureDenoiser:
    return MixtureDenoiser(process, WEIGHTS, MEANS, COVARIANCES)


X = torch.tensor([[-1.0], [0.2], [2.5]], dtype=F64)
EXACT = (-0.965553, -1.272618, -5.490294)


@pytest.mark.parametrize("process", [EDM(sigma_max=200.0), VPCosine()], ids=["EDM", "VP"])
def test_golden_likelihood(process):
    """Of a mixture at three points, in every process: VP's density is that of u/a."""
    prior = golden(process)
    mean, cov = prior.moments()
    got = log_likelihood(
        prior,
        X,
        sigma_min=2e-3,
        sigma_max=100.0,
        steps=110,
        mean=mean,
        variance=cov[0, 0],
    )
    assert got.tolist() == pytest.approx(EXACT, abs=2e-4)
    assert got.tolist() == pytest.approx(prior.log_density(X).tolist(), abs=2e-4)
    # The law at the end without the data's mean and variance is not good enough.
    plain = log_likelihood(prior, X, sigma_min=2e-3, sigma_max=100.0, steps=110, variance=0.0)
    assert float((plain - got).abs().max()) > 1e-3


def test_probes_estimate_the_trace_without_bias():
    """Full covariances in four dimensions: the mean over many probes, each item its own."""
    prior = MixtureDenoiser(EDM(), *random_mixture(3, 4, seed=1))
    x = prior.sample(1, torch.Generator().manual_seed(0))
    mean, cov = prior.moments()
    options = {"sigma_min": 0.02, "sigma_max": 60.0, "steps": 40, "mean": mean}
    options["variance"] = cov.diagonal().mean()
    exact = float(log_likelihood(prior, x, **options))
    many = log_likelihood(prior, x.repeat(300, 1), generator=Streams(0, 300), **options)
    assert float(many.mean()) == pytest.approx(exact, abs=4 * float(many.std()) / 300**0.5)
    assert exact == pytest.approx(float(prior.log_density(x)), abs=0.1)
    with tally() as cost:
        log_likelihood(prior, x, generator=Streams(0, 1), probes=2, **options)
    assert (cost.nfe, cost.nvjp) == (160, 320)


def test_likelihood_of_complex_data():
    """A circular Gaussian: -|x|^2/v - n ln(pi v)."""

    class Circular(Denoiser):
        process, data_std = EDM(), 0.6**0.5

        def forward(self, x_t, t, y=None, cond=None):
            record(nfe=len(x_t))
            return 0.6 / (0.6 + t**2) * x_t

    x = randn(3, 2, dtype=torch.complex128)
    got = log_likelihood(Circular(), x, sigma_min=1e-3, sigma_max=50.0, steps=80)
    exact = -x.abs().square().sum(1) / 0.6 - 2 * math.log(math.pi * 0.6)
    assert torch.allclose(got, exact, atol=1e-3)
    probed = log_likelihood(
        Circular(), x, sigma_min=1e-3, sigma_max=50.0, steps=80, generator=Streams(0, 3)
    )
    assert torch.allclose(probed, got)  # the Jacobian is a multiple of the identity


# Inversion --------------------------------------------------------------------------------------


PRIOR = golden(EDM())
START = 10 * torch.linspace(-2, 2, 21, dtype=F64)[:, None]


def grid(n: int) -> list[float]:
    return log_snr(PRIOR.process, n, 10.0, 0.05)


def end(step, n: int) -> Tensor:
    return sample(PRIOR, START, grid(n), step, generator=Impulses(99), denoise_last=False)


@cache
def exact_end() -> Tensor:
    return end(DPMSolver3S(), 128)


def rms(x: Tensor) -> float:
    return float((x - exact_end()).square().mean().sqrt())


@pytest.mark.parametrize(("gamma", "bound"), [(1.0, 1e-10), (0.5, 1e-7)])
def test_bdia_goes_back_to_where_it_came_from(gamma, bound):
    pair = bdia(PRIOR, START, grid(20), gamma)
    first, second = invert_bdia(PRIOR, pair, grid(20), gamma)
    assert float((first - START).abs().max()) < bound
    assert torch.allclose(
        second,
        sample(PRIOR, START, grid(20)[:2], DDIM(), generator=Impulses(99), denoise_last=False),
        atol=1e-6,
    )


def test_ddim_does_not():
    x = end(DDIM(), 20) / 1.0
    back = sample(PRIOR, x, grid(20)[::-1], DDIM(), generator=Impulses(99), denoise_last=False)
    assert float((back - START).abs().max()) > 0.5


def test_bdia_is_second_order_and_edict_is_poor():
    errors = [rms(bdia(PRIOR, START, grid(n))[1]) for n in (40, 80, 160)]
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.8)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.5)
    first = [rms(bdia(PRIOR, START, grid(n), 0.5)[1]) for n in (80, 160)]
    assert first[0] / first[1] == pytest.approx(2, abs=0.5)
    assert rms(edict(PRIOR, (START, START), grid(20))[0]) > 3 * rms(end(DDIM(), 20))


@pytest.mark.parametrize("process", [EDM(), VPCosine()], ids=["EDM", "VP"])
def test_edict_goes_back_to_where_it_came_from(process):
    prior = golden(process)
    times = log_snr(process, 20, 10.0, 0.05)
    x = process(times[0])[0] * START
    with tally() as cost:
        pair = edict(prior, (x, x), times)
    assert cost.nfe == 21 * 40
    first, second = invert_edict(prior, pair, times)
    assert torch.allclose(first, x, atol=1e-8)
    assert torch.allclose(second, x, atol=1e-8)


def test_inversion_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="gamma"):
        bdia(PRIOR, START, grid(4), 0.0)
    bridge = GaussianDenoiser(OUVE(), torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64))
    with pytest.raises(ValueError, match="endpoint"):
        bdia(bridge, START, [0.9, 0.5, 0.1])
