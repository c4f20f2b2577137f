"""What a dask worker does with an item: hands it to a worker process beside it.

The process is the same as on one machine. It has a main thread of its own, so that a signal stops
it, and a crash in it costs one try of its item instead of the dask worker.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import sciddm
from sciddm.errors import InputError
from sciddm.pipelines.engine.batch import Outcome
from sciddm.pipelines.engine.workers.devices import threads_each
from sciddm.pipelines.engine.workers.task import Preparation, Task
from sciddm.pipelines.engine.workers.worker import Setup, Worker, WorkerError

__all__ = ["Answer", "Order", "perform"]

_lock = threading.Lock()
#: Processes that wait for work, with what they have prepared.
_idle: list[tuple[Worker, Preparation]] = []


@dataclass(frozen=True)
class Order:
    """What is sent to a dask worker.

    Attributes:
        task: the item; None to do the preparation only.
        preparation: done by each process before its first item.
        setup: of the process.
        version: of sciddm on the other side.
    """

    task: Task | None
    preparation: Preparation
    setup: Setup
    version: str = sciddm.__version__


@dataclass
class Answer:
    """What comes back.

    Attributes:
        outcome: of the item; None where there was none, or the process ended.
        lost: how the process ended, where it did.
        said: what it would have said.
    """

    outcome: Outcome | None = None
    lost: str = ""
    said: list[tuple[str, str]] = field(default_factory=list)


def perform(order: Order, key: str) -> Answer:
    """Does an order; runs in a thread of a dask worker.

    Args:
        order: what to do.
        key: of the task that dask has made of it; where dask no longer wants it, it is stopped.

    Raises:
        SciddmError: raised by the preparation, or the versions differ.
    """
    if order.version != sciddm.__version__:
        raise InputError(
            f"the worker on {platform.node()} has sciddm {sciddm.__version__}, this is "
            f"{order.version}: install the same"
        )
    answer = Answer()
    stopped = _stopped(key)

    def hear(message: tuple[Any, ...]) -> None:
        if message[0] == "said":
            answer.said.append((message[1], message[2]))

    worker: Worker | None = None
    try:
        setup = _with_threads(order.setup)
        worker = _borrow(setup, order.preparation)
        if worker is None:
            worker = Worker(setup)
            worker.call(order.preparation, stopped=stopped)
        if order.task is not None:
            answer.outcome = worker.call(order.task, hear, stopped)
    except WorkerError as error:
        answer.lost = str(error)
        return answer
    except BaseException:
        if worker is not None:
            worker.end()
        raise
    with _lock:
        _idle.append((worker, order.preparation))
    return answer


def _borrow(setup: Setup, preparation: Preparation) -> Worker | None:
    """A process that has done the same preparation; those of another batch are ended."""
    with _lock:
        others = [entry for entry in _idle if entry[0].setup != setup or entry[1] != preparation]
        same = [entry for entry in _idle if entry not in others]
        chosen = same.pop()[0] if same else None
        _idle[:] = same
    for worker, _ in others:
        worker.end()
    return chosen


def _with_threads(setup: Setup) -> Setup:
    """The cores of a dask worker, divided by its threads, where nothing else is said."""
    if setup.threads is not None or os.environ.get("OMP_NUM_THREADS"):
        return setup
    from distributed import get_worker

    return replace(setup, threads=threads_each(get_worker().state.nthreads))


def _stopped(key: str) -> Callable[[], bool]:
    from distributed import get_worker

    worker = get_worker()

    def stopped() -> bool:
        task = worker.state.tasks.get(key)
        return worker.status.name != "running" or task is None or task.state != "executing"

    return stopped
