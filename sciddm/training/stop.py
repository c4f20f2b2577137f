"""A request to stop a training: noted when it comes, answered when the step is complete.

SIGINT, SIGTERM and SIGHUP are answered alike. The training saves a checkpoint and then raises the
signal again, for whoever handled it before; a second signal does not wait.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["StopRequest"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class StopRequest:
    """Whether somebody asked the training to stop.

    Attributes:
        number: of the signal, None while there is none.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notes signals in the block; afterwards they are handled as before.

        One that came is raised again at the end of the block.
        """
        self.install()
        try:
            yield
        finally:
            self.restore()
        if self.number is not None:
            signal.raise_signal(self.number)

    def install(self) -> None:
        """Takes the signals over; called again after others have taken them."""
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is None or signal.getsignal(number) == signal.SIG_IGN:
                continue
            try:
                before = signal.signal(number, self._note)
            except ValueError:  # not the main thread
                return
            self._before.setdefault(number, before)

    def restore(self) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:  # asked twice
            raise KeyboardInterrupt
        self.number = number
