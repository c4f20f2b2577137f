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
    from sciddm.pipelines.mri import run

    pipeline = FakePipeline()
    monkeypatch.setattr(run, "load_pipeline", lambda model: pipeline)
    return pipeline
