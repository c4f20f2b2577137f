"""What is worth knowing about a denoised scene, for the terminal, the JSON and the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.hsi.part import taken
from sciddm.pipelines.engine.regions import Grid
from sciddm.pipelines.engine.summary import Fact

__all__ = [
    "band_names",
    "damage",
    "facts",
    "image_grid",
    "matrix",
    "median_fact",
    "per_band",
    "significant",
    "simulation_facts",
]


def band_names(dataset: xr.Dataset) -> list[str]:
    """Names of the bands for people: the wavelength where it is known, else the number from 1."""
    if "wavelength" in dataset.coords:
        return [f"{w:.4g} nm" for w in dataset["wavelength"].values]
    return [f"band {b + 1}" for b in range(dataset.sizes["band"])]


def image_grid(data: xr.Dataset, request: Any) -> Grid | None:
    """Of the denoised part of a cube; on a map grid it is not known before."""
    if request.ortho:
        return None
    part = taken(data, bands=request.bands, window=request.window, mask=request.mask)
    return Grid((part.sizes["band"], part.sizes["y"], part.sizes["x"]), part.attrs)


def facts(result: xr.Dataset) -> list[Fact]:
    """The facts of a denoised cube."""
    attrs = result.attrs
    found = [matrix(result), Fact("method", "method", attrs["method"], str(attrs["method"]))]
    noise = per_band(attrs, "noise_std")
    found.append(median_fact("noise_std_median", "noise (median band)", noise))
    left = per_band(attrs, "std_rms")
    if np.isfinite(left).any():
        found.append(median_fact("std_median", "uncertainty (median band)", left))
    found += damage(attrs["dead_share"], attrs["striped_columns"], attrs["empty_bands"])
    ratio = float(attrs["consistency"])
    found.append(Fact("consistency", "consistency", ratio, f"{ratio:.2f} x noise"))
    for key, label in (("nfe", "NFE per sample"), ("nvjp", "VJPs per sample")):
        count = attrs.get(key)
        if count:
            found.append(Fact(key, label, count, f"{count:g}"))
    return found


def simulation_facts(result: xr.Dataset) -> Iterator[Fact]:
    """Size and noise of a simulated cube."""
    yield matrix(result)
    case = str(result.attrs["case"])
    yield Fact("case", "noise", case, case)
    if "psnr_db" in result.attrs:
        psnr = float(result.attrs["psnr_db"])
        yield Fact("psnr_db", "PSNR of the noisy cube", psnr, f"{psnr:.2f} dB")


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


def median_fact(key: str, label: str, values: NDArray[np.float64]) -> Fact:
    """The median of what is known of the bands."""
    known = values[np.isfinite(values)]
    middle = float(np.median(known)) if known.size else math.nan
    return Fact(key, label, middle, significant(middle))


def damage(dead_share: float, striped: int, empty: list[int]) -> list[Fact]:
    """What is wrong with a cube beside its noise."""
    return [
        Fact("dead_share", "dead entries", dead_share, f"{100 * dead_share:.3g} %"),
        Fact("striped_columns", "striped columns", striped, str(striped)),
        Fact("empty_bands", "bands without values", empty, str(len(empty))),
    ]
