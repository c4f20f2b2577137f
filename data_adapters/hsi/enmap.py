"""EnMAP L2A, L1C and L1B: NAME-METADATA.XML beside NAME-SPECTRAL_IMAGE.TIF.

Each ``specific/bandCharacterisation/bandID`` states ``wavelengthCenterOfBand`` and ``FWHMOfBand``
in nm, ``GainOfBand`` and ``OffsetOfBand``. Bands outside of ``expectedChannelsList`` of both
detectors hold no value. Layout: EnMAP HSI Level 1B, 1C and 2A
Product Specification (EN-PCV-ICD-2009).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.hsi.dlr import band_lists, described, metadata_of, parsed
from sciddm.errors import InputError

__all__ = ["is_enmap", "read_enmap"]

_NAMES = {
    "wavelength": "wavelengthCenterOfBand",
    "fwhm": "FWHMOfBand",
    "gain": "GainOfBand",
    "offset": "OffsetOfBand",
}


def is_enmap(path: Path) -> bool:
    """Whether a file is of a product of EnMAP, by its name and what lies beside it."""
    return path.name.upper().startswith("ENMAP") and metadata_of(path) is not None


def read_enmap(path: Path) -> xr.Dataset:
    """Opens a product lazily, from either of its files; see `cube` for what is returned.

    Raises:
        InputError: damaged or incomplete.
    """
    metadata = metadata_of(path)
    assert metadata is not None
    root = parsed(metadata)
    bands = root.findall("specific/bandCharacterisation/bandID")
    if not bands:
        raise InputError(
            f"{metadata}: describes no bands (bandCharacterisation): download it again"
        )
    lists = band_lists(metadata, bands, _NAMES)
    numbers = [int(b.get("number", str(i))) for i, b in enumerate(bands, start=1)]
    expected: set[int] = set()
    for detector in ("vnir", "swir"):
        text = root.findtext(f".//{detector}ProductQuality/expectedChannelsList")
        expected |= {int(v) for v in (text or "").split(",") if v.strip().isdigit()}
    if expected:
        lists["good"] = np.array([float(n in expected) for n in numbers])
    return described(metadata, lists, "enmap")
