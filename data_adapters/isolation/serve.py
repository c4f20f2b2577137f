"""The worker's side: runs one call after the other until the caller is gone."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

from sciddm.allocator import keep_little_freed_memory
from sciddm.data_adapters.isolation.transport import ClosedError, receive, send
from sciddm.errors import InputError, SciddmError

__all__ = ["INSIDE", "load", "serve"]

#: Value of SCIDDM_ISOLATION within a worker.
INSIDE = "inside"


def serve(handle: int) -> None:
    """Answers calls that come over a socket.

    A call is (current folder, module, name, arguments, keywords, processor seconds, bytes);
    (modules,) only loads modules. An answer is ("value", object, warnings), ("error", error,
    traceback) or ("raised", type, message, traceback).
    """
    os.environ["SCIDDM_ISOLATION"] = INSIDE
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides
    _no_core_files()
    keep_little_freed_memory()  # a reader holds no large file that it has sent
    link = socket.socket(fileno=handle)
    while True:
        try:
            call = receive(link)
        except (ClosedError, OSError):
            return
        if len(call) == 1:
            load(call[0])
            continue
        folder, *called = call
        if folder:  # relative names are the caller's
            os.chdir(folder)
        answer = _answer(*called)
        try:
            send(link, answer)
        except (BrokenPipeError, ConnectionError):
            return
        except Exception as error:  # no memory for the arrays, or what cannot be pickled
            _unlimited()
            send(link, _raised(error))
        del answer, call, called


def _answer(
    module: str, name: str, arguments: Any, keywords: Any, seconds: int, nbytes: int
) -> tuple[Any, ...]:
    try:
        _unlimited()  # a module may need more than a file: the limits are of the call
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
        _limit(seconds, nbytes)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            value = function(*arguments, **keywords)
        return "value", value, [(str(w.message), w.category) for w in told]
    except SciddmError as error:
        _unlimited()
        return "error", _plain(error), traceback.format_exc()
    except BaseException as error:
        _unlimited()
        return _raised(error)


def _plain(error: SciddmError) -> SciddmError:
    """The error, as one that the caller can unpickle: the arguments of some are others."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return InputError(str(error))
    return error


def _raised(error: BaseException) -> tuple[Any, ...]:
    return "raised", type(error).__name__, str(error), traceback.format_exc()


def load(modules: Sequence[str]) -> None:
    """Imports modules; one that cannot be imported is told of when it is needed."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            continue


def _limit(seconds: int, nbytes: int) -> None:
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    _set(resource.RLIMIT_CPU, used + seconds)
    held = _address_space()
    if held is not None:
        _set(resource.RLIMIT_AS, held + nbytes)


def _unlimited() -> None:
    import resource

    for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU):
        _set(kind, resource.RLIM_INFINITY)


def _set(kind: int, soft: int) -> None:
    import resource

    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY and (soft == resource.RLIM_INFINITY or soft > hard):
        soft = hard
    resource.setrlimit(kind, (soft, hard))


def _address_space() -> int | None:
    """Bytes of this process's address space; None where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def _no_core_files() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
