"""The command line, called in this process."""

from __future__ import annotations

from typing import Any

import pytest
from cli_helpers import Answer, Sciddm
from typer.testing import CliRunner

from sciddm.pipelines.cli import app


@pytest.fixture
def sciddm() -> Sciddm:
    """Calls the command line."""

    def call(*words: Any) -> Answer:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call
