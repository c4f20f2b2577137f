"""The worker's side: does one piece of work after the other until the caller is gone."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from sciddm.errors import InputError, SciddmError
from sciddm.pipelines.engine.batch import Outcome, one_line
from sciddm.pipelines.engine.console import hear
from sciddm.pipelines.engine.summary import Fact, jsonable
from sciddm.pipelines.engine.workers.task import Work
from sciddm.progress import Progress

__all__ = ["serve"]

_SECONDS_BETWEEN = 0.2
#: An interrupted item has so long to take back what it has begun.
_GRACE_SECONDS = 20.0


def serve(handle: int) -> None:
    """Answers work that comes over a socket.

    Messages are ("progress", done, total, label), ("said", kind, sentence), and at the end of each
    piece of work ("done", Outcome or None) or ("error", SciddmError).

    Args:
        handle: descriptor of the socket. Whoever closes its other end ends this process; an item
            that is being done is interrupted, as by a signal.
    """
    from sciddm.allocator import keep_freed_memory
    from sciddm.pipelines.engine.collector import collect_seldom
    from sciddm.pipelines.engine.signals import exit_code, stop_on_signals
    from sciddm.pipelines.engine.streams import steady_output

    os.set_inheritable(handle, False)
    os.dup2(2, 1)  # standard output is the caller's, for its table or its JSON
    _first_to_go()
    keep_freed_memory()
    collect_seldom()
    steady_output()
    stop_on_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's
    link = Connection(handle)
    hear(lambda kind, message: _tell(link, ("said", kind, message)))
    works: queue.SimpleQueue[Work] = queue.SimpleQueue()
    try:
        threading.Thread(target=_listen, args=(link, works), daemon=True).start()
        while True:
            _tell(link, _answer(works.get(), link))
    except KeyboardInterrupt:
        os._exit(exit_code())  # the thread that listens would be waited for


def _answer(work: Work, link: Connection) -> tuple[Any, ...]:
    @contextmanager
    def watch() -> Iterator[Progress]:
        last = 0.0

        def progress(done: int, total: int, label: str) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > _SECONDS_BETWEEN:
                last = now
                _tell(link, ("progress", done, total, label))

        yield progress

    try:
        outcome = work.run(watch)
    except SciddmError as error:
        return "error", _portable_error(error)
    except Exception as error:
        return "error", InputError(one_line(error))
    return "done", None if outcome is None else _portable(outcome)


def _portable(outcome: Outcome) -> Outcome:
    """The outcome, with what cannot be pickled in the form that JSON would have."""
    if isinstance(outcome.cause, SciddmError):
        outcome = replace(outcome, cause=_portable_error(outcome.cause))
    try:
        pickle.dumps(outcome)
    except Exception:
        facts = {
            key: Fact(fact.key, fact.label, jsonable(fact.value), fact.text)
            for key, fact in outcome.facts.items()
        }
        outcome = replace(outcome, facts=facts)
    return outcome


def _portable_error(error: SciddmError) -> SciddmError:
    """The error, as one that the caller can unpickle: the arguments of some are others."""
    try:
        same: object = pickle.loads(pickle.dumps(error))
    except Exception:
        return InputError(str(error))
    return error if isinstance(same, SciddmError) else InputError(str(error))


def _tell(link: Connection, message: tuple[Any, ...]) -> None:
    with contextlib.suppress(OSError):  # the caller is gone: `_listen` sees to that
        link.send(message)


def _listen(link: Connection, works: queue.SimpleQueue[Work]) -> None:
    """Passes work on; interrupts the main thread when the caller is gone."""
    while True:
        try:
            works.put(link.recv())
        except (EOFError, OSError):
            break
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


def _first_to_go() -> None:
    """Where memory runs out, the system ends a worker, not the process that started it."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")
