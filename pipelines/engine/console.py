"""Talking to the terminal: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from rich.console import Console

from sciddm.errors import OptionError, SciddmError
from sciddm.pipelines.engine.streams import PlainConsole, shown

__all__ = ["hear", "output", "say", "spoken"]

_PIPED_WIDTH = 160
_listeners: list[Callable[[str, str], None]] = []


def output(*, aside: bool = False) -> Console:
    """The console for results. File names are never read as markup.

    Args:
        aside: on standard error, since standard output gets something else.
    """
    stream = sys.stderr if aside else sys.stdout
    # Into a pipe or a file nobody wants a table folded at 80 columns; COLUMNS decides if set.
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return PlainConsole(markup=False, highlight=False, emoji=False, width=width, stderr=aside)


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
