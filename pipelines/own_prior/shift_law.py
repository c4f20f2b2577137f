"""The card's ``shift`` of a model: what its features are on data like its training's.

The law is fitted on images of the groups that trained, and the limit is the score that 95 % of the
images of other groups stay below (``uncertainty.shift``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from sciddm.denoiser import NetworkDenoiser
from sciddm.uncertainty.calibration import conformal_factor
from sciddm.uncertainty.shift import FeatureLaw
from sciddm.uncertainty.shift_score import OBJECT, ShiftScore

__all__ = ["shift_entry"]

_RANK, _SHARE = 8, 0.95
#: Images that a law needs.
_LEAST = 8


def shift_entry(
    denoiser: NetworkDenoiser,
    train: Sequence[Tensor],
    held_out: Sequence[Tensor],
    *,
    layer: str,
    sigma: float,
    level: float = OBJECT,
) -> dict[str, Any]:
    """The entry that ``ShiftScore.from_card`` reads; {} where there are too few images.

    Args:
        denoiser: the model.
        train: images (1, 1, y, x) of the training groups, in the prior's units.
        held_out: images of other groups.
        layer: of the network, with channels of two dimensions.
        sigma: noise level at which the network is asked.
        level: |x| above which a pixel is object.
    """
    if len(train) < _LEAST or not held_out:
        return {}
    unfitted = ShiftScore(
        FeatureLaw(np.zeros(1), np.zeros((0, 1)), np.zeros(0), 1), layer, sigma, 0, level
    )
    features, others = (
        [unfitted.features(denoiser, image)[0] for image in images] for images in (train, held_out)
    )
    law = FeatureLaw.fit(np.stack(features), min(_RANK, len(features) // 2))
    distances = law.distance(np.stack(others))
    limit = conformal_factor(distances, _SHARE)
    if not np.isfinite(limit):  # of fewer than 19 images the largest
        limit = float(distances.max())
    return {
        "what": "Mahalanobis distance of means and standard deviations of a layer's channels, per "
        f"feature; law of {len(train)} images of the training groups, limit: {_SHARE:.0%} of "
        f"{len(held_out)} images of other groups stay below",
        "layer": layer,
        "sigma": sigma,
        "level": level,
        "limit": round(limit, 3),
        "law": law.to_json(),
    }
