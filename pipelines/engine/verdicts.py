"""The three verdicts in words: what each asks, and what to do about the answer.

The terminal, the JSON document and the page say the same, in every domain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import NamedTuple

from sciddm.uncertainty.verdict import Finding, Verdict

__all__ = ["Question", "answer_text", "figure_text", "plain", "questions"]


class Question(NamedTuple):
    """One of the three questions, answered.

    Attributes:
        key: fits, calibrated or familiar.
        label: the question in two or three words.
        meaning: the question in one sentence.
        finding: the answer.
        advice: what to do, one sentence or two.
    """

    key: str
    label: str
    meaning: str
    finding: Finding
    advice: str


_LABELS = {
    "fits": ("fits the data", "Does the estimate explain its own measurement?"),
    "calibrated": ("calibrated", "Does the standard deviation match the true error?"),
    "familiar": ("familiar input", "Is the input like the data the model was calibrated on?"),
}
_ADVICE = {
    ("fits", "yes"): "",
    ("fits", "no"): "Do not use details of this estimate. Check the noise level and the "
    "description of the measurement.",
    ("fits", "not checked"): "Compare the estimate with the input before you use details.",
    ("calibrated", "yes"): "",
    ("calibrated", "no"): "Do not read the standard deviation as an error bar.",
    ("calibrated", "not checked"): "Where there is a standard deviation, read it as relative: it "
    "shows where the estimate is less certain.",
    ("familiar", "yes"): "",
    ("familiar", "no"): "Compare with a classical method on the same file. Train or fine-tune a "
    "model on such data.",
    ("familiar", "not checked"): "Compare the input with the training data in the model card "
    "(sciddm models info).",
}
#: What the error is beside a standard deviation that is known to be wrong.
_ERROR = {
    "too small": "The error is larger: it is a lower bound.",
    "too large": "The error is smaller: the standard deviation is an upper bound.",
}


def questions(verdict: Verdict) -> Iterator[Question]:
    """The three questions in their order."""
    for key, (label, meaning) in _LABELS.items():
        finding: Finding = getattr(verdict, key)
        advice = [_ADVICE[key, finding.answer], _ERROR.get(finding.deviation, "")]
        yield Question(key, label, meaning, finding, " ".join(filter(None, advice)))


def figure_text(finding: Finding) -> str:
    """The figure beside its limit; empty where there is no figure."""
    if finding.figure is None:
        return ""
    limit = "" if finding.limit is None else f", limit {finding.limit:.3g}"
    return f"{finding.figure:.3g}{limit}"


def answer_text(finding: Finding) -> str:
    """The answer with its figure and limit."""
    figure = figure_text(finding)
    return f"{finding.answer} ({figure})" if figure else finding.answer


def plain(verdict: Verdict) -> dict[str, dict[str, object]]:
    """For JSON: {key: {answer, figure, limit, sentence, deviation, advice}}."""
    return {q.key: {**asdict(q.finding), "advice": q.advice} for q in questions(verdict)}
