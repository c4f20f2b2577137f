"""Functions that are imported when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["deferred"]


def deferred(name: str) -> Callable[..., Any]:
    """The function ``package.module:function``, imported at its first call.

    What declares a verb imports nothing heavy: the help of the command line should not wait for
    torch.
    """
    module, _, function = name.partition(":")

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), function)(*args, **kwargs)

    call.__name__ = function
    return call
