"""RED-diff, MGDM and the warm chain: fixed points, laws and distances to the exact posterior."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import Bulk, measured_mixture
from support import F64, randn, sliced_w2
from torch import Tensor

from sciddm.guidance import MMPS
from sciddm.ledger import tally
from sciddm.oracles import GaussianDenoiser, MixtureDenoiser
from sciddm.physics import Matrix, Measurement
from sciddm.process import EDM, VPCosine
from sciddm.random.streams import Streams
from sciddm.sampling import MGDM, karras, langevin_gibbs, red_diff, sample


def gaussian(n: int = 4, process=None) -> GaussianDenoiser:
    root = randn(n, n, seed=3)
    cov = root @ root.T / n + 0.2 * torch.eye(n, dtype=F64)
    return GaussianDenoiser(process or EDM(sigma_max=20.0), randn(n, seed=2), cov)


# RED-diff ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [EDM(sigma_max=20.0), VPCosine()], ids=str)
def test_red_diff_with_the_weight_of_the_score_finds_the_posterior_mean(process):
    """Of a Gaussian, within 2 % of its norm; the published weight leaves the prior out."""
    prior = gaussian(process=process)
    H, y, sigma = randn(3, 4, seed=5), randn(3, seed=6), 0.4
    exact = prior.posterior(y, H, sigma**2 * torch.eye(3, dtype=F64)).moments()[0]
    grid = karras(process, 400, 2.0, 0.05)
    m, start = Measurement(y, Matrix(H), sigma), torch.zeros(300, 4, dtype=F64)

    def found(weight) -> Tensor:
        out = red_diff(prior, m, start, grid, generator=Bulk(1), rate=0.02, weight=weight)
        return out.mean(0)

    assert float((found(lambda sigma: 1 / sigma) - exact).norm() / exact.norm()) < 0.02
    assert float((found(0.25) - exact).norm() / exact.norm()) > 0.1


def test_red_diff_is_no_sampler():
    """The variance of its results is a quarter of the posterior's, .27 measured; W2 .14."""
    o = measured_mixture("mask")
    start = o.measurement.prox(torch.zeros(400, 8, dtype=F64), o.prior.data_std**2)
    grid = karras(o.prior.process, 100, 20.0, 0.02)
    with tally() as cost:
        out = red_diff(o.prior, o.measurement, start, grid, generator=Bulk(5))
    assert (cost.nfe, cost.nvjp) == (400 * 101, 0)
    share = float(out.var(0).sum() / o.draws.var(0).sum())
    assert 0.2 < share < 0.35
    assert sliced_w2(out, o.draws[:400]) < 0.16


# MGDM -------------------------------------------------------------------------------------------


def test_mgdm_draws_the_posterior_of_a_mask():
    """W2 .06 of 20 levels, where two exact sets are .02 apart, and the right variance."""
    o = measured_mixture("mask")
    x, grid = 20 * randn(300, 8, seed=7), karras(o.prior.process, 20, 20.0, 0.02)
    out = sample(o.prior, x, grid, MGDM(o.measurement, rate=1.0), generator=Bulk(5))
    assert sliced_w2(out, o.draws[:300]) < 0.09
    assert float(out.var(0).sum() / o.draws.var(0).sum()) == pytest.approx(1, abs=0.25)
    # Without the fit to the data the prior is drawn.
    blind = sample(o.prior, x, grid, MGDM(o.measurement, gradients=0), generator=Bulk(5))
    prior = o.prior.sample(300, torch.Generator().manual_seed(0))
    assert sliced_w2(blind, prior) < 0.2
    assert sliced_w2(blind, o.draws[:300]) > 0.5


def test_mgdm_counts_and_keeps_items_apart():
    o = measured_mixture("random")
    step, grid = MGDM(o.measurement, 2, 3, 2), karras(o.prior.process, 3, 5.0, 0.1)
    x = 5 * randn(3, 8)
    with tally() as cost:
        together = sample(o.prior, x, grid, step, generator=Streams(4, 3))
    assert cost.nvjp == 3 * 3 * 2 * 2
    assert cost.nfe <= 3 * (3 * 2 * (2 + 3) + 3 + 1)
    for i in range(3):
        alone = sample(o.prior, x[i : i + 1], grid, step, generator=Streams(4, [i]))
        assert torch.allclose(alone[0], together[i], atol=1e-9)


# The warm chain ---------------------------------------------------------------------------------


def test_a_warm_chain_has_the_law_of_its_posterior():
    """Means within 4 errors of a chain's, variances within 20 %, of a guided Gaussian."""
    prior = gaussian()
    H, y, sigma = randn(3, 4, seed=5), randn(3, seed=6), 0.4
    posterior = prior.posterior(y, H, sigma**2 * torch.eye(3, dtype=F64))
    mean, cov = posterior.moments()
    guided = MMPS(prior, Measurement(y, Matrix(H), sigma), 4)
    chains = 30
    w = posterior.sample(chains, torch.Generator().manual_seed(0)) + 0.3 * randn(chains, 4)
    chain = langevin_gibbs(guided, w, 0.3, draws=25, generator=Bulk(3), inner=5)
    draws = chain.x0[5:].flatten(0, 1)
    assert chain.x0.shape == (25, chains, 4)
    error = (cov.diagonal() / (20 * chains) * 12).sqrt()  # draws of a chain resemble each other
    assert ((draws.mean(0) - mean).abs() < 4 * error).all()
    assert torch.allclose(draws.var(0), cov.diagonal(), rtol=0.25)
    assert float(chain.levels.min()) >= 0.1 * prior.data_std * (1 - 1e-9)
    assert float(chain.levels.std()) > 0  # the level moves


def test_a_warm_chain_stays_in_its_mode():
    """Two modes six standard deviations apart: of a chain from one, none of 400 is in the other."""
    prior = MixtureDenoiser(
        EDM(sigma_max=20.0),
        torch.tensor([0.5, 0.5], dtype=F64),
        torch.tensor([[-3.0, 0.0], [3.0, 0.0]], dtype=F64),
        torch.eye(2, dtype=F64).expand(2, 2, 2).clone(),
    )
    w = torch.tensor([[3.0, 0.0]], dtype=F64).repeat(10, 1)
    chain = langevin_gibbs(
        prior, w, 0.3, draws=40, generator=Bulk(3), highest=0.3, lowest=0.05, inner=4
    )
    assert float((chain.x0[..., 0] < 0).double().mean()) < 0.02


def test_the_level_of_a_state_is_found():
    """White noise of .2 and .8 in 2000 elements, told .4: the draw of sigma after one step."""
    n = 2000
    prior = GaussianDenoiser(EDM(), torch.zeros(1, dtype=F64), torch.eye(1, dtype=F64))

    class White(GaussianDenoiser):
        def forward(self, x_t, t, y=None, cond=None):
            level = torch.as_tensor(t, dtype=x_t.dtype).reshape(-1, 1)
            return x_t * 0.01 / (0.01 + level**2)

    white = White(EDM(), prior.means[0], prior.covariances[0])
    levels = torch.tensor([0.2, 0.8], dtype=F64)
    w = 0.1 * randn(2, n) + levels[:, None] * randn(2, n, seed=1)
    chain = langevin_gibbs(white, w, levels, draws=1, every=1, generator=Bulk(0), inner=2)
    assert chain.levels[0].tolist() == pytest.approx([0.2, 0.8], rel=0.06)
    told = langevin_gibbs(white, w, 0.4, draws=1, every=1, generator=Bulk(0), inner=2)
    low, high = told.levels[0].tolist()
    assert low < 0.27
    assert high > 0.7
    assert not math.isclose(low, 0.4, rel_tol=0.1)
