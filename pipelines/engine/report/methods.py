"""A paragraph on the methods of a result, to paste into a paper, with its references.

It is made from what the result says of its own making: the same attributes repeat the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from sciddm.citations import REFERENCES, bibtex
from sciddm.pipelines.engine.verdicts import figure_text, questions
from sciddm.uncertainty.verdict import Verdict

__all__ = ["Statement", "methods_block", "paragraph"]

_HASH = 12  # digits of a hash that name it


class Statement(NamedTuple):
    """One sentence on a method.

    Attributes:
        text: ends in a full stop.
        cites: keys of ``sciddm.citations.REFERENCES``.
    """

    text: str
    cites: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.cites:
            return self.text
        papers = "; ".join(REFERENCES[key].short for key in self.cites)
        return f"{self.text.removesuffix('.')} ({papers})."


def paragraph(
    statements: Sequence[Statement], attrs: Mapping[Any, Any], verdict: Verdict | None
) -> list[Statement]:
    """All sentences: what the domain did, what was run, what the verdicts say.

    Args:
        statements: of the domain.
        attrs: of the result.
        verdict: None for a result that is no estimate.
    """
    all_statements = [*statements, *_run(attrs)]
    if verdict is not None:
        all_statements += _verdicts(verdict)
    return all_statements


def methods_block(found: Sequence[Statement]) -> str:
    """The paragraph with its references as HTML."""
    keys = list(dict.fromkeys(key for statement in found for key in statement.cites))
    text = " ".join(map(str, found))
    lines = "\n".join(REFERENCES[key].line for key in keys)
    papers = f"\n\nReferences\n{lines}" if lines else ""
    return (
        "<section><h2>Methods, to paste</h2>"
        "<p>A click selects the text. Check it against what you did before you publish.</p>"
        f'<pre class="paste" tabindex="0">{escape(text + papers)}</pre>'
        "<details><summary>BibTeX</summary>"
        f'<pre class="paste" tabindex="0">{escape(bibtex(keys))}</pre></details></section>'
    )


def _run(attrs: Mapping[Any, Any]) -> Iterator[Statement]:
    """Software, model, sampler and seed, as far as the result states them."""
    version = attrs.get("sciddm_version")
    verb = " ".join(str(attrs.get("command", "")).split()[1:3])
    software = "sciddm" if not version else f"sciddm {version}"
    with_verb = f" ({verb})" if verb else ""
    yield Statement(f"The computation was done with {software}{with_verb}.")
    model = str(attrs.get("model") or "")
    if model:
        digest = str(attrs.get("weights_sha256") or "")[:_HASH]
        weights = f" (SHA-256 of the weights {digest}...)" if digest else ""
        yield Statement(f"The trained model was {model}{weights}.")
    parts = []
    if attrs.get("quality"):
        parts.append(f"quality level {attrs['quality']}")
    if _number(attrs, "samples"):
        count = int(_number(attrs, "samples"))
        parts.append(f"{count} posterior samples" if count > 1 else "one estimate")
    if _number(attrs, "steps"):
        parts.append(_counted(_number(attrs, "steps"), "step"))
    if attrs.get("sampler"):
        parts.append(f"sampler: {attrs['sampler']}")
    if _number(attrs, "nfe"):
        parts.append(_counted(_number(attrs, "nfe"), "network evaluation"))
    if _number(attrs, "nvjp"):
        parts.append(_counted(_number(attrs, "nvjp"), "vector-Jacobian product"))
    if attrs.get("seed") is not None:
        parts.append(f"seed {attrs['seed']}")
    if parts:
        yield Statement(f"Settings: {', '.join(parts)}.")


def _verdicts(verdict: Verdict) -> Iterator[Statement]:
    """What each of the three checks asks, and its answer."""
    for question in questions(verdict):
        figure = figure_text(question.finding)
        answer = question.finding.answer + (f" ({figure})" if figure else "")
        yield Statement(f'The check "{question.label}" ({question.meaning}) answered {answer}.')


def _counted(count: float, word: str) -> str:
    """A number with its word, in the plural but for one."""
    return f"{count:g} {word}{'' if count == 1 else 's'}"


def _number(attrs: Mapping[Any, Any], key: str) -> float:
    """A number, 0 where there is none."""
    value = attrs.get(key)
    return float(value) if isinstance(value, int | float) else 0.0
