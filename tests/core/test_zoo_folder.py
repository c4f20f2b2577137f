"""Model folders: what is written is what is read; anything else is one clear error."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.networks import UNet
from sciddm.process import OUVE
from sciddm.sampling import SolverStatistics
from sciddm.zoo import find, from_pretrained, load_model, save_model
from sciddm.zoo.folder import (
    CARD,
    CONFIG,
    WEIGHTS,
    is_model_folder,
    read_representation,
    weights_hash,
)
from sciddm.zoo.model_card import read_card
from sciddm.zoo.solver_statistics import read_solver_statistics, save_solver_statistics


@pytest.fixture(scope="module")
def denoiser() -> NetworkDenoiser:
    torch.manual_seed(0)
    net = UNet(4, 2, channels=[4, 8], num_res_blocks=1, norm_num_groups=2)
    for p in net.parameters():
        nn.init.normal_(p, std=0.2)
    return NetworkDenoiser(
        net, OUVE(1.2, 0.04, 0.6), "v", data_std=0.7, scale=1.9, complex_data=True
    )


@pytest.fixture
def folder(denoiser, tmp_path: Path) -> Path:
    target = tmp_path / "model"
    save_model(denoiser, target, {"name": "test", "summary": "A model for tests."})
    return target


def test_round_trip(denoiser, folder):
    copy = load_model(folder)
    assert copy.process.config() == denoiser.process.config()
    for name in ("parametrization", "data_std", "scale", "center", "complex_data"):
        assert getattr(copy, name) == getattr(denoiser, name)
    assert not copy.training
    assert not any(p.requires_grad for p in copy.parameters())
    exact = denoiser.network.state_dict()
    for name, value in copy.network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, exact[name].half().float())
    copy.precision = "float32"
    x, y = (torch.randn(1, 1, 6, 7, dtype=torch.complex64) for _ in range(2))
    with torch.no_grad():
        out, expected = copy(x, 0.4, y), denoiser(x, 0.4, y)
    assert 0 < (out - expected).abs().max() < 5e-3 * expected.abs().max()


def test_the_hash_is_that_of_the_file(folder):
    expected = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert weights_hash(folder) == expected
    assert json.loads((folder / CARD).read_text())["weights_sha256"] == expected
    assert is_model_folder(folder)
    assert find(folder) == folder
    assert from_pretrained(folder).weights_sha256 == expected


def edit(folder: Path, change) -> None:
    path = folder / CONFIG
    config = json.loads(path.read_text())
    path.write_text(json.dumps(change(config) or config))


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def other_weights(folder: Path, change) -> None:
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS)


DAMAGE = {
    "weights truncated": lambda f: truncate(f / WEIGHTS, 2000),
    "weights cut in the header": lambda f: truncate(f / WEIGHTS, 5),
    "weights empty": lambda f: (f / WEIGHTS).write_bytes(b""),
    "weights of another kind": lambda f: (f / WEIGHTS).write_bytes(b"PK\x03\x04" * 500),
    "weights missing": lambda f: (f / WEIGHTS).unlink(),
    "a tensor missing": lambda f: other_weights(f, lambda s: s.pop(next(iter(s)))),
    "a tensor too many": lambda f: other_weights(f, lambda s: s.update({"extra": torch.zeros(1)})),
    "configuration missing": lambda f: (f / CONFIG).unlink(),
    "configuration no JSON": lambda f: (f / CONFIG).write_text("{"),
    "configuration no text": lambda f: (f / CONFIG).write_bytes(b"\xff\xfe\x00\x80"),
    "configuration a list": lambda f: (f / CONFIG).write_text("[1]"),
    "format of the future": lambda f: edit(f, lambda c: c.update(format=99)),
    "unknown process": lambda f: edit(f, lambda c: c["process"].update(name="Heat")),
    "unknown process key": lambda f: edit(f, lambda c: c["process"].update(speed=1.0)),
    "unknown network": lambda f: edit(f, lambda c: c["network"].update(name="MLP")),
    "unknown network key": lambda f: edit(f, lambda c: c["network"].update(depth=4)),
    "other widths": lambda f: edit(f, lambda c: c["network"].update(channels=[8, 8])),
    "unknown parametrization": lambda f: edit(
        f, lambda c: c["denoiser"].update(parametrization="w")
    ),
    "unknown denoiser key": lambda f: edit(f, lambda c: c["denoiser"].update(gain=2)),
    "weights NaN": lambda f: other_weights(
        f, lambda s: s.update({k: v * torch.nan for k, v in s.items()})
    ),
    "configuration nested deeply": lambda f: (f / CONFIG).write_text("[" * 100_000),
    "configuration asks for 40 GB": lambda f: edit(
        f, lambda c: c["network"].update(channels=[40_000, 40_000])
    ),
    "configuration without end": lambda f: edit(
        f, lambda c: c["network"].update(num_res_blocks=10**9)
    ),
    "configuration of a text": lambda f: edit(f, lambda c: c["network"].update(channels="wide")),
    "no denoiser": lambda f: edit(f, lambda c: c.pop("denoiser") and None),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_one_clear_error(folder, damage):
    DAMAGE[damage](folder)
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    named = {
        "format of the future": "99",
        "unknown process": "Heat",
        "unknown process key": "speed",
        "unknown network": "MLP",
        "unknown network key": "depth",
        "unknown parametrization": "'w'",
        "unknown denoiser key": "gain",
        "no denoiser": "'denoiser'",
        "weights NaN": "NaN",
        "configuration asks for 40 GB": "size mismatch",
        "configuration without end": "no network has that size",
    }
    assert named.get(damage, "") in message


def test_weights_of_another_model_are_noticed(folder):
    other_weights(folder, lambda s: s.update({k: v + 1 for k, v in s.items()}))
    with pytest.raises(ModelError, match="hash differs"):
        from_pretrained(folder)


def test_names_that_are_no_model(tmp_path):
    with pytest.raises(ModelError, match="no model named 'mri-brian'"):
        find("mri-brian")
    with pytest.raises(ModelError, match="not a model folder"):
        find(tmp_path)


def test_a_folder_in_the_current_one_replaces_no_bundled_model(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("sciddm.zoo.catalog.BUNDLED", tmp_path / "bundled")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for place in ("bundled/known", "here/known", "here/mine", "here/owner/name"):
        shutil.copytree(folder, tmp_path / place)
    assert find("known") == tmp_path / "bundled" / "known"
    assert find("./known") == Path("known")
    assert find(Path("known")) == Path("known")
    assert find("mine") == Path("mine")
    assert find("owner/name") == Path("owner/name")


def test_only_hub_names_are_downloaded(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("sciddm.zoo.catalog.pull", lambda name: asked.append(name))
    with pytest.raises(ModelError, match="a repository of the hub is hub:owner/name"):
        find("owner/name")
    find("hub:owner/name")
    assert asked == ["hub:owner/name"]
    with pytest.raises(ModelError):
        find("x" * 500)
    with pytest.raises(ModelError):
        find("a\0b")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000, b"[]", b'{"name": 3}'])
def test_a_damaged_card_is_one_clear_error(folder, content):
    (folder / CARD).write_bytes(content)
    with pytest.raises(ModelError, match=r"card\.json"):
        read_card(folder)


def test_a_representation_is_a_mapping(folder):
    edit(folder, lambda c: c.update(representation=[1, 2]))
    with pytest.raises(ModelError, match="no mapping"):
        read_representation(folder)


# Statistics of a solver -------------------------------------------------------------------------


def test_solver_statistics_belong_to_their_weights(folder):
    """Read as they were written; those of other weights, or none, are named."""
    levels = np.linspace(-2, 2, 9)
    parts = [np.random.default_rng(i).normal(size=(9, 2)) for i in range(3)]
    with pytest.raises(ModelError, match="no readable solver statistics"):
        read_solver_statistics(folder)
    save_solver_statistics(SolverStatistics(levels, *parts), folder)
    copy = read_solver_statistics(folder)
    assert np.array_equal(copy.levels, levels)
    for name, part in zip(("slope", "growth", "offset"), parts, strict=True):
        assert np.array_equal(getattr(copy, name), part)
    weights = load_file(folder / WEIGHTS)
    save_file({k: v + 1 for k, v in weights.items()}, folder / WEIGHTS)
    with pytest.raises(ModelError, match="of other weights"):
        read_solver_statistics(folder)
    parts[1][3] = np.nan
    save_solver_statistics(SolverStatistics(levels, *parts), folder)
    with pytest.raises(ModelError, match="no solver statistics"):
        read_solver_statistics(folder)
