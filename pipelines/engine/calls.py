"""Functions of a domain that take options of the request under their names.

A verb names them as text, ``package.module:function``, and the options that they take; nothing is
imported before the first call. Where a parameter has another name than the option, it is written
as ``parameter="option"``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.deferred import deferred
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.target import Saving

__all__ = ["on_data", "on_path", "on_result"]


def on_path(name: str, *options: str, **renamed: str) -> Callable[[Path, Request], Any]:
    """What opens an input, or lists the files of an item or of a result.

    Args:
        name: of a function of a path and these options.
        options, renamed: options that it takes.
    """
    function = deferred(name)

    def call(path: Path, request: Request) -> Any:
        return function(path, **request.values(*options, **renamed))

    call.__module__ = function.__module__
    return call


def on_data(name: str, *options: str, **renamed: str) -> Callable[[Any, Request, Context], Any]:
    """What computes a result.

    Args:
        name: of a function of the data, these options and ``progress``.
        options, renamed: options that it takes.
    """
    function = deferred(name)

    def compute(data: Any, request: Request, context: Context) -> Any:
        return function(data, **request.values(*options, **renamed), progress=context.progress)

    return compute


def on_result(
    name: str, *options: str, source: str = "", **renamed: str
) -> Callable[[Any, Path, Saving[Any]], None]:
    """What writes a result.

    Args:
        name: of a function of the result, its main output, the place of each output, and these
            options.
        options, renamed: options that it takes.
        source: its parameter for the file that the result was made from; empty for none.
    """
    function = deferred(name)

    def save(result: Any, path: Path, saving: Saving[Any]) -> None:
        origin = {source: saving.source} if source else {}
        function(result, path, saving.at, **origin, **saving.request.values(*options, **renamed))

    return save
