"""Slices that hold nothing but noise: the outer ones of a 3D scan, or beyond the head.

There is nothing in them to take coil maps, phase and scale from, and a prior would draw an object
into the noise. They are left out of the reconstruction, and put back as 0 with the noise level as
standard deviation. A slice is looked at when the middle of its k-space has less than 1 % of the
power of the strongest slice's, or hardly more than all of its k-space; it is empty when that power
is no more than noise has,

    mean over the middle of  k^H Psi^-1 k / C < 1.5         (1 for noise),

or when no coil maps can be estimated from it.
"""

from __future__ import annotations

import json

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.errors import InputError
from sciddm.pipelines.mri.sampling import sampling_of
from sciddm.simulation.mri.scan import ifft2c

__all__ = ["find_empty", "put_back"]

_MIDDLE = 6  # samples to both sides of DC
_WEAK = 0.01
_FLAT = 4.0  # the middle of noise has 1 to 1.5 times its median power, of an image thousands
_NOISE = 1.5


def find_empty(scan: xr.Dataset, noise_std: float | None = None) -> NDArray[np.bool_]:
    """Which slices of a Cartesian scan are empty, (slice,).

    Args:
        scan: see `data_adapters.mri.scan`.
        noise_std: sqrt(E|n|^2) of a channel, in place of an estimate.
    """
    empty = np.zeros(scan.sizes["slice"], bool)
    if "trajectory" in scan:
        return empty
    middle = (
        scan["kspace"]
        .transpose("slice", "coil", "ky", "kx")
        .values[:, :, *(slice(max(n // 2 - _MIDDLE, 0), n // 2 + _MIDDLE) for n in _matrix(scan))]
    )
    measured = (middle != 0).any(axis=1)
    count = np.maximum(measured.sum(axis=(1, 2)), 1)
    power = (np.abs(middle) ** 2).sum(axis=(1, 2, 3)) / count
    weak = np.flatnonzero((power < _WEAK * power.max()) | (power < _FLAT * _usual_power(scan)))
    if not len(weak):
        return empty
    source = sampling_of(scan)
    covariance = source.covariance(noise_std)
    inverse = np.linalg.inv(covariance.numpy().astype(np.complex128))
    for i in weak:
        samples = middle[i][source.alive.numpy()][:, measured[i]]
        level = np.einsum("cn,cd,dn->", samples.conj(), inverse, samples, optimize=True).real
        if level < _NOISE * samples.size:
            empty[i] = True
        elif "maps" not in scan:
            try:
                source.encode(int(i), covariance, None, 1)
            except (InputError, RuntimeError):
                empty[i] = True
    return empty


def put_back(result: xr.Dataset, scan: xr.Dataset, empty: NDArray[np.bool_]) -> xr.Dataset:
    """The result of the other slices with the empty ones among them.

    Args:
        result: of ``scan.isel(slice=~empty)``.
        scan: the whole scan.
        empty: as `find_empty` has it.
    """
    out = result.drop_dims("slice")
    kspace = scan["kspace"].transpose("slice", "coil", "ky", "kx").values[empty]
    noise = float(result.attrs["noise_std"])
    left = np.sqrt((np.abs(kspace) ** 2).mean(axis=1)) / noise
    filling: dict[str, NDArray[np.generic] | float] = {
        "std": noise,
        "zero_filled": np.sqrt((np.abs(ifft2c(kspace)) ** 2).sum(axis=1)),
        "residual": np.where((kspace != 0).any(axis=1), left, np.nan),
    }
    if "reference" in scan:
        filling["reference"] = scan["reference"].values[empty]
    for name, variable in result.data_vars.items():
        if "slice" not in variable.dims:
            continue
        axis = variable.dims.index("slice")
        shape = list(variable.shape)
        shape[axis] = len(empty)
        values = np.zeros(shape, variable.dtype)
        before: tuple[slice | NDArray[np.bool_], ...] = (slice(None),) * axis
        values[(*before, ~empty)] = variable.values
        if str(name) in filling:
            values[(*before, empty)] = filling[str(name)]
        out[name] = (variable.dims, values, variable.attrs)
    numbers = [int(i) for i in np.flatnonzero(empty)]
    sentence = f"{len(numbers)} of {len(empty)} slices hold nothing but noise and were left at 0."
    if len(empty) == 1:
        sentence = "The scan holds nothing but noise: its image was left at 0."
    warnings = [*json.loads(str(result.attrs.get("warnings", "[]"))), sentence]
    return out.assign_attrs(result.attrs, empty_slices=numbers, warnings=json.dumps(warnings))


def _usual_power(scan: xr.Dataset) -> NDArray[np.float64]:
    """Median of |k|^2 of all coils together over the measured samples of each slice."""
    found = []
    for kspace in scan["kspace"].transpose("slice", "coil", "ky", "kx").values:
        each = (np.abs(kspace) ** 2).sum(axis=0)
        found.append(float(np.median(each[each > 0])) if each.any() else 0.0)
    return np.array(found)


def _matrix(scan: xr.Dataset) -> tuple[int, int]:
    return scan.sizes["ky"], scan.sizes["kx"]
