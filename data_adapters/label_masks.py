"""Masks of labelled regions, and whether they lie on the grid of an image.

    .nii .nii.gz .mha .mhd .nrrd .nhdr   volumes, with the place of their voxels
    .npy                                 an array (y, x) or (layer, y, x)
    .png                                 grey or indexed: the numbers as they are stored
    .hdr .tif .tiff                      ENVI and GeoTIFF of one band

0 is no region; every other number is a label of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size, existing_file, reading
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.volume_files import is_volume_file, read_volume
from sciddm.errors import InputError
from sciddm.geometry.affine import centred_affine

__all__ = ["LabelMask", "check_grid", "read_labels"]

_MOST = 256
_PLACE = 0.1  # of a voxel, within which two grids are the same
_CUBES = (".hdr", ".tif", ".tiff")


class LabelMask:
    """Labelled regions.

    Attributes:
        name: of the file, for messages; "roi" for data.
        values: (y, x) or (layer, y, x) int32, 0 outside all regions.
        attrs: ``affine`` of a volume, ``transform`` of an image on a map, where known.
    """

    def __init__(self, name: str, values: NDArray[Any], attrs: Mapping[Any, Any]) -> None:
        if values.ndim not in (2, 3):
            raise InputError(f"{name}: a mask has 2 or 3 axes, this {values.ndim}: give such one")
        whole = np.nan_to_num(np.asarray(values), nan=0.0)
        if whole.dtype.kind not in "fiub" or np.any(whole != np.round(whole)) or whole.min() < 0:
            raise InputError(
                f"{name}: a mask holds whole numbers from 0, this other values: label it"
            )
        if whole.max() >= 2**31:
            raise InputError(f"{name}: labels are below 2^31, this mask's are not: renumber them")
        self.name, self.values, self.attrs = name, whole.astype(np.int32), dict(attrs)
        self.labels = [int(v) for v in np.unique(self.values) if v]
        if not self.labels:
            raise InputError(f"{name}: the mask is empty: draw a region, with numbers above 0")
        if len(self.labels) > _MOST:
            raise InputError(
                f"{name}: {len(self.labels)} labels: is this an image? A mask has {_MOST} at most"
            )


def read_labels(source: str | Path | xr.DataArray | NDArray[Any]) -> LabelMask:
    """Reads a mask.

    Args:
        source: the file, or the numbers themselves.

    Raises:
        InputError: not a mask, or of a format that is not read.
    """
    if isinstance(source, xr.DataArray):
        return LabelMask(str(source.attrs.get("source", "roi")), source.values, source.attrs)
    if isinstance(source, np.ndarray):
        return LabelMask("roi", source, {})
    path = existing_file(source)
    suffix = path.suffix.lower()
    if is_volume_file(path):
        volume = read_volume(path).transpose("z", "y", "x")
        return LabelMask(str(path), volume.values, volume.attrs)
    if suffix == ".npy":
        return LabelMask(str(path), _array(path), {})
    if suffix == ".png":
        return LabelMask(str(path), _picture(path), {})
    if suffix in _CUBES:
        from sciddm.data_adapters.hsi.files import open_cube

        cube = open_cube(path)
        if cube.sizes["band"] != 1:
            raise InputError(f"{path}: {cube.sizes['band']} bands: a mask has one")
        return LabelMask(str(path), np.asarray(cube["cube"].values[0]), cube.attrs)
    raise InputError(
        f"{path}: masks are read from NIfTI, MetaImage, NRRD, .npy, .png, ENVI and GeoTIFF: convert"
    )


def check_grid(
    mask: LabelMask, shape: Sequence[int], attrs: Mapping[Any, Any], *, each_layer: bool
) -> NDArray[np.int32]:
    """The labels of an image, if the mask lies on its grid.

    Args:
        mask: see ``read_labels``.
        shape: (layer, y, x) of the image.
        attrs: of the image, with its ``affine`` or ``voxel_size_mm``, or its ``transform``.
        each_layer: one plane stands for every layer, such as for all bands of a cube.

    Returns:
        (layer, y, x), the layer 1 where one plane stands for all.

    Raises:
        InputError: another size, or another place.
    """
    values = mask.values if mask.values.ndim == 3 else mask.values[None]
    sizes = tuple(int(n) for n in shape)
    layers_fit = len(values) == sizes[0] or (len(values) == 1 and each_layer)
    if values.shape[1:] != sizes[1:] or not layers_fit:
        one = (1, *sizes[1:]) if each_layer else sizes
        raise InputError(
            f"{mask.name}: is {_times(values.shape)} and the result {_times(one)} (layers, rows, "
            "columns): draw the mask on the result's own grid"
        )
    _check_affine(mask, sizes, attrs)
    own, other = mask.attrs.get("transform"), attrs.get("transform")
    if own is not None and other is not None:
        a, b = (np.asarray(list(t)[:6], np.float64) for t in (own, other))
        size = max(float(np.abs(b[[0, 1, 3, 4]]).max()), 1e-12)
        if np.abs(a - b).max() > _PLACE * size:
            raise InputError(
                f"{mask.name}: lies at another place on the map than the result: warp it"
            )
    return np.asarray(values, np.int32)


def _check_affine(mask: LabelMask, shape: tuple[int, ...], attrs: Mapping[Any, Any]) -> None:
    own = mask.attrs.get("affine")
    if own is None or not mask.attrs.get("orientation_known", True):
        return
    theirs = attrs.get("affine")
    if theirs is None:
        # As results without a known place are written.
        theirs = centred_affine(attrs.get("voxel_size_mm", [np.nan] * 3), shape)
    if theirs is None:
        return
    a, b = (np.asarray(m, np.float64) for m in (own, theirs))
    _, rows, columns = shape
    corners = [
        (x, y, z, 1) for x in (0, columns - 1) for y in (0, rows - 1) for z in (0, shape[0] - 1)
    ]
    apart = np.linalg.norm((np.array(corners) @ (a - b).T)[:, :3], axis=1).max()
    if apart > _PLACE * float(np.linalg.norm(b[:3, :3], axis=0).min()):
        raise InputError(
            f"{mask.name}: lies {apart:.3g} mm away from the result's voxels: resample the mask to "
            "the result's grid"
        )


def _array(path: Path) -> NDArray[Any]:
    with reading(path):
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise InputError(f"{path}: no array of numbers, or damaged: save it again") from error
        if values.dtype.kind not in "fiub":
            raise InputError(f"{path}: is {values.dtype}, not numbers: save labels")
        check_size(path, "the mask", values.shape, 8)
        return np.asarray(values)


@isolated
def _picture(path: Path) -> NDArray[Any]:
    from PIL import Image, UnidentifiedImageError

    with reading(path):
        try:
            with Image.open(path) as image:
                if image.mode not in ("1", "L", "P", "I", "I;16"):
                    raise InputError(
                        f"{path}: is in colour ({image.mode}): save labels as grey or indexed"
                    )
                check_size(path, "the mask", (image.height, image.width), 8)
                return np.asarray(image)
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise InputError(f"{path}: no PNG, or damaged: save it again") from error


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)
