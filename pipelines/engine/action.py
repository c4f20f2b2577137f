"""A verb that is neither a transformation of files nor a comparison, such as a live stream."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.verb import Verb

__all__ = ["Action"]

P = ParamSpec("P")
R = TypeVar("R", bound=Request)


class Action(Verb[P, R]):
    """Does something with its options alone; its exit code is the command's.

    Args:
        request: see ``Verb``.
        run: what is done.
        name: see ``Verb``.
    """

    _returns = "int"

    def __init__(self, request: Callable[P, R], *, run: Callable[[R], int], name: str = "") -> None:
        super().__init__(request, name)
        self.run = run

    def _parameters(self) -> list[inspect.Parameter]:
        return []

    def __call__(self, *args: P.args, **options: P.kwargs) -> int:
        return self.done(self.request.of(options))

    def done(self, request: R) -> int:
        """Runs on the request's device; its exit code."""
        with self.on_device(request):
            return self.run(request)
