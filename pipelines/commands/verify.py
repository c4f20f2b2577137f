"""`sciddm verify`: whether outputs are what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sciddm.pipelines.engine.console import say

__all__ = ["verify"]

_STATES = {
    "changed": "is not what was written",
    "missing": "is missing",
    "unchecked": "lists no checksums: it was written by an earlier version",
}


def verify(
    outputs: Annotated[
        list[Path], typer.Argument(help="Outputs, their JSON files, or folders of outputs.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that outputs are whole and belong together, by checksums beside or in them."""
    from sciddm.data_adapters.commit import verify as checks_of

    checks = checks_of(outputs)
    if as_json:
        listed = [
            {"path": str(c.path), "state": c.state, "listed_in": str(c.listed_in)} for c in checks
        ]
        print(json.dumps(listed, indent=2))
    bad = [c for c in checks if c.state in ("changed", "missing")]
    for check in checks if not as_json else ():
        if check.state != "whole":
            say("error" if check in bad else "note", f"{check.path}: {_STATES[check.state]}")
    if not as_json:
        whole = sum(c.state == "whole" for c in checks)
        print(f"{whole} of {len(checks)} outputs are whole")
    if bad:
        raise typer.Exit(1)
