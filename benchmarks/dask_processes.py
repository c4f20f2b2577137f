"""A dask scheduler and its workers as processes of their own, which can be killed by number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["DaskProcesses"]

_PATIENCE_SECONDS = 120.0


class DaskProcesses:
    """A scheduler on a free port of this machine, and workers of one thread.

    Args:
        folder: for the files of dask and its logs.
        path: entries of PYTHONPATH for the workers.
    """

    def __init__(self, folder: Path, path: Sequence[str | Path] = ()) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self.port}"
        before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        entries = [*map(str, path), *filter(None, before)]
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entries),
            "DASK_TEMPORARY_DIRECTORY": str(folder),
        }
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_scheduler(self) -> None:
        """Starts it, and waits until it answers."""
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard", "--no-show"]
        self.scheduler = self._start("scheduler", *options)
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            with socket.socket() as link:
                if not link.connect_ex(("127.0.0.1", self.port)):
                    return
            assert self.scheduler.poll() is None, self.log()
            time.sleep(0.1)
        raise TimeoutError(f"the scheduler does not answer: {self.log()}")

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Starts one; it joins when it is ready."""
        worker = self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"
        )
        self.workers.append(worker)
        return worker

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        """kill -9, and waits for the end."""
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()

    def log(self) -> str:
        """What all have said."""
        return "\n".join(p.read_text(errors="replace") for p in sorted(self.folder.glob("*.log")))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends all that is left, by their numbers."""
        left = [p for p in (*self.workers, self.scheduler) if p is not None and p.poll() is None]
        for process in left:
            process.terminate()
        for process in left:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill(process)

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        number = len(list(self.folder.glob(f"{what}*.log")))
        with (self.folder / f"{what}{number}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + what, *options],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
