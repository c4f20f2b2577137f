"""Work in a form that goes to another process."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from sciddm.errors import InputError, SciddmError
from sciddm.pipelines.engine.batch import Job, Outcome, run
from sciddm.pipelines.engine.item import Item, Watch
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.verb import Transform

__all__ = ["Address", "CrashError", "Preparation", "Task", "Work"]


class CrashError(Exception):
    """An exception in a worker that was not written for users; its text is the traceback."""


class Work(Protocol):
    """What a worker can be asked to do."""

    def run(self, watch: Watch) -> Outcome | None: ...


@dataclass(frozen=True)
class Address:
    """Where another process finds a verb.

    Attributes:
        module: one whose ``DOMAIN`` has the verb.
        name: of the verb.
    """

    module: str
    name: str

    @classmethod
    def of(cls, verb: Transform[..., Any, Any]) -> Address:
        """The address of a verb: it is declared in the module of its request.

        Raises:
            TypeError: it is not.
        """
        address = cls(verb.request.__module__, verb.name)
        if address.verb() is not verb:
            raise TypeError(f"{address.module}.DOMAIN has no verb {verb.name}")
        return address

    def verb(self) -> Transform[..., Any, Any]:
        """The verb, its module imported."""
        module: Any = sys.modules.get(self.module) or importlib.import_module(self.module)
        verb: Transform[..., Any, Any] = next(v for v in module.DOMAIN.verbs if v.name == self.name)
        return verb


@dataclass(frozen=True)
class Preparation:
    """Loads what all items need, such as a model; raises what makes all of them fail."""

    address: Address
    request: Request

    def run(self, watch: Watch) -> None:
        """See ``Work``."""
        verb = self.address.verb()
        with verb.on_device(self.request):
            verb.prepare(self.request)


@dataclass(frozen=True)
class Task:
    """One item of a batch.

    Attributes:
        address: of the verb.
        item: what is to be done.
        debug: keep the traceback of a failure.
        folder: that relative names start from.
    """

    address: Address
    item: Item
    debug: bool = False
    folder: str = field(default_factory=os.getcwd)

    def __hash__(self) -> int:
        return hash(self.job)  # options may hold lists

    @property
    def job(self) -> Job:
        """The item's input and output."""
        return self.item.job

    @property
    def source(self) -> Path:
        """The item's input."""
        return self.item.job.source

    def run(self, watch: Watch) -> Outcome:
        """The outcome; exceptions are failed ones."""
        verb = self.address.verb()
        start = time.perf_counter()
        _go_to(self.folder)
        (outcome,) = run(
            [self.job],
            lambda job: self.item.attempt(verb, watch),
            finished=lambda job: self.item.earlier(verb),
        )
        cause = outcome.cause
        trace = "" if cause is None else "".join(traceback.format_exception(cause))
        if cause is not None and not isinstance(cause, SciddmError):
            cause = CrashError(trace)
        elif cause is not None and self.debug:
            cause.add_note(trace)
        return replace(outcome, cause=cause, seconds=time.perf_counter() - start)


def _go_to(folder: str) -> None:
    try:
        if os.getcwd() != folder:
            os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: is not there on {platform.node()} ({error.strerror}): all machines of a "
            "batch share its folders"
        ) from error
