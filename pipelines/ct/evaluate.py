"""`sciddm ct evaluate`: images against references of full dose, pair by pair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.ct import open_ct
from sciddm.errors import InputError
from sciddm.metrics.hounsfield import hu_bias, psnr, rmse, ssim
from sciddm.metrics.texture import body_mask, mean_frequency, noise_texture, uniform_tissue
from sciddm.pipelines.engine.scores import Score

__all__ = ["compare", "read_volume"]

_SAME_MM = 0.05
_PATCH = 32


def compare(
    reference: xr.DataArray, estimate: xr.DataArray, score: Score, window: tuple[float, float]
) -> None:
    """Fills in the scores of one pair.

    rmse_hu, psnr_db, ssim: within the window, over all pixels; hu_bias: mean difference where the
    reference is uniform tissue; noise_hu: standard deviation of the difference within the body;
    noise_frequency_per_mm: its mean spatial frequency, small for coarse noise.

    Args:
        reference, estimate: (z, y, x), HU.
        score: of the pair.
        window: [low, high] in HU, of RMSE, PSNR and SSIM.

    Raises:
        InputError: they differ in size or place.
    """
    r, e = reference, estimate
    ours, theirs = r.attrs.get("source", "the reference"), e.attrs.get("source", "the estimate")
    theirs = e.attrs.get("path", theirs)
    if r.shape != e.shape:
        raise InputError(
            f"{theirs}: has {e.shape} voxels, {ours} has {r.shape}: compare volumes of one grid"
        )
    corners = np.array(
        [[i, j, k, 1] for i in (0, r.shape[2]) for j in (0, r.shape[1]) for k in (0, r.shape[0])]
    )
    apart = (np.asarray(r.attrs["affine"]) - np.asarray(e.attrs["affine"])) @ corners.T
    if np.abs(apart).max() > _SAME_MM:
        raise InputError(
            f"{theirs}: lies up to {np.abs(apart).max():.2f} mm from {ours}: compare volumes of "
            "one grid"
        )
    truth, image = r.values, e.values
    score.values["rmse_hu"] = rmse(image, truth, window)
    score.values["psnr_db"] = psnr(image, truth, window)
    difference, inside = image - truth, body_mask(truth)
    pixel_mm = float(r.attrs["voxel_size_mm"][-1])
    measures: tuple[tuple[str, Callable[[], float]], ...] = (
        ("ssim", lambda: ssim(image, truth, window)),
        ("hu_bias", lambda: hu_bias(image, truth, uniform_tissue(truth, pixel_mm))),
        ("noise_hu", lambda: _sd(difference, inside)),
        ("noise_frequency_per_mm", lambda: _frequency(difference, inside, pixel_mm)),
    )
    for metric, measure in measures:
        try:
            score.values[metric] = measure()
        except InputError as error:
            score.missing[metric] = str(error)


def _sd(difference: np.ndarray, inside: np.ndarray) -> float:
    if not inside.any():
        raise InputError("no body in the reference: its noise is not measured")
    return float(difference[inside].std())


def _frequency(difference: np.ndarray, inside: np.ndarray, pixel_mm: float) -> float:
    f, power = noise_texture(difference, inside, pixel_mm, _PATCH)
    return mean_frequency(f, power) if power.sum() > 0 else float("nan")


def read_volume(path: Path) -> xr.DataArray:
    """A volume in HU that messages name by its whole path."""
    return open_ct(path).assign_attrs(path=str(path))
