"""Lengths of time as people write them: 2h, 90min, 1h30min, 45s, or HH:MM:SS."""

from __future__ import annotations

import re

from sciddm.errors import InputError

__all__ = ["clock", "seconds_of"]

_WORDS = re.compile(r"(?:(?P<h>[\d.]+)h)?(?:(?P<min>[\d.]+)m(?:in)?)?(?:(?P<s>[\d.]+)s)?")
_SECONDS = {"h": 3600.0, "min": 60.0, "s": 1.0}


def seconds_of(text: str) -> float:
    """Seconds of a length of time.

    Raises:
        InputError: of no such form, or not above 0.
    """
    words = text.strip().lower().replace(" ", "")
    try:
        if ":" in words:
            hours, minutes, seconds = (int(part) for part in words.split(":"))
            total = 3600.0 * hours + 60.0 * minutes + seconds
        else:
            match = _WORDS.fullmatch(words)
            if not words or match is None:
                raise ValueError
            total = sum(float(match[unit] or 0) * size for unit, size in _SECONDS.items())
    except ValueError:
        raise InputError(
            f"max_time {text!r} is no length of time: write 2h, 90min or HH:MM:SS"
        ) from None
    if not total > 0:
        raise InputError(f"max_time {text!r} leaves no time to train")
    return total


def clock(seconds: float) -> str:
    """HH:MM:SS."""
    whole = round(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
