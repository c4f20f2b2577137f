"""What each process of a batch has made, written down so that no kill loses or doubles a row.

``OUT/.results/`` holds one file of JSON lines for each process. A row is written and flushed before
its outputs are committed, with the mark "begun"; a second line says that they are. Where a process
dies between commit and second line, the outputs themselves decide: the JSON file beside them has
the row's date, seconds and hash, or another run's.

Whoever merges keeps all others out by a lock and replaces their files by ``merged.jsonl``. Where
the file system has no locks, nothing is removed.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sciddm.pipelines.engine.results.row import Row
from sciddm.storage import write_durably

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["LEDGER", "append", "begin", "finish", "read"]

#: Name of the folder beside the outputs.
LEDGER = ".results"
_LOCK, _MERGED = "lock", "merged.jsonl"
_STAMP = ("date", "input_sha256")


def begin(folder: Path, row: Row) -> str:
    """Writes down a row whose outputs are about to be committed.

    Args:
        folder: of the batch.
        row: what is known of the item.

    Returns:
        What ``finish`` is called with.

    Raises:
        OSError: the disk refuses.
    """
    token = secrets.token_hex(8)
    append(folder, {**row, "status": "begun", "id": token, "time": time.time()})
    return token


def finish(folder: Path, token: str, changes: Row) -> None:
    """Writes down that the outputs of a row are there.

    Args:
        folder: of the batch.
        token: of ``begin``.
        changes: columns that were not known before.
    """
    line = {**changes, "status": "done", "id": token, "time": time.time()}
    # Not flushed: the outputs themselves say that they are there, and the next line flushes it.
    append(folder, line, flushed=False)


def append(folder: Path, line: Row, *, flushed: bool = True) -> None:
    """Adds a line: whole, and on the disk unless that can wait."""
    place = folder / LEDGER
    place.mkdir(exist_ok=True)
    with _lock(place, shared=True), _own(place).open("ab") as file:
        file.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
        file.flush()
        if flushed:
            os.fsync(file.fileno())


def read(folder: Path, *, merge: bool = True) -> list[Row]:
    """The last row of each output, in the order of their inputs' names.

    Args:
        folder: of the batch.
        merge: replace the files of all processes by one, where that is possible.
    """
    place = folder / LEDGER
    if not place.is_dir():
        return []
    if not merge or not os.access(place, os.W_OK):
        return _rows(folder, sorted(place.glob("*.jsonl")))[0]
    with _lock(place, shared=False) as locked:
        files = sorted(place.glob("*.jsonl"))
        rows, begun = _rows(folder, files)
        others = [path for path in files if path.name != _MERGED]
        if locked and others:
            text = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in [*rows, *begun])
            write_durably(place / _MERGED, text.encode())
            for path in others:
                path.unlink()
        return rows


def _rows(folder: Path, files: list[Path]) -> tuple[list[Row], list[Row]]:
    """Rows whose outputs are there, and those that another process may be about to finish."""
    begun: dict[str, Row] = {}
    last: dict[tuple[str, str], Row] = {}

    def keep(row: Row) -> None:
        key = (str(row.get("verb", "")), str(row.get("output", "")))
        if key not in last or last[key].get("time", 0) <= row.get("time", 0):
            last[key] = row

    lines = [line for path in files for line in _lines(path)]
    for line in lines:
        if line.get("status") == "begun":
            begun[str(line.get("id"))] = line
    for line in lines:
        if line.get("status") == "begun":
            continue
        first = begun.pop(str(line["id"]), None) if "id" in line else None
        keep({**(first or {}), **line})
    unfinished = []
    for row in begun.values():
        if _is_there(folder, row):
            keep({**row, "status": "done"})
        else:
            unfinished.append(row)
    rows = [row for row in last.values() if row.get("output")]
    rows.sort(key=lambda row: (str(row.get("input")), str(row.get("output"))))
    return rows, unfinished


def _is_there(folder: Path, row: Row) -> bool:
    """Whether the outputs that lie there are those of this row."""
    about = row.get("about")
    if about is None:  # a verb that writes no JSON file
        output = folder / str(row["output"])
        return output.exists() and output.stat().st_mtime >= float(row["time"]) - 1
    try:
        content: Mapping[str, Any] = json.loads((folder / about).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return all(content.get(key) == row.get(key) for key in _STAMP)


def _lines(path: Path) -> Iterator[Row]:
    for line in path.read_bytes().splitlines():
        try:
            content = json.loads(line)
        except ValueError:  # the process was killed while it wrote
            continue
        if isinstance(content, dict):
            yield content


def _own(place: Path) -> Path:
    """The file of this process; another after a fork."""
    return place / f"{platform.node()}-{os.getpid()}-{_RUN}.jsonl"


_RUN = secrets.token_hex(4)


@contextmanager
def _lock(place: Path, *, shared: bool) -> Iterator[bool]:
    """Holds the ledger for writers together, or for one who merges; False where nobody can."""
    handle = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        locked = fcntl is not None
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            except OSError:
                locked = False
        yield locked
    finally:
        os.close(handle)
