"""A result on one page: images with scale and colour bars, numbers, a verdict in plain words.

The page is one HTML file with everything inside (style, images as PNG), so it can be mailed or
archived beside the data; it loads nothing from anywhere and runs no script.
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
from sciddm.pipelines.engine.report.panels import Axis, Panel, draw, grey_window

__all__ = [
    "Axis",
    "Chart",
    "Curve",
    "Film",
    "Panel",
    "Player",
    "Report",
    "Section",
    "Table",
    "Verdict",
    "grey_window",
    "render",
    "write",
]


@dataclass(frozen=True)
class Player:
    """Sound to listen to: an encoded file that browsers play."""

    title: str
    sound: bytes
    mime: str
    note: str = ""


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


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names what the others say."""

    title: str
    rows: Sequence[Sequence[str]]
    header: Sequence[str] = ()
    folded: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether to trust the result: good, doubtful (read the remarks), contradiction."""

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


def render(report: Report) -> str:
    """The page as text."""
    verdict = report.verdict
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in verdict.remarks)
    mark = {"good": "&#10003;", "doubtful": "!", "contradiction": "&#10007;"}[verdict.level]
    parts = [
        f"<header><h1>{escape(report.title)}</h1><p>{escape(report.subtitle)}</p></header>",
        f'<section class="verdict {verdict.level}" role="status"><span class="mark" '
        f'aria-hidden="true">{mark}</span><div><strong>{escape(verdict.headline)}</strong>',
        f"<ul>{remarks}</ul>" if remarks else "",
        "</div></section>",
        *(_section(section) for section in report.sections),
        '<div class="tables">',
        *(_table(table) for table in report.tables),
        "</div>",
        "<section><h2>To repeat this run</h2>"
        f"<pre><code>{escape(report.command)}</code></pre></section>",
        f"<footer>Made by sciddm {escape(__version__)}. {escape(report.caution)}</footer>",
    ]
    return _PAGE.format(title=escape(report.title), style=_STYLE, body="\n".join(parts))


def _section(section: Section) -> str:
    figures = []
    for panel in section.panels:
        drawn = draw_chart(panel) if isinstance(panel, Chart) else draw(panel)
        figures.append(_figure(panel.title, drawn, "image/png", panel.note))
    figures += [_figure(film.title, film.image, film.mime, film.note) for film in section.films]
    sounds = "".join(_player(player) for player in section.players)
    sounds = f'<div class="panels">{sounds}</div>' if sounds else ""
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    wide = " four" if len(figures) in (4, 7, 8) else ""
    return (
        f"<section><h2>{escape(section.title)}</h2>{text}{sounds}"
        f'<div class="panels{wide}">{"".join(figures)}</div></section>'
    )


def _figure(title: str, image: bytes, mime: str, note: str) -> str:
    data = base64.b64encode(image).decode("ascii")
    under = f"<span>{escape(note)}</span>" if note else ""
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><img alt="'
        f'{escape(title)}" src="data:{mime};base64,{data}">{under}</figure>'
    )


def _player(player: Player) -> str:
    data = base64.b64encode(player.sound).decode("ascii")
    note = f"<span>{escape(player.note)}</span>" if player.note else ""
    return (
        f"<figure><figcaption>{escape(player.title)}</figcaption>"
        f'<audio controls preload="metadata" aria-label="{escape(player.title)}" '
        f'src="data:{player.mime};base64,{data}"></audio>{note}</figure>'
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
    inner = f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'
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

_STYLE = """
:root { --ink: #1b2127; --soft: #5b6570; --line: #dfe3e8; --paper: #fbfbfa; --panel: #0d1013; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
header h1 { font-size: 1.55rem; line-height: 1.25; margin: 0; font-weight: 650;
  overflow-wrap: anywhere; }
header p { margin: .3rem 0 0; color: var(--soft); }
h2 { font-size: 1.02rem; margin: 2rem 0 .6rem; font-weight: 650; }
section > p { color: var(--soft); margin: -.2rem 0 .8rem; max-width: 75ch; font-size: .92rem; }
.verdict { display: flex; gap: .85rem; align-items: flex-start; margin: 1.4rem 0 0;
  padding: .85rem 1.1rem; border-left: 5px solid; border-radius: 4px; background: #fff; }
.verdict .mark { font-weight: 700; font-size: 1.15rem; line-height: 1.35; }
.verdict ul { margin: .35rem 0 0; padding-left: 1.1rem; }
.good { border-color: #2e7d4f; background: #eef6f0; } .good .mark { color: #2e7d4f; }
.doubtful { border-color: #b7791f; background: #fdf6e8; } .doubtful .mark { color: #b7791f; }
.contradiction { border-color: #b3372f; background: #fbeeed; }
.contradiction .mark { color: #b3372f; }
.panels { display: grid; gap: .8rem; grid-template-columns: repeat(3, minmax(0, 1fr));
  align-items: stretch; }
.panels.four { grid-template-columns: repeat(4, minmax(0, 1fr)); }
figure { margin: 0; background: var(--panel); color: #c9d1d9; border-radius: 6px;
  overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
audio { display: block; width: calc(100% - 1.6rem); margin: .2rem .8rem .7rem; }
.panels + .panels { margin-top: .8rem; }
figcaption { padding: .55rem .8rem; font-size: .88rem; font-weight: 600; color: #eef2f5; }
figure span { display: block; padding: .35rem .8rem .65rem; font-size: .8rem; color: #98a3ad; }
.tables { display: grid; gap: 0 2rem; grid-template-columns: repeat(2, minmax(0, 1fr));
  align-items: start; }
.tables details { grid-column: 1 / -1; margin-top: 1.6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .34rem .9rem .34rem 0;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
tbody th { font-weight: 400; color: var(--soft); white-space: nowrap; }
td { overflow-wrap: anywhere; }
thead th { font-weight: 600; }
summary { cursor: pointer; font-weight: 650; }
pre { background: var(--panel); color: #dfe6ec; padding: .85rem 1rem; border-radius: 6px;
  overflow-x: auto; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
footer { margin-top: 2.5rem; padding-top: .8rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .82rem; }
@media (max-width: 900px) {
  .panels, .panels.four { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media (max-width: 620px) {
  main { padding: 1.2rem .9rem 2rem; }
  header h1 { font-size: 1.25rem; }
  .panels, .panels.four, .tables { grid-template-columns: minmax(0, 1fr); }
}
@media print { body { background: #fff; } figure, pre { print-color-adjust: exact; } }
"""
