"""What is worth knowing about a denoised scene, for the terminal, the JSON and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.pipelines.engine.summary import Fact

__all__ = ["facts", "matrix", "noise_facts", "per_band", "significant"]


def facts(cube: xr.Dataset, attrs: Mapping[str, Any]) -> dict[str, Fact]:
    """The facts of one result by their keys.

    Args:
        cube: what was denoised.
        attrs: of the result; see `pipeline.attributes`.
    """
    found = [matrix(cube), Fact("method", "method", attrs["method"], str(attrs["method"]))]
    noise = per_band(attrs, "noise_std")
    found.append(_median("noise_std_median", "noise (median band)", noise))
    left = per_band(attrs, "std_rms")
    if np.isfinite(left).any():
        found.append(_median("std_median", "uncertainty (median band)", left))
    found += _damage(attrs["dead_share"], attrs["striped_columns"], attrs["empty_bands"])
    ratio = float(attrs["consistency"])
    found.append(Fact("consistency", "consistency", ratio, f"{ratio:.2f} x noise"))
    for key, label in (("nfe", "NFE per sample"), ("nvjp", "VJPs per sample")):
        count = attrs.get(key)
        if count:
            found.append(Fact(key, label, count, f"{count:g}"))
    return {fact.key: fact for fact in found}


def noise_facts(
    cube: xr.Dataset,
    sigma: NDArray[np.float64],
    dead_share: float,
    striped: int,
    empty: list[int],
) -> dict[str, Fact]:
    """What was estimated of a cube's noise, by keys.

    Args:
        cube: that it was estimated from.
        sigma: (band,) in its unit, NaN for bands that hold nothing.
        dead_share: of the entries of all other bands.
        striped: columns with stripes, in all bands together.
        empty: bands that hold nothing, from 0.
    """
    found = [matrix(cube), _median("noise_std_median", "noise (median band)", sigma)]
    largest, where = float(np.nanmax(sigma)), int(np.nanargmax(sigma))
    text = f"{significant(largest)} in band {where + 1}"
    found.append(Fact("noise_std_largest", "largest noise", largest, text))
    found += _damage(dead_share, striped, empty)
    return {fact.key: fact for fact in found}


def matrix(cube: xr.Dataset) -> Fact:
    """Lines, samples and bands."""
    size = [cube.sizes["y"], cube.sizes["x"], cube.sizes["band"]]
    return Fact("matrix", "matrix", size, f"{size[0]} x {size[1]}, {size[2]} bands")


def per_band(attrs: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    """A list with one number per band, NaN for none; a single NaN if there is no such list."""
    stored = attrs.get(key)
    if stored is None:
        return np.array([math.nan])
    return np.array([math.nan if v is None else float(v) for v in stored])


def significant(value: float) -> str:
    """Three significant digits, plain for numbers of usual size."""
    return f"{value:.3g}" if not 1e3 <= abs(value) < 1e7 else f"{value:.0f}"


def _median(key: str, label: str, values: NDArray[np.float64]) -> Fact:
    known = values[np.isfinite(values)]
    middle = float(np.median(known)) if known.size else math.nan
    return Fact(key, label, middle, significant(middle))


def _damage(dead_share: float, striped: int, empty: list[int]) -> list[Fact]:
    return [
        Fact("dead_share", "dead entries", dead_share, f"{100 * dead_share:.3g} %"),
        Fact("striped_columns", "striped columns", striped, str(striped)),
        Fact("empty_bands", "bands without values", empty, str(len(empty))),
    ]
