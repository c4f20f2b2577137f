"""A result on one page: the three verdicts, warnings, images with their scales, numbers.

The page is one HTML file with everything inside (style, images as PNG), so it can be mailed or
archived beside the data. It loads nothing from anywhere. Its scripts serve the viewers and the
switch between recordings; without scripts the page shows all but these.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from sciddm import __version__
from sciddm.errors import OutputError
from sciddm.pipelines.engine.report.charts import Chart, Curve, draw_chart
from sciddm.pipelines.engine.report.panels import Axis, Panel, draw, grey_window, oriented
from sciddm.pipelines.engine.report.sounds import LISTEN, Player, sounds_block
from sciddm.pipelines.engine.report.style import STYLE
from sciddm.pipelines.engine.report.verdicts import verdict_block, warning_block
from sciddm.pipelines.engine.report.viewer import SCRIPT, Layer, Viewer, viewer_block
from sciddm.uncertainty import verdict as three

__all__ = [
    "Axis",
    "Chart",
    "Curve",
    "Film",
    "Layer",
    "Panel",
    "Player",
    "Report",
    "Section",
    "Table",
    "Verdict",
    "Viewer",
    "grey_window",
    "html_page",
    "oriented",
    "render",
    "write",
]


@dataclass(frozen=True)
class Film:
    """Something that moves: an encoded image that browsers animate, such as a GIF."""

    title: str
    image: bytes
    mime: str = "image/gif"
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Images, curves, films and sounds that belong together."""

    title: str
    panels: Sequence[Panel | Chart]
    text: str = ""
    players: Sequence[Player] = ()
    films: Sequence[Film] = ()
    viewers: Sequence[Viewer] = ()


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names what the others say."""

    title: str
    rows: Sequence[Sequence[str]]
    header: Sequence[str] = ()
    folded: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the domain says of a result beside its three verdicts: a headline and remarks.

    The level colours the box: good is neutral, doubtful amber, contradiction red.
    """

    level: Literal["good", "doubtful", "contradiction"]
    headline: str
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """Everything on the page, in its order."""

    title: str
    subtitle: str
    verdict: Verdict
    sections: Sequence[Section]
    tables: Sequence[Table]
    command: str
    caution: str = "Images are estimates from incomplete measurements; not for clinical use."


def write(report: Report, path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes the page under a temporary name and renames it.

    Raises:
        OutputError: the file exists and may not be overwritten, or cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already (--overwrite replaces it)")
    page = render(report)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's own mode hides the page from colleagues
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def render(
    report: Report, findings: three.Verdict | None = None, warnings: Sequence[str] = ()
) -> str:
    """The page as text.

    Args:
        report: what the domain shows.
        findings: the three verdicts; None for a result that is no estimate.
        warnings: of the result; all are shown, whatever the domain shows.
    """
    said = set(report.verdict.remarks)
    block = ""
    if findings is not None:
        block = verdict_block(findings)
        said |= set(findings.warnings)
    parts = [
        f"<header><h1>{escape(report.title)}</h1><p>{escape(report.subtitle)}</p></header>",
        block,
        warning_block([warning for warning in warnings if warning not in said]),
        _remarks(report.verdict, () if findings is None else findings.warnings),
        *(_section(section) for section in report.sections),
        '<div class="tables">',
        *(_table(table) for table in report.tables),
        "</div>",
        "<section><h2>To repeat this run</h2>"
        f"<pre><code>{escape(report.command)}</code></pre></section>",
        f"<footer>Made by sciddm {escape(__version__)}. {escape(report.caution)}</footer>",
    ]
    if any(section.viewers for section in report.sections):
        parts.append(f"<script>{SCRIPT}</script>")
    if any(len(section.players) > 1 for section in report.sections):
        parts.append(f"<script>{LISTEN}</script>")
    return html_page(report.title, "\n".join(parts))


def html_page(title: str, body: str) -> str:
    """A page with the style of all pages.

    Args:
        title: text.
        body: HTML.
    """
    return _PAGE.format(title=escape(title), style=STYLE, body=body)


def _remarks(verdict: Verdict, said: Sequence[str]) -> str:
    """Headline and remarks, without those that the verdicts above have said."""
    items = [remark for remark in verdict.remarks if remark not in said]
    if verdict.remarks and not items and verdict.level == "doubtful":
        return ""  # a headline that announces remarks which stand above
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in items)
    return (
        f'<section class="remarks {verdict.level}" role="status">'
        f"<strong>{escape(verdict.headline)}</strong>"
        f"{f'<ul>{remarks}</ul>' if remarks else ''}</section>"
    )


def _section(section: Section) -> str:
    figures = []
    for panel in section.panels:
        drawn = draw_chart(panel) if isinstance(panel, Chart) else draw(panel)
        figures.append(_figure(panel.title, drawn, "image/png", panel.note))
    figures += [_figure(film.title, film.image, film.mime, film.note) for film in section.films]
    sounds = sounds_block(section.players)
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    viewers = "".join(viewer_block(viewer) for viewer in section.viewers)
    if viewers and not figures and not sounds:
        return viewers
    wide = " four" if len(figures) in (4, 7, 8) else ""
    return (
        f"<section><h2>{escape(section.title)}</h2>{text}{sounds}"
        f'<div class="panels{wide}">{"".join(figures)}</div></section>{viewers}'
    )


def _figure(title: str, image: bytes, mime: str, note: str) -> str:
    data = base64.b64encode(image).decode("ascii")
    under = f"<span>{escape(note)}</span>" if note else ""
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><img alt="'
        f'{escape(title)}" src="data:{mime};base64,{data}">{under}</figure>'
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    body = "".join(
        f"<tr><th scope='row'>{escape(row[0])}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    # What scrolls can be reached by the keyboard.
    inner = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table>{head}<tbody>{body}</tbody></table></div>"
    )
    if table.folded:
        return f"<details><summary>{escape(table.title)}</summary>{inner}</details>"
    return f"<section><h2>{escape(table.title)}</h2>{inner}</section>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="sciddm">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
