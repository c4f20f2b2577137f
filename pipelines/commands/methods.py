"""`sciddm methods`: the solvers and posterior samplers of the core."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Annotated, Any

import typer

from sciddm.errors import InputError
from sciddm.pipelines.engine.console import output

__all__ = ["app"]

app = typer.Typer(help="Samplers and solvers of the Python interface: what each is for.")


def _entries() -> dict[str, dict[str, Any]]:
    """Name -> kind and the registry's text and numbers."""
    from sciddm.methods import POSTERIOR_SAMPLERS, SOLVERS

    out: dict[str, dict[str, Any]] = {}
    for kind, registry in (("posterior sampler", POSTERIOR_SAMPLERS), ("solver", SOLVERS)):
        for name, entry in registry.items():
            values = {f.name: getattr(entry, f.name) for f in fields(entry)}
            out[name] = {"kind": kind, **{k: v for k, v in values.items() if not callable(v)}}
    return out


@app.command("list")
def list_methods(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """All methods, with what they need and when to use them."""
    from rich.table import Table

    entries = _entries()
    if as_json:
        print(json.dumps(list(entries.values()), indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("name", "kind", "method", "when"):
        table.add_column(column, overflow="fold")
    for name, values in entries.items():
        table.add_row(name, values["kind"], values["title"], values["advice"])
    output().print(table)


@app.command("info")
def method_info(
    name: Annotated[str, typer.Argument(help="Name of a method, as `sciddm methods list` has it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Source, needs, cost and advice of one method."""
    from rich.table import Table

    entries = _entries()
    if name not in entries:
        raise InputError(f"no method {name!r}: sciddm methods list names them all")
    if as_json:
        print(json.dumps(entries[name], indent=2))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in entries[name].items():
        table.add_row(key, str(value))
    output().print(table)
