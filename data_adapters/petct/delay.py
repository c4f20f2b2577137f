"""The time from the injection to that which PET images are corrected to.

The images are corrected to the start of the scan: the time of the series, unless that was given to
it after its first image was acquired (QIBA, FDG-PET/CT Profile, appendix G). Times are compared in
one zone; see `moments`. What cannot be is refused, and what is unusual is told:

- an injection after the scan on the same day, or more than six half-lives before it: refused;
- a date of the injection that contradicts that of the scan, as after removal of names: its time of
  day holds, and the day is told where the tracer lives long;
- a scan that starts with the injection, or after four half-lives: told.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from pydicom.dataset import Dataset

from sciddm.data_adapters.petct.header_values import private_text
from sciddm.data_adapters.petct.moments import date_of, moment_of, offset_of, time_of, together
from sciddm.errors import InputError

__all__ = ["delay_of"]

_GE = "GEMS_PETD_01"
_DAY = 86_400.0
_MOST_HALF_LIVES, _USUAL_HALF_LIVES = 6.0, 4.0  # between injection and scan
_LONG_LIVED = 12 * 3600.0  # s, half-life from which on the day of the injection matters
_SHORT_LIVED, _SHORTEST = 1800.0, 300.0  # s; tracers that live shorter are scanned at once
_DATES = ("AcquisitionDate", "SeriesDate", "StudyDate", "ContentDate")
_NO_DATE = datetime.date(2000, 1, 1)


def delay_of(
    headers: Sequence[Dataset], tracer: Dataset, name: str, half_life_s: float, *, stated: bool
) -> tuple[float, list[str]]:
    """Seconds from the injection to the time the images are corrected to, and what is to be told.

    Args:
        headers: of all slices.
        tracer: item of their RadiopharmaceuticalInformationSequence.
        name: of the series, for messages.
        half_life_s: of the nuclide.
        stated: the images say what they are corrected to (DecayCorrectionDateTime).

    Raises:
        InputError: no time, or none that can be.
    """
    zone = offset_of(headers[0].get("TimezoneOffsetFromUTC"))
    scan, dated = _scan_start(headers, name, zone, stated)
    longest = _MOST_HALF_LIVES * half_life_s
    text = tracer.get("RadiopharmaceuticalStartDateTime")
    moment = moment_of(text, zone)
    start = time_of(tracer.get("RadiopharmaceuticalStartTime"))
    if moment is not None and dated:
        delay = (scan - moment).total_seconds()
        if 0 <= delay <= longest:
            told = _zone_remarks(text, zone) + _time_remarks(text, moment, start)
            return delay, told + _unusual(delay, half_life_s)
    day_known = moment is not None and dated and moment.date() == scan.date()
    if start is None and moment is not None:
        start = moment.time()
    if start is None:
        raise InputError(
            f"{name}: the time of the injection, RadiopharmaceuticalStartDateTime (0018,1078) or "
            "RadiopharmaceuticalStartTime (0018,1072), is missing: export the original series"
        )
    injected = datetime.datetime.combine(scan.date(), start)
    # A time of day after the scan's is one of the day before.
    delay = (scan - injected).total_seconds() % _DAY
    if delay > longest or day_known:
        at = f"{moment:%Y-%m-%d %H:%M:%S}" if moment is not None else f"{start:%H:%M:%S}"
        when = f"{scan:%Y-%m-%d %H:%M:%S}" if dated else f"{scan:%H:%M:%S}"
        raise InputError(
            f"{name}: an injection at {at} and a scan at {when} cannot be, "
            f"with a half-life of {half_life_s / 60:.4g} min: correct the times, or their zone"
        )
    warnings = _unusual(delay, half_life_s)
    if not dated:
        warnings.append(
            "no date of the scan is stated (emptied when names were removed?): the injection was "
            f"taken to be {delay / 60:.0f} min before it, by the times of day"
        )
    elif moment is not None:
        warnings.append(
            "the date of the injection contradicts that of the scan (changed when names were "
            "removed?): its time of day was used"
        )
    if half_life_s > _LONG_LIVED:
        warnings.append(
            f"the day of the injection is not known, and the half-life is {half_life_s / 3600:.3g} "
            f"h: SUV holds if the injection was {delay / 3600:.3g} h before the scan"
        )
    return delay, warnings


def _unusual(delay: float, half_life_s: float) -> list[str]:
    if half_life_s > _SHORT_LIVED and delay < _SHORTEST:
        return [
            f"the scan starts {delay / 60:.1f} min after the injection by the header: SUV is too "
            "low if the time of the injection is that of the scan by mistake"
        ]
    if delay > _USUAL_HALF_LIVES * half_life_s:
        return [
            f"the scan starts {delay / 3600:.3g} h after the injection, {delay / half_life_s:.1f} "
            "half-lives: check the times, SUV depends much on them"
        ]
    return []


def _time_remarks(
    text: object, moment: datetime.datetime, start: datetime.time | None
) -> list[str]:
    """Whether both elements that hold the injection's time agree, where both are local."""
    if start is None or offset_of(text) is not None:
        return []
    apart = abs((datetime.datetime.combine(moment.date(), start) - moment).total_seconds())
    if min(apart, _DAY - apart) < 60:
        return []
    return [
        f"the injection is stated at {moment:%H:%M:%S} (0018,1078) and at {start:%H:%M:%S} "
        "(0018,1072): the first was used"
    ]


def _zone_remarks(text: object, zone: datetime.timedelta | None) -> list[str]:
    """What is to be said of a date-time whose zone is known and that of the file is not."""
    if zone is not None or offset_of(text) is None:
        return []
    return [
        f"the injection is stated with an offset from UTC ({str(text).strip()[-5:]}), and the scan "
        "without: both were taken for local times"
    ]


def _scan_start(
    headers: Sequence[Dataset], name: str, zone: datetime.timedelta | None, stated: bool
) -> tuple[datetime.datetime, bool]:
    """The time that the images are corrected to, and whether its date is known.

    It is the stated one, else the start of the series, unless that was given to it afterwards.
    """
    first = headers[0]
    if stated:
        moment = moment_of(first.get("DecayCorrectionDateTime"), zone)
        if moment is not None:
            return moment, True
    dated = any(date_of(first.get(d)) is not None for d in _DATES)
    acquired = [
        _at(h, "Acquisition", dated) or moment_of(h.get("AcquisitionDateTime"), zone)
        for h in headers
    ]
    earliest = min((moment for moment in acquired if moment is not None), default=None)
    series = _at(first, "Series", dated)
    if series is not None and (earliest is None or series <= earliest):
        return series, dated
    private = moment_of(private_text(first, 0x0009, 0x0D, _GE), zone)
    if private is not None:
        return private, True
    if earliest is None:
        raise InputError(
            f"{name}: neither SeriesTime (0008,0031) nor AcquisitionTime (0008,0032) say when it "
            "was scanned: export the original series"
        )
    return earliest, dated


def _at(header: Dataset, of: str, dated: bool) -> datetime.datetime | None:
    """Date and time of the series or the acquisition; the date of another element for a missing
    one, and any where there is none at all."""
    time = header.get(f"{of}Time")
    moment = together(header.get(f"{of}Date"), time)
    if moment is not None:
        return moment
    clock = time_of(time)
    if clock is None:
        return None
    days = [date_of(header.get(d)) for d in _DATES] if dated else []
    day = next((d for d in days if d is not None), _NO_DATE)
    return datetime.datetime.combine(day, clock)
