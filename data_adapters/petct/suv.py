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
GML    1: they are SUV already (SUV Type absent or BW); of another SUV Type weight / `body_size`
CM2ML  weight / (10 surface in m2): SUV by body surface
CNTS   Philips' factor (7053,1000); or Bq/ml by (7053,1009), then the equation
=====  =====================================================================================

Enhanced (multi-frame) PET states its units as a code, and as a date-time what it is corrected to.
How times are compared is in `delay`. Lean body mass and body surface are told where the header
has what they need, whatever the units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from sciddm.data_adapters.petct.body_size import KINDS, body_size
from sciddm.data_adapters.petct.delay import delay_of, frame_factors
from sciddm.data_adapters.petct.header_values import number, private_number
from sciddm.data_adapters.petct.nuclide import HALF_LIVES_S, nuclide_of
from sciddm.errors import InputError

__all__ = ["Scaling", "decay_factor", "suv_scaling"]

_PHILIPS = "Philips PET Private Group"
_SAME_HALF_LIFE = 0.03  # relative; tables differ by less
_HEAVIEST_KG, _LIGHTEST_KG = 650.0, 2.0
_LEAST_HEIGHT_M, _MOST_HEIGHT_M = 0.3, 2.8
_LEAST_MBQ, _MOST_MBQ = 50.0, 5000.0  # a number that is a dose in MBq alone: 50 mCi is none
_LEAST_BQ = 1e5  # a dose below is one in MBq or mCi that was written as Bq


@dataclass(frozen=True)
class Scaling:
    """How the rescaled values of a series become SUV.

    Attributes:
        factor: SUV = factor x value.
        told: the numbers that led to it, for the attributes of the volume.
        warnings: what is to be known about it.
        slices: further factor of each slice; None for none.
    """

    factor: float
    told: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    slices: NDArray[np.float64] | None = None

    def of(self, index: int) -> float:
        """The factor of a slice."""
        return self.factor if self.slices is None else self.factor * float(self.slices[index])


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
        factor, remarks = (1.0, []) if kind == "BW" else _per_weight(first, name, kind, weight_kg)
        scaling = _scaled_already(first, factor, "GML", weight_kg, dose_mbq)
        return replace(scaling, warnings=remarks + scaling.warnings)
    if units == "CM2ML":
        factor, remarks = _per_weight(first, name, "BSA", weight_kg)
        scaling = _scaled_already(first, factor, "CM2ML", weight_kg, dose_mbq)
        return replace(scaling, warnings=remarks + scaling.warnings)
    to_activity, rule = 1.0, "BQML"
    if units == "CNTS":
        to_suv = private_number(first, 0x7053, 0x00, _PHILIPS)
        activity = private_number(first, 0x7053, 0x09, _PHILIPS)
        corrected = weight_kg is not None or dose_mbq is not None
        if to_suv and not (corrected and activity):
            return _scaled_already(first, to_suv, "CNTS", weight_kg, dose_mbq)
        if not activity:
            raise InputError(
                f"{name}: its values are counts, without Philips' factors (7053,1000) or "
                "(7053,1009): export Bq/ml, private elements included"
            )
        to_activity, rule = activity, "CNTS to Bq/ml"
    elif units != "BQML":
        raise InputError(
            f"{name}: Units are {units or 'missing'}, not BQML, GML, CM2ML or CNTS: export Bq/ml "
            "or SUV"
        )
    _check_corrections(first, name)
    weight = _weight(first, name, weight_kg)
    tracer = _tracer(first, name)
    dose, warnings = _dose(tracer, name, dose_mbq)
    told: dict[str, Any] = {"suv_rule": rule, "weight_kg": weight, "dose_mbq": dose / 1e6}
    body, remarks = _body(first, weight)
    told |= body
    warnings += remarks
    decayed, slices = dose, None
    if weight < _LIGHTEST_KG:
        warnings.append(f"a weight of {weight:g} kg: SUV holds for it alone; is it in kg?")
    correction = _correction(first)
    if correction in ("START", "STATED", "NONE"):
        half_life, remarks = _half_life(tracer, name)
        warnings += remarks
        delay, remarks = delay_of(headers, tracer, name, half_life, correction)
        warnings += remarks
        decayed = dose * decay_factor(delay, half_life)
        if correction == "NONE":
            slices = frame_factors(headers, name, half_life)
        told |= {"uptake_min": delay / 60, "half_life_min": half_life / 60}
    elif correction != "ADMIN":
        raise InputError(
            f"{name}: DecayCorrection is {correction or 'missing'}, not START or ADMIN: without "
            "correction for decay SUV cannot be computed"
        )
    factor = to_activity * weight * 1000 / decayed
    told |= {"decay_correction": correction, "suv_factor": factor}
    return Scaling(factor, told, warnings, slices)


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
    doses = {_injection(h) for h in headers}
    if len(doses) > 1:
        raise InputError(
            f"{name}: its slices state {len(doses)} injections: put slices of one scan into a "
            "folder of their own"
        )


def _injection(header: Dataset) -> tuple[str, ...]:
    """Dose, half-life and time, as they are stated."""
    tracers = header.get("RadiopharmaceuticalInformationSequence") or [Dataset()]
    names = (
        "RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime",
        "RadiopharmaceuticalStartDateTime",
    )  # fmt: skip
    return tuple(str(tracers[0].get(n) or "") for n in names)


def _per_weight(
    header: Dataset, name: str, kind: str, weight_kg: float | None
) -> tuple[float, list[str]]:
    """From SUV by another size of the body to that by its weight.

    Raises:
        InputError: another SUV Type, or weight, height or sex are missing.
    """
    weight = number(header.get("PatientWeight")) or weight_kg
    height = number(header.get("PatientSize"))
    sex = str(header.get("PatientSex") or "").strip().upper()
    usable = (
        weight is not None
        and _LIGHTEST_KG <= weight < _HEAVIEST_KG
        and height is not None
        and _LEAST_HEIGHT_M < height < _MOST_HEIGHT_M
        and (kind == "BSA" or sex in ("M", "F", "O"))
    )
    if kind not in KINDS or not usable:
        raise InputError(
            f"{name}: its SUV is normalised by {kind}, not by body weight, and weight, height and "
            "sex do not bring it back: export Bq/ml"
        )
    assert weight is not None
    assert height is not None
    size = body_size(kind, weight, height, sex)
    if size <= 0:
        raise InputError(
            f"{name}: weight and height give a size {kind} of {size:.3g}: export Bq/ml"
        )
    remarks = [f"the stored SUV is by {kind}: brought to SUV by body weight"]
    if kind != "BSA" and sex == "O":
        remarks.append(f'the sex is "O": the mean of {kind} of both sexes was used')
    return weight / (10 * size if kind == "BSA" else size), remarks


def _scaled_already(
    header: Dataset, factor: float, rule: str, weight_kg: float | None, dose_mbq: float | None
) -> Scaling:
    """Values that become SUV without weight and dose: the scanner used its own."""
    attributes: dict[str, Any] = {"suv_rule": rule}
    if factor != 1:
        attributes["suv_factor"] = factor
    weight = number(header.get("PatientWeight")) or weight_kg
    warnings: list[str] = []
    if weight and _LIGHTEST_KG <= weight < _HEAVIEST_KG:
        body, warnings = _body(header, weight)
        attributes |= {"weight_kg": weight, **body}
    if dose_mbq is not None or (weight_kg is not None and weight_kg != weight):
        warnings.append(
            "its values are SUV by the weight and dose that the scanner knew: those that are given "
            "here do not change them"
        )
    return Scaling(factor, attributes, warnings)


def _check_corrections(header: Dataset, name: str) -> None:
    if str(header.get("AttenuationCorrected") or "").strip().upper() == "NO":
        raise InputError(f"{name}: is not corrected for attenuation: export the corrected series")
    corrected = header.get("CorrectedImage")
    if corrected in (None, ""):
        return  # of old exports and enhanced images; DecayCorrection says the rest
    if isinstance(corrected, str):
        corrected = [corrected]
    done = {str(v).strip().upper() for v in corrected}
    if "ATTN" not in done:
        raise InputError(f"{name}: is not corrected for attenuation: export the corrected series")
    correction = _correction(header)
    if correction == "NONE" and "DECY" in done:
        raise InputError(
            f"{name}: DecayCorrection is NONE, and CorrectedImage names DECY: which one holds is "
            "unknown, export the series again"
        )
    if correction != "NONE" and "DECY" not in done:
        raise InputError(f"{name}: is not corrected for decay: export the corrected series")


def _weight(header: Dataset, name: str, given: float | None) -> float:
    weight = given if given is not None else number(header.get("PatientWeight"))
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


def _dose(tracer: Dataset, name: str, given: float | None) -> tuple[float, list[str]]:
    """In Bq, and what is to be told of it."""
    if given is not None:
        if not 0 < given < 1e5:
            raise InputError(f"{name}: a dose of {given:g} MBq: give the right one by --dose-mbq")
        return given * 1e6, []
    dose = number(tracer.get("RadionuclideTotalDose"))
    if not dose:
        raise InputError(
            f"{name}: RadionuclideTotalDose (0018,1074) is missing: give it by --dose-mbq"
        )
    if _LEAST_MBQ <= dose <= _MOST_MBQ:
        return dose * 1e6, [
            f"RadionuclideTotalDose is {dose:g} Bq, which is no dose: it was taken for MBq"
        ]
    if not dose >= _LEAST_BQ:
        raise InputError(
            f"{name}: RadionuclideTotalDose is {dose:g} Bq, too little to see: is it in MBq "
            "or mCi? give it by --dose-mbq"
        )
    return dose, []


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


def _half_life(tracer: Dataset, name: str) -> tuple[float, list[str]]:
    """Of the tracer in s, and what is to be told of it.

    Raises:
        InputError: it is not stated, and the nuclide is not either.
    """
    header_value = number(tracer.get("RadionuclideHalfLife"))
    nuclide = nuclide_of(tracer)
    if not header_value or header_value <= 0:
        if not nuclide:
            raise InputError(
                f"{name}: RadionuclideHalfLife (0018,1075) is missing, and no nuclide is named: "
                "export it"
            )
        half_life = HALF_LIVES_S[nuclide]
        return half_life, [f"the half-life is not stated: that of {nuclide}, {half_life:g} s"]
    if nuclide and abs(header_value / HALF_LIVES_S[nuclide] - 1) > _SAME_HALF_LIFE:
        return header_value, [
            f"a half-life of {header_value:g} s is not that of {nuclide}, "
            f"{HALF_LIVES_S[nuclide]:g} s: the stated one was used"
        ]
    return header_value, []


def _body(header: Dataset, weight_kg: float) -> tuple[dict[str, Any], list[str]]:
    """Lean body mass (Janmahasatian et al., 2005) and body surface (Du Bois, 1916), where known.

    SUL = SUV x lean mass / weight; SUV-BSA [m2/l] = SUV x surface / weight.
    """
    height = number(header.get("PatientSize"))
    if not height or height <= 0:
        return {}, []
    if not _LEAST_HEIGHT_M < height < _MOST_HEIGHT_M:
        return {}, [
            f"a height of {height:g} m: SUV by lean body mass and by body surface are left out; "
            "is it in m?"
        ]
    sex = str(header.get("PatientSex") or "")
    surface = body_size("BSA", weight_kg, height, sex)
    attributes: dict[str, Any] = {"height_m": height, "body_surface_m2": surface}
    if sex in ("M", "F"):
        attributes["lean_mass_kg"] = body_size("LBMJANMA", weight_kg, height, sex)
    return attributes, []
