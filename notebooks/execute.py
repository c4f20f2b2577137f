"""Runs the notebooks and keeps what they print and draw: `python -m notebooks.execute [NAME...]`.

``--check`` writes nothing: it fails where a notebook does.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parent
# Threads that spin while they wait make a notebook ten times slower beside other work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def execute(path: Path, write: bool) -> float:
    """Runs one notebook from its own folder; seconds of wall clock.

    Raises:
        CellExecutionError: a cell failed.
    """
    book = nbformat.read(path, as_version=4)
    start = time.monotonic()
    NotebookClient(
        book,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
    ).execute()
    seconds = time.monotonic() - start
    if write:
        for cell in book.cells:
            cell.metadata = {}
            if cell.cell_type == "code":
                cell.outputs = [o for o in cell.outputs if not _passing(o)]
        nbformat.write(book, path)
    return seconds


def _passing(output: Any) -> bool:
    """Progress bars and third parties' notes belong to the run, not to the reader."""
    return output.get("name") == "stderr" or output.get("data", {}).get("text/html") == ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="Notebooks without their suffix; all if none.")
    parser.add_argument("--check", action="store_true", help="Write nothing.")
    options = parser.parse_args()
    paths = sorted(FOLDER.glob("*.ipynb"))
    failures = 0
    for path in paths:
        if options.names and path.stem not in options.names:
            continue
        try:
            print(f"{path.stem}: {execute(path, not options.check):.0f} s", flush=True)
        except CellExecutionError as error:
            failures += 1
            print(f"{path.stem}: {error}", file=sys.stderr)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
