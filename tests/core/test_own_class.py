"""A user's own network class: from the trusted folder, and from nowhere else."""

from __future__ import annotations

import json

import pytest
import torch

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.networks import build_network
from sciddm.process import EDM
from sciddm.zoo import load_model, save_model

CODE = """
from torch import nn

class Shrink(nn.Module):
    def __init__(self, channels, gain=1.0):
        super().__init__()
        self.layer = nn.Conv2d(channels, channels, 1)
        self.gain = gain

    def forward(self, x, level, cond=None):
        return self.gain * self.layer(x)

nothing = 3
"""


@pytest.fixture
def code(tmp_path):
    (tmp_path / "code" / "mynet").mkdir(parents=True)
    (tmp_path / "code" / "mynet" / "blocks.py").write_text(CODE)
    (tmp_path / "secret.py").write_text(CODE)
    return tmp_path / "code"


def test_a_model_of_an_own_class_round_trips(code, tmp_path, monkeypatch):
    monkeypatch.setenv("SCIDDM_NETWORKS", str(code))
    network = build_network({"name": "mynet.blocks:Shrink", "channels": 2, "gain": 3.0})
    model = NetworkDenoiser(network, EDM(), "x0", complex_data=True)
    save_model(model, tmp_path / "model", {"name": "mine"})
    named = json.loads((tmp_path / "model" / "config.json").read_text())["network"]
    assert named == {"name": "mynet.blocks:Shrink", "channels": 2, "gain": 3.0}
    again = load_model(tmp_path / "model")
    again.precision = "float32"
    x = torch.randn(1, 1, 4, 4, dtype=torch.complex64)
    with torch.no_grad():
        torch.testing.assert_close(again(x, 1.0), model(x, 1.0), rtol=0, atol=1e-2)
    monkeypatch.delenv("SCIDDM_NETWORKS")
    with pytest.raises(ModelError, match="set SCIDDM_NETWORKS to the folder with mynet"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mynet.blocks:Missing", "no network Missing"),
        ("mynet.blocks:nothing", "no network nothing"),
        ("mynet.other:Net", "no such file in the trusted folder"),
        ("..secret:Shrink", "MODULE:CLASS"),
        ("../secret:Shrink", "MODULE:CLASS"),
        ("mynet.blocks:Shrink", "cannot be made"),
    ],
)
def test_nothing_else_is_run(code, monkeypatch, name, said):
    monkeypatch.setenv("SCIDDM_NETWORKS", str(code))
    with pytest.raises(ModelError, match=said):
        build_network({"name": name})


def test_a_link_out_of_the_trusted_folder_is_refused(code, tmp_path, monkeypatch):
    (code / "outside.py").symlink_to(tmp_path / "secret.py")
    monkeypatch.setenv("SCIDDM_NETWORKS", str(code))
    with pytest.raises(ModelError, match="no such file in the trusted folder"):
        build_network({"name": "outside:Shrink", "channels": 1})
