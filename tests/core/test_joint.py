"""Two priors at once, against the analytic joint posterior of two Gaussians."""

from __future__ import annotations

import math

import pytest
import torch
from support import F64, Impulses, law, randn
from torch import Tensor

from sciddm.companding import compand, compand_slope, expand_companded
from sciddm.guidance import DDNM, DPS, MMPS, DiffPIR, PiGDM
from sciddm.ledger import tally
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import Matrix, Measurement, NonlinearMeasurement, Operator, Superposition
from sciddm.priors.joint import JointDenoiser
from sciddm.process import EDM, OUVE, VPLinear
from sciddm.random.streams import Streams
from sciddm.sampling import Ancestral, Heun, karras, sample

N, SIGMA = 3, 0.3


def gaussian(process, seed: int, size: float) -> GaussianDenoiser:
    root = randn(N, N, seed=seed) / math.sqrt(N)
    S = size**2 * (root @ root.T + 0.1 * torch.eye(N, dtype=F64))
    return GaussianDenoiser(process, size * randn(N, seed=seed + 1), S)


def joint(process=None) -> JointDenoiser:
    process = process or EDM()
    return JointDenoiser([gaussian(process, 3, 1.0), gaussian(process, 7, 0.4)])


def blocks(prior: JointDenoiser) -> tuple[Tensor, Tensor]:
    """Mean (2 N,) and covariance (2 N, 2 N) of the product of the two priors."""
    means = torch.cat([p.means[0] for p in prior.parts])
    return means, torch.block_diag(*(p.covariances[0] for p in prior.parts))


def posterior(prior: JointDenoiser, y: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Of both parts given y = x1 + gamma x2 + n, from the prior of the stacked vector."""
    mean, S = blocks(prior)
    A = torch.cat([torch.eye(N, dtype=F64), gamma * torch.eye(N, dtype=F64)], dim=1)
    gain = S @ A.T @ torch.linalg.inv(A @ S @ A.T + SIGMA**2 * torch.eye(N, dtype=F64))
    return mean + gain @ (y - A @ mean), S - gain @ A @ S


def measurement(y: Tensor, gamma: float) -> Measurement:
    return Measurement(y, Superposition([1.0, gamma], ndim=1), SIGMA)


@pytest.mark.parametrize("process", [EDM(), VPLinear()], ids=["EDM", "VPLinear"])
def test_the_joint_denoiser_is_that_of_the_product_prior(process):
    prior, x = joint(process), randn(4, 2 * N, seed=5)
    whole = GaussianDenoiser(process, *blocks(prior))
    assert torch.allclose(prior(x, 0.4), whole(x, 0.4))
    v = randn(4, 2 * N, seed=6)
    (mean, vjp), (_, expected) = prior.mean_and_vjp(x, 0.4), whole.mean_and_vjp(x, 0.4)
    assert torch.allclose(mean, whole(x, 0.4))
    assert torch.allclose(vjp(v), expected(v))
    assert prior.data_std == pytest.approx(whole.data_std)


def test_parts_must_share_their_process():
    with pytest.raises(ValueError, match="one and the same process"):
        JointDenoiser([gaussian(EDM(), 3, 1.0), gaussian(EDM(sigma_max=3.0), 4, 1.0)])
    with pytest.raises(ValueError, match="without an endpoint"):
        JointDenoiser([gaussian(OUVE(), 3, 1.0)] * 2)
    with pytest.raises(ValueError, match="cannot share the 5 channels"):
        joint()(randn(2, 5), 0.3)


@pytest.mark.parametrize("gamma", [1.0, 0.35])
def test_mmps_samples_the_analytic_joint_posterior(gamma):
    """Mean and covariance, correlation between the two parts included, without sampling error."""
    prior, y = joint(), randn(N, seed=2)
    expected, P = posterior(prior, y, gamma)
    assert P[:N, N:].abs().max() > 0.02  # the parts are tied to each other by the data
    guided = MMPS(prior, measurement(y, gamma), krylov=2 * N)
    grid = karras(EDM(), 60, 20.0, 0.005)

    def run(x: Tensor, noise: Impulses) -> Tensor:
        return sample(guided, x, grid, Heun(), generator=noise)

    root = torch.linalg.cholesky(P + 400 * torch.eye(2 * N, dtype=F64))
    got, cov = law(run, expected, root)
    assert torch.allclose(got, expected, atol=1e-6)
    assert (cov - P).abs().max() / P.abs().max() < 5e-3


def test_pigdm_is_exact_for_white_priors_of_equal_spread():
    """There r^2 is the variance of x0 given x_t, and one step is the exact conditional mean."""
    process, d, y = EDM(), 0.8, randn(N, seed=2)
    prior = JointDenoiser(
        [
            GaussianDenoiser(process, randn(N, seed=s), d**2 * torch.eye(N, dtype=F64))
            for s in (4, 5)
        ]
    )
    x, t = randn(2, 2 * N, seed=6), 0.5
    mean, _ = blocks(prior)
    A = torch.eye(N, dtype=F64).repeat(1, 2)
    precision = (1 / d**2 + 1 / t**2) * torch.eye(2 * N, dtype=F64) + A.T @ A / SIGMA**2
    right = mean / d**2 + x / t**2 + A.T @ y / SIGMA**2
    expected = torch.linalg.solve(precision, right.T).T
    assert torch.allclose(PiGDM(prior, measurement(y, 1.0))(x, t), expected)


@pytest.mark.parametrize("make", [DPS, PiGDM, MMPS], ids=lambda m: m.__name__)
def test_an_item_does_not_depend_on_its_batch(make):
    prior, y = joint(), randn(5, N, seed=2)
    grid = karras(EDM(), 6, 2.0, 0.05)

    def run(items: list[int]) -> Tensor:
        streams = Streams(0, items)
        x = 2.0 * streams.randn(torch.zeros(len(items), 2 * N, dtype=F64), step=99)
        guided = make(prior, measurement(y[items], 0.7))
        return sample(guided, x, grid, Ancestral(), generator=streams)

    assert torch.allclose(run([0, 1, 2, 3, 4])[3], run([3])[0], rtol=0, atol=1e-12)
    assert (run([3])[0] - run([2])[0]).abs().max() > 1e-3


@pytest.mark.parametrize(("make", "nvjp"), [(DPS, 1), (PiGDM, 1), (lambda p, m: MMPS(p, m, 2), 2)])
def test_cost_of_one_step(make, nvjp):
    """Two networks, and one product with the block diagonal Jacobian for both together."""
    guided = make(joint(), measurement(randn(N), 1.0))
    with tally() as cost:
        guided(randn(4, 2 * N), 0.5)
    assert (cost.nfe, cost.nvjp) == (8, 4 * nvjp)


# Measurements that are not linear ---------------------------------------------------------------


class Square(Operator):
    """y_i = sum_j H_ij x_j^2, whose Jacobian is known."""

    domain_ndim = range_ndim = 1

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def __call__(self, x: Tensor) -> Tensor:
        return x.square() @ self.matrix.mT


def test_a_tangent_is_the_jacobian():
    H, x = randn(2, 4), randn(4, seed=1)
    J = 2 * H * x
    tangent = Square(H).linearised(x)
    v, w = randn(4, seed=2), randn(2, seed=3)
    assert torch.allclose(tangent(v), J @ v)
    assert torch.allclose(tangent.adjoint(w), J.T @ w)
    linear = Matrix(H)
    assert linear.linearised(x) is linear


def test_a_nonlinear_measurement_is_linear_near_the_mean():
    """A Gauss-Newton step: exact for a linear operator, of second order for another."""
    H, y, m = randn(2, 4), randn(2, seed=5), randn(4, seed=1)
    curved = NonlinearMeasurement(y, Square(H), SIGMA)
    near = curved.at(m)
    assert torch.allclose(near.residual(m), y - Square(H)(m))
    errors = [
        float((near.residual(m + e) - curved.residual(m + e)).norm())
        for e in (0.1 * randn(4, seed=7), 0.05 * randn(4, seed=7))
    ]
    assert errors[0] / errors[1] == pytest.approx(4.0)


@pytest.mark.parametrize(
    "make",
    [DPS, PiGDM, lambda p, m: MMPS(p, m, 2), DiffPIR, DDNM],
    ids=["DPS", "PiGDM", "MMPS", "DiffPIR", "DDNM"],
)
def test_guidance_sees_a_linear_operator_alike_however_it_is_given(make):
    prior, y, x = joint(), randn(N, seed=2), randn(3, 2 * N, seed=3)
    A = Superposition([1.0, 0.6], ndim=1)
    linear = make(prior, Measurement(y, A, SIGMA))(x, 0.4)
    assert torch.allclose(make(prior, NonlinearMeasurement(y, A, SIGMA))(x, 0.4), linear)


# mu-law -----------------------------------------------------------------------------------------


def test_companding_golden_values():
    x = torch.tensor([0.001, 0.01, 0.1, 0.5, 1.0], dtype=F64)
    expected = torch.tensor([0.040961, 0.228477, 0.590990, 0.875703, 1.0], dtype=F64)
    assert torch.allclose(compand(x), expected, atol=5e-7)
    assert torch.allclose(compand(-x), -expected, atol=5e-7)
    assert float(expand_companded(torch.tensor(0.5, dtype=F64))) == pytest.approx(
        0.0588235, abs=5e-8
    )


def test_companding_round_trip_and_slope():
    x = torch.linspace(-1.2, 1.2, 1001, dtype=F64)
    assert (expand_companded(compand(x)) - x).abs().max() < 2e-15
    x = x.requires_grad_(True)
    (slope,) = torch.autograd.grad(compand(x + 1e-300).sum(), x)
    away = x.detach().abs() > 1e-9
    assert torch.allclose(slope[away], compand_slope(x.detach())[away])
