"""``-`` as input and as output of a command: a file on standard input, a file on standard output.

A reader may go back in its file, and a writer may change its header at the end, so both work on
files in a temporary folder. The stored command says ``-``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciddm.errors import InputError
from sciddm.pipelines.engine.words import PIPE, spoken_as

if TYPE_CHECKING:
    from sciddm.pipelines.engine.verb import Transform

__all__ = ["Ends", "piped"]

_PIPE = Path(PIPE)


@dataclass(frozen=True)
class Ends:
    """The two ends of a command, files in the place of pipes.

    Attributes:
        inputs: files and folders.
        target: file or folder; None for no output.
        to_pipe: standard output gets the target, so nothing else may be printed there.
    """

    inputs: Sequence[Path]
    target: Path | None
    to_pipe: bool = False


@contextmanager
def piped(
    verb: Transform[..., Any, Any], inputs: Sequence[Path], target: Path | None
) -> Iterator[Ends]:
    """Files for the pipes of a command: standard input is read, standard output written at the end.

    Args:
        verb: whose source and target say whether they take pipes.
        inputs: as given.
        target: as given.

    Raises:
        InputError: ``-`` beside other inputs, a terminal in the place of a pipe, no bytes.
    """
    reads = verb.source is not None and bool(verb.source.pipe) and _PIPE in inputs
    writes = bool(verb.target.pipe) and target == _PIPE
    if not (reads or writes):
        yield Ends(inputs, target)
        return
    if reads and len(inputs) > 1:
        raise InputError("- is standard input: give it alone, without other inputs")
    if writes and sys.stdout.isatty():
        raise InputError("standard output is a terminal: send it to a file or another program")
    with tempfile.TemporaryDirectory() as folder:
        ends = Ends(inputs, target)
        if reads:
            assert verb.source is not None
            source = Path(folder) / f"standard-input{verb.source.pipe}"
            _receive(source)
            ends = replace(ends, inputs=[source])
        if writes:
            ends = replace(
                ends, target=Path(folder) / f"standard-output{verb.target.pipe}", to_pipe=True
            )
        files = [*([ends.inputs[0]] if reads else []), *([ends.target] if writes else [])]
        with spoken_as({path: PIPE for path in files if path is not None}):
            yield ends
        if writes and ends.target is not None and ends.target.exists():
            _send(ends.target)


def _receive(path: Path) -> None:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("standard input is a terminal: send a file or a program's output to it")
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 2**20)
        size = file.tell()
    if not size:
        raise InputError("standard input is empty: send a file or a program's output to it")


def _send(path: Path) -> None:
    try:
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer, 2**20)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Whoever listened has gone; Python would complain again when it closes the pipe.
        sys.stdout = None
