"""Rows of a long run, kept as they are made: a run that is interrupted goes on where it ended."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Journal"]


class Journal:
    """A CSV file that rows are added to.

    Args:
        path: the file; None keeps nothing.
        columns: names of the values of a row.

    Raises:
        ValueError: the file holds other columns.
    """

    def __init__(self, path: Path | None, columns: Sequence[str]) -> None:
        self.path, self.columns = path, list(columns)
        self.rows: list[dict[str, str]] = []
        if path is not None and path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                if reader.fieldnames != self.columns:
                    raise ValueError(f"{path}: holds the columns {reader.fieldnames}")
                # A row that a kill cut off lacks its last value.
                self.rows = [row for row in reader if row[self.columns[-1]] is not None]

    def add(self, *values: object) -> None:
        """Adds a row; it is in the file at once."""
        row = dict(zip(self.columns, map(str, values), strict=True))
        self.rows.append(row)
        if self.path is None:
            return
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
