"""The block of a page that answers the three questions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sciddm.pipelines.engine.verdicts import Question, figure_text, questions
from sciddm.uncertainty.verdict import Verdict

__all__ = ["verdict_block", "warning_block"]

_CLASSES = {"yes": "yes", "no": "no", "not checked": "unchecked"}


def verdict_block(verdict: Verdict) -> str:
    """Three cards as HTML; an answer that was not checked looks neutral."""
    cards = "".join(_card(question) for question in questions(verdict))
    return f'<section class="verdicts" aria-label="Verdicts">{cards}</section>'


def warning_block(warnings: Sequence[str]) -> str:
    """All warnings as HTML; empty where there is none."""
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<section class="warnings" role="alert"><h2>Warnings</h2><ul>{items}</ul></section>'


def _card(question: Question) -> str:
    finding = question.finding
    figure = figure_text(finding)
    parts = [
        f"<h2>{escape(question.label.capitalize())}</h2>",
        f'<p class="answer">{escape(finding.answer.capitalize())}'
        + (f" <small>{escape(figure)}</small>" if figure else "")
        + "</p>",
        f"<p>{escape(finding.sentence or question.meaning)}</p>",
        f'<p class="advice">{escape(question.advice)}</p>' if question.advice else "",
    ]
    return f'<div class="finding {_CLASSES[finding.answer]}">{"".join(parts)}</div>'
