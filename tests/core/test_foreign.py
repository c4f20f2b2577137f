"""Networks of other packages, as exact denoisers of a Gaussian: the prior's mean must come back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from support import F64, randn
from torch import Tensor, nn

import sciddm
from sciddm.errors import ModelError
from sciddm.ledger import tally
from sciddm.physics import Mask
from sciddm.priors.foreign import from_ddpm, from_edm, from_schedule
from sciddm.process import DDPM, DDPMCosine, VPCosine

M, V = 0.3, 0.5  # in the network's units


def mean(x: Tensor, a, s) -> Tensor:
    """E[x0 | x_t] of N(M, V)."""
    return M + a * V / (a**2 * V + s**2) * (x - a * M)


def levels(schedule: DDPM, k: Tensor) -> tuple[Tensor, Tensor]:
    a, _, s = schedule((k.double() + 1) / schedule.steps)
    return (v.reshape(-1, 1, 1, 1) for v in (a, s))


SCHEDULES = [DDPM(), DDPM(0.00085, 0.012, 2.0), DDPMCosine()]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_ddpm_networks_of_every_prediction(schedule, prediction, scale):
    """At indices and between them, in data units that are not the network's."""

    def network(x: Tensor, k: Tensor) -> SimpleNamespace:
        a, s = levels(schedule, k)
        x0 = mean(x, a, s)
        z = (x - a * x0) / s
        out = {"epsilon": z, "v_prediction": a * z - s * x0, "sample": x0}[prediction]
        return SimpleNamespace(sample=out)

    center = 0.1
    prior = from_ddpm(network, schedule, prediction, scale=scale, center=center)
    for t in (1 / 1000, 0.2, 0.43217, 0.9):
        a, _, s = prior.process(t)
        own = schedule(t)
        assert (a, s) == pytest.approx((own[0], scale * own[2]))
        x = a * 0.7 + s * randn(2, 1, 3, 3)
        expected = center + scale * mean((x - a * center) / scale, a, s / scale)
        with tally() as cost:
            assert torch.allclose(prior(x, t), expected, atol=1e-6)
        assert cost.nfe == 2
    both = prior(x[:1].repeat(2, 1, 1, 1), torch.tensor([0.2, 0.9], dtype=F64))
    assert torch.allclose(both[1], prior(x[:1], 0.9)[0], atol=1e-6)


def test_whole_steps_and_learned_variances():
    seen = []

    def network(x: Tensor, k: Tensor) -> Tensor:
        seen.append(k)
        return torch.cat([x, torch.full_like(x, 7.0)], dim=1)

    prior, x = from_ddpm(network, whole_steps=True, prediction="sample"), randn(2, 1, 3, 3)
    assert torch.equal(prior(x, 0.43217), x)
    assert seen[0].tolist() == [431, 431]
    assert seen[0].dtype == torch.int64
    other = from_ddpm(network, prediction="sample")
    other(x, 0.43217)
    assert seen[1].tolist() == pytest.approx([431.17, 431.17])
    with pytest.raises(ModelError, match="unknown prediction 'noise'"):
        from_ddpm(network, prediction="noise")
    with pytest.raises(ModelError, match=r"\(2, 3, 3, 3\)"):
        from_ddpm(lambda x, k: x.repeat(1, 3, 1, 1))(x, 0.5)
    with pytest.raises(ModelError, match="above 0"):
        from_ddpm(network, scale=0.0)


@pytest.mark.parametrize("level_map", [False, True])
def test_gaussian_denoisers(level_map):
    """Told the level in its own units, as a number or as a channel."""

    def network(w: Tensor, sigma: Tensor | None = None) -> Tensor:
        if level_map:
            w, sigma = w[:, :1], w[:, 1:]
        else:
            sigma = sigma.reshape(-1, 1, 1, 1)
        return mean(w, 1.0, sigma)

    prior = from_edm(network, sigma_max=4.0, scale=100.0, center=50.0, level_map=level_map)
    assert (prior.process.t_min, prior.process.t_max) == pytest.approx((0.2, 400.0))
    w = 50 + 100 * randn(2, 1, 3, 3)
    for sigma in (3.0, 250.0):
        expected = 50 + 100 * mean((w - 50) / 100, 1.0, sigma / 100)
        assert torch.allclose(prior(w, sigma), expected)
    both = prior(w, torch.tensor([3.0, 250.0], dtype=F64))
    assert torch.allclose(both[0], prior(w, 3.0)[0])
    assert torch.allclose(both[1], prior(w, 250.0)[1])


def test_denoisers_with_a_schedule():
    """azula's: a posterior with ``mean``, and t -> (alpha, sigma)."""
    cosine = VPCosine()

    def schedule(t: Tensor) -> tuple[Tensor, Tensor]:
        a, _, s = cosine.coefficients(t)
        return a, s

    def network(x: Tensor, t: Tensor) -> SimpleNamespace:
        a, s = (v.reshape(-1, 1) for v in schedule(t))
        return SimpleNamespace(mean=mean(x, a, s))

    prior = from_schedule(network, schedule)
    x, t = randn(3, 2), 0.4
    a, _, s = cosine(t)
    assert torch.allclose(prior(x, t), mean(x, a, s))
    assert prior.process.time(prior.process.sigma(0.4)) == pytest.approx(0.4)


def test_a_foreign_network_is_frozen_and_differentiable():
    net = nn.Conv2d(1, 1, 1)
    prior = from_edm(lambda w, sigma: net(w.float()), sigma_max=1.0)
    _, vjp = prior.mean_and_vjp(torch.ones(1, 1, 2, 2), 0.5)
    assert torch.allclose(vjp(torch.ones(1, 1, 2, 2)), net.weight.expand(1, 1, 2, 2))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, w: Tensor, sigma: Tensor) -> Tensor:
            return self.conv(w)

    module = from_edm(Net())
    assert not any(p.requires_grad for p in module.parameters())
    assert len(list(module.parameters())) == 2


def test_a_foreign_network_samples_a_posterior():
    """Inpainting with a DDPM network of a Gaussian: mean and standard deviation."""
    schedule = DDPM()

    def network(x: Tensor, k: Tensor) -> Tensor:
        a, _, s = schedule((k.double() + 1) / 1000)
        a, s = a.reshape(-1, 1), s.reshape(-1, 1)
        return (x - a * mean(x, a, s)) / s

    prior = from_ddpm(network, schedule, data_std=V**0.5)
    A, y = Mask(torch.tensor([True, False]), ndim=1), torch.tensor([1.2, 0.0], dtype=F64)
    out = sciddm.sample_posterior(y, A, prior, 0.2, samples=200)
    gain = V / (V + 0.04)
    expected = torch.tensor([M + gain * (1.2 - M), M], dtype=F64)
    std = torch.tensor([gain * 0.04, V], dtype=F64).sqrt()
    assert ((out.mean[0] - expected) / std).abs().max() < 0.25
    assert torch.allclose(out.std[0], std, rtol=0.2)
