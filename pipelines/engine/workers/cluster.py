"""Items on the workers of a dask scheduler.

The scheduler moves orders and answers, a few kilobytes each; inputs and outputs go through a file
system that all machines share. What a lost scheduler or worker had under way is done again. An item
that was finished is found finished by its outputs, and one that a dying process still holds is
waited for.
"""

from __future__ import annotations

import itertools
import logging
import queue
import secrets
import socket
import time
from collections import deque
from collections.abc import Generator, Iterable
from typing import Any
from urllib.parse import urlsplit

from sciddm.errors import InputError, SciddmError
from sciddm.pipelines.engine.batch import Outcome, one_line
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.workers.board import Board
from sciddm.pipelines.engine.workers.parallel import Patience
from sciddm.pipelines.engine.workers.pool import Losses
from sciddm.pipelines.engine.workers.remote import Answer, Order, perform
from sciddm.pipelines.engine.workers.task import Preparation, Task
from sciddm.pipelines.engine.workers.worker import Setup, WorkerError

__all__ = ["connect", "on_scheduler"]

_TICK_SECONDS = 0.2
_CONNECT_SECONDS = 15
#: Orders that are under way at a time, for each thread and at least.
_EACH, _LEAST = 4, 64
_SECONDS_BETWEEN_COUNTS = 5.0
_SECONDS_BETWEEN_LOOKS = 2.0


def connect(address: str, seconds: float | None = None) -> Any:
    """A client of a dask scheduler.

    Args:
        address: such as tcp://host:8786.
        seconds: to wait for an answer; 15 if not given.

    Raises:
        InputError: dask.distributed is missing, or nobody answers there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            f"--scheduler {address}: needs dask.distributed: pip install 'sciddm[cluster]'"
        ) from error
    # What is lost is told here, in words for users.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        _knock(address)
        # Not as the default: what reads an input is to run here, where its file is.
        return Client(address, timeout=seconds or _CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"--scheduler {address}: no dask scheduler answers there: check address and network"
        ) from error


def _knock(address: str) -> None:
    """Raises OSError at once where a machine refuses, which dask would try again and again."""
    url = urlsplit(address)
    if url.scheme == "tcp" and url.hostname and url.port:
        socket.create_connection((url.hostname, url.port), _CONNECT_SECONDS).close()


def on_scheduler(
    address: str,
    tasks: Iterable[Task],
    preparation: Preparation,
    setup: Setup,
    tries: int,
    board: Board,
    patience: Patience,
) -> Generator[Outcome, None, None]:
    """Outcomes in the order in which they come.

    Args:
        address: of the scheduler.
        tasks: what to do.
        preparation: done by each worker process at its start.
        setup: of each worker process.
        tries: see ``Losses``.
        board: shows how far all are.
        patience: with what is gone.

    Raises:
        InputError: see ``connect``.
        SciddmError: raised by the preparation.
    """
    batch = _Batch(address, tasks, preparation, setup, Losses(tries), board, patience)
    try:
        yield from batch.outcomes()
    finally:
        batch.close()


class _Batch:
    def __init__(
        self,
        address: str,
        tasks: Iterable[Task],
        preparation: Preparation,
        setup: Setup,
        losses: Losses,
        board: Board,
        patience: Patience,
    ) -> None:
        self._address, self._preparation, self._setup = address, preparation, setup
        self._losses, self._board, self._patience = losses, board, patience
        self._waiting: deque[Task | None] = deque([None, *tasks])  # the preparation comes first
        self._later: deque[tuple[float, Task]] = deque()
        self._busy_since: dict[Task, float] = {}
        self._under_way: dict[str, tuple[Any, Task | None]] = {}
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._run = secrets.token_hex(4)
        self._window, self._counted = 1, 0.0
        self._client = connect(address)

    def outcomes(self) -> Generator[Outcome, None, None]:
        """Outcomes until there is one for each task."""
        while self._waiting or self._under_way or self._later:
            if self._client.status != "running":
                yield from self._come_back()
                continue
            self._count()
            self._send()
            self._board.step(0, f"{len(self._under_way)} under way", 0, 0)
            try:
                key = self._answers.get(timeout=_TICK_SECONDS)
            except queue.Empty:  # so that a signal is answered
                continue
            if key in self._under_way:
                yield from self._take(*self._under_way.pop(key))

    def close(self) -> None:
        """Stops what is under way."""
        futures = [future for future, _ in self._under_way.values()]
        try:
            if self._client.status == "running" and futures:
                self._client.cancel(futures, force=True)
        except Exception:  # the scheduler is gone: its workers stop by themselves
            pass
        finally:
            self._client.close(timeout=_CONNECT_SECONDS)

    def _send(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._waiting.append(self._later.popleft()[1])
        while self._waiting and len(self._under_way) < self._window:
            if any(task is None for _, task in self._under_way.values()):
                return  # the preparation goes ahead of all items
            task = self._waiting.popleft()
            key = f"sciddm-{self._run}-{next(self._numbers)}"
            order = Order(task, self._preparation, self._setup)
            future = self._client.submit(perform, order, key, key=key, pure=False)
            self._under_way[key] = (future, task)
            future.add_done_callback(lambda future: self._answers.put(str(future.key)))

    def _take(self, future: Any, task: Task | None) -> Generator[Outcome, None, None]:
        status = future.status
        if status == "finished":
            try:
                answer: Answer = future.result(timeout=_CONNECT_SECONDS)
            except Exception:  # its worker is gone, and the answer with it
                self._waiting.append(task)
                return
            yield from self._read(answer, task)
        elif status == "error":
            error = future.exception(timeout=_CONNECT_SECONDS)
            if type(error).__name__ == "KilledWorker" and task is not None:
                yield from self._lose(task, "and several dask workers were lost", final=True)
            elif isinstance(error, SciddmError):
                raise error
            elif task is None:
                raise InputError(f"--scheduler {self._address}: {one_line(error)}")
            else:
                yield Outcome(task.job, "failed", error=one_line(error), cause=error)
        else:  # cancelled or lost with the scheduler
            self._waiting.append(task)

    def _read(self, answer: Answer, task: Task | None) -> Generator[Outcome, None, None]:
        outcome = answer.outcome
        if task is None:
            if answer.lost:
                raise WorkerError(f"the worker that loads the model {answer.lost}")
            return
        if answer.lost:
            yield from self._lose(task, answer.lost)
            return
        assert outcome is not None
        if outcome.busy:
            # The process that holds it may be one of ours that has not yet ended.
            since = self._busy_since.setdefault(task, time.monotonic())
            if time.monotonic() - since < self._patience.busy:
                self._later.append((time.monotonic() + _SECONDS_BETWEEN_LOOKS, task))
                return
        for kind, message in answer.said:
            say(kind, message)
        yield outcome

    def _lose(
        self, task: Task, reason: str, *, final: bool = False
    ) -> Generator[Outcome, None, None]:
        failure = self._losses.failure(task, reason, final=final)
        if failure is None:
            self._waiting.append(task)
        else:
            yield failure

    def _count(self) -> None:
        """Keeps some orders for each thread under way, however many come and go."""
        now = time.monotonic()
        if now - self._counted < _SECONDS_BETWEEN_COUNTS:
            return
        first, self._counted = self._counted == 0, now
        try:
            threads = sum(self._client.nthreads().values())
        except Exception:  # the scheduler is gone: the next turn sees that
            return
        if first and not threads:
            say("note", f"{self._address} has no workers yet: waiting for some")
        self._window = max(_LEAST, _EACH * threads)

    def _come_back(self) -> Generator[Outcome, None, None]:
        """Waits for the scheduler, and sends again what it had under way."""
        self._waiting.extendleft(task for _, task in self._under_way.values())
        self._under_way.clear()
        seconds = self._patience.scheduler
        say("note", f"{self._address}: the scheduler is gone: waiting {seconds:.0f} s for another")
        self._client.close(timeout=_CONNECT_SECONDS)
        end = time.monotonic() + seconds
        while True:
            try:
                self._client = connect(self._address, _SECONDS_BETWEEN_LOOKS)
            except InputError:
                if time.monotonic() < end:
                    time.sleep(_TICK_SECONDS)
                    continue
                break
            say("note", f"{self._address}: a scheduler answers again; items are resumed")
            self._counted = 0.0
            return
        message = f"the scheduler {self._address} did not come back within {seconds:.0f} s"
        for task in [*self._waiting, *(task for _, task in self._later)]:
            if task is not None:
                error = f"{task.source}: {message}: start it and this command again"
                yield Outcome(task.job, "failed", error=error, cause=WorkerError(error))
        self._waiting.clear()
        self._later.clear()
