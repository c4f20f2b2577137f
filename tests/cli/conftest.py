"""A command line to call, a scan, and a pipeline that needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_helpers import Answer, FakePipeline, Sciddm, undersampled_scan
from typer.testing import CliRunner

from sciddm.pipelines.cli import app


@pytest.fixture
def sciddm() -> Sciddm:
    """Calls the command line in this process."""

    def call(*words: Any) -> Answer:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """An undersampled scan."""
    folder = tmp_path / "in"
    folder.mkdir()
    return undersampled_scan(folder / "scan.h5")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    """The command line uses this pipeline whatever model it is asked for."""
    from sciddm.pipelines.mri import requests

    pipeline = FakePipeline()
    monkeypatch.setattr(requests, "load_pipeline", lambda model: pipeline)
    return pipeline


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with an untrained network of a few channels."""
    import torch

    from sciddm.denoiser import NetworkDenoiser
    from sciddm.networks import build_network
    from sciddm.process import process_from_config
    from sciddm.zoo import save_model

    torch.manual_seed(0)
    network = build_network(
        {
            "name": "UNet",
            "in_channels": 2,
            "out_channels": 2,
            "channels": [8, 8],
            "num_res_blocks": 1,
            "patch": 2,
            "norm_num_groups": 4,
        }
    )
    process = process_from_config({"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0})
    denoiser = NetworkDenoiser(network, process, data_std=0.6, complex_data=True)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_model(denoiser, folder, card={"name": "tiny"})
    return folder
