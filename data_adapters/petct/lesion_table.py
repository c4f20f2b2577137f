"""The table of lesions as CSV: one row each, units in the names of its columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["write_lesions"]


def write_lesions(rows: Iterable[Mapping[str, Any]], path: Path, columns: Sequence[str]) -> None:
    """Writes the rows, numbers to six digits; a table without rows has its header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            values = (row[c] for c in columns)
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])
