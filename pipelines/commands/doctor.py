"""`sciddm doctor`: what an installation has and lacks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from sciddm.pipelines.engine.console import output

__all__ = ["doctor"]

_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation: libraries, device, memory, disk, bundled models.

    Exit code 1 if there is a problem. A missing optional library is a note, not a problem.
    """
    from rich.text import Text

    from sciddm.pipelines.commands.checkup import checks
    from sciddm.pipelines.engine.tables import fields

    found = list(checks())
    problems = [check for check in found if check.state == "problem"]
    if as_json:
        document = {"ok": not problems, "checks": [asdict(check) for check in found]}
        print(json.dumps(document, indent=2))
    else:
        table = fields()
        for check in found:
            words = Text(f"{check.state}  ", style=_STYLES[check.state]).append(
                check.text, style="default"
            )
            table.add_row(check.name, words)
            if check.advice:
                table.add_row("", Text(check.advice, style="italic"))
        output().print(table)
        notes = sum(check.state == "note" for check in found)
        if problems:
            names = ", ".join(check.name for check in problems)
            output().print(f"\n{len(problems)} problem(s): {names}.")
        else:
            more = f" {notes} note(s) above." if notes else ""
            output().print(f"\nAll is well.{more}")
    if problems:
        raise typer.Exit(1)
