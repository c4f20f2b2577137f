"""The command line of the toy domain."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))

from toy_domain import DOMAIN

from sciddm.pipelines.engine.commands import domain_app


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


@pytest.fixture
def toy() -> Callable[..., Answer]:
    """Calls ``sciddm toy`` in this process."""

    def call(*words: Any) -> Answer:
        runner = CliRunner()
        result = runner.invoke(domain_app(DOMAIN), [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call
