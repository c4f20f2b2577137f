"""Runs something in a child, so that this process keeps nothing of it: no thread, no lock."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
import traceback
from collections.abc import Callable

__all__ = ["FAILED", "HUNG", "UNCLEAR", "in_child"]

#: Exit codes: an error of sciddm; any other error; no end.
FAILED, UNCLEAR, HUNG = 2, 70, 71
_SECONDS = 120.0


def in_child(work: Callable[[], None], delay: float | None = None) -> int:
    """The exit code of a fork.

    Args:
        work: what the child does; its exit code is 0 where it ends well.
        delay: seconds after which the child is killed.

    Returns:
        The exit code, or minus the number of the signal that ended it.
    """
    pid = os.fork()
    if pid == 0:
        _child(work)
    if delay is not None:
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return _wait(pid)


def _child(work: Callable[[], None]) -> None:
    code = UNCLEAR
    try:
        null = os.open(os.devnull, os.O_RDWR)
        if "SCIDDM_FAULTS_SHOW" not in os.environ:
            os.dup2(null, 1), os.dup2(null, 2)
        work()
        code = 0
    except BaseException as error:
        from sciddm.errors import SciddmError

        stopped = isinstance(error, SystemExit) or type(error).__name__ == "Exit"
        code = FAILED if stopped or isinstance(error, SciddmError) else UNCLEAR
        if code == UNCLEAR:
            with contextlib.suppress(OSError):
                traceback.print_exc()
    finally:
        os._exit(code)


def _wait(pid: int) -> int:
    """Waits for a child; one that uses no more processor time for long is ended."""
    handle = os.pidfd_open(pid)
    try:
        used, since = -1.0, time.monotonic()
        while not select.select([handle], [], [], 1.0)[0]:
            now = _processor_seconds(pid)
            if now != used:
                used, since = now, time.monotonic()
            if used > _SECONDS or time.monotonic() - since > _SECONDS:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return HUNG
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
