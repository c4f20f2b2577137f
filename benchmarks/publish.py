"""A benchmark's table, on the screen and in benchmarks/results/."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown


def publish(name: str, text: str, rows: list[dict[str, Any]]) -> None:
    """Writes benchmarks/results/NAME.md and, case by case, NAME.csv; prints the table."""
    out = Path(__file__).resolve().parent / "results"
    out.mkdir(exist_ok=True)
    (out / f"{name}.md").write_text(text)
    with (out / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    Console(width=max(Console().width, 150)).print(Markdown(text))
