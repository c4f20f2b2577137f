"""Marks functions that read files to run in the worker."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from sciddm.data_adapters.isolation.forked import can_fork
from sciddm.data_adapters.isolation.limits import limits_for
from sciddm.data_adapters.isolation.serve import INSIDE, load
from sciddm.data_adapters.isolation.worker import Worker, WorkerError
from sciddm.errors import InputError, SciddmError
from sciddm.storage.special_files import check_regular

__all__ = ["copy_caller", "isolated", "prepare"]

P = ParamSpec("P")
R = TypeVar("R")

_VARIABLE = "SCIDDM_ISOLATION"
_lock = threading.RLock()
_worker: Worker | None = None
_copies = False


class WorkerTraceError(Exception):
    """The worker's traceback, as the cause of an error that it sent."""


def isolated(function: Callable[P, R]) -> Callable[P, R]:
    """Runs a function of a module, or a method of one of its classes, in the worker.

    Its first argument is the path of what it reads, or an object with the attribute ``path``;
    arguments and result can be pickled. Whatever it raises that is no `SciddmError` is an
    `InputError` here: it was written for a file that is not as the library expects.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if os.environ.get(_VARIABLE) == INSIDE:
            return function(*args, **kwargs)
        path = _path(args)
        if path is not None:
            check_regular(path)
        if not _enabled():
            with _named(path):
                return function(*args, **kwargs)
        return cast(R, _call(function.__module__, function.__qualname__, args, kwargs, path))

    return call


def prepare(modules: Sequence[str] = ()) -> None:
    """Starts the worker with its modules, so that the first file does not wait for it.

    Args:
        modules: names.
    """
    if not _enabled():
        return
    with _lock:
        if _worker is None and _copies and can_fork():
            load(modules)  # the caller needs them, too
        _started().load(["xarray", *modules])


def copy_caller() -> None:
    """Lets workers of this process be copies of it: it is the command line's, with one thread."""
    global _copies
    _copies = True


def _call(module: str, name: str, args: Any, kwargs: Any, path: Path | None) -> Any:
    limits = limits_for(path)
    with _lock:
        try:
            worker = _started()
        except OSError as error:
            warnings.warn(f"files are read without isolation ({error.strerror})", stacklevel=3)
            os.environ[_VARIABLE] = "off"
            return _here(module, name)(*args, **kwargs)
        try:
            answer = worker.call(module, name, args, kwargs, limits)
        except WorkerError as died:
            _shut_down()
            raise InputError(
                f"{_shown(path)}: the library that reads it {died}: the file is damaged, copy or "
                "export it again"
            ) from died
        except BaseException:  # an interruption: the answer belongs to nobody
            _shut_down()
            raise
    if answer[0] == "value":
        _, value, told = answer
        for message, category in told:
            warnings.warn(message, category, stacklevel=3)
        return value
    if answer[0] == "error":
        _, told_error, trace = answer
        raise told_error from WorkerTraceError(trace)
    _, kind, message, trace = answer
    raise _as_input_error(path, kind, message, limits.nbytes) from WorkerTraceError(trace)


def _here(module: str, name: str) -> Any:
    import importlib

    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


@contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Turns what a reader raises by itself into one `InputError`."""
    try:
        yield
    except SciddmError:
        raise
    except Exception as error:
        raise _as_input_error(path, type(error).__name__, str(error), None) from error


def _as_input_error(path: Path | None, kind: str, message: str, nbytes: int | None) -> InputError:
    if kind == "MemoryError":
        limit = "" if nbytes is None else f" than {nbytes / 2**30:.1f} GiB"
        return InputError(
            f"{_shown(path)}: needs more memory{limit} to be read: it is damaged, or read a part"
        )
    text = " ".join(message.split()) or "no message"
    text = text if len(text) <= 160 else text[:157] + "..."
    return InputError(
        f"{_shown(path)}: damaged or not what its name says ({kind}: {text}): copy or export it "
        "again"
    )


def _path(args: Sequence[Any]) -> Path | None:
    first = args[0] if args else None
    first = getattr(first, "path", first)
    try:
        return Path(first) if isinstance(first, str | os.PathLike) else None
    except (TypeError, ValueError):
        return None


def _shown(path: Path | None) -> str:
    return "the file" if path is None else str(path)


def _enabled() -> bool:
    # Without descriptors over sockets and limits (Windows) there is no worker.
    return os.environ.get(_VARIABLE, "on") == "on" and hasattr(os, "fork")


def _started() -> Worker:
    global _worker
    if _worker is None:
        _worker = Worker(fork=_copies and can_fork())
    return _worker


def _shut_down() -> None:
    global _worker
    if _worker is not None:
        _worker.close()
        _worker = None


def _after_fork() -> None:
    global _worker, _lock
    _lock = threading.RLock()
    if _worker is not None:
        _worker.forget()
        _worker = None


atexit.register(_shut_down)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
