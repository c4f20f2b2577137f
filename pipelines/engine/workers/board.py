"""One line for all workers: how many items are done, and how far those under way are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from sciddm.pipelines.engine.streams import shown

__all__ = ["Board", "board"]

_SHOWN = 3


class Board:
    """Items in all, done, and under way.

    Args:
        total: number of items.
        draw: called with (items done, text of those under way) after every change.
    """

    def __init__(self, total: int, draw: Callable[[int, str], None]) -> None:
        self.total = total
        self._draw = draw
        self._done = 0
        self._under_way: dict[int, str] = {}
        self._lock = threading.Lock()

    def step(self, worker: int, name: str, done: int, total: int) -> None:
        """A worker is so far with an item."""
        percent = f" {100 * done // total} %" if total > 0 else ""
        self._change(worker, f"{name}{percent}")

    def rest(self, worker: int) -> None:
        """A worker has nothing to do."""
        self._change(worker, None)

    def count(self, done: int) -> None:
        """So many items are done."""
        with self._lock:
            self._done = done
            self._draw(done, self._text())

    def _change(self, worker: int, text: str | None) -> None:
        with self._lock:
            self._under_way.pop(worker, None)
            if text is not None:
                self._under_way[worker] = text
            self._draw(self._done, self._text())

    def _text(self) -> str:
        texts = list(self._under_way.values())
        more = f", {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
        return ", ".join(texts[:_SHOWN]) + more


@contextmanager
def board(total: int) -> Iterator[Board]:
    """A line on stderr or in a notebook; silent elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    with Bars(
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.description}", style="dim", markup=False),
        console=console,
        transient=True,
        disable=not (console.is_terminal or console.is_jupyter),
    ) as bars:
        line = bars.add_task("", total=total)
        yield Board(
            total, lambda done, text: bars.update(line, completed=done, description=shown(text))
        )
