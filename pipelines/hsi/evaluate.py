"""`sciddm hsi evaluate`: denoised cubes against clean ones, pair by pair, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.errors import InputError
from sciddm.metrics.spectral import Running, ssim
from sciddm.pipelines.engine.scores import Score
from sciddm.pipelines.hsi.survey import Scene

__all__ = ["compare"]


def compare(
    clean: xr.Dataset, denoised: xr.Dataset, score: Score, scale: float | None = None
) -> None:
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
            f"{estimate.name}: (band, line, sample) is {estimate.scene.cube.shape}, that of "
            f"{truth.name} is {truth.scene.cube.shape}: compare cubes of one shape"
        )
    used, largest = truth.used()
    if scale is None:
        scale = 1.0 if not truth.exact and largest <= 2 else largest
    if not scale > 0:
        raise InputError(f"{truth.name}: no number above 0 in it: say what counts as 1 (--scale)")
    running, lacking = Running(len(used)), 0
    for block in truth.scene.blocks():
        x, y = (cube.read(block, used) / scale for cube in (truth, estimate))
        lacking += int((np.isfinite(x) & ~np.isfinite(y)).sum())
        if not lacking:
            running.add(y, x)
    if lacking:
        raise InputError(
            f"{estimate.name}: {lacking} entries hold no value where {truth.name} does"
        )
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

    def __init__(self, data: xr.Dataset) -> None:
        self.scene = Scene(data)
        self.name = self.scene.name

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
            raise InputError(f"{self.name}: no band holds a value: give another file")
        return found, float(high[found].max())


_ENTRIES = 2**22  # of the bands whose similarity is computed at a time
