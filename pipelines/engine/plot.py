"""A quick picture of an estimate and its standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["figure"]


def figure(estimate: xr.DataArray, std: xr.DataArray | None, index: Mapping[str, int]) -> Figure:
    """One panel for each; curves where there is one dimension, the middle plane of volumes.

    Args:
        estimate: real or complex, of one dimension or more.
        std: likewise, or None.
        index: positions along dimensions that are not shown.
    """
    from matplotlib.figure import Figure

    arrays = [a for a in (estimate, std) if a is not None]
    made = Figure(figsize=(5 * len(arrays), 4), layout="constrained")
    for place, array in enumerate(arrays, start=1):
        axes = made.add_subplot(1, len(arrays), place)
        shown = _plane(array, index)
        values = np.abs(shown.values) if np.iscomplexobj(shown.values) else shown.values
        units = f" / {array.attrs['units']}" if array.attrs.get("units") else ""
        if values.ndim == 1:
            axes.plot(values)
            axes.set_xlabel(str(shown.dims[0]))
        else:
            drawn = axes.imshow(values, cmap="gray" if place == 1 else "magma")
            made.colorbar(drawn, ax=axes, label=f"{array.name}{units}")
            axes.set_axis_off()
        axes.set_title(str(array.name))
    return made


def _plane(array: xr.DataArray, index: Mapping[str, int]) -> xr.DataArray:
    array = array.isel({d: i for d, i in index.items() if d in array.dims})
    flat = 1 if {"time"} & set(map(str, array.dims)) else 2
    for dim in array.dims[: max(0, array.ndim - flat)]:
        array = array.isel({dim: array.sizes[dim] // 2})
    return array
