"""The table of results as files: results.csv, results.parquet with pyarrow, index.html."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sciddm.errors import InputError
from sciddm.pipelines.engine.batch import one_line
from sciddm.pipelines.engine.results.ledger import LEDGER, read
from sciddm.pipelines.engine.results.row import JUDGED, Row, columns_of
from sciddm.storage import csv_text, original_text, write_durably

__all__ = ["CSV", "PAGE", "PARQUET", "read_results", "write_results"]

CSV, PARQUET, PAGE = "results.csv", "results.parquet", "index.html"


def write_results(folder: Path) -> list[Row]:
    """Writes the tables of a batch anew, and its page where items have pages.

    Args:
        folder: of the batch.

    Returns:
        The rows.
    """
    rows = read(folder)
    if not rows:
        return []
    write_durably(folder / CSV, _csv(rows).encode("utf-8"))
    if importlib.util.find_spec("pyarrow") is not None:
        write_durably(folder / PARQUET, _parquet(rows))
    if any(row.get("page") for row in rows):
        from sciddm.pipelines.engine.report.batch import batch_page

        text = batch_page(rows, folder.resolve().name, JUDGED)
        write_durably(folder / PAGE, text.encode("utf-8"))
    return rows


def read_results(path: Path) -> list[Row]:
    """The rows of a folder of outputs, or of a table that was copied from one.

    Raises:
        InputError: there are none, or the table cannot be read.
    """
    if path.is_dir() and (path / LEDGER).is_dir():
        return write_results(path)
    if path.is_dir():
        tables = [path / name for name in (PARQUET, CSV) if (path / name).is_file()]
        if not tables:
            raise InputError(f"{path}: holds no results of a batch: give its output folder")
        path = tables[-1]
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder: give the output folder of a batch")
    if path.suffix == ".parquet":
        return _from_parquet(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            if "output" not in (lines.fieldnames or ()):
                raise InputError(f"{path}: no table of results: give the output folder of a batch")
            return [{name: _value(text) for name, text in line.items()} for line in lines]
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _csv(rows: Sequence[Row]) -> str:
    columns = columns_of(rows)
    return csv_text([columns, *([_cell(row.get(name)) for name in columns] for row in rows)])


def _cell(value: Any) -> str | float:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " | ".join(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return json.dumps(value, ensure_ascii=False)


def _value(text: str | None) -> Any:
    """A cell as a number, a truth value, or a text."""
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return original_text(text)
    return value if isinstance(value, bool | int | float) else text


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    arrays = {name: _column([row.get(name) for row in rows]) for name in columns_of(rows)}
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(arrays), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _column(values: list[Any]) -> Any:
    """One type a column: numbers, truth values, texts, lists of texts; else JSON."""
    import pyarrow

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return pyarrow.array(values, pyarrow.bool_() if kinds else pyarrow.string())
    if kinds <= {int}:
        return pyarrow.array(values, pyarrow.int64())
    if kinds <= {int, float}:
        return pyarrow.array(values, pyarrow.float64())
    lists = [value for value in values if isinstance(value, list)]
    if kinds == {list} and all(isinstance(part, str) for value in lists for part in value):
        return pyarrow.array(values, pyarrow.list_(pyarrow.string()))
    texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    return pyarrow.array(texts, pyarrow.string())


def _from_parquet(path: Path) -> list[Row]:
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(f"{path}: needs pyarrow: pip install 'sciddm[results]'")
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from error
    return rows
