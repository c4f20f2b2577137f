"""The result of sampling: estimates, intervals, consistency and costs against known laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support import F64, randn

from sciddm.ledger import Cost
from sciddm.physics import CartesianMRI, Identity, Matrix, Measurement
from sciddm.posterior import Posterior, residual_ratio

C128 = torch.complex128


def test_mean_std_and_quantile_against_numpy():
    x = randn(7, 2, 3, 4)
    posterior, ref = Posterior(x), x.numpy()
    assert posterior.mean.numpy() == pytest.approx(ref.mean(0))
    assert posterior.std.numpy() == pytest.approx(ref.std(0, ddof=1))
    for q in (0.05, 0.5, 0.83):
        assert posterior.quantile(q).numpy() == pytest.approx(np.quantile(ref, q, axis=0))


def test_complex_standard_deviation():
    x = randn(6, 1, 5, dtype=C128)
    apart = x.numpy() - x.numpy().mean(0)
    expected = np.sqrt((np.abs(apart) ** 2).sum(0) / 5)
    assert Posterior(x).std.numpy() == pytest.approx(expected)
    magnitude = Posterior(x).map(torch.abs)
    assert magnitude.std.numpy() == pytest.approx(np.abs(x.numpy()).std(0, ddof=1))
    assert magnitude.mean.numpy() == pytest.approx(np.abs(x.numpy()).mean(0))


@pytest.mark.parametrize("k", [2, 4, 16])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_interval_is_calibrated_for_few_samples(k, level):
    """A Gaussian truth drawn like the samples is inside with exactly the level's probability."""
    n = 40_000
    loc, scale = 3 * randn(n, seed=1), 0.1 + randn(n, seed=2).abs()
    posterior = Posterior((loc + scale * randn(k, n, seed=3))[:, None])
    truth = (loc + scale * randn(n, seed=4))[None]
    error = math.sqrt(level * (1 - level) / n)
    assert posterior.coverage(truth, level) == pytest.approx(level, abs=4 * error)


def test_coverage_within_a_region_and_of_wrong_posteriors():
    n = 20_000
    posterior = Posterior(randn(8, 1, n, seed=1))
    where = torch.zeros(1, n, dtype=torch.bool)
    where[:, : n // 2] = True
    truth = randn(1, n, seed=2)
    truth[:, n // 2 :] += 50
    error = math.sqrt(0.9 * 0.1 / (n // 2))
    assert posterior.coverage(truth, 0.9, where) == pytest.approx(0.9, abs=4 * error)
    assert posterior.coverage(truth, 0.9) == pytest.approx(0.45, abs=4 * error)
    # Half the spread that the truth has: t_7 at 1.895 / 2, about .63.
    assert posterior.coverage(2 * truth, 0.9, where) < 0.75


def linear_problem(dtype: torch.dtype, batch: int):
    """Truths from N(0, I), data y = H x + n, and the exact posterior's mean and root."""
    sigma, H = 0.3, randn(40, 25, seed=1, dtype=dtype) / 5
    truth = randn(batch, 25, seed=2, dtype=dtype)
    y = truth @ H.mT + sigma * randn(batch, 40, seed=3, dtype=dtype)
    P = torch.linalg.inv(H.mH @ H / sigma**2 + torch.eye(25, dtype=dtype))
    mean = (P @ H.mH @ y.mT / sigma**2).mT
    return sigma, H, y, mean, torch.linalg.cholesky(P)


@pytest.mark.parametrize("dtype", [F64, C128], ids=["real", "complex"])
def test_consistency_of_exact_and_wrong_posteriors(dtype):
    """(x, y) of posterior draws has the law of (truth, data): the residual is the noise."""
    batch, k = 60, 5
    sigma, H, y, mean, root = linear_problem(dtype, batch)
    z = randn(k, batch, 25, seed=4, dtype=dtype)
    m = Measurement(y, Matrix(H), sigma)
    right = Posterior(mean + z @ root.mT).consistency(m)
    margin = 4 / math.sqrt(2 * batch * 40)  # draws of one item share their data: count items only
    assert right.ratio == pytest.approx(1, abs=margin)
    assert not right.contradicts
    assert right.measured == batch * 40
    assert "agrees" in right.verdict

    # The mean alone follows the noise: E|y - H m|^2 = sigma^2 (m - sum of leverages).
    follows = Posterior(mean[None].expand(k, -1, -1)).consistency(m)
    leverage = float((H @ (root @ root.mH) @ H.mH).diagonal().real.sum()) / sigma**2
    assert follows.ratio == pytest.approx(math.sqrt(1 - leverage / 40), abs=2 * margin)
    assert "follows the noise" in follows.verdict

    # Another object, and the noise understated: residuals beyond the noise.
    for wrong in (
        Posterior(mean + z @ root.mT + 0.5).consistency(m),
        Posterior(mean + z @ root.mT).consistency(Measurement(y, Matrix(H), sigma / 2)),
    ):
        assert wrong.ratio > 1.5
        assert wrong.contradicts
        assert "contradicts" in wrong.verdict


def test_a_wrong_operator_is_told_from_a_wrong_image():
    """The residual of the best fit without a prior is the floor that no image can beat."""
    sigma, H, y, _, _ = linear_problem(F64, 30)
    wrong = H + 0.5 * randn(*H.shape, seed=7)
    m = Measurement(y, Matrix(wrong), sigma)
    best = y @ torch.linalg.pinv(wrong).T
    floor = residual_ratio(m, best, torch.ones(40, dtype=torch.bool))
    assert floor == pytest.approx(float(((y - best @ wrong.T) / sigma).square().mean().sqrt()))
    assert floor > 1.5
    fitted = Posterior(best[None].expand(3, -1, -1))
    told = fitted.consistency(m, floor=floor)
    assert told.model_fails
    assert not told.contradicts
    assert "operator does not explain" in told.verdict
    assert fitted.consistency(m).contradicts  # without the floor the image is blamed
    far = Posterior(3 * best[None].expand(3, -1, -1)).consistency(m, floor=floor)
    assert far.contradicts


def test_consistency_over_measured_entries_only():
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[::2] = True
    A, sigma = CartesianMRI(mask), 0.1
    truth = randn(1, 1, 6, 6, dtype=C128)
    y = A(truth)
    posterior = Posterior(truth.expand(4, 1, 1, 6, 6))
    exact = posterior.consistency(Measurement(y, A, sigma))
    assert exact.ratio < 1e-9
    assert exact.measured == 18
    shifted = y + mask * sigma * 1j  # every measured entry off by one standard deviation
    for measured in (None, mask):
        result = posterior.consistency(Measurement(shifted, A, sigma), measured)
        assert result.ratio == pytest.approx(1.0)
        assert result.measured == 18
    half = mask.clone()
    half[2:] = False
    assert posterior.consistency(Measurement(shifted, A, sigma), half).measured == 6


def test_consistency_pairs_every_item_with_its_own_data():
    """Samples (K, B, ...) against data (B, ...): item by item, whatever K and B."""
    y = torch.tensor([[1.0], [10.0], [100.0]], dtype=F64)
    m = Measurement(y, Identity(ndim=1), 1.0)
    assert Posterior(y.expand(2, 3, 1)).consistency(m).ratio == 0
    assert Posterior(y.flip(0).expand(2, 3, 1)).consistency(m).ratio > 50


def test_a_single_sample_has_no_spread():
    with pytest.raises(ValueError, match="two samples"):
        _ = Posterior(randn(1, 2, 3)).std


def test_costs_are_per_sample():
    posterior = Posterior(randn(4, 3, 5), Cost(nfe=4 * 3 * 21, nvjp=4 * 3 * 60, noperator=7))
    assert (posterior.nfe, posterior.nvjp) == (21, 60)
    assert posterior.map(torch.square).nfe == 21
