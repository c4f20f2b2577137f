"""`sciddm ultrasound evaluate`: contrast between regions, and closeness to a clean scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.errors import InputError, OptionError
from sciddm.metrics.images import cnr, psnr
from sciddm.metrics.ultrasound import cnr_db, correlation, gcnr, ks_distance
from sciddm.physics.ultrasound.representation import amplitude, log_compressed
from sciddm.pipelines.engine.scores import Score
from sciddm.pipelines.ultrasound.regions import regions_of, stated_regions

__all__ = ["RANGE_DB", "compare"]

#: Dynamic range of the images that are measured.
RANGE_DB = 60.0


def compare(
    truth: xr.Dataset | None, estimate: xr.Dataset, score: Score, roi: Sequence[str] = ()
) -> None:
    """Fills in the scores of one scan, of log-compressed amplitude over 60 dB, over all frames.

    0 dB is the largest amplitude of the clean scan (of the estimate itself where there is none), so
    that every estimate is measured on the same scale: psnr_db (peak 1); gcnr, cnr, cnr_db of tissue
    against blood; ks_tissue and ks_blood against the clean scan's regions; haze_correlation of what
    was taken away with the true haze, where both are known.

    Args:
        truth: the clean scan; None where there is none, and regions are given.
        estimate: in the form of `data_adapters.ultrasound.frames`.
        score: of the scan.
        roi: the regions; see `regions.stated_regions`.

    Raises:
        InputError: shapes that differ, or neither a clean scan nor regions.
    """
    if truth is None and not roi:
        raise OptionError("roi", "is missing: two regions, or a clean scan to measure against")
    if truth is not None and truth["frames"].shape != estimate["frames"].shape:
        name = estimate.attrs.get("source", "the estimate")
        raise InputError(
            f"{name}: shape {estimate['frames'].shape}, but the clean scan has "
            f"{truth['frames'].shape}"
        )
    shape = estimate["frames"].shape[1:]
    given = stated_regions(roi, (shape[0], shape[1])) if roi else None
    regions = given or (None if truth is None else regions_of(truth))
    top = max(float(a.max()) for a in _amplitudes(estimate if truth is None else truth))
    image = np.stack([log_compressed(a, top, RANGE_DB) for a in _amplitudes(estimate)])
    clean = None
    if truth is not None:
        clean = np.stack([log_compressed(a, top, RANGE_DB) for a in _amplitudes(truth)])
        score.values["psnr_db"] = psnr(image, clean, 1.0)
    if regions is None:
        score.missing["gcnr"] = "no regions are known: give them with --roi"
    else:
        inside = {k: np.broadcast_to(m, image.shape) for k, m in regions.items()}
        a, b = image[inside["tissue"]], image[inside["blood"]]
        values = {"gcnr": gcnr(a, b), "cnr": cnr(a, b), "cnr_db": cnr_db(a, b)}
        if clean is not None:
            values["gcnr_clean"] = gcnr(clean[inside["tissue"]], clean[inside["blood"]])
            for name, mask in inside.items():
                values[f"ks_{name}"] = ks_distance(image[mask], clean[mask])
        score.values |= values
    if truth is not None and "true_haze" in truth and "haze" in estimate:
        taken = estimate["haze"].values
        score.values["haze_correlation"] = correlation(taken, truth["true_haze"].values)


def _amplitudes(data: xr.Dataset) -> list[NDArray[Any]]:
    return [amplitude(data, np.asarray(f.values)) for f in data["frames"]]
