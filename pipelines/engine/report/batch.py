"""All results of a batch on one page: pictures, figures, verdicts, warnings, links.

One HTML file, as the pages of the items are. Its script sorts and filters; without it the page is a
table with all rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sciddm import __version__
from sciddm.pipelines.engine.report.page import html_page

__all__ = ["batch_page"]

SCRIPT = (Path(__file__).parent / "batch.js").read_text(encoding="utf-8")
_ANSWERS = {"yes": "yes", "no": "no", "not checked": "unchecked"}
#: Pictures of more rows would make a page that a browser opens slowly.
_MOST_PICTURES = 1500
_LONGEST = 60
#: Whole numbers below this have all their digits.
_WHOLE = 1e7

_STYLE = """
.filters { display: flex; flex-wrap: wrap; gap: .8rem 1.2rem; align-items: end; margin: 1.2rem 0;
  font-size: .88rem; }
.filters[hidden] { display: none; }
.filters label span { display: block; color: var(--soft); }
.filters input, .filters select { font: inherit; max-width: 22rem; }
.batch td, .batch th { padding-right: 1rem; vertical-align: middle; }
.batch td.number { text-align: right; white-space: nowrap; }
.batch .sentences ul { min-width: 18rem; font-size: .84rem; }
.batch img { max-width: none; }
main:has(.batch) { max-width: none; }
.batch thead button { all: unset; cursor: pointer; font-weight: 600; }
.batch thead button:disabled { cursor: default; }
.batch thead button:focus-visible { outline: 2px solid var(--soft); }
.batch [aria-sort=ascending] button::after { content: " \\2191"; }
.batch [aria-sort=descending] button::after { content: " \\2193"; }
.batch img { display: block; height: 88px; width: auto; background: var(--panel);
  border-radius: 3px; }
.batch tbody th { color: var(--ink); white-space: normal; overflow-wrap: anywhere;
  min-width: 9rem; }
.batch a { color: inherit; }
.batch ul { margin: 0; padding-left: 1rem; }
.batch .answer { font-weight: 600; white-space: nowrap; }
.batch .yes .answer { color: var(--yes); } .batch .no .answer { color: var(--no); }
.batch .unchecked .answer { color: var(--neutral); font-weight: 400; }
.batch .yes, .batch .no, .batch .unchecked { background: none;
  border-color: var(--line); }
.batch .failed { color: var(--no); }
"""


def batch_page(rows: Sequence[Mapping[str, Any]], name: str, judged: Sequence[str]) -> str:
    """The page as text.

    Args:
        rows: of the table of results.
        name: of the folder.
        judged: columns that hold the answers of verdicts.
    """
    figures = list({key: None for row in rows for key in row.get("figures") or ()})
    judged = [key for key in judged if any(row.get(key) for row in rows)]
    has_pictures = len(rows) <= _MOST_PICTURES and any(row.get("picture") for row in rows)
    status = Counter(str(row.get("status")) for row in rows)
    verbs = ", ".join(sorted({str(row.get("verb", "")) for row in rows}))
    counts = ", ".join(f"{count} {word}" for word, count in sorted(status.items()))
    names = ["result", *judged, "warnings", *figures, "seconds"]
    heads = "".join(
        f'<th scope="col"><button type="button" disabled>{escape(_words(n))}</button></th>'
        for n in names
    )
    picture = '<th scope="col">picture</th>' if has_pictures else ""
    lines = [_row(row, figures, judged, has_pictures) for row in rows]
    body = [
        f"<header><h1>{escape(name)}</h1><p>sciddm {escape(verbs)}: {escape(counts)}</p></header>",
        _filters(rows, judged),
        '<div class="scroll" tabindex="0" role="region" aria-label="Results">'
        f'<table class="batch"><thead><tr>{picture}{heads}</tr></thead>',
        f"<tbody>{''.join(lines)}</tbody></table></div>",
        f"<footer>Made by sciddm {escape(__version__)}. results.csv holds all columns.</footer>",
        f"<style>{_STYLE}</style><script>{SCRIPT}</script>",
    ]
    return html_page(f"{name}: {counts}", "\n".join(body))


def _row(
    row: Mapping[str, Any], figures: Sequence[str], judged: Sequence[str], has_pictures: bool
) -> str:
    warnings = [str(warning) for warning in row.get("warnings") or ()]
    kinds = [_kind(warning) for warning in warnings]
    data = {"status": str(row.get("status", "")), "warning": "|".join(kinds) or "none"}
    data |= {key: str(row.get(key) or "") for key in judged}
    attributes = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    label = escape(str(row.get("output", "")))
    page, error = row.get("page"), row.get("error")
    name = f'<a href="{escape(quote(str(page)))}">{label}</a>' if page else label
    cells = [f'<th scope="row">{name}</th>']
    for key in judged:
        answer = str(row.get(key) or "")
        style = _ANSWERS.get(answer, "")
        cells.append(f'<td class="{style}"><span class="answer">{escape(answer)}</span></td>')
    items = f'<li class="failed">{escape(str(error))}</li>' if error else ""
    items += "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    items = f"<ul>{items}</ul>" if items else ""
    cells.append(f'<td class="sentences" data-value="{len(warnings) or ""}">{items}</td>')
    cells += [_figure(row.get(key)) for key in figures]
    cells.append(_figure(row.get("seconds"), "{:.1f}"))
    if has_pictures:
        image = row.get("picture")
        alt = f"input and estimate of {label}"
        shown = f'<img alt="{alt}" src="data:image/jpeg;base64,{image}">' if image else ""
        cells.insert(0, f"<td>{shown}</td>")
    return f"<tr{attributes}>{''.join(cells)}</tr>"


def _figure(value: Any, form: str = "{:.4g}") -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{escape(_short(value))}</td>"
    whole = float(value).is_integer() and abs(value) < _WHOLE
    text = f"{value:.0f}" if whole else form.format(value)
    return f'<td class="number" data-value="{value}">{escape(text)}</td>'


def _filters(rows: Sequence[Mapping[str, Any]], judged: Sequence[str]) -> str:
    """Fields that the script shows when it is there."""
    kinds = Counter(_kind(str(w)) for row in rows for w in row.get("warnings") or ())
    options = {
        "status": sorted({str(row.get("status")) for row in rows}),
        **{key: sorted({str(row[key]) for row in rows if row.get(key)}) for key in judged},
        "warning": [*(kind for kind, _ in kinds.most_common()), "none"],
    }
    fields = ['<label><span>contains</span><input type="search" name="text"></label>']
    for name, values in options.items():
        entries = "".join(
            f'<option value="{escape(value)}">{escape(_short(value))}</option>' for value in values
        )
        fields.append(
            f'<label><span>{escape(_words(name))}</span><select name="{escape(name)}">'
            f'<option value="">all</option>{entries}</select></label>'
        )
    return f'<form class="filters" hidden>{"".join(fields)}<output></output></form>'


def _kind(warning: str) -> str:
    """A warning without its numbers: what two files have in common."""
    return re.sub(r"\d+(?:\.\d+)?", "#", warning).replace("|", "/")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
