"""Hyperion L1R (.L1R, HDF4): radiance in the sensor's geometry, 256 samples of 242 bands.

Values are int16 (line, band, sample); radiance in W m^-2 sr^-1 um^-1 is the number over 40 for the
70 bands of VNIR and over 80 for the 172 of SWIR, which are the gains here. Wavelengths are not in
the file, and those of the sensor are taken,

    VNIR 355.59 + 10.1752 (b - 1) nm,   SWIR 851.92 + 10.0887 (b - 71) nm    (within 1 nm)

Bands 1 to 7, 58 to 76 and 225 to 242 are not calibrated (bad). Source: EO-1 User Guide 2.3 (USGS).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.checks import existing_file
from sciddm.data_adapters.gate.hdf4 import hdf4_arrays
from sciddm.data_adapters.hsi.cube import build_cube
from sciddm.data_adapters.hsi.raw import RawCube
from sciddm.errors import InputError

__all__ = ["read_hyperion"]

_BANDS, _VNIR = 242, 70


def read_hyperion(path: Path) -> xr.Dataset:
    """Opens a cube lazily; see `cube` for what is returned.

    Raises:
        InputError: no cube of 242 bands in it.
    """
    arrays = [a for a in hdf4_arrays(existing_file(path)) if len(a.shape) == 3]
    cube = next((a for a in arrays if a.shape[1] == _BANDS), None)
    if cube is None:
        shapes = ", ".join(str(a.shape) for a in arrays) or "none"
        raise InputError(
            f"{path}: no array (line, {_BANDS}, sample) in it ({shapes}): give Hyperion L1R"
        )
    lines, bands, samples = cube.shape
    number = np.arange(1, bands + 1)
    vnir = number <= _VNIR
    centre = np.where(vnir, 355.59 + 10.1752 * (number - 1), 851.92 + 10.0887 * (number - 71))
    bad = (number <= 7) | ((number >= 58) & (number <= 76)) | (number >= 225)
    return build_cube(
        path,
        RawCube(
            path.resolve(), np.dtype(cube.dtype), cube.offset, (bands, lines, samples), "bil"
        ).lazy(),
        form="hyperion",
        wavelength=centre,
        units="nm",
        good=~bad,
        coords={"gain": ("band", np.where(vnir, 1 / 40, 1 / 80))},
        attrs={"description": "Hyperion L1R", "interleave": "bil"},
    )
