"""What a command prints: never obeyed by a terminal, never a reason to fail.

Names of files, and texts in them, are somebody else's. Characters that a terminal acts upon
(escapes, line feeds, marks that turn the direction of writing) are shown as Python writes them.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

__all__ = ["PlainConsole", "shown", "steady_output"]

_ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def shown(text: str) -> str:
    """The text with characters that a terminal acts upon written as escapes."""
    return _ACTIVE.sub(_escaped, text)


class PlainConsole(Console):
    """A console to which every text is a text: no markup, no escapes."""

    def render_str(self, text: str, *args: Any, **kwargs: Any) -> Text:
        """The text, ``shown``."""
        return super().render_str(shown(text), *args, **kwargs)


def steady_output() -> None:
    """Lets a command end well whose reader has gone (``| head``) or never was (``>&-``).

    Its outputs are files. A disk that is full under standard output is an error still.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stdout = _Steady(sys.stdout)
    sys.stderr = _Steady(sys.stderr)


class _Steady:
    """A stream that falls silent when nobody reads it.

    Attributes:
        failure: another reason for which it cannot be written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:  # an encoding without these characters
            encoding = self._stream.encoding
            return self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError as error:
            self._silence(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._silence(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _silence(self, error: OSError) -> None:
        # What is left in the buffer would fail again when the process ends.
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, self._stream.fileno())
        os.close(silent)
        if error.errno not in (errno.EPIPE, errno.EBADF):
            self.failure = error


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
