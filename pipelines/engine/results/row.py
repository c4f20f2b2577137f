"""One row of the table of results: an item with all its figures."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sciddm.pipelines.engine.summary import Fact, jsonable, warnings_of
from sciddm.pipelines.engine.verdicts import questions
from sciddm.uncertainty.verdict import Verdict

__all__ = [
    "ABOUT",
    "HIDDEN",
    "JUDGED",
    "LEADING",
    "Row",
    "columns_of",
    "figures_of",
    "row_of",
    "row_of_json",
]

#: Column -> value, in JSON's own types.
Row = dict[str, Any]

LEADING = ("input", "output", "status")
#: Answers of the three verdicts; their figure and limit have the names with _figure and _limit.
JUDGED = tuple(question.key for question in questions(Verdict()))
_VERDICTS = tuple(name for key in JUDGED for name in (key, f"{key}_figure", f"{key}_limit"))
#: What stands behind the figures.
ABOUT = (
    *_VERDICTS,
    "warnings",
    "error",
    "seconds",
    "date",
    "page",
    "input_sha256",
    "model",
    "weights_sha256",
    "device",
    "threads",
    "host",
    "sciddm_version",
    "verb",
    "command",
)
#: What the table needs, but does not show.
HIDDEN = ("figures", "about", "picture", "time", "id")
_ATTRIBUTES = ("date", "input_sha256", "model", "weights_sha256", "device", "sciddm_version")


def row_of(
    verb: str,
    source: Path,
    output: str,
    *,
    attrs: Mapping[Any, Any],
    facts: Mapping[str, Fact],
    verdict: Verdict | None,
    warnings: Sequence[str],
) -> Row:
    """The row of a result.

    Args:
        verb: domain and name.
        source: the input.
        output: the main output, relative to the folder of the batch.
        attrs: of the result.
        facts: its figures.
        verdict: None for what is no estimate.
        warnings: sentences.
    """
    own = figures_of(facts)
    row = {
        "input": str(source),
        "output": output,
        "status": "done",
        **own,
        **({} if verdict is None else _judged(verdict)),
        "warnings": list(warnings),
        **{key: attrs[key] for key in _ATTRIBUTES if key in attrs},
        "seconds": attrs.get("seconds"),
        "threads": _threads(),
        "host": platform.node(),
        "verb": verb,
        "command": attrs.get("command"),
    }
    plain: Row = jsonable(row)
    return plain


def figures_of(facts: Mapping[str, Fact]) -> Row:
    """The columns of facts, and under ``figures`` the names of those that people are told."""
    own = {key: fact.value for key, fact in facts.items() if key not in (*LEADING, *ABOUT)}
    keys = [key for key, fact in facts.items() if fact.text and key in own]
    plain: Row = jsonable({**own, "figures": keys})
    return plain


def row_of_json(verb: str, source: Path, output: str, content: Mapping[str, Any]) -> Row:
    """The row of a result of which only its JSON file is left: without the figures."""
    attrs: dict[Any, Any] = dict(content)
    return row_of(
        verb,
        source,
        output,
        attrs=attrs,
        facts={},
        verdict=Verdict.from_attributes(attrs) if "verdict" in attrs else None,
        warnings=warnings_of(attrs),
    ) | {"threads": None, "host": None}


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Columns of a table in their order: what it is, the figures, the verdicts, how it was made."""
    names = {name: None for row in rows for name in row}
    figures = [n for n in names if n not in (*LEADING, *ABOUT, *HIDDEN)]
    return [n for n in (*LEADING, *figures, *ABOUT) if n in names]


def _judged(verdict: Verdict) -> Row:
    columns: Row = {}
    for question in questions(verdict):
        finding = question.finding
        columns[question.key] = finding.answer
        columns[f"{question.key}_figure"] = finding.figure
        columns[f"{question.key}_limit"] = finding.limit
    return columns


def _threads() -> int | None:
    """Of torch, where it is loaded: results depend on them in their last digits."""
    import sys

    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    stated = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(stated) if stated.isdigit() else None
