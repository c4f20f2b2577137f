"""What to say where a verb cannot read its input because it is another domain's.

The engine knows no domain: ``sciddm.pipelines`` sets the adviser.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sciddm.errors import InputError, OptionError
from sciddm.storage.special_files import is_regular

__all__ = ["Adviser", "advised", "set_adviser"]

#: Takes a path, the domain and the verb that cannot read it; gives a sentence, empty for none.
Adviser = Callable[[Path, str, str], str]

_advisers: list[Adviser] = []


def set_adviser(adviser: Adviser) -> None:
    """Makes an adviser the only one."""
    _advisers[:] = [adviser]


def advised(error: InputError, path: Path, domain: str, verb: str) -> InputError:
    """The error, or one that says where the input belongs and then what was wrong with it.

    Args:
        error: why it cannot be read; one about an option stays as it is.
        path: the input.
        domain: that cannot read it.
        verb: likewise.
    """
    if isinstance(error, OptionError) or not path.exists() or not is_regular(path):
        return error
    for adviser in _advisers:
        sentence = adviser(path, domain, verb)
        if sentence:
            why = str(error).removeprefix(f"{path}: ")
            return InputError(f"{path}: {sentence} ({why})")
    return error
