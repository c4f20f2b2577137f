"""The nuclide of a tracer, by what a PET header calls it, and its half-life."""

from __future__ import annotations

import re
from itertools import pairwise

from pydicom.dataset import Dataset

__all__ = ["HALF_LIVES_S", "nuclide_of"]

#: Half-lives in s of the nuclides of PET (National Nuclear Data Center, NuDat 3).
HALF_LIVES_S = {
    "C-11": 1221.8, "N-13": 597.9, "O-15": 122.2, "F-18": 6586.2, "Sc-44": 14_552.0,
    "Cu-64": 45_724.0, "Ga-68": 4_070.3, "Br-76": 58_320.0, "Rb-82": 75.4, "Y-86": 53_064.0,
    "Y-90": 230_500.0, "Zr-89": 282_276.0, "I-124": 360_806.0,
}  # fmt: skip
_NAMES = {
    "carbon": "C", "nitrogen": "N", "oxygen": "O", "fluorine": "F", "fluor": "F", "scandium": "Sc",
    "copper": "Cu", "gallium": "Ga", "bromine": "Br", "rubidium": "Rb", "yttrium": "Y",
    "zirconium": "Zr", "iodine": "I",
}  # fmt: skip
_SYMBOLS = {symbol.lower(): symbol for symbol in _NAMES.values()}


def nuclide_of(tracer: Dataset) -> str:
    """Such as "F-18", "" where the header does not tell: ^18^Fluorine, Ga-68, 18F, Copper 64.

    Args:
        tracer: item of the RadiopharmaceuticalInformationSequence.
    """
    codes = tracer.get("RadionuclideCodeSequence")
    texts = [codes[0].get("CodeMeaning")] if codes else []
    texts.append(tracer.get("Radiopharmaceutical"))
    for text in texts:
        words = re.findall(r"[a-z]+|\d+", str(text or "").lower())
        for one, other in pairwise(words):
            for name, mass in ((one, other), (other, one)):
                symbol = _NAMES.get(name) or _SYMBOLS.get(name)
                if symbol and f"{symbol}-{mass}" in HALF_LIVES_S:
                    return f"{symbol}-{mass}"
    return ""
