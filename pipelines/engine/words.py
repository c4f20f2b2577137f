"""The command that does the same again."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sciddm.pipelines.engine.request import Request

__all__ = ["PIPE", "command", "flag", "spoken_as", "word"]

#: Standard input as an input, standard output as an output.
PIPE = "-"
_words: dict[Path, str] = {}


@contextmanager
def spoken_as(words: Mapping[Path, str]) -> Iterator[None]:
    """Commands name these paths by other words, as long as the context is open."""
    _words.update(words)
    try:
        yield
    finally:
        for path in words:
            _words.pop(path, None)


def flag(name: str, flags: tuple[str, ...] = ()) -> str:
    """The long flag of an option."""
    return max(flags, key=len) if flags else f"--{name.replace('_', '-')}"


def command(
    verb: tuple[str, str],
    request: Request,
    source: Path | None,
    target: Path | None,
    *,
    option: str = "",
    has_source: bool = True,
) -> str:
    """The command line of a request: every option that is not at its default, and the seed.

    Args:
        verb: domain and name.
        request: the options.
        source: the input; "IN" if it was in memory.
        target: the main output; "OUT" where there is none.
        option: the flag of the input where it is no positional argument.
        has_source: the verb reads an input.
    """
    words = ["sciddm", *verb]
    if has_source:
        words += ([option] if option else []) + ["IN" if source is None else word(source)]
    words += ["-o", "OUT" if target is None else word(target)]
    for name, declared in request.declared().items():
        value = getattr(request, name)
        if declared.option.incidental or value is None:
            continue
        typed = isinstance(value, bool | int | float | str | Path | list | tuple)
        if typed and value == declared.default and name != "seed":
            continue
        if declared.default is not inspect.Parameter.empty and value is False:
            words.append(f"--no-{flag(name, declared.option.flags).removeprefix('--')}")
        elif value is True:
            words.append(flag(name, declared.option.flags))
        elif isinstance(value, list | tuple):
            own = flag(name, declared.option.flags)
            if isinstance(value, tuple):  # one option of several values
                words += [own, *(str(v) for v in value)]
            else:
                words += [word for v in value for word in (own, str(v))]
        elif isinstance(value, bool | int | float | str | Path):
            words += [
                flag(name, declared.option.flags),
                f"{value:g}" if isinstance(value, float) else str(value),
            ]
        else:
            words += [flag(name, declared.option.flags), name.upper()]
    return shlex.join(words)


def word(path: Path) -> str:
    """A path as a command names it."""
    return _words.get(path, str(path))
