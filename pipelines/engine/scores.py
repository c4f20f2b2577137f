"""Estimates against references, pair by pair: what the `evaluate` verbs of all domains share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sciddm import __version__
from sciddm.errors import InputError, SciddmError
from sciddm.pipelines.engine.batch import one_line
from sciddm.pipelines.engine.console import output, say
from sciddm.pipelines.engine.summary import jsonable

__all__ = ["Columns", "Pair", "Score", "Scores", "pairs", "print_scores", "score_pair"]

#: Metric -> what its column is called, and the format of its values.
Columns = Mapping[str, tuple[str, str]]
#: Name, reference and estimate; None where there is none.
Pair = tuple[str, Any, Any]


@dataclass
class Score:
    """What one pair gave.

    Attributes:
        name: of the pair.
        values: by metric.
        missing: by metric, why it could not be computed.
        error: why the pair could not be compared at all.
        parts: what a measure over all pairs is made from.
    """

    name: str
    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    error: str = ""
    parts: dict[str, float] = field(default_factory=dict)


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


@dataclass
class Scores:
    """What ``evaluate`` gives back.

    Attributes:
        scores: of every pair.
        columns: metrics in their order.
        kind: what one is called.
        overall: measures of all pairs together.
    """

    scores: list[Score]
    columns: Columns
    kind: str
    overall: dict[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every pair could be compared."""
        return not any(score.error for score in self.scores)

    @property
    def metrics(self) -> list[str]:
        """Those that at least one pair has."""
        return [m for m in self.columns if any(m in s.values for s in self.scores)]

    @property
    def mean(self) -> dict[str, float]:
        """Of every metric over the pairs that have it."""
        return {m: _mean([s.values[m] for s in self.scores if m in s.values]) for m in self.metrics}

    @property
    def warnings(self) -> list[str]:
        """Which metrics are missing, and why."""
        sentences = []
        for metric in dict.fromkeys(m for s in self.scores for m in s.missing):
            reasons = dict.fromkeys(s.missing[metric] for s in self.scores if metric in s.missing)
            for reason in reasons:
                names = [s.name for s in self.scores if s.missing.get(metric) == reason]
                count = f"{len(names)} {self.kind}s" if len(names) > 1 else names[0]
                sentences.append(f"{count}: {reason}")
        return list(dict.fromkeys(sentences))

    def to_dict(self) -> dict[str, Any]:
        """The JSON document: mean, what is measured over all, and every pair."""
        results = [
            {"name": s.name, **s.values, "missing": s.missing, "error": s.error or None}
            for s in self.scores
        ]
        content = {
            "sciddm_version": __version__,
            "mean": self.mean,
            **self.overall,
            "results": results,
        }
        checked: dict[str, Any] = jsonable(content)
        return checked

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Header and cells of a table, the mean last."""
        metrics, mean = self.metrics, self.mean
        rows = [[s.name, *(self._cell(m, s.values.get(m)) for m in metrics)] for s in self.scores]
        if len(rows) > 1:
            rows.append(["mean", *(self._cell(m, mean[m]) for m in metrics)])
        return [self.kind, *(self.columns[m][0] for m in metrics)], rows

    def _cell(self, metric: str, value: float | None) -> str:
        return "" if value is None else self.columns[metric][1].format(value)

    def __repr__(self) -> str:
        header, rows = self.rows()
        widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
        lines = [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True))
            for row in [header, *rows]
        ]
        return "\n".join(lines + [f"{k} over all: {v:.3f}" for k, v in self.overall.items()])


def score_pair(
    pair: Pair, compare: Callable[[Any, Any, Score], None], *, kind: str, where: str
) -> Score:
    """The score of a pair; one that cannot be compared has its error.

    Args:
        pair: what is compared.
        compare: fills in the score.
        kind: what one is called in messages.
        where: where the estimates are, for messages.
    """
    name, reference, estimate = pair
    score = Score(name)
    try:
        if estimate is None:
            raise InputError(f"{where}: holds no {kind} named {name}")
        compare(reference, estimate, score)
    except SciddmError as error:
        score.error = one_line(error)
    return score


def print_scores(scores: Scores, as_json: bool) -> None:
    """Errors and warnings on stderr, the table or the JSON document on stdout."""
    for score in scores.scores:
        if score.error:
            say("error", score.error)
    for warning in scores.warnings:
        say("warning", warning)
    if as_json:
        print(json.dumps(scores.to_dict(), indent=2))
        return
    from sciddm.pipelines.engine.tables import print_rows

    header, rows = scores.rows()
    print_rows(output(), header, rows, bold=[len(rows) - 1] if len(rows) > 1 else [])
    for name, value in scores.overall.items():
        output().print(f"{name} over all: {value:.3f}")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
