"""What a run tells: a short table for people, one JSON document for programs.

Both are made from the same facts. A domain gives its facts as `Fact`s; the rest (files, seconds,
warnings, errors) is common to all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from sciddm import __version__
from sciddm.pipelines.engine.batch import Job, Outcome
from sciddm.pipelines.engine.tables import fields, print_rows
from sciddm.pipelines.engine.verdicts import answer_text, plain, questions
from sciddm.pipelines.engine.words import word
from sciddm.uncertainty.verdict import Verdict

__all__ = ["Fact", "distinct", "document", "done", "jsonable", "show", "warnings_of"]

#: What was not checked looks neutral: neither good nor bad.
_STYLES = {"yes": "green", "no": "bold red", "not checked": "dim"}


@dataclass(frozen=True)
class Fact:
    """One thing worth telling.

    Attributes:
        key: name in the JSON document, unit included (`psnr_db`).
        label: words for people.
        value: the value itself.
        text: the value for people, with its unit; empty for what only the JSON holds.
    """

    key: str
    label: str
    value: Any
    text: str


def done(
    job: Job, facts: Mapping[str, Fact], outputs: Sequence[Path], attrs: Mapping[Any, Any]
) -> Outcome:
    """The outcome of a job that ended well.

    Args:
        job: what was asked for.
        facts: what there is to tell, by their keys.
        outputs: what could have been written; what was is told.
        attrs: of the result, for its warnings.
    """
    written = [path for path in outputs if path.exists()]
    return Outcome(job, "done", facts=dict(facts), outputs=written, warnings=warnings_of(attrs))


def document(outcomes: Sequence[Outcome], command: str) -> dict[str, Any]:
    """The JSON document of a run.

    Keys: sciddm_version, command, done, skipped, failed (counts) and results, one per input with
    input, status, seconds, outputs, verdict (see ``verdicts.plain``; null for what is no estimate),
    warnings, error and the domain's facts by their keys.
    """
    results = [
        {
            "input": word(o.job.source),
            "status": o.status,
            "seconds": round(o.seconds, 3),
            **{key: fact.value for key, fact in o.facts.items()},
            "outputs": [str(path) for path in o.outputs],
            "verdict": None if o.verdict is None else plain(o.verdict),
            "warnings": o.warnings,
            "error": o.error,
        }
        for o in outcomes
    ]
    counts = {s: sum(o.status == s for o in outcomes) for s in ("done", "skipped", "failed")}
    content = {"sciddm_version": __version__, "command": command, **counts, "results": results}
    checked: dict[str, Any] = jsonable(content)
    return checked


def jsonable(value: Any) -> Any:
    """The value in JSON's own types: arrays as lists, NaN and infinity as null, paths as text."""
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return jsonable(value.tolist())
    if isinstance(value, Sequence):
        return [jsonable(v) for v in value]
    return str(value)


def warnings_of(attrs: Mapping[Any, Any]) -> list[str]:
    """The warnings of a result: a list, or one as JSON, as file formats without lists keep it."""
    stored = attrs.get("warnings") or []
    if isinstance(stored, str):
        try:
            stored = json.loads(stored)
        except json.JSONDecodeError:
            return [stored]
        if isinstance(stored, str):
            return [stored]
    return [str(warning) for warning in stored]


def distinct(sentences: Iterable[str]) -> list[str]:
    """Each sentence once, and none that another one contains, in their order."""
    once = list(dict.fromkeys(sentences))
    return [s for s in once if not any(s != other and s in other for other in once)]


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Prints the table: one file as a list of its facts, several as one row each."""
    if len(outcomes) == 1 and outcomes[0].status != "failed":
        _show_one(outcomes[0], console)
    else:
        _show_many(outcomes, console)


def _show_one(outcome: Outcome, console: Console) -> None:
    table = fields()
    table.add_row("file", word(outcome.job.source))
    for fact in outcome.facts.values():
        if fact.text:
            table.add_row(fact.label, fact.text)
    for question in () if outcome.verdict is None else questions(outcome.verdict):
        answer = question.finding.answer
        table.add_row(question.label, Text(answer_text(question.finding), style=_STYLES[answer]))
        if answer == "no" and question.advice:
            table.add_row("", question.advice)
    table.add_row("seconds", f"{outcome.seconds:.1f}")
    outputs = outcome.outputs
    for k, path in enumerate(outputs):
        table.add_row(("written" if outcome.status == "done" else "kept") * (k == 0), word(path))
    console.print(table)
    if outcome.listing is not None:
        header, rows = outcome.listing
        console.print()
        print_rows(console, header, rows)


def _show_many(outcomes: Sequence[Outcome], console: Console) -> None:
    facts = {key: f.label for o in outcomes for key, f in o.facts.items() if f.text}
    judged = [q.label for q in questions(Verdict())] if any(o.verdict for o in outcomes) else []
    header = ["file", *facts.values(), *judged, "seconds", "result"]
    rows = []
    for o in outcomes:
        cells = [o.facts[key].text if key in o.facts else "" for key in facts]
        if judged:
            cells += (
                [""] * len(judged)
                if o.verdict is None
                else [q.finding.answer for q in questions(o.verdict)]
            )
        result = {
            "done": str(o.job.target),
            "skipped": f"kept {o.job.target}",
            "failed": f"failed: {o.error}",
        }[o.status]
        rows.append([o.job.source.name, *cells, f"{o.seconds:.1f}", result])
    print_rows(console, header, rows, left=(0, len(header) - 1))
