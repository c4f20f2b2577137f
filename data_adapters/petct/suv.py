"""Activity in PET images to SUV normalised by body weight.

    SUVbw = activity [Bq/ml] W [g] / (D 2^(-(t_scan - t_injection) / T_half))

With Decay Correction START the images are corrected to the start of the scan, so the dose is
decayed to it; with ADMIN they are corrected to the injection, and it is not. Which time the start
of the scan is, what units mean, and what stands in for a missing one differ between vendors: the
rules are those of the Quantitative Imaging Biomarkers Alliance's vendor-neutral pseudo-code for
SUV (QIBA, FDG-PET/CT Profile, appendix G).

=====  =====================================================================================
Units  values become SUV by
=====  =====================================================================================
BQML   the equation above
GML    1: they are SUV already (SUV Type absent or BW)
CNTS   Philips' factor (7053,1000); or Bq/ml by (7053,1009), then the equation
=====  =====================================================================================

Enhanced (multi-frame) PET states its units as a code, and as a date-time what it is corrected to.
Times are compared in one zone: a date-time with an offset from UTC is brought to that of the file
(TimezoneOffsetFromUTC). A delay that leaves less than 1/64 of the dose is an error in the file.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from sciddm.errors import InputError

__all__ = ["Scaling", "decay_factor", "suv_scaling"]

_PHILIPS, _GE = "Philips PET Private Group", "GEMS_PETD_01"
_DAY = 86_400.0
_MOST_HALF_LIVES = 6.0  # between injection and scan: nobody waits longer
_LONG_LIVED = 12 * 3600.0  # s, half-life from which on the day of the injection matters
_HEAVIEST_KG, _LIGHTEST_KG = 650.0, 2.0
_LEAST_HEIGHT_M, _MOST_HEIGHT_M = 0.3, 2.8
_LEAST_BQ = 1e5  # a dose below is one in MBq or mCi that was written as Bq


@dataclass(frozen=True)
class Scaling:
    """How the rescaled values of a series become SUV.

    Attributes:
        factor: SUV = factor x value.
        told: the numbers that led to it, for the attributes of the volume.
        warnings: what is to be known about it.
    """

    factor: float
    told: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


def decay_factor(seconds: float, half_life_s: float) -> float:
    """2^(-t / T_half)."""
    out: float = 2.0 ** (-seconds / half_life_s)
    return out


def suv_scaling(
    headers: Sequence[Dataset],
    name: str,
    *,
    weight_kg: float | None = None,
    dose_mbq: float | None = None,
) -> Scaling:
    """The factor from the rescaled values of a PET series to SUVbw.

    Args:
        headers: of all slices.
        name: of the series, for messages.
        weight_kg: in place of the header's.
        dose_mbq: injected, in place of the header's.

    Raises:
        InputError: something that is needed is missing, impossible, or in units without a rule.
    """
    first = headers[0]
    _check_alike(headers, name)
    units = _units(first)
    if units == "GML":
        kind = str(first.get("SUVType") or "BW").strip().upper()
        if kind != "BW":
            raise InputError(
                f"{name}: its SUV is normalised by {kind}, not by body weight: export Bq/ml"
            )
        return Scaling(1.0, {"suv_rule": "GML"})
    to_activity, rule = 1.0, "BQML"
    if units == "CNTS":
        factor = _private(first, 0x7053, 0x00, _PHILIPS)
        if factor:
            return Scaling(factor, {"suv_rule": "CNTS", "suv_factor": factor})
        activity = _private(first, 0x7053, 0x09, _PHILIPS)
        if not activity:
            raise InputError(
                f"{name}: its values are counts, without Philips' factors (7053,1000) or "
                "(7053,1009): export Bq/ml, private elements included"
            )
        to_activity, rule = activity, "CNTS to Bq/ml"
    elif units != "BQML":
        raise InputError(
            f"{name}: Units are {units or 'missing'}, not BQML, GML or CNTS: export Bq/ml or SUV"
        )
    _check_corrections(first, name)
    weight = _weight(first, name, weight_kg)
    tracer = _tracer(first, name)
    dose = _dose(tracer, name, dose_mbq)
    told: dict[str, Any] = {"suv_rule": rule, "weight_kg": weight, "dose_mbq": dose / 1e6}
    told |= _body(first, weight)
    decayed = dose
    warnings: list[str] = []
    if weight < _LIGHTEST_KG:
        warnings.append(f"a weight of {weight:g} kg: SUV holds for it alone; is it in kg?")
    correction = _correction(first)
    if correction in ("START", "STATED"):
        half_life = _number(tracer.get("RadionuclideHalfLife"))
        if not half_life or half_life <= 0:
            raise InputError(f"{name}: RadionuclideHalfLife (0018,1075) is missing: export it")
        delay, remarks = _delay(headers, tracer, name, half_life)
        warnings += remarks
        decayed = dose * decay_factor(delay, half_life)
        told |= {"uptake_min": delay / 60, "half_life_min": half_life / 60}
    elif correction != "ADMIN":
        raise InputError(
            f"{name}: DecayCorrection is {correction or 'missing'}, not START or ADMIN: without "
            "correction for decay SUV cannot be computed"
        )
    factor = to_activity * weight * 1000 / decayed
    told |= {"decay_correction": correction, "suv_factor": factor}
    return Scaling(factor, told, warnings)


def _check_alike(headers: Sequence[Dataset], name: str) -> None:
    """Whether all slices are scaled by one rule.

    Raises:
        InputError: they state several; names the attribute.
    """
    for keyword in ("Units", "SUVType", "DecayCorrection", "PatientWeight"):
        stated = sorted({str(h.get(keyword) or "nothing") for h in headers})
        if len(stated) > 1:
            raise InputError(
                f"{name}: its slices state {' and '.join(stated[:3])} for {keyword}: put slices of "
                "one kind into a folder of their own"
            )


def _check_corrections(header: Dataset, name: str) -> None:
    if str(header.get("AttenuationCorrected") or "").strip().upper() == "NO":
        raise InputError(f"{name}: is not corrected for attenuation: export the corrected series")
    corrected = header.get("CorrectedImage")
    if corrected in (None, ""):
        return  # of old exports and enhanced images; DecayCorrection says the rest
    if isinstance(corrected, str):
        corrected = [corrected]
    done = {str(v).strip().upper() for v in corrected}
    for code, word in (("ATTN", "attenuation"), ("DECY", "decay")):
        if code not in done:
            raise InputError(f"{name}: is not corrected for {word}: export the corrected series")


def _weight(header: Dataset, name: str, given: float | None) -> float:
    weight = given if given is not None else _number(header.get("PatientWeight"))
    if not weight:
        raise InputError(
            f"{name}: PatientWeight (0010,1030) is missing: give it in kg by --weight-kg"
        )
    if not 0 < weight < _HEAVIEST_KG:
        raise InputError(f"{name}: a weight of {weight:g} kg: give the right one by --weight-kg")
    return weight


def _tracer(header: Dataset, name: str) -> Dataset:
    found = header.get("RadiopharmaceuticalInformationSequence")
    if not found:
        raise InputError(
            f"{name}: RadiopharmaceuticalInformationSequence (0054,0016), with dose and time of "
            "the injection, is missing: export the original series"
        )
    if len(found) > 1:
        raise InputError(
            f"{name}: {len(found)} radiopharmaceuticals: SUV of a mixture is undefined"
        )
    out: Dataset = found[0]
    return out


def _dose(tracer: Dataset, name: str, given: float | None) -> float:
    if given is not None:
        if not 0 < given < 1e5:
            raise InputError(f"{name}: a dose of {given:g} MBq: give the right one by --dose-mbq")
        return given * 1e6
    dose = _number(tracer.get("RadionuclideTotalDose"))
    if not dose:
        raise InputError(
            f"{name}: RadionuclideTotalDose (0018,1074) is missing: give it by --dose-mbq"
        )
    if not dose >= _LEAST_BQ:
        raise InputError(
            f"{name}: RadionuclideTotalDose is {dose:g} Bq, too little to see: is it in MBq? give "
            "it by --dose-mbq"
        )
    return dose


def _units(header: Dataset) -> str:
    """BQML, GML, CNTS or what else is stated, "" where nothing is."""
    units = str(header.get("Units") or "").strip().upper()
    mapping = header.get("RealWorldValueMappingSequence")
    if units or not mapping:
        return units
    codes = mapping[0].get("MeasurementUnitsCodeSequence")
    code = str(codes[0].get("CodeValue") or "").strip() if codes else ""
    return {"BQ/ML": "BQML", "{SUVBW}G/ML": "GML", "G/ML{SUVBW}": "GML"}.get(code.upper(), code)


def _correction(header: Dataset) -> str:
    """DecayCorrection; "STATED" where an enhanced image states the time it is corrected to."""
    correction = str(header.get("DecayCorrection") or "").strip().upper()
    corrected = str(header.get("DecayCorrected") or "").strip().upper() == "YES"
    stated = corrected and header.get("DecayCorrectionDateTime")
    return "STATED" if stated and not correction else correction


def _body(header: Dataset, weight_kg: float) -> dict[str, Any]:
    """Lean body mass (Janmahasatian et al., 2005) and body surface (Du Bois, 1916), where known.

    SUL = SUV x lean mass / weight; SUV-BSA [m2/l] = SUV x surface / weight.
    """
    height = _number(header.get("PatientSize"))
    if not height or not _LEAST_HEIGHT_M < height < _MOST_HEIGHT_M:
        return {}
    surface = 0.007184 * weight_kg**0.425 * (100 * height) ** 0.725
    told: dict[str, Any] = {"height_m": height, "body_surface_m2": surface}
    offset = {"M": (6680.0, 216.0), "F": (8780.0, 244.0)}.get(str(header.get("PatientSex") or ""))
    if offset is not None:
        told["lean_mass_kg"] = 9270 * weight_kg / (offset[0] + offset[1] * weight_kg / height**2)
    return told


def _delay(
    headers: Sequence[Dataset], tracer: Dataset, name: str, half_life_s: float
) -> tuple[float, list[str]]:
    """Seconds from the injection to the time the images are corrected to.

    Raises:
        InputError: no time, or none that can be.
    """
    zone = _zone(headers[0])
    scan = _scan_start(headers, name, zone)
    longest = _MOST_HALF_LIVES * half_life_s
    stated = _moment(tracer.get("RadiopharmaceuticalStartDateTime"), zone)
    if stated is not None:
        delay = (scan - stated).total_seconds()
        if 0 <= delay <= longest:
            return delay, _zone_remarks(tracer.get("RadiopharmaceuticalStartDateTime"), zone)
    start = _time(tracer.get("RadiopharmaceuticalStartTime"))
    if start is None and stated is not None:
        start = stated.time()
    if start is None:
        raise InputError(
            f"{name}: the time of the injection, RadiopharmaceuticalStartDateTime (0018,1078) or "
            "RadiopharmaceuticalStartTime (0018,1072), is missing: export the original series"
        )
    injected = datetime.datetime.combine(scan.date(), start)
    # A time of day after the scan's is one of the day before.
    delay = (scan - injected).total_seconds() % _DAY
    if delay > longest:
        told = f"{stated:%Y-%m-%d %H:%M:%S}" if stated is not None else f"{start:%H:%M:%S}"
        raise InputError(
            f"{name}: an injection at {told} and a scan at {scan:%Y-%m-%d %H:%M:%S} cannot be, "
            f"with a half-life of {half_life_s / 60:.4g} min: correct the times, or their zone"
        )
    warnings = []
    if stated is not None:
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


def _zone_remarks(stated: Any, zone: datetime.timedelta | None) -> list[str]:
    """What is to be said of a date-time whose zone is known and that of the file is not."""
    text = str(stated or "").strip()
    if zone is not None or _offset(text[-5:]) is None:
        return []
    return [
        f"the injection is stated with an offset from UTC ({text[-5:]}), and the scan without: "
        "both were taken for local times"
    ]


def _zone(header: Dataset) -> datetime.timedelta | None:
    """Offset of the file's times from UTC, where it is stated."""
    return _offset(str(header.get("TimezoneOffsetFromUTC") or "").strip())


def _offset(text: str) -> datetime.timedelta | None:
    """+HHMM or -HHMM."""
    if len(text) != 5 or text[0] not in "+-" or not text[1:].isdigit():
        return None
    size = datetime.timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return size if text[0] == "+" else -size


def _scan_start(
    headers: Sequence[Dataset], name: str, zone: datetime.timedelta | None
) -> datetime.datetime:
    """The time that the images are corrected to: the stated one, else the start of the series,
    unless that was given to it afterwards."""
    first = headers[0]
    if _correction(first) == "STATED":
        moment = _moment(first.get("DecayCorrectionDateTime"), zone)
        if moment is not None:
            return moment
    acquired = [
        moment
        for h in headers
        if (moment := _together(h.get("AcquisitionDate"), h.get("AcquisitionTime"))) is not None
    ]
    earliest = min(acquired, default=None)
    series = _together(first.get("SeriesDate"), first.get("SeriesTime"))
    if series is not None and (earliest is None or series <= earliest):
        return series
    private = _moment(_private_text(first, 0x0009, 0x0D, _GE), zone)
    if private is not None:
        return private
    if earliest is None:
        raise InputError(
            f"{name}: neither SeriesTime (0008,0031) nor AcquisitionTime (0008,0032) say when it "
            "was scanned: export the original series"
        )
    return earliest


def _private(header: Dataset, group: int, element: int, creator: str) -> float | None:
    value = _number(_private_text(header, group, element, creator))
    return value if value and value > 0 else None


def _private_text(header: Dataset, group: int, element: int, creator: str) -> Any:
    try:
        value = header.private_block(group, creator)[element].value
    except KeyError:
        return None
    # Of an implicit VR, unknown to the dictionary, the bytes come as they are.
    return value.decode("ascii", "ignore") if isinstance(value, bytes) else value


def _together(date: Any, time: Any) -> datetime.datetime | None:
    day, moment = _date(date), _time(time)
    return None if day is None or moment is None else datetime.datetime.combine(day, moment)


def _moment(value: Any, zone: datetime.timedelta | None) -> datetime.datetime | None:
    """A DT as a local time of the file; without an offset of its own it is one already."""
    text = str(value or "").strip().strip("\0")
    own = None
    for sign in "+-":
        text, found, after = text.partition(sign)
        own = _offset(sign + after) if found else own
    moment = _together(text[:8], text[8:]) if len(text) >= 10 else None
    if moment is None or own is None or zone is None:
        return moment
    return moment - own + zone


def _date(value: Any) -> datetime.date | None:
    text = "".join(c for c in str(value or "") if c.isdigit())
    try:
        return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def _time(value: Any) -> datetime.time | None:
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


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
