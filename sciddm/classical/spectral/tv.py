"""Total variation, band by band."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.restoration import denoise_tv_chambolle

from sciddm.classical.spectral.interface import (
    Attributes,
    Estimate,
    Fitted,
    Method,
    SceneStatistics,
    Tile,
    chi2,
)
from sciddm.progress import Progress

__all__ = ["BandwiseTotalVariation"]

_WEIGHT = 1.0  # in units of the noise: the same for every cube


class BandwiseTotalVariation(Method):
    """argmin_x |x - y|^2 / 2 + weight TV(x) for every band, in units of its noise.

    Rudin, Osher and Fatemi, 1992; Chambolle's dual algorithm, scikit-image. Dead entries are filled
    from the nearest living one of their band before.
    """

    name = "tv"

    def fit(self, statistics: SceneStatistics) -> Fitted:
        """See `Method`."""
        return _Smoother(statistics.noise, bool(statistics.sigma.max() > 0))


class _Smoother(Fitted):
    halo = None

    def __init__(self, noise: NDArray[np.float64], noisy: bool) -> None:
        self._noise, self._noisy = noise, noisy
        self.attributes: Attributes = {"method": BandwiseTotalVariation.name, "weight": _WEIGHT}

    def apply(self, tile: Tile, seed: int = 0, progress: Progress | None = None) -> Estimate:
        bands = len(tile.values)
        out = np.empty(tile.values.shape, np.float32)
        for i, (band, known) in enumerate(zip(tile.values, tile.valid, strict=True)):
            whole = _filled(band, ~known).astype(np.float64) / self._noise[i]
            smooth = denoise_tv_chambolle(whole, weight=_WEIGHT) if self._noisy else whole
            out[i] = smooth * self._noise[i]
            if progress is not None:
                progress(i + 1, bands, f"band {i + 1} of {bands}")
        found = tile.inner(out)
        return Estimate(found, None, {"nfe": 0, "nvjp": 0, "chi2": chi2(tile, found, self._noise)})


def _filled(band: NDArray[np.float32], dead: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Dead entries replaced by the nearest living one; 0 where none lives."""
    if not dead.any():
        return band
    if dead.all():
        return np.zeros_like(band)
    nearest = distance_transform_edt(dead, return_distances=False, return_indices=True)
    return np.asarray(band[tuple(np.asarray(nearest))])
