"""Dates and times of DICOM as local times of one file.

A DT with an offset from UTC is brought to the zone of the file (TimezoneOffsetFromUTC), where both
are stated.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

__all__ = ["date_of", "moment_of", "offset_of", "time_of", "together"]


def together(date: object, time: object) -> datetime.datetime | None:
    """A DA and a TM as one moment."""
    day, moment = date_of(date), time_of(time)
    return None if day is None or moment is None else datetime.datetime.combine(day, moment)


def moment_of(value: object, zone: datetime.timedelta | None) -> datetime.datetime | None:
    """A DT as a local time of the file; without an offset of its own it is one already."""
    text = str(value or "").strip().strip("\0")
    own = None
    for sign in "+-":
        text, found, after = text.partition(sign)
        own = offset_of(sign + after) if found else own
    moment = together(text[:8], text[8:]) if len(text) >= 10 else None
    if moment is None or own is None or zone is None:
        return moment
    return moment - own + zone


def offset_of(value: object) -> datetime.timedelta | None:
    """+HHMM or -HHMM, at the end of a DT or by itself."""
    text = str(value or "").strip()[-5:]
    if len(text) != 5 or text[0] not in "+-" or not text[1:].isdigit():
        return None
    size = datetime.timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return size if text[0] == "+" else -size


def date_of(value: object) -> datetime.date | None:
    """A DA: YYYYMMDD; with points as in old files."""
    text = "".join(c for c in str(value or "") if c.isdigit())
    try:
        return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def time_of(value: object) -> datetime.time | None:
    """A TM: HH, HHMM or HHMMSS with a fraction; with colons as in old files."""
    text = str(value or "").strip().strip("\0").replace(":", "")
    whole, _, fraction = text.partition(".")
    if not whole.isdigit() or len(whole) not in (2, 4, 6):
        return None
    parts = [int(p) for p in _pairs(whole)]
    micro = int(f"{fraction[:6]:0<6}") if fraction.isdigit() else 0
    hour, minute, second = [*parts, 0, 0][:3]
    try:
        return datetime.time(hour, minute, min(second, 59), micro)
    except ValueError:
        return None


def _pairs(text: str) -> Iterable[str]:
    return (text[i : i + 2] for i in range(0, len(text), 2))
