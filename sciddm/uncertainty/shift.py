"""Is an input like what a model was trained on? The distance of a network's features.

A denoiser trained on heads denoises a leg as well as a head, so its error does not tell them apart;
what it computes on the way does. The features f (n,) are the mean and the standard deviation of
each channel of an inner layer of the network over the object: what there is, and how much it
differs from place to place. On data like the training's they are taken as Gaussian, with the
covariance of probabilistic PCA (Tipping and Bishop, J R Stat Soc B 61:611, 1999),

    Sigma = U diag(l) U^T + r (I - U U^T)        U (n, k) orthonormal,

and the score of a new input is its squared Mahalanobis distance per feature (Lee et al., A simple
unified framework for detecting out-of-distribution samples, NeurIPS 2018):

    d(f) = (f - m)^T Sigma^-1 (f - m) / n

which is 1 on average for data of the law, and tr(Sigma^-1 Sigma') / n for data of covariance
Sigma'. A limit is a quantile of d on data left out of the fit.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sciddm.denoiser import NetworkDenoiser

__all__ = ["FeatureLaw", "pooled_features"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureLaw:
    """The Gaussian law of features.

    Attributes:
        mean: m (n,).
        directions: rows of U^T (k, n), orthonormal.
        variances: l (k,).
        rest: r, the variance along every other direction.
    """

    mean: Array
    directions: Array
    variances: Array
    rest: float

    @classmethod
    def fit(cls, features: NDArray[Any], rank: int) -> Self:
        """The law of most likelihood with ``rank`` directions, from features (item, n).

        Raises:
            ValueError: rank is not between 1 and min(item, n) - 1, or features are not finite.
        """
        features = np.asarray(features, dtype=np.float64)
        items, n = features.shape
        if not 1 <= rank < min(items, n):
            raise ValueError(f"{rank} directions of {n} features from {items} items")
        if not np.isfinite(features).all():
            raise ValueError("features are not finite")
        mean = features.mean(0)
        _, s, directions = np.linalg.svd(features - mean, full_matrices=False)
        variances = s**2 / (items - 1)
        return cls(mean, directions[:rank], variances[:rank], variances[rank:].sum() / (n - rank))

    def distance(self, features: NDArray[Any]) -> Array:
        """d, (item,), of features (item, n)."""
        apart = np.asarray(features, dtype=np.float64) - self.mean
        along = apart @ self.directions.T
        outside = (apart**2).sum(-1) - (along**2).sum(-1)
        out: Array = ((along**2 / self.variances).sum(-1) + outside / self.rest) / len(self.mean)
        return out

    def to_json(self) -> dict[str, Any]:
        """For a model card: numbers as base64 of float32, little endian."""
        parts = {"mean": self.mean, "directions": self.directions, "variances": self.variances}
        coded = {k: base64.b64encode(v.astype("<f4").tobytes()).decode() for k, v in parts.items()}
        return {**coded, "rest": float(self.rest)}

    @classmethod
    def from_json(cls, coded: Mapping[str, Any]) -> Self:
        """What ``to_json`` wrote.

        Raises:
            ValueError: something is missing or does not fit together.
        """
        try:
            mean, directions, variances = (
                np.frombuffer(base64.b64decode(coded[k]), "<f4").astype(np.float64)
                for k in ("mean", "directions", "variances")
            )
            return cls(mean, directions.reshape(len(variances), -1), variances, coded["rest"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not the law of features: {error}") from error


@torch.no_grad()
def pooled_features(
    denoiser: NetworkDenoiser, x: Tensor, noise: Tensor, sigma: float, layer: str, level: float
) -> Array:
    """Mean and standard deviation of a layer's channels over the object, for x at a noise level.

    Args:
        denoiser: of a process without an endpoint; one that is shown estimates is shown x itself.
        x: images (B, C, y, x), in data units.
        noise: unit noise in the shape of x.
        sigma: noise level s/a at which the network is asked; it hides what is smaller.
        layer: name of a submodule of the network whose output is (B, channel, y', x').
        level: |x| above which a pixel is object.

    Returns:
        (B, 2 channels): all means, then all standard deviations.

    Raises:
        ValueError: the network has no such layer.
    """
    try:
        module = denoiser.network.get_submodule(layer)
    except AttributeError as error:
        raise ValueError(f"the network has no layer {layer!r}") from error
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Any, ...], out: Tensor) -> None:
        seen.append(out)

    hook = module.register_forward_hook(keep)
    try:
        t = denoiser.process.time(sigma)
        shown = x if denoiser.sees_estimate else None
        denoiser(denoiser.process.add_noise(x, t, z=noise), t, None, shown)
    finally:
        hook.remove()
    features = seen[0].float()
    inside = (x.abs().amax(1, keepdim=True) > level).float()
    weight = functional.adaptive_avg_pool2d(inside, (features.shape[-2], features.shape[-1]))
    total = weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
    mean = (features * weight).sum((2, 3), keepdim=True) / total
    variance = ((features - mean).square() * weight).sum((2, 3), keepdim=True) / total
    return np.asarray(torch.cat([mean, variance.sqrt()], 1)[..., 0, 0].double().cpu())
