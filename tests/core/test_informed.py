"""A denoiser that sees the measurement: its rounds, its loss, and the posterior it samples."""

from __future__ import annotations

import pytest
import torch
from support import F64, law, randn
from torch import Tensor, nn

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.guidance import Informed, informed_loss
from sciddm.networks import UNet
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import Identity, Matrix, Measurement
from sciddm.process import EDM
from sciddm.sampling import Heun, karras, sample

N, SIGMA = 4, 0.3
H = randn(2, N, seed=1)
Y = randn(2, seed=2)
MEASUREMENT = Measurement(Y, Matrix(H), SIGMA, iterations=20)
ROOT = randn(N, N, seed=3) / 2
PRIOR = GaussianDenoiser(EDM(), randn(N, seed=4), ROOT @ ROOT.T + 0.2 * torch.eye(N, dtype=F64))


class Seeing(Denoiser):
    """The exact E[x0 | x_t, y] of a Gaussian prior, which reads y from its first condition alone.

    c = prox(0, 0.1) solves (H^T H / sigma^2 + 10 I) c = H^T y / sigma^2, so that it tells H^T y.
    """

    told: Tensor | None = None

    def __init__(self) -> None:
        super().__init__()
        self.process = PRIOR.process
        self.seen: list[Tensor] = []

    def forward(self, x_t, t, y=None, cond=None):
        self.seen.append(cond)
        gram = H.T @ H / SIGMA**2
        if self.told is None:
            self.told = cond @ (gram + 10 * torch.eye(N, dtype=F64)).T
        precision = torch.linalg.inv(PRIOR.covariances[0])
        weight = 1 / torch.as_tensor(self.process(t)[2], dtype=F64).expand(len(x_t))[:, None] ** 2
        total = precision + gram + weight[:, None] * torch.eye(N, dtype=F64)
        return torch.linalg.solve(total, self.told + weight * x_t + precision @ PRIOR.means[0])


def test_samples_of_an_exact_denoiser_have_the_exact_posterior():
    exact = PRIOR.posterior(Y, H, SIGMA**2 * torch.eye(2, dtype=F64))
    grid = karras(PRIOR.process, 80, 80.0, 1e-3)
    guided = Informed(Seeing(), MEASUREMENT, error=0.0)

    def run(x, noise):
        return sample(guided, x, grid, Heun(), generator=noise)

    expected, spread = exact.moments()
    root = torch.linalg.cholesky(spread + 80**2 * torch.eye(N, dtype=F64))
    mean, cov = law(run, expected, root)
    assert torch.allclose(mean, expected, atol=2e-3)
    assert torch.allclose(cov, spread, atol=0.01 * float(spread.diagonal().max()))
    prior, _ = PRIOR.moments()
    assert (mean - prior).abs().max() > 0.1  # the data did say something


@pytest.mark.parametrize("t", [0.05, 2.0, torch.tensor([0.05, 2.0], dtype=F64)])
def test_a_later_evaluation_is_shown_the_estimate_with_the_data_in_it(t):
    """c_1 solves (H^T H / sigma_y^2 + I / r^2) c = H^T y / sigma_y^2 + m / r^2."""
    seeing, error = Seeing(), 0.2
    x = randn(2, N, seed=6)
    guided = Informed(seeing, MEASUREMENT, error=error)
    guided(x, t)
    guided(x, t)
    first, second = seeing.seen
    mean = Seeing()(x, t, cond=first)
    weight = (1 / torch.as_tensor(t, dtype=F64) ** 2 + 1 / error**2).expand(2)
    for i in range(2):
        left = H.T @ H / SIGMA**2 + weight[i] * torch.eye(N, dtype=F64)
        right = H.T @ Y / SIGMA**2 + weight[i] * mean[i]
        assert torch.allclose(second[i], torch.linalg.solve(left, right), atol=1e-8)


def test_the_next_noise_level_is_shown_what_this_one_found():
    seeing = Seeing()
    guided = Informed(seeing, MEASUREMENT)
    found = guided(randn(2, N, seed=6), 2.0)
    guided(randn(2, N, seed=7), 1.0)
    assert torch.equal(seeing.seen[1], found)


def test_a_first_estimate_is_shown_with_the_data_in_it():
    """c_0 solves (H^T H / sigma_y^2 + I / e^2) c = H^T y / sigma_y^2 + first / e^2."""
    first, error = randn(1, N, seed=8), 0.2
    shown = Informed(Seeing(), MEASUREMENT, error=error, first=first).shown(randn(3, N, seed=6))
    left = H.T @ H / SIGMA**2 + torch.eye(N, dtype=F64) / error**2
    expected = torch.linalg.solve(left, H.T @ Y / SIGMA**2 + first[0] / error**2)
    assert torch.allclose(shown, expected.expand(3, N), atol=1e-8)


class Peeking(nn.Module):
    """Returns its condition, so that the loss tells what it was shown."""

    noise_level = "log_sigma"

    def forward(self, x, level, cond=None):
        return cond


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_the_loss_is_that_of_the_round(rounds, begun):
    """With D(x, c) = c and A = I, c_k is the mean of data and estimates by their weights."""
    denoiser = NetworkDenoiser(Peeking(), EDM(), "x0")
    x0, y, first = (randn(3, 1, 4, 4, seed=i) for i in (1, 2, 3))
    # So much noise that the estimate's own error is all its weight: e^2 to one part in 10^6.
    t = torch.full((3,), 100.0, dtype=F64)
    start = first if begun else None
    loss = informed_loss(denoiser, Measurement(y, Identity(3), 0.1), x0, t, rounds, start)
    shown = (y + first) / 2 if begun else y * 100 / (100 + 1 / 0.1)
    for _ in range(rounds):
        shown = (y + shown) / 2
    assert torch.allclose(loss, (shown - x0).square().flatten(1).mean(1), rtol=1e-4)


def test_what_went_before_is_a_noisier_state_of_the_same_chain(monkeypatch):
    """x at the level before is x_t and more noise: E|x' - x_t|^2 = sigma'^2 - sigma^2."""
    seen: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr(Informed, "forward", lambda self, x, t: seen.append((x, t)))
    denoiser = NetworkDenoiser(Peeking(), EDM(), "x0")
    x0 = torch.zeros(2, 1, 200, 200, dtype=F64)
    torch.manual_seed(3)
    t = torch.tensor([0.3, 0.7], dtype=F64)
    informed_loss(denoiser, Measurement(x0, Identity(3), 0.1), x0, t, 2)
    (far, t_far), (near, t_near) = seen
    assert (t_far > t_near).all()
    assert (t_near > t).all()
    assert (t_near < 5 * t).all()
    power = near.square().flatten(1).mean(1)
    assert torch.allclose(power, t_near**2, rtol=0.03)
    added = (far - near).square().flatten(1).mean(1)
    assert torch.allclose(added, t_far**2 - t_near**2, rtol=0.03)


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


def test_what_a_denoiser_is_shown():
    assert NetworkDenoiser(unet(2), EDM(), complex_data=True).sees_estimate
    assert not NetworkDenoiser(unet(0), EDM(), complex_data=True).sees_estimate
