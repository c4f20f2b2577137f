"""Talking to the terminal: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from sciddm.errors import OptionError, SciddmError
from sciddm.pipelines.engine.streams import PlainConsole, shown

if TYPE_CHECKING:
    from sciddm.progress import Progress

__all__ = ["hear", "output", "progress_bar", "say", "spoken"]

_PIPED_WIDTH = 160
_listeners: list[Callable[[str, str], None]] = []


def output() -> Console:
    """The console for results. File names are never read as markup."""
    # Into a pipe or a file nobody wants a table folded at 80 columns; COLUMNS decides if set.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return PlainConsole(markup=False, highlight=False, emoji=False, width=width)


def hear(listener: Callable[[str, str], None]) -> None:
    """Lets a function have all that this process would say, as a worker's caller does."""
    _listeners.append(listener)


def say(kind: str, message: str) -> None:
    """One line on stderr, however long: `error: ...`, `warning: ...` or `note: ...`."""
    if _listeners:
        _listeners[-1](kind, message)
        return
    print(f"{kind}: {shown(' '.join(message.split()))}", file=sys.stderr, flush=True)


def spoken(error: BaseException) -> str:
    """The message of an error for the command line: options by their flags."""
    if isinstance(error, OptionError):
        return error.about(f"--{error.option.replace('_', '-')}")
    return str(error) if isinstance(error, SciddmError) else ""


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A progress bar on stderr or in a notebook; silent elsewhere."""
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
        disable=not (console.is_terminal or console.is_jupyter),
    ) as bars:
        task = bars.add_task("", total=None, title=shown(title))

        def advance(done: int, total: int, what: str) -> None:
            bars.update(task, completed=done, total=total, description=what)

        yield advance
