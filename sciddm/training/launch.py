"""Starts the processes of one machine that train together, and watches them.

Where one of them ends early, the others would wait for it: they are ended. Started again, the
training goes on from its last checkpoint, with any number of processes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from sciddm.errors import InputError, ModelError, OutputError, SciddmError
from sciddm.training.recipe import Recipe
from sciddm.training.stop import StopRequest
from sciddm.training.team import TeamError

__all__ = ["launch", "run_rank"]

_TICK_SECONDS = 0.1
#: Processes that have lost another notice it by themselves in this time, or are ended.
_GRACE_SECONDS = 5.0
#: Where all were asked to stop, the others finish their checkpoint.
_STOP_SECONDS = 60.0
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from sciddm.training.launch import run_rank; run_rank(*sys.argv[2:])"
)
_LIBRARIES = ("OMP", "OPENBLAS", "MKL")
_KINDS = {kind.__name__: kind for kind in (InputError, ModelError, OutputError, TeamError)}


class Options(TypedDict):
    """What ``train`` is called with, beside the recipe and the folder."""

    resume: bool
    max_time: str | None
    progress: bool
    strategy: str


@dataclass(frozen=True)
class _Rank:
    process: subprocess.Popen[bytes]
    number: int
    answer: Path

    @property
    def code(self) -> int | None:
        return self.process.poll()

    def error(self) -> SciddmError | None:
        """The error that it has written down."""
        try:
            kind, text = json.loads(self.answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return _KINDS.get(kind, InputError)(text)


def launch(recipe: Recipe, out: Path, devices: int, nodes: int, options: Options) -> None:
    """Trains on several processes of this machine, and of others that are started likewise.

    On several machines the variables MASTER_ADDR, MASTER_PORT and NODE_RANK say where the first
    one is and which this is.

    Args:
        recipe: what to train.
        out: folder of the run, which all machines see.
        devices: processes of this machine.
        nodes: machines.
        options: as for ``train``.

    Raises:
        InputError: several machines, and the variables are not set.
        TeamError: a process ended early.
        SciddmError: raised by one of them.
    """
    shared = _variables(devices, nodes)
    stop = StopRequest()
    ranks: list[_Rank] = []
    with tempfile.TemporaryDirectory() as folder, stop.watched():
        work = Path(folder) / "work.json"
        work.write_text(json.dumps([recipe.model_dump(mode="json"), str(out), options]))
        # Its other end closes with this process, however that ends.
        read, write = os.pipe()
        try:
            for local in range(devices):
                number = int(shared["GROUP_RANK"]) * devices + local
                answer = Path(folder) / f"{local}.json"
                words = [json.dumps(sys.path), str(work), str(answer), str(read)]
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _START, *words],
                    env={**os.environ, **shared, "RANK": str(number), "LOCAL_RANK": str(local)},
                    pass_fds=[read],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is passed on by this process
                )
                ranks.append(_Rank(process, number, answer))
            os.close(read)
            codes = _watch(ranks, stop)
        finally:
            for rank in ranks:
                if rank.code is None:
                    rank.process.kill()
            os.close(write)
            for rank in ranks:
                rank.process.wait()
        if stop.number is None:
            _raise_first(ranks, codes, devices * nodes, out)


def _variables(devices: int, nodes: int) -> dict[str, str]:
    """torchrun's variables, as far as all processes of this machine share them."""
    node, address, port = 0, "127.0.0.1", ""
    if nodes > 1:
        try:
            address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
            node = int(os.environ["NODE_RANK"])
        except (KeyError, ValueError) as error:
            raise InputError(
                f"--nodes {nodes}: start it on every machine with MASTER_ADDR (the first machine), "
                "MASTER_PORT (a free port there) and NODE_RANK (0, 1, ...), or by torchrun or srun"
            ) from error
        if not 0 <= node < nodes:
            raise InputError(f"NODE_RANK {node}: with --nodes {nodes} it is 0 to {nodes - 1}")
    if not port:
        with socket.socket() as free:
            free.bind((address, 0))
            port = str(free.getsockname()[1])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = max(1, (cores or 1) // devices)
    return {
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "GROUP_RANK": str(node),
        "LOCAL_WORLD_SIZE": str(devices),
        "WORLD_SIZE": str(devices * nodes),
        # What the user states holds for each process.
        **{f"{name}_NUM_THREADS": os.environ.get(f"{name}_NUM_THREADS", str(threads))
           for name in _LIBRARIES},
    }  # fmt: skip


def _watch(ranks: Sequence[_Rank], stop: StopRequest) -> list[int | None]:
    """Waits until all have ended, or one has ended early; passes a signal on, once.

    Returns:
        The exit code of each; None where it does not end by itself.
    """
    passed = False
    end = math.inf
    while any(rank.code is None for rank in ranks) and time.monotonic() < end:
        if stop.number is not None and not passed:
            passed = True
            for rank in ranks:
                with contextlib.suppress(ProcessLookupError):
                    rank.process.send_signal(stop.number)
        if end == math.inf and any(rank.code for rank in ranks):
            end = time.monotonic() + (_STOP_SECONDS if passed else _GRACE_SECONDS)
        time.sleep(_TICK_SECONDS)
    return [rank.code for rank in ranks]


def _raise_first(
    ranks: Sequence[_Rank], codes: Sequence[int | None], total: int, out: Path
) -> None:
    """Raises the error that made the processes end, if there is one.

    One that has only lost another process comes last.
    """
    errors = [rank.error() for rank in ranks]
    for error in errors:
        if error is not None and not isinstance(error, TeamError):
            raise error
    for rank, code, error in zip(ranks, codes, errors, strict=True):
        if code and error is None:
            raise TeamError(
                f"process {rank.number + 1} of {total} {_how(code)}: the others were ended; start "
                f"the same command again: it goes on from the last checkpoint of {out}"
            )
    for error in errors:
        if error is not None:
            raise error


def _how(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL, perhaps by the system for want of memory)"
    if code < 0:
        return f"was ended ({signal.Signals(-code).name})"
    return f"ended (exit code {code}, see its message above)"


def run_rank(work: str, answer: str, pipe: str) -> None:
    """One process that ``launch`` starts; writes its error down for it.

    Args:
        work: file with the recipe, the folder and the options.
        answer: file for the error.
        pipe: descriptor that ends when ``launch`` does; the process then stops as by SIGTERM.
    """
    threading.Thread(target=_stop_with, args=(int(pipe),), daemon=True).start()
    values, out, options = json.loads(Path(work).read_text(encoding="utf-8"))
    from sciddm.training.run import train

    try:
        train(Recipe.model_validate(values), Path(out), **options)
    except SciddmError as error:
        kind = next((k for k, c in _KINDS.items() if isinstance(error, c)), "InputError")
        Path(answer).write_text(json.dumps([kind, str(error)]), encoding="utf-8")
        _leave(2)
    except KeyboardInterrupt:
        _leave(130)


def _leave(code: int) -> Any:
    """Ends at once: what waits for lost processes would keep this one."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop_with(pipe: int) -> None:
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
    os._exit(1)
