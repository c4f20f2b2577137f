"""Weights of noise levels, assigned noise, and what recipes refuse."""

from __future__ import annotations

import pytest
import torch
from support import randn
from torch import nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.process import Process, VPCosine
from sciddm.training.immiscible import assigned
from sciddm.training.module import TrainingModule, training_loss
from sciddm.training.recipe import NoiseSpec, Optimisation, Recipe, WeightingSpec
from sciddm.training.weighting import UncertaintyWeight, min_snr


class Affine(nn.Module):
    """F = w x + c: any network does, since its error is what counts."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.3))

    def forward(self, x, level, cond=None):
        return self.w * x + 0.1


def model(kind: str, process: Process, d: float = 1.0, scale: float = 1.0) -> NetworkDenoiser:
    return NetworkDenoiser(Affine(), process, kind, data_std=d, scale=scale)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["x0", "eps", "v", "score", "edm"])
@pytest.mark.parametrize(("d", "scale"), [(1.0, 1.0), (0.7, 0.7), (0.7, 2.0)])
def test_min_snr_weights_the_error_of_x0(kind, d, scale):
    """Weight times the output's loss is min(SNR, 5) |x0^ - x0|^2 / d^2, whatever is predicted."""
    process = VPCosine()
    m = model(kind, process, d, scale)
    t = torch.tensor([0.05, 0.3, 0.6, 0.9])
    x0, z = d * torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8)
    loss = m.loss(x0, t, z=z) * min_snr(m, t)
    error = (m(process.add_noise(x0, t, z=z), t.double()) - x0).square().flatten(1).mean(1)
    a, _, s = process(t)
    snr = (a * d / s) ** 2
    assert torch.allclose(loss, (snr.clamp(max=5) * error / d**2).float(), rtol=1e-4)


def test_min_snr_is_the_published_one_for_noise_and_v():
    t = torch.tensor([0.05, 0.5, 0.9])
    a, _, s = VPCosine()(t)
    snr = ((a / s) ** 2).float()
    assert torch.allclose(min_snr(model("eps", VPCosine()), t), snr.clamp(max=5) / snr)
    assert torch.allclose(min_snr(model("v", VPCosine()), t), snr.clamp(max=5) / (snr + 1))
    with pytest.raises(ValueError, match="velocity"):
        min_snr(model("velocity", VPCosine()), t)


def test_the_uncertainty_is_the_logarithm_of_the_loss():
    """Losses of mean exp(sin(level)): u after training, at levels of its own, within .12."""
    torch.manual_seed(0)
    weight = UncertaintyWeight()
    optimiser = torch.optim.Adam(weight.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, 700)
    for _ in range(700):
        level = 6 * torch.rand(256) - 3
        loss = level.sin().exp() * torch.randn(256, 8).square().mean(1)
        optimiser.zero_grad()
        weight(loss, level).mean().backward()
        optimiser.step()
        schedule.step()
    level = torch.linspace(-2.5, 2.5, 11)
    with torch.no_grad():
        assert (weight.log_uncertainty(level) - level.sin()).abs().max() < 0.12


def test_the_module_minimises_the_weighted_loss_and_validates_the_plain_one():
    batch = torch.randn(6, 1, 4, 4)

    def step(kind: str) -> float:
        m = model("eps", VPCosine())
        module = TrainingModule(
            m, NoiseSpec(), Optimisation(), None, weighting=WeightingSpec(kind=kind)
        )
        module.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
        module.trainer = type("T", (), {"global_step": 0, "global_rank": 0})()  # type: ignore
        return module

    plain, snr, learned = (step(k) for k in ("own", "min-snr", "uncertainty"))
    torch.manual_seed(3)
    t_loss = training_loss(plain.model, {"x0": batch}, NoiseSpec(), None, plain._weight())
    torch.manual_seed(3)
    s_loss = training_loss(snr.model, {"x0": batch}, NoiseSpec(), None, snr._weight())
    torch.manual_seed(3)
    u_loss = training_loss(learned.model, {"x0": batch}, NoiseSpec(), None, learned._weight())
    assert not torch.allclose(t_loss, s_loss)
    assert torch.allclose(t_loss, u_loss)  # u is 0 at first
    names = {
        id(p)
        for group in learned.configure_optimizers()["optimizer"].param_groups
        for p in group["params"]
    }
    assert {id(p) for p in learned.uncertainty.parameters()} <= names
    numbers = torch.arange(6)
    both = [m._validation_loss({"x0": batch}, numbers) for m in (plain, learned)]
    assert torch.equal(both[0], both[1])


# Immiscible noise -------------------------------------------------------------------------------


def test_noise_is_assigned_to_the_nearest_images():
    """In one dimension the best assignment sorts; the noise itself stays the same set."""
    x0, z = randn(64, 1), randn(64, 1, seed=1)
    got = assigned(x0, z)
    assert torch.equal(got[x0[:, 0].argsort()], z.sort(0).values)
    both = assigned(randn(5, 2, 3), randn(5, 2, 3, seed=1))
    assert both.shape == (5, 2, 3)


def test_assigned_noise_breaks_the_mean():
    """Data of variance 4, sigma = 1, batches of 64: a slope of 2/3 where E[x0 | x_t] has 4/5."""
    slopes = []
    for together in (False, True):
        top = bottom = 0.0
        for i in range(40):
            x0, z = 2 * randn(64, 1, seed=2 * i), randn(64, 1, seed=2 * i + 1)
            z = assigned(x0, z) if together else z
            top += float((x0 * (x0 + z)).sum())
            bottom += float((x0 + z).square().sum())
        slopes.append(top / bottom)
    assert slopes[0] == pytest.approx(0.8, abs=0.03)
    assert slopes[1] == pytest.approx(2 / 3, abs=0.03)


RECIPE = {
    "name": "tiny",
    "summary": "",
    "process": {"name": "EDM"},
    "network": {"name": "UNet", "in_channels": 1, "out_channels": 1, "channels": [4, 8],
                "num_res_blocks": 1, "norm_num_groups": 2},
    "denoiser": {"parametrization": "edm", "data_std": 1.0},
    "data": {"dataset": "test_training.Levels"},
}  # fmt: skip


def recipe(**changes) -> Recipe:
    return Recipe.model_validate({**RECIPE, **changes})


def test_recipes_take_the_options_and_refuse_assigned_noise_for_a_prior():
    assert recipe().weighting.kind == "own"
    assert recipe(weighting={"kind": "min-snr"}).weighting.gamma == 5
    assert recipe(weighting={"kind": "uncertainty"}).weighting.kind == "uncertainty"
    with pytest.raises(ValueError, match="this model is a prior, and guidance needs one"):
        recipe(noise={"immiscible": True})
    bridge = {"process": {"name": "BrownianBridge"}, "denoiser": {"parametrization": "x0",
              "data_std": 1.0}}  # fmt: skip
    bridge["network"] = {**RECIPE["network"], "in_channels": 2}
    assert recipe(noise={"immiscible": True}, **bridge).noise.immiscible
    with pytest.raises(ValueError, match="min-snr weights the parametrizations"):
        recipe(
            weighting={"kind": "min-snr"},
            denoiser={"parametrization": "velocity", "data_std": 1.0},
        )
