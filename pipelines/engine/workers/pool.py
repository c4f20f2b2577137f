"""Worker processes of this machine that share the items of a batch."""

from __future__ import annotations

import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from sciddm.errors import SciddmError
from sciddm.pipelines.engine.batch import Job, Outcome
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.workers.board import Board
from sciddm.pipelines.engine.workers.task import Preparation, Task
from sciddm.pipelines.engine.workers.worker import Setup, Worker, WorkerError, end_all

__all__ = ["Losses", "on_workers"]

_TICK_SECONDS = 0.2


class Losses:
    """Counts the workers that each item has cost.

    Args:
        tries: workers that one item may cost before it counts as failed.
    """

    def __init__(self, tries: int) -> None:
        self.tries = tries
        self._count: Counter[Job] = Counter()

    def failure(self, task: Task, reason: str, *, final: bool = False) -> Outcome | None:
        """The failed outcome of a task whose worker ended; None where it is tried again.

        Args:
            task: the item.
            reason: how the worker ended.
            final: it is not tried again, whatever the count.
        """
        self._count[task.job] += 1
        name, count = task.source.name, self._count[task.job]
        if count < self.tries and not final:
            say("note", f"{name}: its worker {reason}: the item is tried again")
            return None
        times = f"{count} workers" if count > 1 else "its worker"
        message = f"{task.source}: cost {times}, the last of which {reason}"
        return Outcome(task.job, "failed", error=message, cause=WorkerError(message))


def on_workers(
    tasks: Iterable[Task], preparation: Preparation, setups: list[Setup], tries: int, board: Board
) -> Generator[Outcome, None, None]:
    """Outcomes in the order in which they come.

    Args:
        tasks: what to do.
        preparation: done by each worker at its start.
        setups: one for each worker.
        tries: see ``Losses``.
        board: shows how far the workers are.

    Raises:
        SciddmError: raised by the preparation.
    """
    pool = _Pool(tasks, preparation, tries, board)
    threads = [
        threading.Thread(target=pool.serve, args=(number, setup), daemon=True)
        for number, setup in enumerate(setups)
    ]
    try:
        for thread in threads:
            thread.start()
        yield from pool.outcomes()
    finally:
        pool.end()
        for thread in threads:
            thread.join()


class _Pool:
    def __init__(
        self, tasks: Iterable[Task], preparation: Preparation, tries: int, board: Board
    ) -> None:
        self._waiting = deque(tasks)
        self._open = len(self._waiting)
        self._preparation, self._losses, self._board = preparation, Losses(tries), board
        self._answers: queue.Queue[Outcome | BaseException] = queue.Queue()
        self._lock = threading.Lock()
        self._workers: set[Worker] = set()
        self._stopped = threading.Event()

    def outcomes(self) -> Iterator[Outcome]:
        """Outcomes until there is one for each task."""
        while self._open:
            try:
                answer = self._answers.get(timeout=_TICK_SECONDS)
            except queue.Empty:  # so that a signal is answered
                continue
            if isinstance(answer, BaseException):
                raise answer
            self._open -= 1
            yield answer

    def end(self) -> None:
        """Interrupts all workers and waits for them."""
        with self._lock:
            self._stopped.set()
            workers = list(self._workers)
        end_all(workers)

    def serve(self, number: int, setup: Setup) -> None:
        """Gives one task after the other to a worker; a new worker where one is lost."""
        worker: Worker | None = None
        while not self._stopped.is_set():
            task = self._next()
            if task is None:
                if not self._stopped.wait(_TICK_SECONDS):  # another worker may lose its task yet
                    continue
                return
            try:
                worker = worker or self._prepared(setup)
                outcome = worker.call(task, self._hear(number, task))
                assert outcome is not None
                self._answers.put(outcome)
            except WorkerError as error:
                if worker is not None:
                    self._forget(worker)
                worker = None
                self._lost(task, str(error))
            except BaseException as error:  # of the preparation: no item could be done
                self._answers.put(error)
                return
            finally:
                self._board.rest(number)

    def _prepared(self, setup: Setup) -> Worker:
        with self._lock:
            if self._stopped.is_set():
                raise WorkerError("was stopped")
            worker = Worker(setup)
            self._workers.add(worker)
        try:
            worker.call(self._preparation)
        except SciddmError:
            self._forget(worker)
            worker.end()
            raise
        return worker

    def _next(self) -> Task | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _lost(self, task: Task, reason: str) -> None:
        with self._lock:
            if self._stopped.is_set():
                return
            failure = self._losses.failure(task, reason)
            if failure is None:
                self._waiting.append(task)
        if failure is not None:
            self._answers.put(failure)

    def _forget(self, worker: Worker) -> None:
        with self._lock:
            self._workers.discard(worker)

    def _hear(self, number: int, task: Task) -> Callable[[tuple[Any, ...]], None]:
        def hear(message: tuple[Any, ...]) -> None:
            if message[0] == "said":
                say(message[1], message[2])
            elif message[0] == "progress":
                self._board.step(number, task.source.name, message[1], message[2])

        self._board.step(number, task.source.name, 0, 1)
        return hear
