"""A result on one page: the three verdicts, warnings, images with their scales, numbers.

The page is one HTML file with everything inside (style, images as PNG), so it can be mailed or
archived beside the data. It loads nothing from anywhere. Its scripts serve the viewers and the
switch between recordings; without scripts the page shows all but these.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from sciddm import __version__
from sciddm.errors import OutputError
from sciddm.pipelines.engine.report.charts import Chart, Curve, draw_chart
from sciddm.pipelines.engine.report.methods import Statement, methods_block, paragraph
from sciddm.pipelines.engine.report.panels import (
    Axis,
    Panel,
    draw,
    frame_of,
    grey_window,
    oriented,
)
from sciddm.pipelines.engine.report.sounds import LISTEN, Player, sounds_block
from sciddm.pipelines.engine.report.spectra import SPECTRA, FlagMarks, Spectra, spectra_block
from sciddm.pipelines.engine.report.style import STYLE
from sciddm.pipelines.engine.report.verdicts import verdict_block, warning_block
from sciddm.pipelines.engine.report.viewer import (
    SCRIPT,
    Layer,
    Overlay,
    Scale,
    Space,
    Viewer,
    viewer_block,
)
from sciddm.uncertainty import verdict as three

__all__ = [
    "Axis",
    "Chart",
    "Curve",
    "FlagMarks",
    "Layer",
    "Overlay",
    "Panel",
    "Player",
    "Report",
    "Scale",
    "Section",
    "Space",
    "Spectra",
    "Statement",
    "Table",
    "Verdict",
    "Viewer",
    "grey_window",
    "html_page",
    "oriented",
    "render",
    "write",
]


#: Columns of a table that takes half the width of a page.
_NARROW = 4
ZOOM = (Path(__file__).parent / "zoom.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Section:
    """Images, curves and sounds that belong together."""

    title: str
    panels: Sequence[Panel | Chart]
    text: str = ""
    players: Sequence[Player] = ()
    viewers: Sequence[Viewer] = ()
    spectra: Sequence[Spectra] = ()


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names what the others say.

    Attributes:
        title: a heading of some words.
        rows: cells.
        header: of the columns.
        folded: closed until it is asked for.
        note: sentences above the rows.
    """

    title: str
    rows: Sequence[Sequence[str]]
    header: Sequence[str] = ()
    folded: bool = False
    note: str = ""


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
    methods: Sequence[Statement] = ()
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
    report: Report,
    findings: three.Verdict | None = None,
    warnings: Sequence[str] = (),
    attrs: Mapping[Any, Any] | None = None,
) -> str:
    """The page as text.

    Args:
        report: what the domain shows.
        findings: the three verdicts; None for a result that is no estimate.
        warnings: of the result; all are shown, whatever the domain shows.
        attrs: of the result, for the paragraph on its methods; None for none.
    """
    said = set(report.verdict.remarks)
    block = ""
    if findings is not None:
        block = verdict_block(findings)
        said |= set(findings.warnings)
    methods = ""
    if attrs is not None:
        methods = methods_block(paragraph(report.methods, attrs, findings))
    parts = [
        f"<header><h1>{escape(report.title)}</h1><p>{escape(report.subtitle)}</p></header>",
        block,
        warning_block([warning for warning in warnings if warning not in said]),
        _remarks(report.verdict, () if findings is None else findings.warnings),
        *(_section(section) for section in report.sections),
        '<div class="tables">',
        *(_table(table) for table in report.tables),
        "</div>",
        methods,
        "<section><h2>To repeat this run</h2>"
        f"<pre><code>{escape(report.command)}</code></pre></section>",
        f"<footer>Made by sciddm {escape(__version__)}. {escape(report.caution)}</footer>",
    ]
    sections = report.sections
    scripts = {
        ZOOM: any(section.viewers or _is_zoomed(section) for section in sections),
        SCRIPT: any(section.viewers for section in sections),
        SPECTRA: any(section.spectra for section in sections),
        LISTEN: any(len(section.players) > 1 for section in sections),
    }
    parts += [f"<script>{script}</script>" for script, used in scripts.items() if used]
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
    figures = [
        _figure(panel, draw_chart(panel) if isinstance(panel, Chart) else draw(panel))
        for panel in section.panels
    ]
    sounds = sounds_block(section.players)
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    viewers = "".join(viewer_block(viewer) for viewer in section.viewers)
    viewers += "".join(spectra_block(spectra) for spectra in section.spectra)
    if viewers and not figures and not sounds:
        return viewers
    wide = " four" if len(figures) in (4, 7, 8) else ""
    zoomed, bar = "", ""
    if _is_zoomed(section):
        zoomed = f' data-zoom="{escape(section.title)}"'
        bar = "<div data-zoom-bar></div>"
    return (
        f"<section{zoomed}><h2>{escape(section.title)}</h2>{text}{sounds}{bar}"
        f'<div class="panels{wide}">{"".join(figures)}</div></section>{viewers}'
    )


def _is_zoomed(section: Section) -> bool:
    return any(isinstance(p, Panel) and frame_of(p) is not None for p in section.panels)


def _figure(panel: Panel | Chart, image: bytes) -> str:
    data = base64.b64encode(image).decode("ascii")
    title = escape(panel.title)
    under = f"<span>{escape(panel.note)}</span>" if panel.note else ""
    frame = frame_of(panel) if isinstance(panel, Panel) else None
    place = ""
    if frame is not None and isinstance(panel, Panel):
        letters = None if panel.letters is None else panel.letters._asdict()
        about = json.dumps({"frame": [round(f, 5) for f in frame], "letters": letters})
        place = f' data-frame="{escape(about)}"'
    return (
        f"<figure{place}><figcaption>{title}</figcaption>"
        f'<img alt="{title}" src="data:image/png;base64,{data}">{under}</figure>'
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
    inner = (f"<p>{escape(table.note)}</p>" if table.note else "") + inner
    if table.folded:
        return f"<details><summary>{escape(table.title)}</summary>{inner}</details>"
    wide = ' class="wide"' if len(table.header) > _NARROW else ""
    return f"<section{wide}><h2>{escape(table.title)}</h2>{inner}</section>"


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
