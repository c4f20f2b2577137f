"""`sciddm results`: the table of a batch, sorted and filtered."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from sciddm.pipelines.engine.console import output, say

__all__ = ["results"]


def results(
    folder: Annotated[
        Path, typer.Argument(help="Output folder of a batch, its results.csv or results.parquet.")
    ],
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Show rows such as 'fits==no', 'warnings~stripe', 'seconds>10 and not warnings'.",
        ),
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="COLUMN", help="Sort by a column.")
    ] = None,
    descending: Annotated[
        bool, typer.Option("--descending", help="Sort from large to small.")
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="A,B", help="Columns to show; 'all' for every one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the results of a batch: one row an item, with figures, verdicts and warnings.

    The rows of all parts and processes are merged, and results.csv and results.parquet in FOLDER
    are written anew. It may be called while a batch runs.
    """
    from sciddm.pipelines.engine.results.query import condition, ordered
    from sciddm.pipelines.engine.results.row import HIDDEN, columns_of
    from sciddm.pipelines.engine.results.show import chosen, show_rows
    from sciddm.pipelines.engine.results.table import read_results

    rows = read_results(folder)
    if find_spec("pyarrow") is None:
        say("note", "results.parquet is not written: pip install 'sciddm[results]'")
    names = columns_of(rows)
    tests = [condition(text, names) for text in where or ()]
    selected = [row for row in rows if all(test(row) for test in tests)]
    if sort is not None:
        selected = ordered(selected, sort, names, descending)
    if as_json:
        plain = [{k: v for k, v in row.items() if k not in HIDDEN} for row in selected]
        print(json.dumps(plain, indent=2))
        return
    show_rows(selected, chosen(columns, selected, names), output())
    if len(selected) != len(rows) or not rows:
        output().print(f"\n{len(selected)} of {len(rows)} rows.")
