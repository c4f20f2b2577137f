"""Command-line options that mean the same in every domain."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from sciddm.errors import InputError

__all__ = [
    "Json",
    "Overwrite",
    "Quality",
    "QualityOption",
    "Report",
    "Threads",
    "check_quality",
    "use_threads",
]


class Quality(StrEnum):
    """How long to compute."""

    fast = "fast"
    balanced = "balanced"
    best = "best"


QualityOption = Annotated[Quality, typer.Option("--quality", help="How long to compute.")]
Report = Annotated[bool, typer.Option("--report", help="Write an HTML page too.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of a table.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads to use.")]


def check_quality(quality: str) -> None:
    """Raises InputError for an unknown quality."""
    if quality not in list(Quality):
        raise InputError(f"--quality {quality}: use {', '.join(Quality)}")


def use_threads(count: int | None) -> None:
    """Limits torch to so many threads."""
    if count is not None:
        import torch

        torch.set_num_threads(count)
