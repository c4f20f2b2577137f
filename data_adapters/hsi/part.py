"""A part of a cube: some of its bands, and a window of lines and samples.

Bands are numbers from 1, as headers and reports count them, or wavelengths: "1-20,35",
"900-1700nm", "0.9-1.7um". A window is "FIRST-LAST,FIRST-LAST" of lines and samples from 0, both
included.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.hsi.cube import VALID
from sciddm.errors import InputError

__all__ = ["masked", "open_part", "part_of", "taken", "wanted_bands", "wanted_window"]

_RANGE = re.compile(r"\s*([\d.]+)\s*(?:-\s*([\d.]+)\s*)?(nm|um)?\s*", re.IGNORECASE)
_UNIT = {"nm": 1.0, "um": 1e3}


def open_part(
    path: Path,
    *,
    variable: str | None = None,
    bands: str | None = None,
    window: str | None = None,
    mask: Path | None = None,
) -> xr.Dataset:
    """Opens a part of a cube; see `files.open_cube` and `taken`."""
    from sciddm.data_adapters.hsi.files import open_cube

    return taken(open_cube(path, variable), bands=bands, window=window, mask=mask)


def taken(
    dataset: xr.Dataset,
    *,
    bands: str | None = None,
    window: str | None = None,
    mask: Path | str | None = None,
) -> xr.Dataset:
    """The part of a cube with its pixels masked; the cube itself where `open_part` took that.

    Args:
        dataset: in the form of `cube`.
        bands, window: see `part_of`.
        mask: see `masked`; of the whole cube.
    """
    if "part" in dataset.attrs:
        return dataset
    whole = dataset if mask is None else masked(dataset, Path(mask))
    part = part_of(whole, bands, window)
    return part if part is dataset else part.assign_attrs(part=1)


def part_of(dataset: xr.Dataset, bands: str | None, window: str | None) -> xr.Dataset:
    """The part, in the order of the file; its coordinates say where it lies.

    Args:
        dataset: in the form of `cube`.
        bands, window: as above; all if None.

    Raises:
        InputError: not of that form, or nothing of the cube.
    """
    name = str(dataset.attrs.get("source", "the cube"))
    if bands is not None:
        number = dataset.sizes["band"]
        wavelength = dataset["wavelength"].values if "wavelength" in dataset.coords else None
        chosen = wanted_bands(bands, number, wavelength, name)
        dataset = dataset.isel(band=np.flatnonzero(chosen))
    if window is not None:
        lines, samples = wanted_window(window, dataset.sizes["y"], dataset.sizes["x"], name)
        dataset = dataset.isel(y=lines, x=samples)
    return dataset


def masked(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    """The cube with the pixels that a mask image leaves out marked as without a value.

    Args:
        dataset: in the form of `cube`.
        path: image of one band, of any format that cubes have; pixels with 0, NaN or its nodata are
            left out.

    Raises:
        InputError: several bands, or another size.
    """
    from sciddm.data_adapters.hsi.files import open_cube

    mask = open_cube(path)
    if mask.sizes["band"] != 1:
        raise InputError(f"{path}: {mask.sizes['band']} bands: a mask has one")
    size = tuple(dataset.sizes[d] for d in ("y", "x"))
    if tuple(mask.sizes[d] for d in ("y", "x")) != size:
        raise InputError(
            f"{path}: {mask.sizes['y']} x {mask.sizes['x']} pixels, the cube has "
            f"{size[0]} x {size[1]}: give the mask of this cube"
        )
    values = np.asarray(mask["cube"].values[0])
    kept = np.isfinite(values.astype(np.float64)) & (values != 0)
    nodata = mask.attrs.get("nodata")
    if nodata is not None:
        kept &= values != nodata
    if VALID in dataset:
        kept &= np.asarray(dataset[VALID].values, bool)
    return dataset.assign({VALID: (("y", "x"), kept)})


def wanted_bands(
    text: str, number: int, wavelength: NDArray[np.float64] | None, name: str = "the cube"
) -> NDArray[np.bool_]:
    """(band,) bool.

    Args:
        text: as above.
        number: of the cube's bands.
        wavelength: in nm; None where the file states none.
        name: of the file, for messages.

    Raises:
        InputError: not of that form, or no band.
    """
    chosen = np.zeros(number, bool)
    for piece in text.split(","):
        match = _RANGE.fullmatch(piece)
        if match is None:
            raise InputError(f"{name}: bands {text!r}: take a form as 1-20,35 or 900-1700nm")
        first = float(match[1])
        last = first if match[2] is None else float(match[2])
        if match[3]:
            if wavelength is None:
                raise InputError(f"{name}: states no wavelengths: choose bands by number (1-20)")
            scale = _UNIT[match[3].lower()]
            if match[2] is None:  # the nearest one
                chosen[int(np.abs(wavelength - first * scale).argmin())] = True
                continue
            chosen |= (wavelength >= first * scale) & (wavelength <= last * scale)
            continue
        if not (first.is_integer() and last.is_integer() and 1 <= first <= last <= number):
            raise InputError(
                f"{name}: bands {piece.strip()!r}: numbers are 1 to {number}; wavelengths need a "
                "unit (900-1700nm)"
            )
        chosen[int(first) - 1 : int(last)] = True
    if not chosen.any():
        raise InputError(f"{name}: no band lies in {text!r}: take another range")
    return chosen


def wanted_window(
    text: str, lines: int, samples: int, name: str = "the cube"
) -> tuple[slice, slice]:
    """Slices of lines and samples.

    Raises:
        InputError: not of that form, or beyond the cube.
    """
    match = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*,\s*(\d+)\s*-\s*(\d+)\s*", text)
    if match is None:
        raise InputError(f"{name}: window {text!r}: take LINES,SAMPLES as 0-99,40-139")
    top, bottom, left, right = (int(v) for v in match.groups())
    if not (top <= bottom < lines and left <= right < samples):
        raise InputError(
            f"{name}: window {text!r}: lines are 0 to {lines - 1}, samples 0 to {samples - 1}"
        )
    return slice(top, bottom + 1), slice(left, right + 1)
