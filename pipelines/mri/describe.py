"""What is worth knowing about a reconstruction, for the terminal, the JSON and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.metrics.volume import psnr_volume, ssim_volume
from sciddm.physics.mri.masks import infer_mask
from sciddm.pipelines.engine.summary import Fact

__all__ = [
    "acquisition_facts",
    "contradicts",
    "cropped",
    "facts",
    "image_facts",
    "kspace_facts",
    "magnitude",
    "pixel_mm",
    "sampling_mask",
]

#: Residual, in units of the noise, beyond which an image contradicts its data.
_CONTRADICTION = 1.25


def image_facts(result: xr.Dataset) -> list[Fact]:
    """The facts of one reconstruction, in their order."""
    return list(facts(result).values())


def kspace_facts(scan: xr.Dataset) -> list[Fact]:
    """The facts of k-space that a mask has left."""
    mask = sampling_mask(scan)
    matrix = [scan.sizes["slice"], *mask.shape[1:]]
    acceleration = mask.size / int(mask.sum())
    return [
        Fact("matrix", "matrix", matrix, " x ".join(str(n) for n in matrix)),
        Fact("coils", "coils", scan.sizes["coil"], str(scan.sizes["coil"])),
        Fact("acceleration", "acceleration", acceleration, f"{acceleration:.2f}"),
    ]


def acquisition_facts(scan: xr.Dataset) -> list[Fact]:
    """The facts of k-space that was acquired actively."""
    found = kspace_facts(scan)
    central = int(scan.attrs["mask_acs"]) ** (2 if scan.attrs["mask_axis"] == "both" else 1)
    chosen = scan["order"].size - scan.sizes["slice"] * central
    seconds = number(scan.attrs, "seconds")
    if seconds is not None:
        each = seconds / max(1, chosen)
        found.append(Fact("seconds_each", "seconds a choice", each, f"{each:.2f}"))
    return found


def facts(result: xr.Dataset) -> dict[str, Fact]:
    """The facts of one reconstruction by their keys; ``result`` is the pipeline's answer."""
    attrs = result.attrs
    slices, ny, nx = (result.sizes[d] for d in ("slice", "y", "x"))
    found = [Fact("matrix", "matrix", [slices, ny, nx], _matrix(slices, ny, nx))]
    coils = number(attrs, "coils")
    if coils is not None:
        found.append(Fact("coils", "coils", int(coils), _coils(int(coils), attrs)))
    acceleration = number(attrs, "acceleration")
    if acceleration is not None:
        found.append(Fact("acceleration", "acceleration", acceleration, f"{acceleration:.2f}"))
    noise = number(attrs, "noise_std")
    if noise is not None:
        found.append(Fact("noise_std", "noise level", noise, f"{noise:.3g}"))
    if "reference" in result:
        reference = np.abs(result["reference"].values).astype(np.float64)
        for key, label, name in (
            ("", "", "reconstruction"),
            ("zero_filled_", "zero-filled ", "zero_filled"),
        ):
            if name not in result or reference.max() <= 0 or min(reference.shape[1:]) < 7:
                continue
            image = cropped(magnitude(result, name), reference.shape)
            if image.shape != reference.shape:
                continue
            psnr, ssim = psnr_volume(image, reference), ssim_volume(image, reference)
            found += [
                Fact(f"{key}psnr_volume_db", f"{label}PSNR", psnr, f"{psnr:.2f} dB"),
                Fact(f"{key}ssim_volume", f"{label}SSIM", ssim, f"{ssim:.3f}"),
            ]
    ratio = consistency(attrs)
    if ratio is not None:
        found.append(Fact("consistency", "consistency", ratio, f"{ratio:.2f} x noise"))
    ratio, skill = number(attrs, "prediction_ratio"), number(attrs, "prediction_skill")
    if ratio is not None and skill is not None:
        text = f"error {ratio:.2f} x predicted, {skill:.2f} x that without the model"
        found.append(Fact("prediction_ratio", "lines kept out", ratio, text))
    shift = number(attrs, "shift")
    if shift is not None:
        limit = number(attrs, "shift_limit")
        text = f"{shift:.1f}" if limit is None else f"{shift:.1f} (limit {limit:.1f})"
        found.append(Fact("shift", "distribution shift", shift, text))
    for key, label in (("nfe", "NFE per sample"), ("nvjp", "VJPs per sample")):
        count = number(attrs, key)
        if count:
            found.append(Fact(key, label, count, f"{count:g}"))
    return {fact.key: fact for fact in found}


def consistency(attrs: Mapping[Any, Any]) -> float | None:
    """Root mean square of the k-space residual in units of the noise, where it is known."""
    return number(attrs, "consistency")


def contradicts(attrs: Mapping[Any, Any]) -> bool:
    """Whether an image contradicts its data by more than the noise explains."""
    if "contradicts" in attrs:  # the pipeline knows what the operator itself leaves unexplained
        return bool(attrs["contradicts"])
    ratio = consistency(attrs)
    return ratio is not None and ratio > _CONTRADICTION


def sampling_mask(scan: xr.Dataset) -> NDArray[np.bool_]:
    """Sampled entries, (slice, ky, kx): as the scan states them, else those that are not 0.

    Of a trajectory the cells of the image's grid that it visits.
    """
    if "trajectory" in scan:
        from sciddm.physics.mri.trajectory import visited_cells
        from sciddm.pipelines.mri.sampling import OnTrajectory

        source = OnTrajectory(scan)
        return np.stack([visited_cells(t, source.size).numpy() for t in source.trajectory])
    kspace = scan["kspace"].transpose("slice", "coil", "ky", "kx")
    shape = (kspace.sizes["slice"], kspace.sizes["ky"], kspace.sizes["kx"])
    if "mask" in scan:
        return np.broadcast_to(scan["mask"].transpose(..., "ky", "kx").values.astype(bool), shape)
    return infer_mask(kspace.values)


def pixel_mm(attrs: Mapping[Any, Any]) -> tuple[float, float]:
    """Pixel size (y, x) in mm, NaN where it is unknown."""
    size = list(attrs.get("voxel_size_mm", []))
    return (float(size[-2]), float(size[-1])) if len(size) >= 2 else (math.nan, math.nan)


def magnitude(result: xr.Dataset, name: str) -> NDArray[np.float64]:
    """A variable as magnitude volume (slice, y, x)."""
    out: NDArray[np.float64] = np.abs(result[name].transpose("slice", "y", "x").values).astype(
        np.float64
    )
    return out


def cropped(image: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """An image (slice, y, x) cut about N//2 to the matrix of another, where it is the larger."""
    for axis in (1, 2):
        have, wanted = image.shape[axis], shape[axis]
        if wanted < have:
            first = have // 2 - wanted // 2
            image = np.take(image, np.arange(first, first + wanted), axis=axis)
    return image


def number(attrs: Mapping[Any, Any], key: str) -> float | None:
    """A finite number among the attributes, or None."""
    value = attrs.get(key)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return None
    try:
        value = float(value)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _coils(coils: int, attrs: Mapping[Any, Any]) -> str:
    """Their number, and of how many they were made."""
    measured, kept = number(attrs, "coils_measured"), number(attrs, "coil_energy_kept")
    if measured is None or kept is None:
        return str(coils)
    return f"{coils} of {measured:.0f} ({100 * kept:.3f} % of the signal)"


def _matrix(slices: int, ny: int, nx: int) -> str:
    return f"{ny} x {nx}" + (f", {slices} slices" if slices > 1 else "")
