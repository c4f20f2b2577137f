"""A denoiser that is shown estimates: what it is shown, and the posterior it samples."""

from __future__ import annotations

import pytest
import torch
from support import F64, law, randn
from torch import Tensor, nn

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.guidance import Informed, two_looks
from sciddm.models import build_model, describe_model
from sciddm.networks import UNet
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import Matrix, Measurement
from sciddm.process import EDM, VPCosine
from sciddm.sampling import Heun, karras, sample

N, SIGMA = 4, 0.3
H = randn(2, N, seed=1)
Y = randn(2, seed=2)
MEASUREMENT = Measurement(Y, Matrix(H), SIGMA, iterations=20)
ROOT = randn(N, N, seed=3) / 2
PRIOR = GaussianDenoiser(EDM(), randn(N, seed=4), ROOT @ ROOT.T + 0.2 * torch.eye(N, dtype=F64))


class Seeing(Denoiser):
    """Knows y and how the two looks were made: what it says is E[x0 | x_t, y] after the prox.

    With z that mean, prox(m, r^2) = z for m = z + r^2 / sigma_y^2 A^T (A z - y).
    """

    def __init__(self, error: float) -> None:
        super().__init__()
        self.process = PRIOR.process
        self.error = error
        self.seen: list[Tensor] = []

    def forward(self, x_t, t, y=None, cond=None):
        self.seen.append(cond)
        r2 = (torch.as_tensor(t, dtype=F64).expand(len(x_t)) ** 2)[:, None]
        state = 1 / r2 - 1 / self.error**2  # 1 / sigma^2
        weighted = x_t / r2 - cond / self.error**2  # x_t / sigma^2
        precision = torch.linalg.inv(PRIOR.covariances[0])
        gram = H.T @ H / SIGMA**2
        total = precision + gram + state[..., None] * torch.eye(N, dtype=F64)
        known = precision @ PRIOR.means[0] + H.T @ Y / SIGMA**2
        z = torch.linalg.solve(total, known + weighted)
        return z + r2 / SIGMA**2 * (z @ H.T - Y) @ H


def test_samples_of_an_exact_denoiser_have_the_exact_posterior():
    exact = PRIOR.posterior(Y, H, SIGMA**2 * torch.eye(2, dtype=F64))
    grid = karras(PRIOR.process, 80, 80.0, 1e-3)
    first = randn(1, N, seed=9)  # far from the posterior: it must not matter

    def run(x, noise):
        # Estimates of later evaluations are of this chain, which is of all items alone.
        guided = Informed(Seeing(0.5), MEASUREMENT, [0.5], first)
        return sample(guided, x, grid, Heun(), generator=noise)

    expected, spread = exact.moments()
    root = torch.linalg.cholesky(spread + 80**2 * torch.eye(N, dtype=F64))
    mean, cov = law(run, expected, root)
    assert torch.allclose(mean, expected, atol=2e-3)
    assert torch.allclose(cov, spread, atol=0.01 * float(spread.diagonal().max()))
    prior, _ = PRIOR.moments()
    assert (mean - prior).abs().max() > 0.1  # the data did say something


@pytest.mark.parametrize("process", [EDM(), VPCosine()])
@pytest.mark.parametrize("t", [0.05, torch.tensor([0.3, 0.7], dtype=F64)])
def test_two_looks_say_what_one_with_less_noise_says(process, t):
    """E[x0 | x_t, c] solves (C^-1 + (1/sigma^2 + 1/e^2) I) z = C^-1 m + x_t/(a sigma^2) + c/e^2."""
    prior = GaussianDenoiser(process, PRIOR.means[0], PRIOR.covariances[0])
    x, c, error = randn(2, N, seed=5), randn(2, N, seed=6), 0.4
    u, time = two_looks(process, x, t, c, error)
    a, _, s = (torch.as_tensor(v, dtype=F64).expand(2)[:, None] for v in process(t))
    state, estimate = (a / s) ** 2, 1 / error**2
    precision = torch.linalg.inv(PRIOR.covariances[0])
    total = precision + (state + estimate)[..., None] * torch.eye(N, dtype=F64)
    known = precision @ PRIOR.means[0] + state * x / a + estimate * c
    expected = torch.linalg.solve(total, known)
    for i in range(2):
        found = prior(u[i : i + 1], time.expand(2)[i])
        assert torch.allclose(found[0], expected[i], atol=1e-6)


@pytest.mark.parametrize("t", [0.05, 2.0])
def test_an_evaluation_is_shown_what_the_last_one_found_with_the_data_in_it(t):
    """c_1 solves (H^T H / sigma_y^2 + I / r^2) c = H^T y / sigma_y^2 + m / r^2."""
    seen: list[tuple[Tensor, float, Tensor]] = []

    class Telling(Denoiser):
        process = PRIOR.process

        def forward(self, x_t, t, y=None, cond=None):
            seen.append((x_t, float(t), cond))
            return 0.9 * x_t + 0.2 * cond

    x, first = randn(2, N, seed=6), randn(1, N, seed=7)
    guided = Informed(Telling(), MEASUREMENT, [0.5, 0.2], first)
    for _ in range(3):
        guided(x, t)
    shown = first.expand(2, N)
    for (state, level, cond), error in zip(seen, [0.5, 0.2, 0.2], strict=True):
        assert torch.allclose(cond, shown, atol=1e-8)
        r2 = 1 / (1 / t**2 + 1 / error**2)
        assert level == pytest.approx(r2**0.5, rel=1e-6)
        assert torch.allclose(state, r2 * (x / t**2 + cond / error**2), atol=1e-6)
        left = H.T @ H / SIGMA**2 + torch.eye(N, dtype=F64) / r2
        mean = 0.9 * state + 0.2 * cond
        shown = torch.linalg.solve(left, (H.T @ Y / SIGMA**2 + mean / r2).T).T
    assert torch.allclose(guided.estimate, shown, atol=1e-6)


@pytest.mark.parametrize("errors", [[], [0.1, 0.0]])
def test_errors_are_needed(errors):
    with pytest.raises(ValueError, match="above 0"):
        Informed(Seeing(1.0), MEASUREMENT, errors, randn(1, N, seed=7))


def unet(cond_channels: int) -> UNet:
    torch.manual_seed(cond_channels)
    net = UNet(2, 2, channels=[4, 8], norm_num_groups=4, patch=2, cond_channels=cond_channels)
    for p in net.parameters():
        nn.init.normal_(p, std=0.2)
    return net


def test_a_network_with_conditioning_begins_as_one_without():
    blind, seeing = unet(0), unet(2)
    seeing.adopt(blind)
    x, level = randn(1, 2, 8, 8, seed=1).float(), torch.zeros(1)
    cond = randn(1, 2, 8, 8, seed=2).float()
    assert torch.allclose(seeing(x, level, cond), blind(x, level), atol=1e-6)
    seeing(x, level, cond).square().sum().backward()  # and can learn to see
    assert seeing.net.conv_in.conv.weight.grad[:, -1].abs().max() > 0
    other = unet(2)
    other.adopt(seeing)  # of one with conditioning: all of it
    assert torch.equal(other(x, level, cond), seeing(x, level, cond))
    with pytest.raises(RuntimeError, match="size mismatch"):
        blind.adopt(seeing)


def test_a_denoiser_that_is_shown_estimates_is_kept_as_one():
    errors = [0.2, 0.1]
    seeing = NetworkDenoiser(unet(2), EDM(), complex_data=True, estimate_errors=errors)
    again = build_model(describe_model(seeing))
    assert again.sees_estimate
    assert again.estimate_errors == (0.2, 0.1)
    blind = build_model(describe_model(NetworkDenoiser(unet(0), EDM(), complex_data=True)))
    assert not blind.sees_estimate
    with pytest.raises(ValueError, match="above 0"):
        NetworkDenoiser(unet(2), EDM(), complex_data=True, estimate_errors=[0.1, 0.0])
