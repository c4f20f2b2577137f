"""Predictors, their loss, stochastic regeneration, and both as model folders."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.ledger import tally
from sciddm.losses.spectral_loss import SpectralLoss
from sciddm.models import build_model, describe_model
from sciddm.networks import SpectrogramUNet
from sciddm.priors.predictor import Predictor
from sciddm.priors.regeneration import StochasticRegeneration
from sciddm.process import EDM, OUVE, SBVE
from sciddm.zoo import from_pretrained, save_model

UNET = {"bins": 8, "channels": [4, 4], "blocks": [1], "dilations": [1], "squeeze": 2}


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex64, generator=generator)


class Fixed(nn.Module):
    """A network that remembers its input and gives what it is told."""

    def __init__(self, out: Tensor) -> None:
        super().__init__()
        self.out = nn.Parameter(out)

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None) -> Tensor:
        self.seen = (x.detach(), level.detach(), None if cond is None else cond.detach())
        return self.out


# Loss ---------------------------------------------------------------------------------------------


def test_terms_of_the_spectral_loss():
    x, z = noise(2, 1, 4, 5, seed=1), noise(2, 1, 4, 5, seed=2)
    parts = {
        "complex": lambda: (z - x).abs().square(),
        "magnitude": lambda: (z.abs() - x.abs()).square(),
    }
    for name, value in parts.items():
        loss = SpectralLoss(**{"complex": 0.0, "magnitude": 0.0, name: 0.7})
        assert torch.allclose(loss(z, x), 0.7 * value().flatten(1).mean(1))
    scaled = SpectralLoss(scale=3.0)
    assert torch.allclose(scaled(3 * z, 3 * x), SpectralLoss()(z, x))


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_the_ratio_is_that_of_the_uncompressed_spectrogram(power):
    """With X = |Z|^(p-1) Z: ln of |X^ - X|^2 / |X|^2, which is -SNR / (10 / ln 10 dB)."""
    true, guess = noise(2, 1, 6, 7, seed=3), noise(2, 1, 6, 7, seed=4)
    compressed = [v * v.abs() ** (1 / power - 1) for v in (guess, true)]
    loss = SpectralLoss(complex=0.0, magnitude=0.0, snr=1.0, power=power)(*compressed)
    ratio = (guess - true).abs().square().sum((1, 2, 3)) / true.abs().square().sum((1, 2, 3))
    assert torch.allclose(loss, ratio.log(), atol=1e-4)
    # Loud or quiet, the ratio is the same.
    quiet = SpectralLoss(complex=0.0, magnitude=0.0, snr=1.0, power=power)
    assert torch.allclose(quiet(*(v * 0.5 for v in compressed)), loss, atol=1e-3)


def test_segments_count_alike_however_loud_they_are():
    """The mean over segments of ln of their noise-to-signal ratio; what is left over is cut."""
    true, guess = noise(1, 1, 6, 10, seed=5), noise(1, 1, 6, 10, seed=6)
    true, guess = (v * torch.tensor([1.0, 30.0]).repeat_interleave(5) for v in (true, guess))
    loss = SpectralLoss(0.0, 0.0, segmental=2.0, segment=4)(guess, true)
    error, signal = (
        (v.abs().square()[..., :8].unflatten(-1, (2, 4)).sum((1, 2, 4)))
        for v in (guess - true, true)
    )
    assert torch.allclose(loss, 2 * (error / signal).log().mean(1), atol=1e-4)
    # A pause: 20 dB less of the noise in it are ln 100, of one segment in two.
    true[..., :4] = 0
    kept, taken = guess.clone(), guess.clone()
    taken[..., :4] *= 0.1
    loss = SpectralLoss(0.0, 0.0, segmental=1.0, segment=4)
    change = loss(kept, true) - loss(taken, true)
    assert float(change) == pytest.approx(math.log(100) / 2, abs=1e-3)
    assert "segmental" not in SpectralLoss().config


def test_the_loss_has_a_gradient_at_silence():
    loss = SpectralLoss(1.0, 1.0, 0.1, 2.0)
    for x in (torch.zeros(1, 1, 3, 3, dtype=torch.complex64), noise(1, 1, 3, 3)):
        z = torch.zeros(1, 1, 3, 3, dtype=torch.complex64, requires_grad=True)
        loss(z, x).sum().backward()
        assert torch.isfinite(torch.view_as_real(z.grad)).all()
    with pytest.raises(ValueError, match="weights"):
        SpectralLoss(complex=-1.0)


# Predictor ----------------------------------------------------------------------------------------


def test_a_mask_and_what_it_cannot_make():
    out = torch.randn(2, 4, 3, 5) * 3
    y = noise(2, 1, 3, 5)
    network = Fixed(out)
    predictor = Predictor(network, scale=0.2)
    with tally() as cost:
        got = predictor(y)
    assert cost.nfe == 2
    m = torch.complex(out[:, :1], out[:, 1:2])
    rest = torch.complex(out[:, 2:3], out[:, 3:])
    mask = 2 * m * torch.tanh(m.abs()) / m.abs()
    assert torch.allclose(got, mask * y + 0.2 * rest, atol=1e-5)
    x, level, cond = network.seen
    # Two real channels of variance 1 for y of E|y|^2 = scale^2.
    assert torch.allclose(x, torch.cat([y.real, y.imag], 1) * math.sqrt(2) / 0.2, rtol=1e-5)
    assert torch.equal(level, torch.zeros(2))
    assert cond is None


def test_training_can_begin_at_nothing():
    network = Fixed(torch.zeros(1, 4, 3, 5))
    y = noise(1, 1, 3, 5)
    loss = Predictor(network, SpectralLoss(1.0, 0.0)).loss(0.5 * y, y)
    assert loss.item() == pytest.approx(float(0.25 * y.abs().square().mean()), rel=1e-5)
    loss.sum().backward()
    assert torch.isfinite(network.out.grad).all()
    assert network.out.grad[:, 0].abs().max() > 0


def test_direct_output():
    out = torch.randn(1, 2, 3, 5)
    got = Predictor(Fixed(out), scale=0.3, output="direct")(noise(1, 1, 3, 5))
    expected = torch.complex(out[:, :1], out[:, 1:]) * 0.3 / math.sqrt(2)
    assert torch.allclose(got, expected)
    with pytest.raises(ValueError, match="unknown output"):
        Predictor(Fixed(out), output="both")


# Regeneration -------------------------------------------------------------------------------------


def regeneration(process=None, parametrization="x0", **options) -> StochasticRegeneration:
    """Predictor with output r, denoiser whose network says f; both are parameters."""
    torch.manual_seed(0)
    predictor = Predictor(Fixed(torch.randn(2, 2, 3, 5)), output="direct", scale=1.0)
    denoiser = NetworkDenoiser(
        Fixed(torch.randn(2, 2, 3, 5)),
        process or OUVE(),
        parametrization,
        scale=0.4,
        complex_data=True,
    )
    return StochasticRegeneration(predictor, denoiser, **options)


@pytest.mark.parametrize("process", [OUVE(), SBVE()], ids=lambda p: type(p).__name__)
def test_the_process_runs_between_truth_and_estimate(process):
    model = regeneration(process)
    x0, y, z = (noise(2, 1, 3, 5, seed=i) for i in range(3))
    t = torch.tensor([0.3, 0.8], dtype=torch.float64)
    model.loss(x0, t, y, z)
    end = model.predictor(y)
    a, b, s = (c.float()[:, None, None, None] for c in process(t))
    x_t = a * x0 + b * end + s * z
    seen, _, cond = model.denoiser.network.seen
    unit = 0.4 / math.sqrt(2)
    stacked = torch.cat([x_t.real, x_t.imag, end.real, end.imag], 1) / unit
    assert torch.allclose(seen, stacked, atol=1e-4)
    assert torch.allclose(cond, torch.cat([y.real, y.imag], 1) / unit, atol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("target", ["output", "data"])
def test_the_joint_loss(alpha, target):
    model = regeneration(alpha=alpha, target=target)
    x0, y, z = (noise(2, 1, 3, 5, seed=i) for i in range(3))
    t = torch.tensor([0.3, 0.8], dtype=torch.float64)
    got = model.loss(x0, t, y, z)
    end = model.predictor(y)
    if target == "output":
        own = model.denoiser.loss(x0, t, end, y, z)
    else:
        x_t = model.process.add_noise(x0, t, end, z)
        own = model.predictor.criterion(model.denoiser(x_t, t, end, y), x0)
    expected = alpha * model.predictor.criterion(end, x0) + (1 - alpha) * own
    assert torch.allclose(got, expected)
    got.sum().backward()
    assert model.denoiser.network.out.grad.abs().max() > 0
    assert (model.predictor.network.out.grad is None) == (alpha == 0)


def test_the_diffusion_moves_the_predictor_too():
    """As published: with the residual parametrization the estimate is part of the target."""
    model = regeneration(parametrization="residual", alpha=0.5)
    x0, y, z = (noise(2, 1, 3, 5, seed=i) for i in range(3))
    t = torch.tensor([0.3, 0.8], dtype=torch.float64)
    (joint,) = torch.autograd.grad(model.loss(x0, t, y, z).sum(), model.predictor.network.out)
    own = 0.5 * model.predictor.loss(x0, y).sum()
    (alone,) = torch.autograd.grad(own, model.predictor.network.out)
    assert (joint - alone).abs().max() > 0.1 * alone.abs().max()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"alpha": 1.0}, "alpha"),
        ({"target": "x"}, "unknown target"),
        ({"process": EDM()}, "with an endpoint"),
    ],
)
def test_impossible_regenerations(options, says):
    with pytest.raises(ValueError, match=says):
        regeneration(**options)


# Configurations and folders -----------------------------------------------------------------------

PREDICTOR = {
    "network": {"name": "SpectrogramUNet", "in_channels": 2, "out_channels": 4, **UNET},
    "criterion": {"complex": 0.5, "magnitude": 1.0, "snr": 0.1, "power": 2.0, "scale": 0.1},
    "scale": 0.1,
    "output": "mask",
}
DENOISER = {
    "process": {"name": "SBVE", "k": 2.6, "c": 0.1},
    "network": {
        "name": "SpectrogramUNet",
        "in_channels": 4,
        "out_channels": 2,
        "cond_channels": 2,
        **UNET,
    },
    "denoiser": {
        "parametrization": "residual",
        "data_std": 0.1,
        "scale": 0.1,
        "complex_data": True,
    },
}
CONFIGS = {
    "Predictor": {"predictor": PREDICTOR},
    "NetworkDenoiser": DENOISER,
    "StochasticRegeneration": {
        **DENOISER,
        "predictor": PREDICTOR,
        "regeneration": {"alpha": 0.2, "target": "data"},
    },
}


def filled(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for p in model.parameters():
        nn.init.normal_(p, std=0.2)
    return model.eval()


def answers(model, y: Tensor) -> list[Tensor]:
    if isinstance(model, Predictor):
        return [model(y)]
    if isinstance(model, StochasticRegeneration):
        end = model.predictor(y)
        return [end, model.denoiser(y, 0.5, end, y)]
    return [model(y, 0.5, y, y)]


@torch.no_grad()
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_is_its_configuration_and_weights(kind, tmp_path):
    model = filled(build_model(CONFIGS[kind]))
    assert type(model).__name__ == kind
    described = describe_model(model)
    assert describe_model(build_model(described)) == described
    for section, values in CONFIGS[kind].items():
        assert values.items() <= described[section].items() or section in ("network", "predictor")

    front = {"n_fft": 14, "hop": 4, "rate": 8000}
    save_model(model, tmp_path, {"name": "test"}, representation=front)
    loaded = from_pretrained(tmp_path)
    assert loaded.representation == front
    assert type(loaded.model) is type(model)
    assert not any(p.requires_grad for p in loaded.model.parameters())
    for part in loaded.model.modules():
        if hasattr(part, "precision"):
            part.precision = "float32"
    y = noise(1, 1, 8, 8, seed=5)
    for got, expected in zip(answers(loaded.model, y), answers(model, y), strict=True):
        assert 0 < (got - expected).abs().max() < 0.01 * expected.abs().max()
    if kind == "NetworkDenoiser":
        assert loaded.denoiser is loaded.model
    else:
        with pytest.raises(ModelError, match=f"is a {kind}, where a denoiser is needed"):
            _ = loaded.denoiser


def test_networks_of_another_kind_do_not_hide():
    assert isinstance(build_model(CONFIGS["Predictor"]).network, SpectrogramUNet)
    with pytest.raises(KeyError, match="denoiser"):
        build_model({"predictor": PREDICTOR, "process": DENOISER["process"]})
    with pytest.raises(ValueError, match="unknown output"):
        build_model({"predictor": {**PREDICTOR, "output": "x"}})
