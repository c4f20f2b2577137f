"""Published checkpoints: synthetic files give the published equations; anything else is refused."""

from __future__ import annotations

import argparse
import hashlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.networks import NCSNpp
from sciddm.priors.predictor import Predictor
from sciddm.priors.regeneration import StochasticRegeneration
from sciddm.process import OUVE, SBVE
from sciddm.zoo import card, from_pretrained, load_model, save_model
from sciddm.zoo.official_sgmse import VARIANTS, read_checkpoint

TINY = {"channels": 16, "multipliers": (1, 1, 2), "num_res_blocks": 1, "attention": ()}
FRONT = {"n_fft": 510, "hop_length": 128, "spec_factor": 0.15, "spec_abs_exponent": 0.5}
OUVE_ARGUMENTS = {"sde": "ouve", "theta": 1.4, "sigma_min": 0.04, "sigma_max": 0.6}
SBVE_ARGUMENTS = {"sde": "sbve", "k": 2.5, "c": 0.3}


@pytest.fixture(autouse=True)
def _a_tiny_variant(monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny", TINY)


def network(seed: int, **options) -> NCSNpp:
    torch.manual_seed(seed)
    net = NCSNpp(**{**TINY, **options})
    for p in net.parameters():
        if p.requires_grad:
            nn.init.normal_(p, std=0.2)
    return net.eval()


# The published code pickles its data module's class by name.
SpecsDataModule = type("SpecsDataModule", (), {"__module__": "sgmse.data_module"})


@pytest.fixture
def published_class(monkeypatch):
    """The class under the name that pickle looks for, while a file is written."""
    import sys
    from types import ModuleType

    package, module = ModuleType("sgmse"), ModuleType("sgmse.data_module")
    module.SpecsDataModule = SpecsDataModule
    monkeypatch.setitem(sys.modules, "sgmse", package)
    monkeypatch.setitem(sys.modules, "sgmse.data_module", module)
    return monkeypatch


def write(path: Path, parts: dict[str, NCSNpp], hyper: dict[str, Any], monkeypatch) -> Path:
    """A checkpoint whose averaged weights are those of ``parts``; the last ones are others."""
    names = [f"{prefix}{k}" for prefix, net in parts.items() for k in net.state_dict()]
    average = [v for net in parts.values() for v in net.state_dict().values()]
    state = {name: value + 1 for name, value in zip(names, average, strict=True)}
    torch.save(
        {
            "state_dict": {**state, "pesq_loss.window": torch.ones(3)},
            "hyper_parameters": {**FRONT, "data_module_cls": SpecsDataModule, "gpus": 4, **hyper},
            "optimizer_states": [{"state": {}, "param_groups": []}],
            "ema": {
                "decay": 0.999,
                "num_updates": 7,
                "shadow_params": average,
                "collected_params": None,
            },
        },
        path,
    )
    # Nothing of the published code is there when the file is read.
    monkeypatch.delitem(__import__("sys").modules, "sgmse.data_module")
    monkeypatch.delitem(__import__("sys").modules, "sgmse")
    return path


def spectrograms(n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(2, 1, 8, 8, dtype=torch.complex64, generator=generator) for _ in range(n)]


def published(net: NCSNpp, t: float, *inputs: Tensor) -> Tensor:
    """The network on stacked real and imaginary parts, complex."""
    parts = torch.cat([p for x in inputs for p in (x.real, x.imag)], dim=1)
    out = net(parts, torch.full((parts.shape[0],), t))
    return torch.complex(out[:, :1], out[:, 1:])


def exact(model):
    """Single precision, where the loader would choose what is quick."""
    for part in model.modules():
        if hasattr(part, "precision"):
            part.precision = "float32"
    return model


@torch.no_grad()
def test_sgmse_plus(tmp_path, published_class):
    net = network(1)
    hyper = {"backbone": "ncsnpp", "centered": True, **OUVE_ARGUMENTS}
    path = write(tmp_path / "sgmse.ckpt", {"dnn.": net}, hyper, published_class)
    model, representation = read_checkpoint(path)
    assert isinstance(model, NetworkDenoiser)
    assert representation == {
        "n_fft": 510,
        "hop": 128,
        "factor": 0.15,
        "exponent": 0.5,
        "rate": 16000,
    }
    assert model.process.config() == OUVE(1.4, 0.04, 0.6).config()
    assert not any(p.requires_grad for p in model.parameters())
    x, y = spectrograms(2)
    a, b, s = model.process(0.3)
    score = -published(net, 0.3, x, y)
    expected = (x - b * y + s**2 * score) / a
    assert torch.allclose(exact(model)(x, 0.3, y), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ("objective", "scaling", "score"),
    [
        ("score_matching", None, lambda f, t, s: f),
        ("score_matching", "1/t", lambda f, t, s: f / t),
        ("score_matching", "1/sigma", lambda f, t, s: f / s),
    ],
)
def test_second_backbone_with_score_matching(tmp_path, published_class, objective, scaling, score):
    net = network(2, division="none")
    hyper = {
        "backbone": "ncsnpp_v2",
        "centered": True,
        "loss_type": objective,
        "network_scaling": scaling,
        **OUVE_ARGUMENTS,
    }
    model, _ = read_checkpoint(write(tmp_path / "v2.ckpt", {"dnn.": net}, hyper, published_class))
    x, y = spectrograms(2)
    a, b, s = model.process(0.3)
    expected = (x - b * y + s**2 * score(published(net, 0.3, x, y), 0.3, s)) / a
    assert torch.allclose(exact(model)(x, 0.3, y), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_schroedinger_bridge_with_data_prediction(tmp_path, published_class):
    net = network(3, division="none")
    hyper = {
        "backbone": "ncsnpp_v2",
        "centered": True,
        "loss_type": "data_prediction",
        "network_scaling": None,
        "sr": 48000,
        **SBVE_ARGUMENTS,
    }
    path = write(tmp_path / "sb.ckpt", {"dnn.": net}, hyper, published_class)
    model, representation = read_checkpoint(path)
    assert model.process.config() == SBVE(2.5, 0.3).config()
    assert representation["rate"] == 48000
    x, y = spectrograms(2)
    assert torch.allclose(exact(model)(x, 0.7, y), published(net, 0.7, x, y), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("condition", ["both", "noisy", "post_denoiser"])
def test_storm(tmp_path, published_class, condition):
    """Its networks map their input to 2 x - 1; the score's sees x_t, then the conditioning."""
    predictor = network(4, in_channels=2, conditional=False, division="none", centered=False)
    score_net = network(5, in_channels=6 if condition == "both" else 4, centered=False)
    hyper = {
        "backbone_denoiser": "ncsnpp",
        "backbone_score": "ncsnpp",
        "condition": condition,
        "weighting_denoiser_to_score": 0.3,
        **OUVE_ARGUMENTS,
    }
    path = write(
        tmp_path / "storm.ckpt",
        {"denoiser_net.": predictor, "score_net.": score_net},
        hyper,
        published_class,
    )
    model, _ = read_checkpoint(path)
    assert isinstance(model, StochasticRegeneration)
    assert model.alpha == 0.3
    x, y = spectrograms(2)
    exact(model)
    endpoint = published(predictor, 1.0, y)
    assert torch.allclose(model.predictor(y), endpoint, rtol=1e-4, atol=1e-5)
    seen = {"both": (y, endpoint), "noisy": (y,), "post_denoiser": (endpoint,)}[condition]
    a, b, s = model.process(0.3)
    score = -published(score_net, 0.3, x, *seen)
    expected = (x - b * endpoint + s**2 * score) / a
    got = model.denoiser(x, 0.3, endpoint, y)
    assert torch.allclose(got, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_by_name_of_the_file_and_saved_as_a_folder(tmp_path, published_class):
    net = network(6, in_channels=2, conditional=False, division="none", centered=False)
    path = write(tmp_path / "pred.ckpt", {"dnn.": net}, {"backbone": "ncsnpp"}, published_class)
    loaded = from_pretrained(path)
    assert isinstance(loaded.model, Predictor)
    assert loaded.name == card(path).name == "pred"
    assert loaded.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.representation["hop"] == 128
    save_model(loaded.model, tmp_path / "model", {"name": "pred"}, loaded.representation)
    again = from_pretrained(tmp_path / "model")
    assert again.representation == loaded.representation
    (y,) = spectrograms(1)
    first, second = exact(loaded.model)(y), exact(load_model(tmp_path / "model"))(y)
    assert 0 < (first - second).abs().max() < 5e-3 * first.abs().max()


# Refused ------------------------------------------------------------------------------------------


class Foreign:
    """Would touch a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_foreign_object_is_refused_and_not_run(tmp_path):
    path, trap = tmp_path / "bad.ckpt", tmp_path / "trap"
    torch.save({"state_dict": {}, "hyper_parameters": {"x": Foreign(trap)}}, path)
    with pytest.raises(ModelError, match="holds Python objects") as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "mkdir" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not trap.exists()


def test_numbers_of_numpy_and_options_are_read(tmp_path, published_class):
    """Hyper-parameters as parsers and NumPy leave them; torch refuses both by themselves."""
    hyper = altered(lambda h: h.update(theta=np.float64(h["theta"]), N=np.int64(30)))
    path = write(tmp_path / "x.ckpt", {"dnn.": network(1)}, hyper, published_class)
    model, _ = read_checkpoint(path)
    assert model.process.theta == hyper["theta"]
    weights = {f"dnn.{name}": value for name, value in network(1).state_dict().items()}
    options = argparse.Namespace(**FRONT, **hyper)
    torch.save({"state_dict": weights, "hyper_parameters": options}, tmp_path / "y.ckpt")
    assert read_checkpoint(tmp_path / "y.ckpt")[1] == read_checkpoint(path)[1]


def test_what_is_refused_is_named_without_advice_to_programmers(tmp_path):
    path = tmp_path / "bad.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": {"x": Foreign(tmp_path / "trap")}}, path)
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path)
    assert "safe_globals" not in str(caught.value)


def altered(change):
    hyper = {"backbone": "ncsnpp", "centered": True, **OUVE_ARGUMENTS}
    change(hyper)
    return hyper


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: h.pop("theta"), "no 'theta'"),
        (lambda h: h.update(sde="ouvp"), "'ouvp' is not supported"),
        (lambda h: h.update(transform_type="log"), "spectrogram .* not supported"),
        (lambda h: h.update(window="sqrthann"), "sqrthann"),
        (lambda h: h.update(backbone="ncsnpp_v2", c_skip="edm"), "preconditioning"),
        (lambda h: h.update(backbone="ncsnpp_v2", loss_type="denoiser"), "objective denoiser"),
    ],
)
def test_what_is_not_known_is_said(tmp_path, published_class, change, says):
    path = write(tmp_path / "x.ckpt", {"dnn.": network(1)}, altered(change), published_class)
    with pytest.raises(ModelError, match=says) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


def test_other_networks_and_other_averages(tmp_path, published_class):
    hyper = altered(lambda h: None)
    other = network(1, channels=32)
    path = write(tmp_path / "wide.ckpt", {"dnn.": other}, hyper, published_class)
    with pytest.raises(ModelError, match="none of: ncsnpp 65M"):
        read_checkpoint(path)


def test_averaged_weights_that_are_not_the_networks(tmp_path):
    weights = {f"dnn.{name}": value for name, value in network(1).state_dict().items()}
    path = tmp_path / "short.ckpt"
    average = {"shadow_params": list(weights.values())[:-1]}
    torch.save({"state_dict": weights, "hyper_parameters": {}, "ema": average}, path)
    with pytest.raises(ModelError, match="averaged weights"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04rubbish", b"\x80\x02]q\x00.", b"no pickle"])
def test_a_damaged_file(tmp_path, content):
    path = tmp_path / "damaged.ckpt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged\.ckpt") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError):
        from_pretrained(path)


def test_a_truncated_file(tmp_path, published_class):
    hyper = altered(lambda h: None)
    path = write(tmp_path / "cut.ckpt", {"dnn.": network(1)}, hyper, published_class)
    path.write_bytes(path.read_bytes()[: math.floor(0.7 * path.stat().st_size)])
    with pytest.raises(ModelError, match=r"cut\.ckpt"):
        read_checkpoint(path)
    with pytest.raises(ModelError, match=r"absent\.ckpt"):
        read_checkpoint(tmp_path / "absent.ckpt")
