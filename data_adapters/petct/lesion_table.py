"""The table of lesions as CSV: one row each, units in the names of its columns."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["write_lesions"]


def write_lesions(rows: Iterable[Mapping[str, Any]], path: Path, columns: Sequence[str]) -> None:
    """Writes the rows, numbers to six digits, nothing for NaN; without rows it has its header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            values = (row[c] for c in columns)
            writer.writerow([_shown(v) for v in values])


def _shown(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"
