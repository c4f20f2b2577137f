"""What arrives in a folder that a scanner or a recorder writes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sciddm.pipelines.engine.batch import Job

__all__ = ["arrivals"]

#: Sizes and times of change of the files of an item.
_State = tuple[tuple[str, int, int], ...]


def arrivals(
    look: Callable[[], Sequence[Job]],
    *,
    pause: float = 1.0,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[list[Job]]:
    """The jobs of new items, whenever there are some; it ends when `wait` raises.

    An item has arrived when nothing of it changes from one look to the next. One that changes
    later comes again: a file that was read while its writer paused is so read once more.

    Args:
        look: all jobs at this moment.
        pause: between two looks, s. A writer that pauses for longer looks as if it had ended.
        wait: how a pause is made.
    """
    before: dict[Path, _State] = {}
    taken: dict[Path, _State] = {}
    while True:
        now, fresh = {}, []
        for job in look():
            state = _state(job.source)
            if state is None:
                continue  # removed meanwhile
            now[job.source] = state
            if before.get(job.source) == state and taken.get(job.source) != state:
                taken[job.source] = state
                fresh.append(job)
        before = now
        if fresh:
            yield fresh
        wait(pause)


def _state(item: Path) -> _State | None:
    files = sorted(item.rglob("*")) if item.is_dir() else [item]
    try:
        stats = [(str(file), file.stat()) for file in files]
    except OSError:
        return None
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
