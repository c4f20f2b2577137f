"""`sciddm ct evaluate`: images against references of full dose, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sciddm.data_adapters.ct import is_dicom_folder, open_ct
from sciddm.data_adapters.ct.nifti import SUFFIXES
from sciddm.errors import InputError
from sciddm.metrics.hounsfield import hu_bias, psnr, rmse, ssim
from sciddm.metrics.texture import body_mask, mean_frequency, noise_texture, uniform_tissue
from sciddm.pipelines.engine.batch import stem
from sciddm.pipelines.engine.scores import Score, evaluate_pairs, pairs

__all__ = ["compare", "evaluate_volumes"]

_COLUMNS = {
    "rmse_hu": ("RMSE / HU", "{:.1f}"),
    "psnr_db": ("PSNR / dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.3f}"),
    "hu_bias": ("bias / HU", "{:+.1f}"),
    "noise_hu": ("noise / HU", "{:.1f}"),
    "noise_frequency_per_mm": ("its frequency / (1/mm)", "{:.3f}"),
}
_SAME_MM = 0.05
_PATCH = 32


def evaluate_volumes(
    reference: Path, estimate: Path, window: tuple[float, float], *, as_json: bool
) -> bool:
    """Prints the scores of all pairs of the same name.

    Args:
        reference: a volume (DICOM series or NIfTI), or a folder of volumes.
        estimate: likewise.
        window: [low, high] in HU, of RMSE, PSNR and SSIM.
        as_json: a JSON document instead of a table.

    Returns:
        Whether every reference could be compared.

    Raises:
        InputError: no reference, or an impossible window.
    """
    if not window[0] < window[1]:
        raise InputError(f"a window from {window[0]:g} to {window[1]:g} HU: give the lower first")
    return evaluate_pairs(
        pairs(reference, estimate, _found_in, "volume"),
        lambda r, e, score: compare(r, e, score, window),
        _COLUMNS,
        kind="volume",
        where=estimate,
        as_json=as_json,
    )


def compare(reference: Path, estimate: Path, score: Score, window: tuple[float, float]) -> None:
    """Fills in the scores of one pair.

    rmse_hu, psnr_db, ssim: within the window, over all pixels; hu_bias: mean difference where the
    reference is uniform tissue; noise_hu: standard deviation of the difference within the body;
    noise_frequency_per_mm: its mean spatial frequency, small for coarse noise.

    Raises:
        InputError: a volume cannot be read, or they differ in size or place.
    """
    r, e = open_ct(reference), open_ct(estimate)
    if r.shape != e.shape:
        raise InputError(
            f"{estimate}: has {e.shape} voxels, {reference.name} has {r.shape}: compare volumes of "
            "one grid"
        )
    corners = np.array(
        [[i, j, k, 1] for i in (0, r.shape[2]) for j in (0, r.shape[1]) for k in (0, r.shape[0])]
    )
    apart = (np.asarray(r.attrs["affine"]) - np.asarray(e.attrs["affine"])) @ corners.T
    if np.abs(apart).max() > _SAME_MM:
        raise InputError(
            f"{estimate}: lies up to {np.abs(apart).max():.2f} mm from {reference.name}: compare "
            "volumes of one grid"
        )
    truth, image = r.values, e.values
    score.values["rmse_hu"] = rmse(image, truth, window)
    score.values["psnr_db"] = psnr(image, truth, window)
    difference, inside = image - truth, body_mask(truth)
    pixel_mm = float(r.attrs["voxel_size_mm"][-1])
    for metric, measure in (
        ("ssim", lambda: ssim(image, truth, window)),
        ("hu_bias", lambda: hu_bias(image, truth, uniform_tissue(truth, pixel_mm))),
        ("noise_hu", lambda: _sd(difference, inside)),
        ("noise_frequency_per_mm", lambda: _frequency(difference, inside, pixel_mm)),
    ):
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


def _found_in(path: Path) -> tuple[Mapping[str, Path], bool]:
    if not path.is_dir():
        return {stem(path, SUFFIXES): path}, False
    if is_dicom_folder(path):
        return {path.name: path}, False
    found = {}
    for p in sorted(path.iterdir()):
        if p.name.startswith("."):
            continue
        if p.is_dir() and is_dicom_folder(p):
            found[p.name] = p
        elif p.name.lower().endswith(SUFFIXES):
            found[stem(p, SUFFIXES)] = p
    return found, True
