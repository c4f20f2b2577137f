"""DESIS L2A, L1C and L1B: NAME-METADATA.xml beside NAME-SPECTRAL_IMAGE.tif.

Each ``specific/bandCharacterisation/band`` states ``wavelengthCenterOfBand`` and
``wavelengthWidthOfBand`` in nm, ``gainOfBand`` and ``offsetOfBand``. Layout: DESIS Technical Note
PAV-DLR-TN-0005, Product Specification.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from sciddm.data_adapters.hsi.dlr import band_lists, described, metadata_of, parsed
from sciddm.errors import InputError

__all__ = ["is_desis", "read_desis"]

_NAMES = {
    "wavelength": "wavelengthCenterOfBand",
    "fwhm": "wavelengthWidthOfBand",
    "gain": "gainOfBand",
    "offset": "offsetOfBand",
}


def is_desis(path: Path) -> bool:
    """Whether a file is of a product of DESIS, by its name and what lies beside it."""
    return path.name.upper().startswith("DESIS") and metadata_of(path) is not None


def read_desis(path: Path) -> xr.Dataset:
    """Opens a product lazily, from either of its files; see `cube` for what is returned.

    Raises:
        InputError: damaged or incomplete.
    """
    metadata = metadata_of(path)
    assert metadata is not None
    # Elements of the same name under interiorOrientation describe geometry.
    bands = parsed(metadata).findall(".//bandCharacterisation/band")
    if not bands:
        raise InputError(
            f"{metadata}: describes no bands (bandCharacterisation): download it again"
        )
    return described(metadata, band_lists(metadata, bands, _NAMES), "desis")
