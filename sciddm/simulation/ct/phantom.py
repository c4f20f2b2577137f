"""A procedural body: axial slices where the lungs end and the liver is widest.

Skin, fat, muscle, ribs and spine, the bases of the lungs with their vessels, liver with vessels and
low-contrast lesions, spleen, stomach with gas, kidneys, aorta and vena cava, on a table; all are
functions of position. So it is drawn at any matrix size and slice distance, contains no patient's
data, and every seed is another body.

Positions are in mm from the axis of rotation, x to the right of the image, y downwards (the table
is below), z towards the head. Organs are ellipsoids or cylinders, painted over one another; a
tissue covers a point by a smooth step of its distance. A picture is drawn on a finer grid and
averaged over the pixels. Tissues have a fine texture of their own, as real ones do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.errors import InputError

__all__ = ["LESIONS_HU", "body_phantom"]

Array = NDArray[np.float64]

#: Contrast of the lesions to the liver about them.
LESIONS_HU = (-25.0, -15.0, 15.0)
_POINT_MM = 0.75  # distance of the points that a pixel averages, two to eight per axis
_EDGE_MM = 0.5  # half width of the borders between tissues
_TEXTURE_MM = 1.2  # size of the tissues' own structure
_HALF_WIDTH, _HALF_DEPTH = 172.0, 122.0
_TABLE_MM = 128.0


@dataclass(frozen=True)
class _Organ:
    """An ellipsoid with the half axes (a, b, c) along (x, y, z), turned by tilt in the slice."""

    hu: float
    x: float
    y: float
    z: float
    a: float
    b: float
    c: float = math.inf
    tilt: float = 0.0
    texture: float = 3.0


def body_phantom(
    shape: tuple[int, int] = (256, 256),
    slices: int = 1,
    *,
    pixel_mm: float | None = None,
    slice_mm: float = 3.0,
    seed: int = 0,
) -> xr.DataArray:
    """A body in HU.

    Args:
        shape: (ny, nx), 32 or more each; its middle lies on the axis of rotation.
        slices: number of slices, about the level z = 0.
        pixel_mm: size of the pixels; the body and its table fill the image if not given.
        slice_mm: distance of the slices.
        seed: determines the body.

    Returns:
        (z, y, x) float32, HU, with units, voxel_size_mm and affine as readers give them.

    Raises:
        InputError: the size is too small.
    """
    ny, nx = shape
    if min(ny, nx) < 32 or slices < 1:
        raise InputError(f"a body needs 32 x 32 pixels and a slice, not {slices} x {ny} x {nx}")
    if pixel_mm is None:
        pixel_mm = max(2 * 1.03 * _HALF_WIDTH / nx, 2 * 1.12 * _TABLE_MM / ny)
    rng = np.random.default_rng([seed, 0xC7])
    organs = _organs(rng)
    fine = min(8, max(2, math.ceil(pixel_mm / _POINT_MM)))
    y, x = (((np.arange(n * fine) + 0.5) / fine - n / 2) * pixel_mm for n in (ny, nx))
    levels = (np.arange(slices) - (slices - 1) / 2) * slice_mm
    grain = _grain(rng, (slices, ny * fine, nx * fine), slice_mm, pixel_mm / fine)
    values = np.stack(
        [_slice(organs, x[None, :], y[:, None], z, g) for z, g in zip(levels, grain, strict=True)]
    )
    pixels = values.reshape(slices, ny, fine, nx, fine).mean((2, 4))
    affine = np.diag([-pixel_mm, -pixel_mm, slice_mm, 1.0])  # x to the patient's left, y backwards
    affine[:3, 3] = [(nx - 1) / 2 * pixel_mm, (ny - 1) / 2 * pixel_mm, levels[0]]
    attrs = {
        "units": "HU",
        "voxel_size_mm": [slice_mm, pixel_mm, pixel_mm],
        "affine": affine.tolist(),
        "orientation_known": True,
        "source": f"body phantom, seed {seed}",
        "format": "phantom",
    }
    return xr.DataArray(pixels.astype(np.float32), dims=("z", "y", "x"), name="hu", attrs=attrs)


def _slice(organs: list[_Organ], x: Array, y: Array, z: float, grain: Array) -> Array:
    image = np.full(np.broadcast_shapes(x.shape, y.shape), -1000.0)
    for organ in organs:
        cover = _cover(organ, x, y, z)
        if cover is not None:
            image += cover * (organ.hu + organ.texture * grain - image)
    return image


def _cover(organ: _Organ, x: Array, y: Array, z: float) -> Array | None:
    """How much of every point the organ covers, 0 to 1; None where it does not reach the level."""
    left = 1 - ((z - organ.z) / organ.c) ** 2
    if left <= 0:
        return None
    a, b = organ.a * math.sqrt(left), organ.b * math.sqrt(left)
    cos, sin = math.cos(organ.tilt), math.sin(organ.tilt)
    u = ((x - organ.x) * cos + (y - organ.y) * sin) / a
    v = ((y - organ.y) * cos - (x - organ.x) * sin) / b
    radius = np.sqrt(u**2 + v**2)
    slope = np.sqrt((u / a) ** 2 + (v / b) ** 2) / np.maximum(radius, 1e-9)
    distance = (radius - 1) / np.maximum(slope, 1e-9)  # to first order
    step = np.clip((_EDGE_MM - distance) / (2 * _EDGE_MM), 0, 1)
    return np.asarray(step * step * (3 - 2 * step))


def _grain(rng: np.random.Generator, shape: tuple[int, int, int], dz: float, dxy: float) -> Array:
    """Random texture of mean 0 and variance 1."""
    sigma = [_TEXTURE_MM / dz, _TEXTURE_MM / dxy, _TEXTURE_MM / dxy]
    field = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def _organs(rng: np.random.Generator) -> list[_Organ]:
    """From the outside in."""

    width, depth = _near(rng, _HALF_WIDTH - 8), _near(rng, _HALF_DEPTH - 6)
    body = [
        _Organ(-250, 0, _TABLE_MM + 4, 0, 165, 4, texture=0),
        _Organ(-950, 0, _TABLE_MM + 4, 0, 163, 2.5, texture=0),
        _Organ(30, 0, 0, 0, width, depth),
        _Organ(-100, 0, 0, 0, width - 2, depth - 2, texture=6),
        _Organ(55, 0, 0, 0, width - 18, depth - 17, texture=5),
        _Organ(-95, 0, -2, 0, width - 30, depth - 29, texture=6),
    ]
    return [*body, *_lungs(rng, width, depth), *_abdomen(rng), *_bones(rng, width, depth)]


def _lungs(rng: np.random.Generator, width: float, depth: float) -> list[_Organ]:
    """The bases of the lungs behind the diaphragm, larger towards the head."""
    found = []
    for side in (-1, 1):
        x, y = side * 0.52 * width, 0.30 * depth
        a, b = 0.27 * width, 0.38 * depth
        found.append(_Organ(-840, x, y, 60, a, b, 110, 0.15 * side, texture=18))
        for _ in range(14):
            r, angle = math.sqrt(rng.uniform(0, 0.7)), rng.uniform(0, 2 * math.pi)
            size = rng.uniform(0.8, 2.6)
            px, py = x + r * a * math.cos(angle) * 0.9, y + r * b * math.sin(angle) * 0.9
            stretch = rng.uniform(1, 3)
            tilt = rng.uniform(0, math.pi)
            found.append(_Organ(35, px, py, rng.uniform(-20, 60), size, size * stretch, 40, tilt))
    return found


def _near(rng: np.random.Generator, value: float, share: float = 0.04) -> float:
    return float(value * (1 + share * rng.uniform(-1, 1)))


def _abdomen(rng: np.random.Generator) -> list[_Organ]:
    liver = _Organ(62, _near(rng, -58), -10, -15, _near(rng, 78), _near(rng, 62), 90, 0.35)
    found = [liver, _Organ(60, _near(rng, 88), 22, -10, 34, 40, 55, -0.4)]
    for _ in range(9):  # vessels of the liver, filled with contrast medium
        x, y = liver.x + rng.uniform(-50, 45), liver.y + rng.uniform(-38, 35)
        size = rng.uniform(1.5, 4.0)
        found.append(
            _Organ(115, x, y, 0, size, size * rng.uniform(1, 4), 60, rng.uniform(0, math.pi))
        )
    places = ((-92, -12, 9.0), (-60, 18, 6.0), (-35, -32, 6.0))
    for contrast, (x, y, size) in zip(LESIONS_HU, places, strict=True):
        found.append(_Organ(62 + contrast, x + rng.uniform(-4, 4), y, 0, size, size, 3 * size))
    found += [
        _Organ(18, 48, _near(rng, -45), 0, 42, 30, 60, -0.3),
        _Organ(-920, 46, -62, 0, 24, 9, 35, texture=0),
        _Organ(150, 14, 30, 0, 11.5, 11.5, texture=1),
        _Organ(95, -16, 26, 0, 13, 10, texture=1),
    ]
    for side in (-1, 1):
        x = side * _near(rng, 62)
        found.append(_Organ(135, x, 55, -40, 26, 22, 50, 0.5 * side))
        found.append(_Organ(70, x - 4 * side, 54, -40, 13, 10, 35, 0.5 * side))
    return found


def _bones(rng: np.random.Generator, width: float, depth: float) -> list[_Organ]:
    found = [
        _Organ(480, 0, 66, 0, 24, 18, texture=40),
        _Organ(190, 0, 66, 0, 21.5, 15.5, texture=45),
        _Organ(560, 0, 90, 0, 15, 12, texture=40),
        _Organ(20, 0, 88, 0, 9, 7.5),
        _Organ(620, 0, 106, 0, 4, 10, texture=30),
        _Organ(540, -26, 88, 0, 14, 4.5, tilt=-0.3, texture=30),
        _Organ(540, 26, 88, 0, 14, 4.5, tilt=0.3, texture=30),
    ]
    first = rng.uniform(0, 0.25)
    for k in range(18):
        angle = first + 2 * math.pi * k / 18
        x, y = (width - 24) * math.cos(angle), (depth - 23) * math.sin(angle)
        if y > 0.72 * depth:
            continue  # there the muscles of the back are
        tilt = angle + math.pi / 2
        found.append(_Organ(900, x, y, rng.uniform(-8, 8), 8, 4, 40, tilt, texture=60))
        found.append(_Organ(160, x, y, found[-1].z, 6, 2.2, 36, tilt, texture=40))
    return found
