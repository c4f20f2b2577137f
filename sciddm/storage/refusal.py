"""What a disk refuses, as one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sciddm.errors import OutputError, SciddmError

__all__ = ["refusal", "refusals_told"]

_FULL = {getattr(errno, n) for n in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, n)}


def refusal(target: Path, error: BaseException, *, full: bool = False) -> OutputError:
    """The error of a target that cannot be written.

    Args:
        target: what was to be written.
        error: what its writer raised.
        full: the disk is full, whatever the writer says.
    """
    if isinstance(error, OSError) and error.errno in _FULL:
        # The system's words: those of a library may be many lines.
        return OutputError(
            f"{target}: cannot be written ({os.strerror(error.errno or 0)}): free some space"
        )
    if full:
        return OutputError(
            f"{target}: cannot be written ({os.strerror(errno.ENOSPC)}): free some space"
        )
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return OutputError(f"{target}: cannot be written ({reason or type(error).__name__})")


@contextmanager
def refusals_told(target: Path) -> Iterator[None]:
    """Turns what the disk refuses within the block into one `OutputError`.

    Args:
        target: what is written, for the message.
    """
    try:
        yield
    except SciddmError:  # some of which are an OSError, too
        raise
    except OSError as error:
        raise refusal(target, error) from error
