"""A worker that is a copy of its caller, with the libraries that the caller has loaded.

A process that starts Python anew and loads xarray and a format's library pays a second before its
first file; a copy pays milliseconds. A copy is safe where nothing else runs: only the thread that
forks goes on in it, and a lock that another one held stays locked. So it is made in a process of
the command line only, from its one thread, before torch is there.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable

__all__ = ["Forked", "can_fork"]

_SECONDS_BETWEEN_LOOKS = 0.01
#: Libraries with threads of their own that outlive their import.
_WITH_THREADS = ("torch",)


def can_fork() -> bool:
    """Whether a copy of this process is a whole one."""
    return (
        sys.platform.startswith("linux")
        and threading.active_count() == 1
        and not any(name in sys.modules for name in _WITH_THREADS)
    )


class Forked:
    """A copy of this process that runs a function and ends; waited for as a ``Popen`` is.

    Args:
        run: what the copy does.
        handle: the one descriptor that it keeps.
        environment: variables that it sets.

    Raises:
        OSError: no process can be started.
    """

    def __init__(
        self, run: Callable[[int], None], handle: int, environment: dict[str, str]
    ) -> None:
        self.returncode: int | None = None
        with warnings.catch_warnings():
            # Python counts a thread of pyarrow's allocator, which mends itself after a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                _become_worker(handle, environment)
                run(handle)
                code = 0
            finally:
                os._exit(code)  # what waits for the end of the caller's process is the caller's

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it
                pid, status = self.pid, 0
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit code.

        Raises:
            subprocess.TimeoutExpired: it runs still.
        """
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("reader", timeout)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return code


def _become_worker(handle: int, environment: dict[str, str]) -> None:
    """Leaves everything of the caller's that is not memory."""
    os.setsid()  # Ctrl-C is the caller's
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.environ.update(environment)
    _let_go(handle)
    gc.freeze()  # what the caller has made is not looked at again: its pages stay shared


def _let_go(handle: int) -> None:
    """Replaces inherited files, with their locks, by nothing: their numbers stay taken, since
    objects of Python that close them are still there.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number not in (handle, nothing):
            with contextlib.suppress(OSError):  # the one by which the folder was listed
                os.fstat(number)
                os.dup2(nothing, number, inheritable=number <= 2)
