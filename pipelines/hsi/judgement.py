"""Whether to trust a denoised scene: three answers, each with the figure that decides.

fits         the residual of the entries that were denoised, in units of their noise; and the share
             of entries that the method did not represent and whose measured values were kept
calibrated   entries of one tile are kept out, estimated from the others, and compared with what was
             measured there: z = (y - x) / sqrt(std^2 + sigma^2) has the variance 1
familiar     what the method says of its model's training (`Fitted.familiarity`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.classical.spectral.interface import Method
from sciddm.pipelines.hsi.denoise import middle_window, statistics_of, tile_at
from sciddm.pipelines.hsi.survey import Scene, Survey
from sciddm.uncertainty.verdict import Deviation, Finding, Verdict

__all__ = ["CONTRADICTION", "Prediction", "prediction", "verdict_of"]

#: Residual, in units of the noise, beyond which an estimate contradicts its measurement.
CONTRADICTION = 1.25
#: Share of entries of which a method may lose signal: as many as a few rare targets are.
_LOST = 0.02
#: z beyond which intervals are too narrow: 90 % of them would hold 80 %.
_NARROW = 1.28
_SIDE = 48  # pixels of the tile
_SHARE = 0.02  # of its entries
_FEW = 200  # entries that say too little


@dataclass(frozen=True)
class Prediction:
    """Entries that were kept out, and what was estimated for them.

    Attributes:
        rms: root mean square of z, those beyond 6 left out.
        coverage: share within 90 % intervals.
        count: entries.
    """

    rms: float
    coverage: float
    count: int


def prediction(
    scene: Scene,
    known: Survey,
    method: Method,
    *,
    seed: int,
    calibration: NDArray[np.float64] | None = None,
) -> Prediction | None:
    """What a method predicts of entries that it is not shown, in the middle of the scene.

    Args:
        scene: the scene.
        known: what is known of it.
        method: with a standard deviation.
        seed: of the choice, and of the method.
        calibration: of the fitted method, see `Fitted`.

    Returns:
        None where there are too few entries to say.
    """
    window = middle_window(scene, _SIDE)
    tile = tile_at(scene, known, window)
    rng = np.random.default_rng([seed, 7])
    out = (rng.random(tile.values.shape) < _SHARE) & tile.valid
    if out.sum() < _FEW:
        return None
    statistics = statistics_of(scene, known)
    statistics = replace(statistics, valid=min(statistics.valid, 1 - _SHARE))
    fitted = method.fit(statistics)
    fitted.calibration = calibration
    if fitted.halo is None:  # it needs all of a scene, and as long again
        return None
    found = fitted.apply(tile_at(scene, known, window, hidden=out), seed)
    if found.std is None:
        return None
    sigma = statistics.noise.astype(np.float32)[:, None, None]
    z = ((tile.values - found.values) / np.hypot(found.std, sigma))[out]
    usual = np.abs(z) < 6
    return Prediction(
        float(np.sqrt((z[usual] ** 2).mean())), float((np.abs(z) < 1.645).mean()), int(out.sum())
    )


def verdict_of(
    attrs: Mapping[str, Any], predicted: Prediction | None, familiar: Finding
) -> Verdict:
    """The three findings.

    Args:
        attrs: of the result, see `pipeline.attributes`.
        predicted: None where nothing was predicted.
        familiar: see `Denoised`.
    """
    return Verdict(_fits(attrs), _calibrated(predicted), familiar)


def _fits(attrs: Mapping[str, Any]) -> Finding:
    residual, share = float(attrs["consistency"]), float(attrs["kept_share"])
    if not np.isfinite(residual):
        return Finding()
    if residual > CONTRADICTION:
        return Finding(
            "no",
            residual,
            CONTRADICTION,
            f"The estimate differs from the data by {residual:.2f} times their noise.",
        )
    if share > _LOST:
        return Finding(
            "no",
            share,
            _LOST,
            f"The method did not represent {share:.1%} of the entries: their measured values were "
            "kept.",
        )
    return Finding(
        "yes",
        residual,
        CONTRADICTION,
        f"The estimate differs from the data by {residual:.2f} times their noise, and "
        f"{share:.2%} of the entries kept their measured values.",
    )


def _calibrated(predicted: Prediction | None) -> Finding:
    if predicted is None:
        return Finding(
            sentence="The method has no standard deviation, or the scene is too small to check it."
        )
    too: Deviation = "too small" if predicted.rms > _NARROW else ""
    too = "too large" if predicted.rms * _NARROW < 1 else too
    return Finding(
        "no" if predicted.rms > _NARROW else "yes",
        predicted.rms,
        _NARROW,
        f"Of {predicted.count} entries that were kept out, 90 % intervals held "
        f"{predicted.coverage:.0%}; their deviation was {predicted.rms:.2f} times the stated one.",
        too,
    )
