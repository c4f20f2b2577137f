"""The table of results on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from sciddm.errors import OptionError
from sciddm.pipelines.engine.results.row import JUDGED, Row
from sciddm.pipelines.engine.tables import print_rows

__all__ = ["chosen", "show_rows"]

_WORDS = ("input", "output", "status", "warnings", "error", "command", "page")


def chosen(wanted: str | None, rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """Columns to show.

    Args:
        wanted: names with commas between them, "all", or None for what a batch prints.
        rows: the table.
        columns: that there are.

    Raises:
        OptionError: one is not there.
    """
    if wanted == "all":
        return list(columns)
    if wanted is not None:
        names = [name.strip() for name in wanted.split(",") if name.strip()]
        for name in names:
            if name not in columns:
                known = ", ".join(columns)
                raise OptionError("columns", f"there is no such column, only {known}", name)
        return names
    figures = {name: None for row in rows for name in row.get("figures") or ()}
    failed = ["error"] if any(row.get("error") for row in rows) else []
    names = ["output", "status", *figures, *JUDGED, "warnings", "seconds", *failed]
    return [name for name in names if name in columns]


def show_rows(rows: Sequence[Row], columns: Sequence[str], console: Console) -> None:
    """Prints rows."""
    lines = [[_cell(row.get(name), name) for name in columns] for row in rows]
    left = [k for k, name in enumerate(columns) if name in _WORDS]
    if lines and columns:
        print_rows(console, list(columns), lines, left=left)


def _cell(value: Any, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}" if name == "seconds" else f"{value:.4g}"
    if isinstance(value, list):
        return " | ".join(map(str, value))
    return str(value)
