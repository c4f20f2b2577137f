"""The time from the injection to that which PET images are corrected to.

The images are corrected to the start of the scan: the time of the series, unless that was given to
it after its first image was acquired (QIBA, FDG-PET/CT Profile, appendix G). Then it is found from
each image: t_acq + T_ave - t_frame, with the frame reference time t_frame and the time of the mean
count rate in a frame of duration T, T_ave = ln(l T / (1 - exp(-l T))) / l, l = ln 2 / T_half
(Vacha et al., IBSI manual for SUV, 2026). Images that are not corrected have a factor each.

Times are compared in one zone; see `moments`. What cannot be is refused, and what is unusual is
told:

- an injection after the scan on the same day, or more than six half-lives before it: refused;
- a date of the injection that contradicts that of the scan, as after removal of names: its time of
  day holds, and the day is told where the tracer lives long;
- a scan that starts with the injection, or after four half-lives: told.
"""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from sciddm.data_adapters.petct.header_values import number, private_text
from sciddm.data_adapters.petct.moments import date_of, moment_of, offset_of, time_of, together
from sciddm.errors import InputError

__all__ = ["delay_of", "frame_factors"]

_GE = "GEMS_PETD_01"
_DAY = 86_400.0
_MOST_HALF_LIVES, _USUAL_HALF_LIVES = 6.0, 4.0  # between injection and scan
_LONG_LIVED = 12 * 3600.0  # s, half-life from which on the day of the injection matters
_SHORT_LIVED, _SHORTEST = 1800.0, 300.0  # s; tracers that live shorter are scanned at once
_DATES = ("AcquisitionDate", "SeriesDate", "StudyDate", "ContentDate")
_SAME_START = datetime.timedelta(seconds=30)  # of the images of one scan, as they tell it
_NO_DATE = datetime.date(2000, 1, 1)


def delay_of(
    headers: Sequence[Dataset], tracer: Dataset, name: str, half_life_s: float, correction: str
) -> tuple[float, list[str]]:
    """Seconds from the injection to the time the images are corrected to, and what is to be told.

    Args:
        headers: of all slices.
        tracer: item of their RadiopharmaceuticalInformationSequence.
        name: of the series, for messages.
        half_life_s: of the nuclide.
        correction: "START"; "STATED", where DecayCorrectionDateTime says to what; "NONE", where
            the delay is that to the first image, and `frame_factors` make up for the rest.

    Raises:
        InputError: no time, or none that can be.
    """
    zone = offset_of(headers[0].get("TimezoneOffsetFromUTC"))
    scan, dated = _scan_start(headers, name, half_life_s, correction)
    longest = _MOST_HALF_LIVES * half_life_s
    text = tracer.get("RadiopharmaceuticalStartDateTime")
    moment = moment_of(text, zone)
    start = time_of(tracer.get("RadiopharmaceuticalStartTime"))
    if moment is not None and dated:
        delay = (scan - moment).total_seconds()
        if 0 <= delay <= longest:
            remarks = _zone_remarks(text, zone) + _time_remarks(text, moment, start)
            return delay, remarks + _unusual(delay, half_life_s)
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


def frame_factors(headers: Sequence[Dataset], name: str, half_life_s: float) -> NDArray[np.float64]:
    """What brings each uncorrected image to the start of the first one.

    exp(l (t_acq - t_first)) l T / (1 - exp(-l T)), with T the duration of the frame.

    Raises:
        InputError: the time or the duration of an image is missing.
    """
    has_date = _dated(headers[0])
    times = [_acquired(h, has_date) for h in headers]
    durations = [number(h.get("ActualFrameDuration")) for h in headers]
    if any(t is None for t in times) or any(d is None or d <= 0 for d in durations):
        raise InputError(
            f"{name}: DecayCorrection is NONE, and without AcquisitionTime and ActualFrameDuration "
            "of every image SUV cannot be computed: export the corrected series"
        )
    first = min(t for t in times if t is not None)
    rate = math.log(2) / half_life_s
    out = []
    for time, duration in zip(times, durations, strict=True):
        assert time is not None
        assert duration is not None
        decay = rate * duration / 1000
        elapsed = (time - first).total_seconds()
        out.append(math.exp(rate * elapsed) * decay / -math.expm1(-decay))
    return np.array(out)


def _scan_start(
    headers: Sequence[Dataset], name: str, half_life_s: float, correction: str
) -> tuple[datetime.datetime, bool]:
    """The time that the images are corrected to, and whether its date is known."""
    first = headers[0]
    zone = offset_of(first.get("TimezoneOffsetFromUTC"))
    if correction == "STATED":
        moment = moment_of(first.get("DecayCorrectionDateTime"), zone)
        if moment is not None:
            return moment, True
    has_date = _dated(first)
    acquired = [_acquired(h, has_date) for h in headers]
    earliest = min((moment for moment in acquired if moment is not None), default=None)
    if correction == "NONE" and earliest is not None:
        return earliest, has_date
    series = _at(first, "Series", has_date)
    if series is not None and (earliest is None or series <= earliest):
        return series, has_date
    private = moment_of(private_text(first, 0x0009, 0x0D, _GE), zone)
    if private is not None:
        return private, True
    if earliest is None:
        raise InputError(
            f"{name}: neither SeriesTime (0008,0031) nor AcquisitionTime (0008,0032) say when it "
            "was scanned: export the original series"
        )
    starts = [
        moment + before
        for h, moment in zip(headers, acquired, strict=True)
        if moment is not None and (before := _before(h, half_life_s)) is not None
    ]
    if starts and max(starts) - min(starts) < _SAME_START:
        return statistics.median_low(starts), has_date
    return earliest, has_date


def _before(header: Dataset, half_life_s: float) -> datetime.timedelta | None:
    """From the acquisition of an image to what it is corrected to: T_ave - t_frame."""
    duration = number(header.get("ActualFrameDuration"))
    reference = number(header.get("FrameReferenceTime"))
    if not duration or not reference or duration <= 0 or reference <= 0:
        return None
    rate = math.log(2) / half_life_s
    decay = rate * duration / 1000
    average = math.log(decay / -math.expm1(-decay)) / rate
    return datetime.timedelta(seconds=average - reference / 1000)


def _dated(header: Dataset) -> bool:
    return any(date_of(header.get(d)) is not None for d in _DATES)


def _acquired(header: Dataset, dated: bool) -> datetime.datetime | None:
    zone = offset_of(header.get("TimezoneOffsetFromUTC"))
    return _at(header, "Acquisition", dated) or moment_of(header.get("AcquisitionDateTime"), zone)


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
