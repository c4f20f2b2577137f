"""The sizes of a body that SUV is normalised by: DICOM's SUV Type (0054,1006).

===========  ====================================================  =====================
type         male, female                                          source
===========  ====================================================  =====================
LBM          1.10 W - 120 (W/H)^2, 1.07 W - 148 (W/H)^2             Sugawara et al., 1999
LBMJAMES128  1.10 W - 128 (W/H)^2, 1.07 W - 148 (W/H)^2             James, 1976
LBMJANMA     9270 W / (6680 + 216 B), 9270 W / (8780 + 244 B)       Janmahasatian, 2005
IBW          48 + 1.06 (H - 152), 45.5 + 0.91 (H - 152)             Devine; PS3.3, C.8.9.1
BSA          0.007184 W^0.425 H^0.725 m^2                           Du Bois, 1916
===========  ====================================================  =====================

W in kg, H in cm, B = W / (H / 100)^2. For the sex "O" the mean of both holds (IBSI's manual for
SUV, 2026).
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["KINDS", "body_size"]

_EQUATIONS: dict[str, tuple[Callable[[float, float], float], Callable[[float, float], float]]] = {
    "LBM": (
        lambda w, h: 1.10 * w - 120 * (w / h) ** 2,
        lambda w, h: 1.07 * w - 148 * (w / h) ** 2,
    ),
    "LBMJAMES128": (
        lambda w, h: 1.10 * w - 128 * (w / h) ** 2,
        lambda w, h: 1.07 * w - 148 * (w / h) ** 2,
    ),
    "LBMJANMA": (
        lambda w, h: 9270 * w / (6680 + 216 * w / (h / 100) ** 2),
        lambda w, h: 9270 * w / (8780 + 244 * w / (h / 100) ** 2),
    ),
    "IBW": (
        lambda w, h: 48.0 + 1.06 * (h - 152),
        lambda w, h: 45.5 + 0.91 * (h - 152),
    ),
    "BSA": (
        lambda w, h: 0.007184 * w**0.425 * h**0.725,
        lambda w, h: 0.007184 * w**0.425 * h**0.725,
    ),
}
KINDS = tuple(_EQUATIONS)


def body_size(kind: str, weight_kg: float, height_m: float, sex: str) -> float:
    """Lean or ideal mass in kg, or surface in m2.

    Args:
        kind: of `KINDS`.
        weight_kg, height_m: of the patient.
        sex: "M", "F" or "O".
    """
    male, female = (f(weight_kg, 100 * height_m) for f in _EQUATIONS[kind])
    return {"M": male, "F": female}.get(sex, (male + female) / 2)
