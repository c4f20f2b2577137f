"""The caller's side: one worker process, started when needed, ended when it exceeds its limits."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from sciddm.data_adapters.isolation.forked import Forked
from sciddm.data_adapters.isolation.limits import Limits
from sciddm.data_adapters.isolation.serve import serve
from sciddm.data_adapters.isolation.transport import ClosedError, receive, send

__all__ = ["Worker", "WorkerError"]

_START = (
    "import json, os, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from sciddm.data_adapters.isolation.serve import serve; serve(int(sys.argv[1]))"
)
#: One thread each: the caller's threads compute. Few arenas: the limit is on the address space.
_ENVIRONMENT = {
    "SCIDDM_ISOLATION": "inside",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLOSC_NTHREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "GDAL_NUM_THREADS": "1",
}
_GRACE_SECONDS = 5.0


class WorkerError(Exception):
    """The worker ended without an answer; the message says how."""


class Worker:
    """A process that runs functions by their names.

    Args:
        fork: it is a copy of this process; otherwise it starts Python anew.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, fork: bool = False) -> None:
        self._link, theirs = socket.socketpair()
        with theirs:
            self._process = (
                Forked(serve, theirs.fileno(), _ENVIRONMENT) if fork else _anew(theirs.fileno())
            )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def load(self, modules: Sequence[str]) -> None:
        """Lets the worker load modules, and does not wait for it."""
        with contextlib.suppress(OSError):
            send(self._link, (tuple(modules),))

    def call(self, module: str, name: str, arguments: Any, keywords: Any, limits: Limits) -> Any:
        """The answer of ``serve``.

        Raises:
            WorkerError: it crashed, was killed, or took longer than it may.
        """
        seconds = limits.processor_seconds
        try:
            self._link.settimeout(limits.seconds)
            called = (module, name, arguments, keywords, seconds, limits.nbytes)
            send(self._link, (_folder(), *called))
            return receive(self._link)
        except TimeoutError as error:
            raise WorkerError(f"does not end within {limits.seconds:.0f} s") from error
        except (ClosedError, ConnectionError, BrokenPipeError) as error:
            raise WorkerError(self._end(seconds)) from error

    def close(self) -> None:
        """Ends the process, and programs that it has started."""
        self._link.close()
        if self._process.poll() is None:
            with contextlib.suppress(OSError):  # it leads a session: they are one group
                os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)

    def forget(self) -> None:
        """Closes this process's end, in a child that a fork made: the worker is its parent's."""
        self._link.close()
        self._process.returncode = 0  # so that nobody waits for it

    def _end(self, seconds: int) -> str:
        try:
            code = self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return "stops to answer"
        if code == -signal.SIGXCPU:
            return f"does not end within {seconds} s of processor time"
        if code == -signal.SIGKILL:
            return "was ended by the system, probably for want of memory"
        if code < 0:
            return f"crashes ({signal.Signals(-code).name})"
        return f"ends (exit code {code})"


def _anew(handle: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _START, str(handle), json.dumps(sys.path)],
        pass_fds=[handle],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ENVIRONMENT},
        start_new_session=True,  # Ctrl-C is the caller's
    )


def _folder() -> str | None:
    """The current folder, which may be gone."""
    try:
        return os.getcwd()
    except OSError:
        return None
