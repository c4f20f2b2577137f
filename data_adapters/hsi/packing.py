"""What stored numbers mean, true = gain stored + offset, in the words of each format.

ENVI and GeoTIFF have a gain and an offset for every band (coordinates `gain` and `offset`), CF one
of each for a variable (attributes `scale_factor` and `add_offset`).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["for_bands", "for_variable"]

_NAMES = (("gain", "scale_factor"), ("offset", "add_offset"))


def for_bands(dataset: xr.Dataset) -> xr.Dataset:
    """With coordinates in place of attributes."""
    out = dataset
    for coordinate, attribute in _NAMES:
        value = dataset["cube"].attrs.get(attribute)
        if value is None or coordinate in dataset.coords:
            continue
        each = np.full(dataset.sizes["band"], float(np.asarray(value).reshape(-1)[0]))
        out = out.assign_coords({coordinate: ("band", each)})
    return out


def for_variable(dataset: xr.Dataset) -> xr.Dataset:
    """With attributes in place of coordinates, where all bands have the same."""
    if not any(c in dataset.coords for c, _ in _NAMES):
        return dataset
    if any(a in dataset["cube"].attrs for _, a in _NAMES):
        return dataset
    packing: dict[str, float] = {}
    for coordinate, attribute in _NAMES:
        if coordinate in dataset.coords:
            values = np.unique(np.asarray(dataset[coordinate].values, np.float64))
            if len(values) != 1:
                return dataset
            packing[attribute] = float(values[0])
    bare = dataset.drop_vars([c for c, _ in _NAMES if c in dataset.coords])
    return bare.assign(cube=bare["cube"].assign_attrs(packing))
