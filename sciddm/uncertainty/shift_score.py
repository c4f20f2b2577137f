"""Is a scan like those that the prior was trained on? The score of a reconstruction.

The law of the features and the limit are in the model's card, under ``shift``; a model without them
gets no score. Slices near the top of the head or in the neck are unlike most: a volume is judged by
its median slice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from torch import Tensor

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.random.streams import Streams
from sciddm.uncertainty.shift import FeatureLaw, pooled_features
from sciddm.uncertainty.verdict import Finding

__all__ = ["OBJECT", "ShiftScore"]

#: |x| above which a pixel is object, in the prior's units, where bright tissue is 1.
OBJECT = 0.1


@dataclass(frozen=True)
class ShiftScore:
    """How far an image's features are from those of the training data; see ``uncertainty.shift``.

    Attributes:
        law: of the features.
        layer: of the network, whose output they describe.
        sigma: noise level at which the network is asked.
        limit: score above which an image counts as unlike the training data.
        level: |x| above which a pixel is object; below 0 all are.
    """

    law: FeatureLaw
    layer: str
    sigma: float
    limit: float
    level: float = OBJECT

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> Self | None:
        """The score that a card's ``shift`` describes, None if it describes none.

        Raises:
            ModelError: the entry is damaged.
        """
        if not entry:
            return None
        try:
            law = FeatureLaw.from_json(entry["law"])
            sigma, limit = float(entry["sigma"]), float(entry["limit"])
            level = float(entry.get("level", OBJECT))
            return cls(law, str(entry["layer"]), sigma, limit, level)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model card's shift is damaged ({error})") from error

    def features(self, denoiser: NetworkDenoiser, image: Tensor) -> np.ndarray:
        """(1, 2 channels) of an image (1, 1, y, x) in the prior's units, always with one noise."""
        noise = Streams(0, 1).randn(image, step=0)
        return pooled_features(denoiser, image, noise, self.sigma, self.layer, self.level)

    def __call__(self, denoiser: NetworkDenoiser, image: Tensor) -> float:
        """The score of an image (1, 1, y, x) in the prior's units.

        Raises:
            ModelError: the law is of other features than this network's.
        """
        features = self.features(denoiser, image)
        if features.shape[1] != len(self.law.mean):
            raise ModelError(
                f"the model card's shift is a law of {len(self.law.mean)} features, the layer "
                f"{self.layer} has {features.shape[1]}: make it again"
            )
        return float(self.law.distance(features)[0])

    def attributes(self, scores: Sequence[float]) -> tuple[dict[str, Any], list[str]]:
        """Attributes and warnings of a result: shift (the median slice's), shift_limit."""
        finding = self.finding(scores)
        attrs = {"shift": round(float(np.median(scores)), 2), "shift_limit": round(self.limit, 2)}
        return attrs, [finding.sentence] if finding.answer == "no" else []

    def finding(self, scores: Sequence[float]) -> Finding:
        """Whether an input is like the training data: the median slice decides."""
        median = float(np.median(scores))
        if median <= self.limit:
            sentence = (
                f"The image is like the model's training data (shift score {median:.1f}, limit "
                f"{self.limit:.1f})."
            )
            return Finding("yes", median, self.limit, sentence)
        sentence = (
            f"The image is unlike the model's training data (shift score {median:.1f}, limit "
            f"{self.limit:.1f}): another body part, contrast or resolution. The intervals may be "
            "too narrow."
        )
        return Finding("no", median, self.limit, sentence)
