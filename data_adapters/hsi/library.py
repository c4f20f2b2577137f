"""Libraries of spectra for simulated scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.gate.npz import open_npz
from sciddm.errors import InputError
from sciddm.simulation.hsi.scene import CLASSES, Library

__all__ = ["read_library"]

_EARTHLIB = {"bare": "soil", "npv": "residue", "vegetation": "green"}


def read_library(path: str | Path) -> Library:
    """Reads the spectra of earthlib: a .npz with `reflectance` (n, l), `wavelength_um` (l,) and
    `level2` (n,), of which bare becomes soil, npv residue and vegetation green.

    Raises:
        InputError: damaged, or without these.
    """
    path = existing_file(path)
    with reading(path), open_npz(path) as file:
        missing = [k for k in ("reflectance", "wavelength_um", "level2") if k not in file]
        if missing:
            raise InputError(f"{path}: no {', '.join(missing)} in it: give earthlib's spectra")
        reflectance = np.asarray(file["reflectance"], np.float64)
        wavelength = np.asarray(file["wavelength_um"], np.float64) * 1e3
        kind = np.array([_EARTHLIB.get(str(v), "") for v in file["level2"]])
    if not (kind != "").any():
        raise InputError(f"{path}: level2 names none of {', '.join(_EARTHLIB)}: give earthlib's")
    return Library(wavelength, {c: reflectance[kind == c] for c in CLASSES})
