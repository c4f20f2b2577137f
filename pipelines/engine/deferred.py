"""Functions that are imported when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from operator import attrgetter
from typing import Any

__all__ = ["deferred"]


def deferred(name: str) -> Callable[..., Any]:
    """The function ``package.module:function``, or ``...:Class.method``, imported when called.

    What declares a verb imports nothing heavy: the help of the command line should not wait for
    torch.
    """
    module, _, function = name.partition(":")

    def call(*args: Any, **kwargs: Any) -> Any:
        return attrgetter(function)(importlib.import_module(module))(*args, **kwargs)

    call.__name__, call.__module__ = function, module
    return call
