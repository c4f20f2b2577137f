"""Tiles on other machines: a dask scheduler hands them to its workers.

This process reads the scene and writes the result; workers need sciddm and nothing else, no file
of the scene and no model. A few tiles per worker are under way at a time, so memory stays constant,
and results come in the order of the tiles, so that what is made of them does not depend on how many
workers there are. A worker computes on its own device (``SCIDDM_DEVICE``), or on the CPU where that
is the device here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, cast

from sciddm.device import current, resolve, use
from sciddm.errors import InputError
from sciddm.pipelines.engine.workers.cluster import connect

__all__ = ["Apply", "here", "on_cluster"]

Item = TypeVar("Item")
Result = TypeVar("Result")
#: What dask raises where a worker went away; and how often a tile is given out again.
_LOST = ("FutureCancelledError", "CancelledError", "KilledWorker", "CommClosedError")
_TRIES = 3
_AT_ONCE = 2  # tiles per thread of a worker: one computed, one on its way


class Apply(Protocol):
    """Does the same to all items, in their order."""

    def __call__(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]: ...


def here(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """One item after the other in this process."""
    return map(work, items)


@contextmanager
def on_cluster(address: str) -> Iterator[Apply]:
    """On the workers of a dask scheduler.

    Args:
        address: of the scheduler, such as tcp://host:8786.

    Raises:
        InputError: dask.distributed is missing, nobody answers there, or there are no workers.
    """
    client = connect(address)
    try:
        threads = sum(cast("dict[str, int]", client.nthreads()).values())
        if not threads:
            raise InputError(f"--scheduler {address}: it has no workers: start some")
        yield lambda work, items: _spread(client, work, items, _AT_ONCE * threads)
    finally:
        client.close()


def _spread(
    client: Any, work: Callable[[Item], Result], items: Iterable[Item], at_once: int
) -> Iterator[Result]:
    on_cpu = current().type == "cpu"
    shared = client.scatter(work, broadcast=True, hash=False)

    def submitted(item: Item) -> Any:
        # Data by itself, not within the task: a scheduler keeps tasks, but not data.
        held = client.scatter(item, hash=False)
        return client.submit(_call, shared, held, on_cpu, pure=False)

    def result(item: Item, future: Any) -> Result:
        """The future's, or that of another one where a worker was lost with the data it held."""
        nonlocal shared
        for _ in range(_TRIES):
            try:
                answer: Result = future.result()
                return answer
            except Exception as error:
                if type(error).__name__ not in _LOST:
                    raise
            shared = client.scatter(work, broadcast=True, hash=False)
            future = submitted(item)
        last: Result = future.result()
        return last

    under_way: deque[tuple[Item, Any]] = deque()
    for item in items:
        under_way.append((item, submitted(item)))
        if len(under_way) >= at_once:
            yield result(*under_way.popleft())
    while under_way:
        yield result(*under_way.popleft())


def _call(work: Callable[[Item], Result], item: Item, on_cpu: bool) -> Result:
    with use(resolve("cpu" if on_cpu else "auto")):
        return work(item)
