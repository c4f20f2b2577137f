"""The caller's side of one worker process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sciddm.errors import SciddmError
from sciddm.pipelines.engine.batch import Outcome
from sciddm.pipelines.engine.workers.task import Work

__all__ = ["Hear", "Setup", "Worker", "WorkerError", "end_all", "measures_memory"]

#: Called with the messages of a worker that are no answers.
Hear = Callable[[tuple[Any, ...]], None]

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from sciddm.pipelines.engine.workers.serve import serve; serve(int(sys.argv[1]))"
)
_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLOSC")
_TICK_SECONDS = 0.25
#: What a worker may take to give up an item; it takes back what it has begun.
_GRACE_SECONDS = 15.0


class WorkerError(SciddmError):
    """A worker ended without an answer; the message says how."""


@dataclass(frozen=True)
class Setup:
    """How a worker runs.

    Attributes:
        threads: processor threads; None for those of the environment.
        memory: bytes that it and its reader may use; None for as many as there are.
        device: value of CUDA_VISIBLE_DEVICES; None for that of the environment.
    """

    threads: int | None = None
    memory: int | None = None
    device: str | None = None

    def environment(self) -> dict[str, str]:
        """Variables of the worker."""
        changed = dict(os.environ)
        if self.threads is not None:
            changed |= {f"{name}_NUM_THREADS": str(self.threads) for name in _LIBRARIES}
        if self.device is not None:
            changed["CUDA_VISIBLE_DEVICES"] = self.device
        return changed


class Worker:
    """A process that does one piece of work after the other.

    Raises:
        WorkerError: no process can be started.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        ours, theirs = socket.socketpair()
        with theirs:
            words = [sys.executable, "-P", "-c", _START, str(theirs.fileno())]
            try:
                self._process = subprocess.Popen(
                    [*words, json.dumps(sys.path)],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env=setup.environment(),
                    start_new_session=True,  # Ctrl-C is the caller's
                )
            except OSError as error:
                ours.close()
                raise WorkerError(f"cannot be started ({error.strerror})") from error
        self._link = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def call(
        self,
        work: Work,
        hear: Hear = lambda message: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Outcome | None:
        """Does a piece of work.

        Args:
            work: what to do.
            hear: called with its messages.
            stopped: asked several times a second; when it says so the worker is ended.

        Returns:
            What the work returns.

        Raises:
            SciddmError: raised by the work.
            WorkerError: the process ended, was stopped, or needs more memory than it may.
        """
        try:
            self._link.send(work)
            checked = time.monotonic()
            while True:
                if self._link.poll(_TICK_SECONDS):
                    kind, *content = self._link.recv()
                    if kind == "done":
                        outcome: Outcome | None = content[0]
                        return outcome
                    if kind == "error":
                        raise content[0]
                    hear((kind, *content))
                if time.monotonic() - checked > _TICK_SECONDS:
                    checked = time.monotonic()
                    self._check_memory()
                    if stopped():
                        self.end()
                        raise WorkerError("was stopped")
        except (EOFError, OSError) as error:
            if isinstance(error, SciddmError):  # some of which are an OSError, too
                raise
            raise WorkerError(self._reason()) from error

    def end(self) -> None:
        """Interrupts what the process does, and ends it."""
        end_all([self])

    def ask_to_end(self) -> None:
        """Interrupts what the process does, and does not wait for it."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Waits for the end of the process; it is killed where it takes longer."""
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.kill()
        self._link.close()

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.wait()

    def _reason(self) -> str:
        """How the process ended. Its locks are free only when it is gone: it is waited for."""
        try:
            code = self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return "stopped to answer"
        self._link.close()
        if code == -signal.SIGKILL:
            return "was killed (SIGKILL, perhaps by the system for want of memory)"
        if code < 0:
            return f"crashed ({signal.Signals(-code).name})"
        return f"ended (exit code {code})"

    def _check_memory(self) -> None:
        limit = self.setup.memory
        if limit is not None and _resident(self.pid) > limit:
            self.kill()
            self._link.close()
            raise WorkerError(f"needed more memory than {limit / 1e9:.3g} GB (--memory)")


def end_all(workers: list[Worker]) -> None:
    """Interrupts workers together and waits for their ends; a second interruption kills them."""
    try:
        for worker in workers:
            worker.ask_to_end()
        end = time.monotonic() + _GRACE_SECONDS
        for worker in workers:
            worker.wait(end - time.monotonic())
    except KeyboardInterrupt:
        for worker in workers:
            worker.kill()
        raise


def measures_memory() -> bool:
    """Whether this system tells how much memory a process has."""
    return _resident(os.getpid()) > 0


def _resident(pid: int) -> int:
    """Bytes of memory that a process and its children occupy; 0 where the system does not say."""
    total = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        total = int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text(encoding="ascii").split():
                total += _resident(int(child))
    return total
