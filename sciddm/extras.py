"""Libraries that one domain or one activity needs, and what to say where they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sciddm.errors import SciddmError

__all__ = ["MissingExtraError", "extra"]


class MissingExtraError(SciddmError, ImportError):
    """A library is not installed; the message names the extra that brings it."""


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """Around an import: a missing library becomes one sentence.

    Args:
        name: of the extra in pyproject.toml.
        purpose: what the library is for, as the subject of the sentence.

    Raises:
        MissingExtraError: the import failed.
    """
    try:
        yield
    except ImportError as error:
        missing = error.name or str(error)
        raise MissingExtraError(
            f"{purpose} needs {missing}: pip install 'sciddm[{name}]'"
        ) from error
