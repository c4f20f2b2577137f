"""Scenes as FINCH sees them: fields of soil, crop residue and green vegetation, 0.9 to 1.7 um.

    x_b(p) = g(p) sum_m a_m(p) R_m(b),   R_m(b) = sum_l w_b(l) r_m(l) / sum_l w_b(l)

with abundances a_m >= 0 that add up to 1, illumination g (slopes, a mean of 1), spectra r_m of a
library and Gaussian responses w_b of the sensor. Abundances are softmax(sharpness u_m) of Gaussian
random fields u_m whose power falls as |k|^-3, plus a level for each parcel of a random Voronoi
partition, as fields have it. Every scene draws its own spectra: one to three of each class.

Reflectance without noise; see `noise` for what the sensor adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import KDTree

from sciddm.errors import InputError
from sciddm.simulation.hsi.procedural_spectra import procedural_spectra

__all__ = [
    "CLASSES",
    "Library",
    "Sensor",
    "bundled_library",
    "finch_sensor",
    "respond",
    "simulate_scene",
]

Array = NDArray[np.float64]
CLASSES = ("soil", "residue", "green")
_SLOPE = 3.0  # power of natural fields falls as |k|^-3 or near it
_FWHM = 2 * np.sqrt(2 * np.log(2))


@dataclass(frozen=True)
class Library:
    """Spectra of pure materials.

    Attributes:
        wavelength_nm: (l,), increasing.
        spectra: from a class (soil, residue, green) to reflectances (n, l).
    """

    wavelength_nm: Array
    spectra: Mapping[str, Array]


@dataclass(frozen=True)
class Sensor:
    """Gaussian bands.

    Attributes:
        centre_nm: (band,).
        fwhm_nm: (band,).
    """

    centre_nm: Array
    fwhm_nm: Array


def finch_sensor(bands: int = 80, start_nm: float = 900.0, stop_nm: float = 1700.0) -> Sensor:
    """Evenly spaced bands that overlap at half maximum, by default every 10 nm."""
    width = (stop_nm - start_nm) / bands
    centre = start_nm + width * (np.arange(bands, dtype=np.float64) + 0.5)
    return Sensor(centre, np.full(bands, width))


def bundled_library() -> Library:
    """Soils, crop residues and green vegetation that need no file; see `procedural_spectra`."""
    wavelength = np.arange(400.0, 2500.1, 5.0)
    return Library(wavelength, procedural_spectra(wavelength))


def respond(library: Library, sensor: Sensor) -> dict[str, Array]:
    """The spectra as the sensor's bands see them: class to (n, band).

    Raises:
        InputError: the library does not cover a band, or a class has no spectrum.
    """
    wavelength = library.wavelength_nm
    low, high = sensor.centre_nm.min(), sensor.centre_nm.max()
    if low < wavelength[0] or high > wavelength[-1]:
        raise InputError(
            f"the library covers {wavelength[0]:.0f} to {wavelength[-1]:.0f} nm, the sensor "
            f"{low:.0f} to {high:.0f} nm: give a library or a sensor that fits"
        )
    # On a fine grid, so that bands narrower than the library's spacing still meet its samples.
    step = min(1.0, float(sensor.fwhm_nm.min()) / 5)
    fine = np.arange(wavelength[0], wavelength[-1] + step / 2, step)
    width = sensor.fwhm_nm[:, None] / _FWHM
    weight = np.exp(-0.5 * ((fine - sensor.centre_nm[:, None]) / width) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    seen = {}
    for name in CLASSES:
        spectra = library.spectra.get(name)
        if spectra is None or len(spectra) == 0:
            raise InputError(f"the library has no spectrum of the class {name}: add one")
        dense = np.stack([np.interp(fine, wavelength, s) for s in spectra])
        seen[name] = dense @ weight.T
    return seen


def simulate_scene(
    library: Library,
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    sensor: Sensor | None = None,
    sharpness: float = 3.0,
    relief: float = 0.1,
) -> xr.Dataset:
    """A scene of the model above.

    Args:
        library: pure spectra.
        shape: (lines, samples).
        rng: source of all that is random.
        sensor: its bands; FINCH's if None.
        sharpness: of the borders between materials; 0 mixes all of them evenly.
        relief: standard deviation of log g.

    Returns:
        `cube` (band, y, x) float32 with `wavelength` and `fwhm` (nm); `abundance` (material, y, x)
        and `endmembers` (material, band), whose `class` is a coordinate; `illumination` (y, x).
    """
    bands = sensor or finch_sensor()
    seen = respond(library, bands)
    kinds: list[str] = []
    chosen: list[Array] = []
    for name in CLASSES:
        count = min(int(rng.integers(1, 4)), len(seen[name]))
        for index in rng.choice(len(seen[name]), size=count, replace=False):
            kinds.append(name)
            chosen.append(seen[name][index])
    endmembers = np.stack(chosen)
    parcels = _parcels(shape, rng)
    levels = rng.standard_normal((len(kinds), parcels.max() + 1))
    fields = np.stack([_field(shape, rng) for _ in kinds]) + levels[:, parcels]
    raised = np.exp(sharpness * (fields - fields.max(axis=0)))
    abundance = raised / raised.sum(axis=0)
    illumination = np.exp(relief * _field(shape, rng))
    illumination /= illumination.mean()
    cube = illumination * np.tensordot(endmembers.T, abundance, 1)
    return xr.Dataset(
        {
            "cube": (("band", "y", "x"), cube.astype(np.float32)),
            "abundance": (("material", "y", "x"), abundance.astype(np.float32)),
            "endmembers": (("material", "band"), endmembers),
            "illumination": (("y", "x"), illumination.astype(np.float32)),
        },
        coords={
            "wavelength": ("band", bands.centre_nm, {"units": "nm"}),
            "fwhm": ("band", bands.fwhm_nm, {"units": "nm"}),
            "class": ("material", kinds),
            "y": np.arange(shape[0]),
            "x": np.arange(shape[1]),
        },
        attrs={"source": "simulated", "format": "simulated", "wavelength_units": "Nanometers"},
    )


def _field(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """A Gaussian random field of power |k|^-3, mean 0 and variance 1 over the scene."""
    ny, nx = shape
    k = np.hypot(np.fft.fftfreq(ny)[:, None], np.fft.rfftfreq(nx)[None])
    k[0, 0] = 1.0
    shaped = np.fft.rfft2(rng.standard_normal(shape)) * k ** (-_SLOPE / 2)
    shaped[0, 0] = 0
    field = np.fft.irfft2(shaped, s=shape)
    spread = field.std()
    return field / spread if spread > 0 else field


def _parcels(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.intp]:
    """(y, x) numbers of the nearest of random points, one per some 500 pixels."""
    count = max(1, round(shape[0] * shape[1] / 500))
    points = rng.random((count, 2)) * shape
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 2)
    return np.asarray(KDTree(points).query(grid)[1], np.intp).reshape(shape)
