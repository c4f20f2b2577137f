"""`sciddm hsi evaluate`: denoised cubes against clean ones, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.hsi import open_cube
from sciddm.errors import InputError
from sciddm.pipelines.batch import stem
from sciddm.pipelines.evaluation import Score, evaluate_pairs, pairs
from sciddm.pipelines.hsi.metrics import ergas, psnr, sam, ssim
from sciddm.pipelines.hsi.survey import Scene

__all__ = ["compare", "evaluate_cubes"]

_COLUMNS = {
    "psnr_db": ("PSNR / dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.4f}"),
    "sam_deg": ("SAM / deg", "{:.2f}"),
    "ergas": ("ERGAS", "{:.2f}"),
    "scale": ("white", "{:g}"),
}


def evaluate_cubes(
    clean: Path,
    denoised: Path,
    suffixes: Sequence[str],
    *,
    scale: float | None = None,
    as_json: bool = False,
) -> bool:
    """Prints the scores of all pairs of the same name.

    Args:
        clean: folder, or one cube.
        denoised: likewise.
        suffixes: of cubes; names are compared without them.
        scale: see `compare`.
        as_json: a JSON document instead of a table.

    Returns:
        Whether every clean cube could be compared.

    Raises:
        InputError: no clean cube, or an impossible scale.
    """
    if scale is not None and not 0 < scale < np.inf:
        raise InputError(f"--scale {scale:g}: the value that counts as 1 is above 0")

    def found_in(path: Path) -> tuple[Mapping[str, Path], bool]:
        if not path.is_dir() or path.suffix.lower() == ".zarr":
            return {stem(path, suffixes): path}, False
        found = sorted(p for p in path.iterdir() if p.name.lower().endswith(tuple(suffixes)))
        spread = {f"{stem(p, suffixes)}_std" for p in found}
        names = {stem(p, suffixes): p for p in found if not p.name.startswith(".")}
        return {k: v for k, v in names.items() if k not in spread}, True

    return evaluate_pairs(
        pairs(clean, denoised, found_in, "cube"),
        lambda c, d, score: compare(c, d, score, scale),
        _COLUMNS,
        kind="cube",
        where=denoised,
        as_json=as_json,
    )


def compare(clean: Path, denoised: Path, score: Score, scale: float | None = None) -> None:
    """Fills in the scores of one pair; see `metrics`.

    Both are divided by what counts as 1. Where that is not given it is 1 for numbers with decimals
    that are no larger than 2, and else the largest number of the clean cube. Bands of the clean
    cube with one value everywhere are left out.

    Args:
        clean: the true cube.
        denoised: of the same shape.
        score: to be filled in.
        scale: what counts as 1.

    Raises:
        InputError: a cube cannot be read, they differ in shape, or the estimate lacks values.
    """
    truth, used, exact = _read(clean)
    estimate, _, _ = _read(denoised)
    if truth.shape != estimate.shape:
        raise InputError(
            f"{denoised}: (band, line, sample) is {estimate.shape}, that of {clean.name} is "
            f"{truth.shape}: compare cubes of one shape"
        )
    if scale is None:
        largest = float(np.nanmax(truth[used]))
        scale = 1.0 if not exact and largest <= 2 else largest
    if not scale > 0:
        raise InputError(f"{clean}: no number above 0 in it: say what counts as 1 (--scale)")
    truth, estimate = truth[used] / scale, estimate[used] / scale
    lacking = np.isfinite(truth) & ~np.isfinite(estimate)
    if lacking.any():
        raise InputError(
            f"{denoised}: {int(lacking.sum())} entries hold no value where {clean.name} does"
        )
    score.values["scale"] = scale
    metrics = {"psnr_db": psnr, "ssim": ssim, "sam_deg": sam, "ergas": ergas}
    for name, metric in metrics.items():
        try:
            score.values[name] = metric(estimate, truth)
        except ValueError as error:
            score.missing[name] = str(error)


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.bool_], bool]:
    """(cube with NaN where nothing is known, bands that vary, whether it holds integers)."""
    scene = Scene(open_cube(path))
    check_size(path, "the cube", scene.cube.shape, 16)
    values, known = scene.read(slice(None), slice(None))
    whole = np.where(known, values, np.nan).astype(np.float32)
    used = [bool(k.any()) and np.ptp(v[k]) > 0 for v, k in zip(values, known, strict=True)]
    if not any(used):
        raise InputError(f"{path}: no band holds a value: give another file")
    return whole, np.array(used), values.dtype.kind in "iu"
