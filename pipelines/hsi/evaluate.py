"""`sciddm hsi evaluate`: denoised cubes against clean ones, pair by pair, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.hsi import open_cube
from sciddm.errors import InputError
from sciddm.metrics.spectral import Running, ssim
from sciddm.pipelines.engine.batch import stem
from sciddm.pipelines.engine.scores import Score, evaluate_pairs, pairs
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
    truth, estimate = _Cube(clean), _Cube(denoised)
    if truth.scene.cube.shape != estimate.scene.cube.shape:
        raise InputError(
            f"{denoised}: (band, line, sample) is {estimate.scene.cube.shape}, that of "
            f"{clean.name} is {truth.scene.cube.shape}: compare cubes of one shape"
        )
    used, largest = truth.used()
    if scale is None:
        scale = 1.0 if not truth.exact and largest <= 2 else largest
    if not scale > 0:
        raise InputError(f"{clean}: no number above 0 in it: say what counts as 1 (--scale)")
    running, lacking = Running(len(used)), 0
    for block in truth.scene.blocks():
        x, y = (cube.read(block, used) / scale for cube in (truth, estimate))
        lacking += int((np.isfinite(x) & ~np.isfinite(y)).sum())
        if not lacking:
            running.add(y, x)
    if lacking:
        raise InputError(f"{denoised}: {lacking} entries hold no value where {clean.name} does")
    score.values["scale"] = scale

    def similarity() -> float:
        """Of some bands at a time, as it needs whole ones."""
        each = max(1, _ENTRIES // (truth.scene.lines * truth.scene.samples))
        found = []
        for start in range(0, len(used), each):
            part = used[start : start + each]
            x, y = (cube.read(slice(None), part) / scale for cube in (truth, estimate))
            whole = np.isfinite(x).all(axis=(1, 2))
            if whole.any():
                found += [ssim(y[whole], x[whole])] * int(whole.sum())
        return float(np.mean(found)) if found else float("nan")

    metrics: dict[str, Callable[[], float]] = {
        "psnr_db": lambda: running.psnr,
        "ssim": similarity,
        "sam_deg": lambda: running.sam,
        "ergas": running.ergas,
    }
    for name, metric in metrics.items():
        try:
            score.values[name] = metric()
        except ValueError as error:
            score.missing[name] = str(error)


class _Cube:
    """A cube that is read in parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scene = Scene(open_cube(path))

    @property
    def exact(self) -> bool:
        """Whether it holds integers."""
        return bool(self.scene.cube.dtype.kind in "iu")

    def read(self, y: slice, bands: NDArray[np.intp] | slice = slice(None)) -> NDArray[Any]:
        """(band, line, sample), NaN where nothing is known."""
        values, known = self.scene.read(y, slice(None), bands)
        return np.where(known, values, np.nan).astype(np.float32)

    def used(self) -> tuple[NDArray[np.intp], float]:
        """Bands that vary, and the largest number in them.

        Raises:
            InputError: there is none.
        """
        low, high = np.full(self.scene.bands, np.inf), np.full(self.scene.bands, -np.inf)
        for block in self.scene.blocks():
            values = self.read(block)
            known = np.isfinite(values)
            low = np.minimum(low, np.where(known, values, np.inf).min(axis=(1, 2)))
            high = np.maximum(high, np.where(known, values, -np.inf).max(axis=(1, 2)))
        found = np.flatnonzero(high > low)
        if not len(found):
            raise InputError(f"{self.path}: no band holds a value: give another file")
        return found, float(high[found].max())


_ENTRIES = 2**22  # of the bands whose similarity is computed at a time
