"""`sciddm doctor`: all is well, or what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sciddm.pipelines.commands import checkup as module
from sciddm.pipelines.commands.checkup import checks
from sciddm.zoo import catalog


@pytest.fixture
def few(monkeypatch, tmp_path) -> Path:
    """Two bundled models, so that a test reads few weights."""
    for name in ("us-haze", "us-tissue"):
        shutil.copytree(catalog.BUNDLED / name, tmp_path / "weights" / name)
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "weights")
    return tmp_path / "weights"


def state(document: dict, name: str) -> tuple[str, str, str]:
    [check] = [c for c in document["checks"] if c["name"] == name]
    return check["state"], check["text"], check["advice"]


def test_all_is_well(sciddm, few):
    answer = sciddm("doctor")
    assert answer.code == 0, answer.out
    assert "All is well." in answer.out
    assert "2 of 2 bundled models are whole" in answer.out
    for name in ("libraries", "device", "threads", "memory", "disk here", "file reading"):
        assert name in answer.out


def test_weights_that_changed_are_a_problem(sciddm, few):
    weights = few / "us-haze" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    answer = sciddm("doctor", "--json")
    assert answer.code == 1
    document = json.loads(answer.out)
    assert document["ok"] is False
    assert state(document, "model us-haze")[0] == "problem"
    assert "pip install" in state(document, "model us-haze")[2]
    assert state(document, "models")[1] == "1 of 2 bundled models are whole"
    told = sciddm("doctor")
    assert "1 problem(s): model us-haze." in told.out
    assert "All is well" not in told.out


def test_a_model_without_weights_and_no_models_are_problems(sciddm, few):
    (few / "us-haze" / "model.safetensors").unlink()
    document = json.loads(sciddm("doctor", "--json").out)
    assert state(document, "model us-haze")[:2] == ("problem", "files are missing")
    shutil.rmtree(few)
    answer = sciddm("doctor", "--json")
    assert answer.code == 1
    assert state(json.loads(answer.out), "models")[0] == "problem"


@pytest.fixture
def wants(monkeypatch):
    """Sets what the package asks for."""

    def set_to(*lines: str) -> dict:
        monkeypatch.setattr(module.metadata, "requires", lambda name: list(lines))
        return {c.name: c for c in checks()}

    return set_to


def test_a_missing_extra_is_a_note_that_names_it(wants, few):
    found = wants("numpy>=1.0", 'no-such-library>=1; extra == "twix"', 'numpy; extra == "dicom"')
    assert found["libraries"].state == "ok"
    assert found["extra twix"].state == "note"
    assert "no-such-library is missing" in found["extra twix"].text
    assert "pip install 'sciddm[twix]'" in found["extra twix"].advice
    assert found["extra dicom"].state == "ok"


def test_a_missing_or_old_library_is_a_problem(wants, few):
    found = wants("numpy>=999", "no-such-library")
    assert found["libraries"].state == "problem"
    assert "is not >=999" in found["libraries"].text
    assert "no-such-library is missing" in found["libraries"].text


def test_memory_and_disk_that_are_nearly_used_up(monkeypatch, few):
    usage = shutil.disk_usage("/")._replace(free=1 << 20)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr("sciddm.data_adapters.memory.available_memory", lambda: 2 << 30)
    found = {c.name: c for c in checks()}
    assert found["memory"].state == "note"
    assert found["disk here"].state == "problem"
    assert "Free some space" in found["disk here"].advice


def test_every_extra_is_told_what_it_is_for():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"]) - {"dev", "all"}
    assert extras == set(module._EXTRAS)
    assert all(Requirement(line).name for line in project["dependencies"])
