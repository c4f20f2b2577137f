"""Images of MRI against references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters import load_result, open_kspace
from sciddm.data_adapters.save import RESULT_SUFFIXES
from sciddm.errors import InputError
from sciddm.metrics.volume import nmse_volume, psnr_volume, ssim_volume
from sciddm.pipelines.engine.scores import Score
from sciddm.pipelines.mri.describe import cropped
from sciddm.pipelines.mri.retrospective import is_full, with_reference
from sciddm.posterior import half_width

__all__ = ["compare", "read_image"]

_LEVEL = 0.9
#: Part of the reference's largest magnitude from which a pixel counts for the coverage.
_OBJECT = 0.1


def read_image(path: Path) -> xr.Dataset:
    """A result with its magnitude ``reconstruction``; of full k-space its reference, or the
    combination by coil sensitivities.

    Raises:
        InputError: neither, or k-space with samples left out.
    """
    if path.name.lower().endswith(RESULT_SUFFIXES):
        try:
            result = load_result(path)
        except InputError:
            if path.name.lower().endswith((".nii", ".nii.gz")):
                raise
        else:
            if "reconstruction" in result:
                return result
    scan = open_kspace(path)
    if "trajectory" in scan or not is_full(scan):
        raise InputError(
            f"{path}: k-space that was not sampled in full is no image: reconstruct it first"
        )
    image = with_reference(scan)["reference"].values
    attrs = {**scan.attrs, "source": path.name}
    return xr.Dataset({"reconstruction": (("slice", "y", "x"), image)}, attrs=attrs)


def compare(reference: xr.Dataset, estimate: xr.Dataset, score: Score, *, fit_scale: bool) -> None:
    """Fills in the scores of one pair: fastMRI's PSNR, SSIM and NMSE of the volume, and the share
    of the object's pixels that the 90 % interval holds, where there is a standard deviation.

    Args:
        reference: with ``reconstruction`` (slice, y, x).
        estimate: likewise; ``std`` and the attribute ``samples`` where it has them.
        score: to fill in.
        fit_scale: multiply the estimate by the factor of least squares first.

    Raises:
        InputError: other numbers of slices, or matrices of which neither holds the other.
    """
    truth, image = _magnitude(reference), _magnitude(estimate)
    shape = tuple(min(a, b) for a, b in zip(truth.shape, image.shape, strict=True))
    if truth.shape[0] != image.shape[0] or shape not in (truth.shape, image.shape):
        raise InputError(
            f"an image {image.shape} and a reference {truth.shape} (slice, y, x): compare images "
            "of one scan"
        )
    truth, image = cropped(truth, shape), cropped(image, shape)
    power = float((image * image).sum())
    scale = float((image * truth).sum()) / power if fit_scale and power > 0 else 1.0
    image = scale * image
    score.values["psnr_volume_db"] = psnr_volume(image, truth)
    score.values["ssim_volume"] = ssim_volume(image, truth)
    score.values["nmse_volume"] = nmse_volume(image, truth)
    samples = int(estimate.attrs.get("samples", 0))
    if "std" not in estimate or samples < 2:
        score.missing["coverage_90"] = "the estimate has no standard deviation of samples"
        return
    half = half_width(samples, _LEVEL) * scale * cropped(_magnitude(estimate, "std"), shape)
    inside = truth > _OBJECT * truth.max()
    score.values["coverage_90"] = float((np.abs(image - truth) <= half)[inside].mean())


def _magnitude(result: xr.Dataset, name: str = "reconstruction") -> NDArray[np.float64]:
    out: NDArray[np.float64] = np.abs(result[name].transpose("slice", "y", "x").values).astype(
        np.float64
    )
    return out
