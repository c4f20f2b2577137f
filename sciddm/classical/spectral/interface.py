"""What a denoising method is: fitted once to what is known of a scene, then applied to its tiles.

A scene may be far larger than memory, so a method never sees it: `Method.fit` gets statistics of
all of it, `Fitted.apply` one tile after the other, in any order, on any machine. All numbers are in
units in which reflectance, or what is white where that is not known, is about 1.

The result at a pixel may depend on the pixels within the `halo` about it and on its place in the
scene, on nothing else: then tiles give the same as the whole. Noise comes from the seed and the
tile's origin (`sciddm.random.tiled_streams`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from sciddm.classical.spectral.moments import Moments
from sciddm.progress import Progress
from sciddm.uncertainty.verdict import Finding

__all__ = ["Attributes", "Estimate", "Fitted", "Method", "SceneStatistics", "Tile", "chi2"]

#: What repeats a run.
Attributes = dict[str, Any]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class SceneStatistics:
    """What a pass over the scene gives, of the bands that hold something.

    Attributes:
        shape: (y, x) of the scene.
        sigma: (band,) standard deviation of the noise.
        moments: of the pixels that hold something, stripes taken out, dead entries replaced by what
            the other bands predict.
        wavelength_nm: (band,), None where the file states none.
        valid: share of the entries that were measured.
        scale: the unit of all this, in the unit of the file.
        mean_variance: of the bands' mean, in units of what the noise of independent pixels leaves:
            more than 1 where columns or lines had offsets.
    """

    shape: tuple[int, int]
    sigma: NDArray[np.float64]
    moments: Moments
    wavelength_nm: NDArray[np.float64] | None = None
    valid: float = 1.0
    scale: float = 1.0
    mean_variance: float = 1.0

    @property
    def noise(self) -> NDArray[np.float64]:
        """(band,) sigma, above 0: a band without any noise would get infinite weight.

        Noise of a millionth of the largest changes nothing that can be seen.
        """
        largest = float(self.sigma.max())
        return np.maximum(self.sigma, 1e-6 * largest if largest > 0 else 1.0)


@dataclass(frozen=True)
class Tile:
    """A part of a scene with the context that a method asks for.

    Attributes:
        values: (band, y, x) float32, stripes taken out; anything finite where not valid.
        valid: (band, y, x) bool, False for dead pixels and lines, impulses and nodata: no datum.
        origin: (y, x) of its first pixel in the scene.
        inside: (y, x) of it without its context: the part that an estimate is made of.
    """

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    origin: tuple[int, int] = (0, 0)
    inside: tuple[slice, slice] = (slice(None), slice(None))

    def inner(self, array: NDArray[Number]) -> NDArray[Number]:
        """An array (..., y, x) of the tile without the context, a view."""
        return array[(..., *self.inside)]


@dataclass(frozen=True)
class Estimate:
    """What a method makes of a tile.

    Attributes:
        values: (band, y, x), without noise, of the inside of the tile: context is often most of a
            tile, and all bands of it would be made for nothing.
        std: (band, y, x) standard deviation of the posterior; None where a method has none.
        attributes: nfe, nvjp (per sample), chi2 (`chi2`) and what else belongs to the tile.
    """

    values: NDArray[np.float32]
    std: NDArray[np.float32] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Fitted(ABC):
    """A method that knows its scene. It can be pickled, to be sent to other machines.

    Attributes:
        halo: pixels that the result at a pixel depends on, in each direction; None for a method
            that needs all of a scene: it gets tiles that overlap, and its results are blended.
        attributes: what repeats the run, the same for all tiles.
    """

    halo: int | None
    attributes: Attributes
    #: Factors of variances, which `calibrate` finds; None for those of simulated scenes.
    calibration: NDArray[np.float64] | None = None

    def calibrate(self, tile: Tile, seed: int = 0) -> None:  # noqa: B027 (most have nothing to fit)
        """Fits the standard deviations to the errors that a part of the scene tells of.

        Args:
            tile: a part of the scene, without context.
            seed: of all noise.
        """

    def band_correlation(self) -> NDArray[np.float64] | None:
        """Correlation (band, band) of errors at a pixel; None where it is not known."""
        return None

    def familiarity(self) -> Finding:
        """Whether the scene is like those that the method's model was trained on."""
        return Finding(sentence="The method has no trained model.")

    @abstractmethod
    def apply(self, tile: Tile, seed: int = 0, progress: Progress | None = None) -> Estimate:
        """The tile without its noise.

        Args:
            tile: a part of the scene that the method was fitted to.
            seed: of all noise of the run.
            progress: called after every step within the tile.
        """


class Method(ABC):
    """A way to denoise.

    Attributes:
        name: as the command line knows it.
        has_std: whether its estimates always have a standard deviation; they never have if not.
        provenance: name and hash of its model (`model`, `weights_sha256`); empty without one.
    """

    name: ClassVar[str]
    has_std: ClassVar[bool] = False
    provenance: Mapping[str, str] = {}

    @abstractmethod
    def fit(self, statistics: SceneStatistics) -> Fitted:
        """The method for one scene.

        Raises:
            InputError: it cannot be used on this scene, such as for want of wavelengths.
        """


def chi2(tile: Tile, found: NDArray[np.floating[Any]], noise: NDArray[np.float64]) -> float:
    """Mean of ((y - x) / sigma)^2 over the valid entries inside a tile; NaN if there is none."""
    values, known = tile.inner(tile.values), tile.inner(tile.valid)
    count = int(known.sum())
    if not count:
        return float("nan")
    total = 0.0
    for y, valid, x, sigma in zip(values, known, found, noise, strict=True):
        # Band by band: squares of a whole tile in double precision would be its largest copies.
        left = np.where(valid, y - x, 0) / np.float32(sigma)
        total += float((left.astype(np.float64) ** 2).sum())
    return total / count
