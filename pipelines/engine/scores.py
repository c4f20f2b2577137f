"""Estimates against references, pair by pair: what the `evaluate` verbs of all domains share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sciddm import __version__
from sciddm.errors import InputError, SciddmError
from sciddm.pipelines.engine.batch import one_line
from sciddm.pipelines.engine.console import output, say
from sciddm.pipelines.engine.summary import jsonable

__all__ = ["Score", "evaluate_pairs", "pairs"]

#: Metric -> what its column is called, and the format of its values.
Columns = Mapping[str, tuple[str, str]]


@dataclass
class Score:
    """What one pair gave.

    Attributes:
        name: of the pair.
        values: by metric.
        missing: by metric, why it could not be computed.
        error: why the pair could not be compared at all.
    """

    name: str
    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    error: str = ""


def pairs(
    reference: Path,
    estimate: Path,
    found_in: Callable[[Path], tuple[Mapping[str, Path], bool]],
    kind: str,
) -> list[tuple[str, Path, Path | None]]:
    """Name, reference and estimate of every pair of the same name; None where there is no estimate.

    Args:
        reference: a folder of them, or one.
        estimate: likewise.
        found_in: what a path holds by its name without suffix, and whether it is a folder of them.
        kind: what one is called in messages.

    Raises:
        InputError: no reference, or one estimate for a folder of references.
    """
    (ours, many), (theirs, folder) = found_in(reference), found_in(estimate)
    if not ours:
        raise InputError(f"{reference}: the folder holds no {kind}")
    if many and not folder:
        raise InputError(f"{estimate}: is not a folder, as {reference} is: give a folder")
    if not folder:
        return [(name, path, estimate) for name, path in ours.items()]
    return [(name, path, theirs.get(name)) for name, path in ours.items()]


def evaluate_pairs(
    found: Sequence[tuple[str, Path, Path | None]],
    compare: Callable[[Path, Path, Score], None],
    columns: Columns,
    *,
    kind: str,
    where: Path,
    as_json: bool,
    overall: Callable[[], Mapping[str, float]] = dict,
) -> bool:
    """Prints the scores of all pairs, and their mean.

    Args:
        found: from `pairs`.
        compare: fills in the score of a pair; its errors are told, and the others go on.
        columns: metrics in their order.
        kind: what one is called in messages.
        where: where the estimates are, for messages.
        as_json: a JSON document instead of a table.
        overall: measures of all pairs together that are no means, called when all are compared.

    Returns:
        Whether every pair could be compared.
    """
    scores = []
    for name, reference, estimate in found:
        score = Score(name)
        try:
            if estimate is None:
                raise InputError(f"{where}: holds no {kind} named {name}")
            compare(reference, estimate, score)
        except SciddmError as error:
            score.error = one_line(error)
            say("error", score.error)
        scores.append(score)
    for metric in dict.fromkeys(m for s in scores for m in s.missing):
        reasons = dict.fromkeys(s.missing[metric] for s in scores if metric in s.missing)
        for reason in reasons:
            names = [s.name for s in scores if s.missing.get(metric) == reason]
            count = f"{len(names)} {kind}s" if len(names) > 1 else names[0]
            say("warning", f"{count}: {reason}")
    _tell(scores, columns, kind, as_json, overall())
    return not any(s.error for s in scores)


def _tell(
    scores: Sequence[Score],
    columns: Columns,
    kind: str,
    as_json: bool,
    overall: Mapping[str, float],
) -> None:
    metrics = [m for m in columns if any(m in s.values for s in scores)]
    mean = {m: _mean([s.values[m] for s in scores if m in s.values]) for m in metrics}
    if as_json:
        results = [
            {"name": s.name, **s.values, "missing": s.missing, "error": s.error or None}
            for s in scores
        ]
        content = {"sciddm_version": __version__, "mean": mean, **overall, "results": results}
        print(json.dumps(jsonable(content), indent=2))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(kind, overflow="fold")
    for metric in metrics:
        table.add_column(columns[metric][0], justify="right")
    for s in scores:
        cells = [columns[m][1].format(s.values[m]) if m in s.values else "" for m in metrics]
        table.add_row(s.name, *cells)
    if len(scores) > 1:
        table.add_row("mean", *(columns[m][1].format(mean[m]) for m in metrics), style="bold")
    output().print(table)
    for name, value in overall.items():
        output().print(f"{name} over all: {value:.3f}")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
