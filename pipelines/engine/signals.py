"""A request to stop, however it comes: by the keyboard, by a scheduler or by a closed terminal.

SIGTERM and SIGHUP are answered as SIGINT is: what is being written is taken back, what is finished
stays, and the exit code is 128 + the signal's number.
"""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["exit_code", "stop_on_signals"]

_NAMES = ("SIGTERM", "SIGHUP")
_received: list[int] = []


def stop_on_signals() -> None:
    """Lets the signals raise KeyboardInterrupt in the main thread.

    One that is ignored, as ``nohup`` has it, stays ignored.
    """
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) == signal.SIG_IGN:
            continue
        try:
            signal.signal(number, _stop)
        except ValueError:  # not the main thread
            return


def exit_code() -> int:
    """Of a command that was stopped: 128 + the number of the signal."""
    return 128 + (_received[-1] if _received else int(signal.SIGINT))


def _stop(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt
