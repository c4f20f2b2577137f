"""What is worth knowing about a CT result, for the terminal, the JSON and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.errors import InputError
from sciddm.metrics.hounsfield import hu_bias
from sciddm.metrics.texture import body_mask, uniform_tissue
from sciddm.pipelines.engine.summary import Fact

__all__ = [
    "SHIFT_HU",
    "denoising_facts",
    "dose_facts",
    "pixel_mm",
    "probed",
    "reconstruction_facts",
]

#: A shift of uniform tissue beyond which a result is not to be read without a remark.
SHIFT_HU = 2.0
_PROBED = 9  # slices of a long series that are looked at
_UNIFORM_SD = 20.0


def denoising_facts(result: xr.Dataset) -> list[Fact]:
    """The facts of a denoised volume.

    Args:
        result: denoised and noisy (z, y, x), HU.
    """
    attrs = result.attrs
    found = [*_grid(result["denoised"].shape, attrs), _method(attrs)]
    strength = attrs.get("strength")
    if isinstance(strength, int | float) and strength != 1:
        found.append(Fact("strength", "strength", strength, f"{strength:g}"))
    for key, label in (
        ("noise_hu", "noise in flat tissue"),
        ("noise_left_hu", "noise left"),
    ):
        level = number(attrs, key)
        if level is not None:
            found.append(Fact(key, label, level, f"{level:.1f} HU"))
    change = [_changes(result, z) for z in probed(result.sizes["z"])]
    removed = [sd for sd, _, n in change if n]
    if removed:
        sd = float(np.sqrt(np.mean(np.square(removed))))
        found.append(Fact("noise_removed_hu", "noise taken away", sd, f"{sd:.1f} HU"))
    shifts = [(mean, n) for _, mean, n in change if np.isfinite(mean)]
    if shifts:
        mean = float(np.average([m for m, _ in shifts], weights=[n for _, n in shifts]))
        found.append(Fact("hu_shift", "shift of uniform tissue", mean, f"{mean:+.2f} HU"))
    return [*found, *_cost(attrs)]


def reconstruction_facts(result: xr.Dataset) -> list[Fact]:
    """The facts of a reconstruction.

    Args:
        result: reconstruction (z, y, x), HU.
    """
    attrs = result.attrs
    found = [*_grid(result["reconstruction"].shape, attrs), _method(attrs)]
    for key, label, form in (
        ("views", "views", "{:g}"),
        ("dose", "dose", "{:.0%}"),
        ("consistency", "consistency", "{:.2f} x noise"),
    ):
        value = number(attrs, key)
        if value is not None:
            found.append(Fact(key, label, value, form.format(value)))
    return [*found, *_cost(attrs)]


def dose_facts(result: xr.Dataset) -> list[Fact]:
    """The facts of a simulated dose.

    Args:
        result: `hu` (z, y, x), or `sinogram` (z, view, cell).
    """
    attrs = result.attrs
    if "sinogram" in result:
        shape = list(result["sinogram"].shape)
        text = " x ".join(map(str, shape))
        found = [Fact("sinogram", "slices, views, cells", shape, text)]
    else:
        found = _grid(result["hu"].shape, attrs)
    for key, label, form in (
        ("dose", "dose", "{:.3g}"),
        ("full_dose_flux", "flux of the full dose", "{:.3g} quanta"),
        ("electronic_sd", "electronic noise", "{:g} quanta"),
    ):
        value = number(attrs, key)
        if value is not None:
            found.append(Fact(key, label, value, form.format(value)))
    return found


def probed(slices: int) -> list[int]:
    """Some slices, evenly spaced, where a volume is too long to look at all of them."""
    count = min(_PROBED, slices)
    return [int((k + 0.5) * slices / count) for k in range(count)]


def pixel_mm(attrs: Mapping[Any, Any]) -> tuple[float, float]:
    """Pixel size (y, x) in mm, NaN where it is unknown."""
    size = list(attrs.get("voxel_size_mm") or [])
    return (float(size[-2]), float(size[-1])) if len(size) >= 2 else (np.nan, np.nan)


def number(attrs: Mapping[Any, Any], key: str) -> float | None:
    """A finite number among the attributes, or None."""
    value = attrs.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    return float(value) if np.isfinite(value) else None


def _changes(result: xr.Dataset, z: int) -> tuple[float, float, int]:
    """Of one slice: sd of the difference in the body, its mean in uniform tissue, pixels of that;
    NaN where there is no uniform tissue, 0 pixels where there is no body."""
    noisy, denoised = (result[k].isel(z=[z]).values for k in ("noisy", "denoised"))
    inside: NDArray[np.bool_] = body_mask(denoised)
    if not inside.any():
        return np.nan, np.nan, 0
    sd = float((denoised - noisy)[inside].std())
    try:
        uniform = uniform_tissue(denoised, pixel_mm(result.attrs)[1], _UNIFORM_SD)
        return sd, hu_bias(denoised, noisy, uniform), int(uniform.sum())
    except InputError:
        return sd, np.nan, int(inside.sum())


def _grid(shape: Sequence[int], attrs: Mapping[Any, Any]) -> list[Fact]:
    slices, ny, nx = (int(n) for n in shape)
    text = f"{ny} x {nx}" + (f", {slices} slices" if slices > 1 else "")
    found = [Fact("matrix", "matrix", [slices, ny, nx], text)]
    size = [float(v) for v in attrs.get("voxel_size_mm") or []]
    if len(size) == 3 and np.isfinite(size).all():
        text = " x ".join(f"{v:.3g}" for v in size) + " mm"
        found.append(Fact("voxel_size_mm", "voxel (z, y, x)", size, text))
    return found


def _method(attrs: Mapping[Any, Any]) -> Fact:
    method = str(attrs.get("method", ""))
    return Fact("method", "method", method, method)


def _cost(attrs: Mapping[Any, Any]) -> list[Fact]:
    found = []
    for key, label in (("nfe", "NFE per slice"), ("nvjp", "VJPs per slice")):
        count = number(attrs, key)
        if count:
            found.append(Fact(key, label, count, f"{count:g}"))
    return found
