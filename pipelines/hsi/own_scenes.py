"""The representation of a prior of hyperspectral cubes, and a folder of one's own in it.

Contract of a prior of ``sciddm hsi denoise --method subspace``:

=================  =========================================================================
array              real, (1, y, x): one coefficient image of a scene
units              its own standard deviation; the mean over the scene is 0
basis              the scene's own, of its spectra in units of each band's noise; no band and
                   no sensor is fixed
guides             up to three stronger coefficient images of the scene (3, y, x), 0 where
                   there are none
=================  =========================================================================

A folder holds cubes (ENVI, GeoTIFF, netCDF, zarr, .mat, .npz, products as ``sciddm hsi`` reads
them), in reflectance or any unit. Coefficient images whose noise is above a tenth of their standard
deviation are left out: training sees nearly clean images and adds its own noise.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sciddm.classical.spectral.components import find_components
from sciddm.data_adapters.hsi.files import CUBE_SUFFIXES, open_cube
from sciddm.physics.spectral.tiles import Window
from sciddm.pipelines.hsi.denoise import statistics_of, tile_at
from sciddm.pipelines.hsi.survey import Scene, survey
from sciddm.pipelines.hsi.training_data import coefficient_item
from sciddm.pipelines.own_prior.items import CroppedItems
from sciddm.pipelines.own_prior.prepared import Stack
from sciddm.pipelines.own_prior.sources import Kind, Source

__all__ = ["KIND", "OwnScenes", "read_scene"]

_HEADERS = tuple(s for s in CUBE_SUFFIXES if s not in (".zarr", ".img", ".dat", ".raw", ".bin"))
KIND = Kind("hsi", (*_HEADERS, ".he5", ".vrt"), word="scene", alone=True)

#: Signal-to-noise power from which an image counts as clean, and how many of a scene are kept.
_CLEAN, _MOST = 100.0, 8


def read_scene(source: Source) -> Stack:
    """The clean coefficient images of a cube, one item (component, y, x), the strongest first.

    Raises:
        InputError: no cube, or nothing in it.
    """
    scene = Scene(open_cube(source.path))
    known = survey(scene)
    components = find_components(statistics_of(scene, known), correlated=True)
    clean = min(_MOST, int((components.power >= _CLEAN).sum()))
    if not clean:
        return Stack(np.zeros((0, 1, scene.lines, scene.samples), np.float32))
    y, x = slice(0, scene.lines), slice(0, scene.samples)
    ones = [np.ones(n, np.float32) for n in (scene.lines, scene.samples)]
    values = tile_at(scene, known, Window(y, x, y, x, *ones)).values
    white = values - components.mean.astype(np.float32)[:, None, None]
    white /= components.noise.astype(np.float32)[:, None, None]
    dual = components.dual[:, :clean].astype(np.float32)
    images = np.einsum("bk,byx->kyx", dual, white, optimize=True)
    images -= images.mean((1, 2), keepdims=True)
    images /= images.std((1, 2), keepdims=True)
    return Stack(images[None].astype(np.float32))


class OwnScenes(CroppedItems):
    """Coefficient images x0 (1, crop, crop) of a run's scenes with their guides cond (3, ...).

    Args:
        prepared, split, length, seed: as of ``CroppedItems``.
        crop: side in pixels; smaller scenes are mirrored at their edges.
    """

    #: Kept with the model: `HyperspectralDenoising.from_pretrained` takes its method from it.
    representation: ClassVar[dict[str, str]] = {"method": "subspace"}

    def item(self, values: NDArray[Any], rng: np.random.Generator) -> dict[str, Tensor]:
        """See ``PreparedItems``."""
        borders = [(0, max(0, self.crop - n)) for n in values.shape[1:]]
        stack = np.pad(values, [(0, 0), *borders], mode="symmetric")
        return coefficient_item(np.asarray(stack, np.float32), self.crop, rng)
