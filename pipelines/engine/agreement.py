"""A result against its ground truth: what `evaluate` says, on the terminal, in JSON and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sciddm.errors import InputError, SciddmError
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.scores import Score
from sciddm.pipelines.engine.summary import Fact

__all__ = ["AGREEMENT", "agreement_facts", "agreement_rows", "measured_agreement"]

#: Begin of the keys of what a ground truth gave.
AGREEMENT = "reference_"


def measured_agreement(
    comparison: Comparison[..., Any, Any], reference: Path, estimate: Path, source: Path | None
) -> dict[str, Score]:
    """Scores of the estimate, and of the input where it is of the same kind.

    Args:
        comparison: measures them, with its defaults.
        reference: the ground truth, or a folder with one of the estimate's or the input's name.
        estimate: its main file, with those that lie beside it.
        source: the input.

    Raises:
        SciddmError: the two cannot be compared.
    """
    request = comparison.request.of({})
    truth = comparison.counterpart(reference, estimate, *([] if source is None else [source]))
    [score] = comparison.scores(truth, estimate, request).scores
    if score.error:
        raise InputError(score.error)
    scores = {"estimate": score}
    if comparison.judges_input and source is not None:
        # What an input cannot be compared in is left out.
        with suppress(SciddmError):
            [before] = comparison.scores(truth, source, request).scores
            if not before.error:
                scores["input"] = before
    return scores


def agreement_facts(
    comparison: Comparison[..., Any, Any], scores: Mapping[str, Score]
) -> dict[str, Fact]:
    """What is told of the estimate, by the keys of the JSON."""
    values = scores["estimate"].values if "estimate" in scores else {}
    return {
        f"{AGREEMENT}{key}": Fact(f"{AGREEMENT}{key}", label, values[key], form.format(values[key]))
        for key, (label, form) in comparison.columns.items()
        if key in values
    }


def agreement_rows(
    comparison: Comparison[..., Any, Any], scores: Mapping[str, Score]
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Header and rows of a table: a metric with its unit, the estimate's and the input's value."""
    rows = [
        [label, *(form.format(s.values[key]) if key in s.values else "" for s in scores.values())]
        for key, (label, form) in comparison.columns.items()
        if any(key in s.values for s in scores.values())
    ]
    return ["metric", *scores], rows
