"""Less dose or fewer views than there are: the experiment that has a reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciddm.data_adapters.ct import build_sinogram
from sciddm.device import to_numpy
from sciddm.errors import InputError
from sciddm.geometry.slice_stack import SliceStack
from sciddm.physics import FanBeam, Projector
from sciddm.physics.tomography.dose import (
    line_integrals,
    low_dose_image,
    low_dose_sinogram,
    thin_counts,
)
from sciddm.physics.tomography.scanner import (
    ELECTRONIC_SD,
    NOISE_INDEX_HU,
    VIEWS,
    full_dose_flux,
    standard_beam,
)
from sciddm.physics.tomography.units import MU_WATER, to_attenuation
from sciddm.progress import Progress
from sciddm.random.streams import Streams

__all__ = ["keep_views", "low_dose_projections", "low_dose_volume", "simulate", "thin_sinogram"]

_AIR = -1000.0
_PROBED = 5  # slices that the flux of a whole volume is found from


def simulate(
    data: xr.DataArray | xr.Dataset,
    dose: float,
    *,
    noise_hu: float | None = None,
    flux: float | None = None,
    electronic_sd: float | None = None,
    views: int | None = None,
    projections: bool = False,
    seed: int = 0,
    progress: Progress = lambda done, total, what: None,
) -> xr.Dataset:
    """Less dose for a volume or for a measured sinogram; None is the standard scanner's value.

    Args:
        data: a volume, see `low_dose_volume`, or a sinogram, see `thin_sinogram`.
        projections: measure the volume's projections, see `low_dose_projections`.

    Returns:
        `hu` (z, y, x), or a sinogram.

    Raises:
        InputError: as those, or options of a scanner for a sinogram, which has its own.
    """
    chosen = {
        "noise_hu": noise_hu,
        "flux": flux,
        "electronic_sd": electronic_sd,
        "views": views,
    }
    given: dict[str, Any] = {k: v for k, v in chosen.items() if v is not None}
    if isinstance(data, xr.Dataset) and "sinogram" in data:
        if given:
            name = data.attrs.get("source", "the sinogram")
            option = next(iter(given)).removesuffix("_hu").replace("_", "-")
            raise InputError(
                f"{name}: is measured, so its own flux, noise and views hold: leave --{option} out"
            )
        return thin_sinogram(data, dose, seed=seed)
    if isinstance(data, xr.Dataset):
        data = SliceStack(data).volume
    if projections:
        return low_dose_projections(data, dose, seed=seed, progress=progress, **given)
    made = low_dose_volume(data, dose, seed=seed, progress=progress, **given)
    return made.to_dataset(name="hu").assign_attrs(made.attrs)


def low_dose_volume(
    volume: xr.DataArray,
    dose: float,
    *,
    noise_hu: float = NOISE_INDEX_HU,
    flux: float | None = None,
    electronic_sd: float = ELECTRONIC_SD,
    views: int = VIEWS,
    seed: int = 0,
    progress: Progress = lambda done, total, what: None,
) -> xr.DataArray:
    """A volume with the noise of a scan at a fraction of the dose; see `dose.low_dose_image`.

    Args:
        volume: (z, y, x) in HU, of square pixels.
        dose: fraction of the full dose, above 0 and at most 1.
        noise_hu: noise that the full dose leaves in the middle of the body; see `scanner`.
        flux: I0 of the full dose, quanta per reading, in place of the one that leaves noise_hu.
        electronic_sd: of a reading, quanta, whatever the dose.
        views: of a turn.
        seed: of the noise. Slice i gets the same whatever else is there.
        progress: called after every slice.

    Returns:
        (z, y, x), HU, with the attributes of the volume and those of the dose.

    Raises:
        InputError: an impossible dose, or pixels that are not square.
    """
    stack, projector = _scanned(volume, views)
    full = _flux(stack, projector, dose, noise_hu, flux, electronic_sd)
    values = np.empty((len(stack), *stack.shape), np.float32)
    for index in range(len(stack)):
        image = _padded(stack.slice(index), projector.shape)[None, None]
        streams = Streams(seed, [index])
        low = low_dose_image(image, projector, dose * full, electronic_sd, streams)
        values[index] = to_numpy(_cropped(low[0, 0], stack.shape))
        padding = stack.padding(index)
        if padding is not None:
            values[index][to_numpy(padding)] = to_numpy(stack.stored(index)[padding])
        progress(index + 1, len(stack), f"slice {index + 1} of {len(stack)}")
    made = _made(dose, full, electronic_sd, views, seed)
    attrs = {k: v for k, v in volume.attrs.items() if k != "rescale"}
    low_dose = xr.DataArray(values, dims=("z", "y", "x"), name="hu", attrs={**attrs, **made})
    kept = volume.coords.get("padding")
    return low_dose if kept is None else low_dose.assign_coords(padding=kept)


def low_dose_projections(
    volume: xr.DataArray,
    dose: float,
    *,
    noise_hu: float = NOISE_INDEX_HU,
    flux: float | None = None,
    electronic_sd: float = ELECTRONIC_SD,
    views: int = VIEWS,
    seed: int = 0,
    progress: Progress = lambda done, total, what: None,
) -> xr.Dataset:
    """The sinogram that such a scan measures; arguments as those of `low_dose_volume`.

    Returns:
        as `data_adapters.ct.build_sinogram` makes it; the attributes image_shape, image_pixel_mm
        and image_affine say what image the volume was.
    """
    stack, projector = _scanned(volume, views)
    full = _flux(stack, projector, dose, noise_hu, flux, electronic_sd)
    shape = (len(stack), projector.beam.views, projector.beam.cells)
    values = np.empty(shape, np.float32)
    for index in range(len(stack)):
        image = _padded(stack.slice(index), projector.shape)[None, None]
        p = projector(to_attenuation(image).clamp(min=0))
        low = low_dose_sinogram(p, dose * full, electronic_sd, Streams(seed, [index]))
        values[index] = to_numpy(low[0, 0])
        progress(index + 1, len(stack), f"slice {index + 1} of {len(stack)}")
    attrs: dict[str, Any] = _made(dose, full, electronic_sd, views, seed)
    if volume.attrs.get("affine") is not None:
        attrs["image_affine"] = volume.attrs["affine"]
    distance = float(stack.spacing[0]) if stack.spacing is not None else 1.0
    return build_sinogram(
        values,
        projector.beam,
        incident_flux=dose * full,
        z_mm=np.arange(len(stack)) * distance,
        mu_water=MU_WATER,
        image_shape=list(stack.shape),
        image_pixel_mm=projector.pixel_mm,
        source=stack.name,
        **attrs,
    )


def thin_sinogram(sinogram: xr.Dataset, dose: float, *, seed: int = 0) -> xr.Dataset:
    """A measured sinogram as a scan at a fraction of its dose would have been; see `thin_counts`.

    Raises:
        InputError: the sinogram states no incident flux, or an impossible dose.
    """
    name = sinogram.attrs.get("source", "the sinogram")
    _check_dose(dose)
    if "incident_flux" not in sinogram:
        raise InputError(f"{name}: states no incident flux: without it its noise is not known")
    flux = torch.as_tensor(sinogram["incident_flux"].values, dtype=torch.float32)
    electronic = float(sinogram.attrs.get("electronic_sd", 0.0))
    values = np.array(sinogram["sinogram"].transpose("z", "view", "cell").values)
    for index, p in enumerate(values):
        counts = (-torch.from_numpy(p)[None]).exp() * flux
        thinned = thin_counts(counts, dose, electronic, Streams(seed, [index]))
        values[index] = to_numpy(line_integrals(thinned, dose * flux)[0])
    return sinogram.assign(
        sinogram=(("z", "view", "cell"), values), incident_flux=dose * sinogram["incident_flux"]
    ).assign_attrs(dose=float(sinogram.attrs.get("dose", 1.0)) * dose, dose_seed=seed)


def keep_views(sinogram: xr.Dataset, count: int) -> xr.Dataset:
    """So many views, as evenly spaced among those there are as they allow.

    Raises:
        InputError: more views than there are, or none.
    """
    there = sinogram.sizes["view"]
    if not 1 <= count <= there:
        name = sinogram.attrs.get("source", "the sinogram")
        raise InputError(f"{name}: has {there} views: {count} of them cannot be kept")
    chosen = np.floor(np.arange(count) * there / count).astype(int)
    return sinogram.isel(view=chosen)


def _scanned(volume: xr.DataArray, views: int) -> tuple[SliceStack, Projector]:
    """The volume slice by slice, and the standard scanner's projector of its slices."""
    stack = SliceStack(volume)
    size = [math.nan] * 3 if stack.spacing is None else [float(v) for v in stack.spacing]
    if not (size[1] > 0 and abs(size[1] - size[2]) <= 1e-3 * size[1]):
        raise InputError(f"{stack.name}: pixels of {size[1]} x {size[2]} mm: they must be square")
    if views < 3:
        raise InputError(f"{views} views make no scan: give 3 or more")
    shape = _square(stack.shape)
    beam: FanBeam = standard_beam(shape, size[2], views)
    return stack, Projector(beam, shape, size[2])


def _flux(
    stack: SliceStack,
    projector: Projector,
    dose: float,
    noise_hu: float,
    flux: float | None,
    electronic_sd: float,
) -> float:
    """I0 of the full dose: as given, else the median of what some slices need for their noise."""
    _check_dose(dose)
    if not 0 <= electronic_sd < math.inf:
        raise InputError(f"electronic noise of {electronic_sd:g} quanta: give 0 or more")
    if flux is not None:
        if not 0 < flux < math.inf:
            raise InputError(f"a flux of {flux:g} quanta per reading: give more than 0")
        return float(flux)
    if not 0 < noise_hu < math.inf:
        raise InputError(f"a full dose that leaves {noise_hu:g} HU of noise: give more than 0")
    count = min(_PROBED, len(stack))
    chosen = [round((k + 0.5) * len(stack) / count - 0.5) for k in range(count)]
    found = [
        full_dose_flux(_padded(stack.slice(i), projector.shape)[None, None], projector, noise_hu)
        for i in chosen
    ]
    return float(torch.cat(found).median())


def _check_dose(dose: float) -> None:
    if not 0 < dose <= 1:
        raise InputError(f"a dose of {dose:g}: give a fraction above 0 and at most 1")


def _made(
    dose: float, full: float, electronic_sd: float, views: int, seed: int
) -> dict[str, float | int]:
    return {
        "dose": dose,
        "full_dose_flux": round(full, 1),
        "electronic_sd": electronic_sd,
        "simulated_views": views,
        "dose_seed": seed,
    }


def _square(shape: tuple[int, int]) -> tuple[int, int]:
    """A square, of which a projector needs a quarter of the memory, where the middle stays so."""
    side = max(shape)
    return (side, side) if (shape[0] - shape[1]) % 2 == 0 else shape


def _padded(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """With air on all sides."""
    y, x = ((new - old) // 2 for new, old in zip(shape, image.shape, strict=True))
    return torch.nn.functional.pad(image, (x, x, y, y), value=_AIR)


def _cropped(image: Tensor, shape: tuple[int, int]) -> Tensor:
    y, x = ((old - new) // 2 for old, new in zip(image.shape, shape, strict=True))
    return image[y : y + shape[0], x : x + shape[1]]
