"""A bar for long work: in a terminal on stderr, in a notebook below its cell; silent elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from sciddm.pipelines.engine.streams import shown

if TYPE_CHECKING:
    from sciddm.progress import Progress

__all__ = ["progress_bar"]

#: Seconds between two pictures of a bar in a notebook, whose every picture is a message.
_PAUSE = 0.2


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A progress bar that is gone when the work is done.

    Args:
        title: what is done, one or two words.

    Yields:
        What the work calls with (done, total, what is done now).
    """
    with _in_notebook(title) if _is_notebook() else _in_terminal(title) as advance:
        yield advance


def _is_notebook() -> bool:
    """Whether output goes to a notebook: a kernel of IPython's that is no terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


@contextmanager
def _in_terminal(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    with Bars(
        TextColumn("{task.fields[title]}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", style="dim", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:
        task = bars.add_task("", total=None, title=shown(title))

        def advance(done: int, total: int, what: str) -> None:
            bars.update(task, completed=done, total=total, description=what)

        yield advance


@contextmanager
def _in_notebook(title: str) -> Iterator[Progress]:
    """HTML's own bar: it needs no widget, and an export of the notebook keeps nothing of it."""
    from IPython.display import HTML, display

    handle: Any = display(HTML(""), display_id=True)
    start = last = time.monotonic()

    def advance(done: int, total: int, what: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _PAUSE and done < total:
            return
        last = now
        handle.update(
            HTML(
                f'<progress value="{done}" max="{max(total, 1)}"></progress> '
                f"{escape(shown(title))} {done}/{total}, {now - start:.0f} s: {escape(shown(what))}"
            )
        )

    try:
        yield advance
    finally:
        handle.update(HTML(""))
