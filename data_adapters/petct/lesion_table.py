"""The table of lesions as CSV: one row each, units in the names of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciddm.storage import csv_text

__all__ = ["write_lesions"]


def write_lesions(rows: Iterable[Mapping[str, Any]], path: Path, columns: Sequence[str]) -> None:
    """Writes the rows, numbers to six digits, nothing for NaN; without rows it has its header."""
    lines = [list(columns), *([row[c] for c in columns] for row in rows)]
    path.write_text(csv_text(lines, digits=6, end="\r\n"), newline="", encoding="utf-8")
