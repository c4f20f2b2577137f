"""`sciddm demo`: a domain at work on a simulated measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sciddm.errors import InputError
from sciddm.pipelines.domains import DOMAINS, load_domain
from sciddm.pipelines.engine.threads import use_threads

__all__ = ["demo"]


def demo(
    domain: Annotated[str, typer.Argument(help=f"One of: {', '.join(DOMAINS)}.")] = "mri",
    target: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path(
        "sciddm-demo"
    ),
    quality: Annotated[
        Literal["fast", "balanced", "best"], typer.Option(help="How long to compute.")
    ] = "balanced",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads to use.")] = None,
) -> None:
    """Simulate a measurement, reconstruct it with the bundled model, and write the report.

    Needs no file. Results of an earlier demo in the same folder are replaced.
    """
    if domain not in DOMAINS:
        raise InputError(f"no demo for '{domain}': there is {', '.join(DOMAINS)}")
    use_threads(threads)
    from sciddm.pipelines.engine.demo import run_demo

    run_demo(load_domain(domain), target, quality)
