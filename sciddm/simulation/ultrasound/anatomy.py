"""Procedural maps of how strongly tissue scatters: hearts in three views, muscles, plain phantoms.

A map is in dB about the myocardium, on a coarse grid (depth, lateral). Its shapes come from signed
distances of ellipses, seen through a smooth random deformation, so no two maps are alike and none
is taken from anybody's image. Levels are those that echocardiograms show: blood 30 to 45 dB below
the myocardium, the pericardium above it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["VIEWS", "Anatomy", "draw_anatomy", "smooth_field"]

VIEWS = ("four-chamber", "short-axis", "long-axis", "phantom", "muscle")
_OFTEN = {
    "four-chamber": 0.35,
    "short-axis": 0.25,
    "long-axis": 0.2,
    "phantom": 0.2,
    "muscle": 0.4,
}
BLOOD_DB = (-45.0, -30.0)
_FLOOR_DB = -60.0

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Anatomy:
    """A map and its regions.

    Attributes:
        echo_db: (depth, lateral) scattering strength, dB about the myocardium.
        blood: where cavities are.
        muscle: where myocardium is (in a phantom: its background).
    """

    echo_db: Field
    blood: NDArray[np.bool_]
    muscle: NDArray[np.bool_]


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    """A Gaussian random field of unit variance, correlated over ``scale`` of the larger side."""
    coarse = [max(2, round(n / (scale * max(shape)))) + 3 for n in shape]
    small = rng.standard_normal(coarse).astype(np.float32)
    # Cubic splines between the nodes; away from the border, where they know one side only.
    place = [np.linspace(1, n - 2, m, dtype=np.float32) for n, m in zip(coarse, shape, strict=True)]
    grid = np.meshgrid(*place, indexing="ij")
    out = ndimage.map_coordinates(small, grid, order=3, mode="nearest", output=np.float32)
    return np.asarray(out / max(float(out.std()), 1e-6), np.float32)


def draw_anatomy(
    rng: np.random.Generator,
    shape: tuple[int, int] = (192, 128),
    view: str | Sequence[str] = VIEWS,
    phase: float = 0.0,
) -> Anatomy:
    """One map.

    Args:
        rng: decides everything about it.
        shape: (depth, lateral).
        view: one of `VIEWS`; drawn from several.
        phase: of the heart beat, 0 to 1. The same ``rng`` state with another phase is the same
            heart at another moment: cavities are smallest at 0.5.
    """
    if not isinstance(view, str):
        often = np.array([_OFTEN[v] for v in view])
        view = str(rng.choice(list(view), p=often / often.sum()))
    depth, side = np.meshgrid(
        np.linspace(0, 1, shape[0], dtype=np.float32),
        np.linspace(-1, 1, shape[1], dtype=np.float32),
        indexing="ij",
    )
    bend = float(rng.uniform(0.02, 0.07))
    z = np.asarray(depth + bend * smooth_field(rng, shape, 0.35), np.float32)
    x = np.asarray(side + 2 * bend * smooth_field(rng, shape, 0.35), np.float32)
    squeeze = 1 - 0.18 * math.sin(math.pi * phase) ** 2
    if view == "muscle":
        echo, blood, muscle = _muscle(rng, z, x)
    elif view == "phantom":
        echo, blood, muscle = _phantom(rng, z, x)
    else:
        echo, blood, muscle = _heart(rng, view, z, x, squeeze)
    echo = echo + float(rng.uniform(0.5, 3.0)) * smooth_field(rng, shape, 0.12)
    echo = echo + _chest_wall(rng, z, x) + _shadows(rng, side, depth)
    echo = echo + float(rng.uniform(-6, 6)) * (depth - 0.5)  # imperfect gain over depth
    lowered = echo < -28
    return Anatomy(
        np.maximum(echo, _FLOOR_DB).astype(np.float32), blood & lowered, muscle & ~lowered
    )


def _ellipse(
    z: Field, x: Field, at: tuple[float, float], half: tuple[float, float], turn: float = 0.0
) -> Field:
    """About the distance to an ellipse in units of depth, negative inside; ``at`` is (z, x)."""
    c, s = math.cos(turn), math.sin(turn)
    dz, dx = z - at[0], (x - at[1]) / 2  # a lateral unit is half as long
    u, v = c * dz + s * dx, c * dx - s * dz
    r = np.sqrt((u / half[0]) ** 2 + (v / half[1]) ** 2 + 1e-6)
    return ((r - 1) * min(half)).astype(np.float32)


def _inside(distance: Field, soft: float = 0.006) -> Field:
    """1 inside, 0 outside, over an edge of finite width."""
    out: Field = (1 / (1 + np.exp(np.clip(distance / soft, -30, 30)))).astype(np.float32)
    return out


def _heart(
    rng: np.random.Generator, view: str, z: Field, x: Field, squeeze: float
) -> tuple[Field, NDArray[np.bool_], NDArray[np.bool_]]:
    turn = float(rng.uniform(-0.35, 0.35))
    centre = (float(rng.uniform(0.5, 0.6)), float(rng.uniform(-0.15, 0.15)))
    length, width = float(rng.uniform(0.32, 0.4)), float(rng.uniform(0.25, 0.32))
    wall = float(rng.uniform(0.04, 0.07)) * (2 - squeeze)
    outline = _ellipse(z, x, centre, (length, width), turn)
    if view == "short-axis":
        cavities, leaflets = _short_axis(rng, z, x, centre, width, wall, squeeze)
    elif view == "long-axis":
        cavities, leaflets = _long_axis(rng, z, x, centre, (length, width), turn, squeeze)
    else:
        cavities, leaflets = _four_chambers(rng, z, x, centre, (length, width), turn, wall, squeeze)
    around = float(rng.uniform(-24, -8))
    body = _inside(outline)
    echo = around + body * (0 - around)
    hollow = np.clip(sum(_inside(c) for c in cavities), 0, 1)
    echo = echo + hollow * (float(rng.uniform(*BLOOD_DB)) - echo)
    rim = float(rng.uniform(4, 10)) - around
    echo = echo + np.exp(-((outline / 0.012) ** 2)) * np.clip(rim, 0, None) * 0.7
    for leaf in leaflets:
        echo = np.maximum(echo, -3 + 8 * np.log(np.exp(-((leaf / 0.006) ** 2)) + 1e-6))
    solid = (outline < -0.01) & (np.minimum.reduce(cavities) > 0.01)
    return echo.astype(np.float32), (hollow > 0.95) & (outline < 0), solid


def _four_chambers(
    rng: np.random.Generator,
    z: Field,
    x: Field,
    centre: tuple[float, float],
    half: tuple[float, float],
    turn: float,
    wall: float,
    squeeze: float,
) -> tuple[list[Field], list[Field]]:
    a, b = half
    septum = float(rng.uniform(-0.12, 0.12))
    plane = float(rng.uniform(0.08, 0.25)) * a  # of the valves, below the centre
    cavities = []
    for sign, size in ((-1, float(rng.uniform(0.75, 1.0))), (1, 1.0)):
        middle = centre[1] + sign * (b + wall * 0.5) + 2 * septum * b
        ventricle = (centre[0] + plane - 0.52 * a, middle)
        atrium = (centre[0] + plane + 0.40 * a, middle)
        high = (0.5 * a * squeeze, (0.5 * b - 0.5 * wall) * size * squeeze)
        low = (0.3 * a / squeeze, (0.46 * b - 0.4 * wall) * size)
        cavities += [_ellipse(z, x, ventricle, high, turn), _ellipse(z, x, atrium, low, turn)]
    valve = np.abs(z - centre[0] - plane) + 0.02 * np.abs(np.sin(6 * x))
    near = _ellipse(z, x, (centre[0] + plane, centre[1]), (0.2 * a, 0.9 * b), turn) < 0
    return cavities, [np.where(near, valve, 1.0).astype(np.float32)]


def _short_axis(
    rng: np.random.Generator,
    z: Field,
    x: Field,
    centre: tuple[float, float],
    width: float,
    wall: float,
    squeeze: float,
) -> tuple[list[Field], list[Field]]:
    radius = float(rng.uniform(0.55, 0.7)) * width
    at = (centre[0] + 0.05, centre[1] + 0.25 * width)
    inner = (radius - wall * 0.4) * squeeze
    left = _ellipse(z, x, at, (inner, inner))
    ring = _ellipse(z, x, at, (radius + wall, radius + wall))
    right = _ellipse(z, x, (centre[0] - 0.06, centre[1] - 0.7 * width), (0.75 * width, 0.6 * width))
    right = np.maximum(right, 0.02 - ring)  # a crescent round the ring
    papillary = _ellipse(z, x, (at[0] + 0.6 * radius, at[1] - 0.5 * radius), (0.03, 0.03))
    return [np.maximum(left, -papillary).astype(np.float32), right.astype(np.float32)], []


def _long_axis(
    rng: np.random.Generator,
    z: Field,
    x: Field,
    centre: tuple[float, float],
    half: tuple[float, float],
    turn: float,
    squeeze: float,
) -> tuple[list[Field], list[Field]]:
    a, b = half
    cz, cx = centre
    main = _ellipse(
        z,
        x,
        (cz, cx - 0.4 * b),
        (0.5 * b * squeeze, 0.62 * a),
        turn + float(rng.uniform(-0.2, 0.2)),
    )
    atrium = _ellipse(z, x, (cz + 0.35 * b, cx + 1.5 * b), (0.34 * b, 0.3 * a / squeeze), turn)
    aorta = _ellipse(z, x, (cz - 0.3 * b, cx + 1.5 * b), (0.2 * b, 0.4 * a), turn)
    right = _ellipse(z, x, (cz - 0.85 * b, cx), (0.16 * b, 0.5 * a), turn)
    leaf = np.where(main < 0.03, np.abs(x - cx - 0.7 * b - 0.4 * (z - cz)) / 2, 1.0)
    return [main, atrium, aorta, right], [leaf.astype(np.float32)]


def _phantom(
    rng: np.random.Generator, z: Field, x: Field
) -> tuple[Field, NDArray[np.bool_], NDArray[np.bool_]]:
    """Tissue with a few cysts, bright inclusions, wires and layers."""
    echo = np.full_like(z, float(rng.uniform(-8, 2)))
    blood = np.zeros(z.shape, bool)
    for _ in range(int(rng.integers(1, 6))):
        middle = (float(rng.uniform(0.1, 0.95)), float(rng.uniform(-0.9, 0.9)))
        half = (float(rng.uniform(0.03, 0.15)), float(rng.uniform(0.03, 0.15)))
        shape = _ellipse(z, x, middle, half, float(rng.uniform(-1, 1)))
        level = float(rng.choice([rng.uniform(*BLOOD_DB), rng.uniform(-15, 10)]))
        echo = echo + _inside(shape) * (level - echo)
        blood = (blood & (shape > 0)) | ((shape < -0.008) & (level < -28))
    for _ in range(int(rng.integers(0, 4))):  # layers and fasciae
        at, tilt = float(rng.uniform(0, 1)), float(rng.uniform(-0.15, 0.15))
        line = np.exp(-(((z - at - tilt * x) / 0.006) ** 2))
        echo = np.maximum(echo, float(rng.uniform(-2, 10)) + 8 * np.log(line + 1e-6))
        blood &= line < 0.05
    if rng.random() < 0.3:  # nothing below a reflector
        at = float(rng.uniform(0.3, 0.8))
        echo = echo + _inside(at - z, 0.02) * float(rng.uniform(-40, -10))
    return echo.astype(np.float32), blood, ~blood & (echo > -12)


def _muscle(
    rng: np.random.Generator, z: Field, x: Field
) -> tuple[Field, NDArray[np.bool_], NDArray[np.bool_]]:
    """Layers of fat and muscle with the fibres between its bundles, fasciae, and perhaps a bone."""
    bone = float(rng.uniform(0.35, 1.5))
    borders = np.sort(rng.uniform(0.05, min(bone, 1.0), int(rng.integers(1, 5))))
    tilts = rng.uniform(-0.12, 0.12, len(borders))
    lines = [z - at - tilt * x for at, tilt in zip(borders, tilts, strict=True)]
    echo = _bundles(rng, z, x)
    for line in lines:
        echo = echo + _inside(-line) * (_bundles(rng, z, x) - echo)
    for line in lines:  # fasciae, over part of the width
        seen = np.clip(0.7 + smooth_field(rng, z.shape, 0.3), 0, 1)
        bright = float(rng.uniform(0, 12)) + 8 * np.log(np.exp(-((line / 0.005) ** 2)) + 1e-6)
        echo = np.maximum(echo, bright - 30 * (1 - seen))
    muscle = echo > -30
    if bone < 1:
        surface = np.asarray(z - bone - float(rng.uniform(-0.2, 0.2)) * x**2, np.float32)
        shadow = _inside(-surface, 0.01)
        echo = echo + shadow * (float(rng.uniform(-50, -25)) - echo)
        echo = np.maximum(echo, 14 + 8 * np.log(np.exp(-((surface / 0.006) ** 2)) + 1e-6))
        muscle &= surface < -0.01
    return echo.astype(np.float32), np.zeros(z.shape, bool), muscle


def _bundles(rng: np.random.Generator, z: Field, x: Field) -> Field:
    """Dark bundles and the bright tissue between them, along one direction, interrupted."""
    level, contrast = float(rng.uniform(-26, -6)), float(rng.uniform(3, 22))
    period, slope = (
        float(np.exp(rng.uniform(*np.log((0.012, 0.07))))),
        float(rng.uniform(-0.4, 0.4)),
    )
    turns = (z - slope * x) / period + 0.35 * smooth_field(rng, z.shape, 0.15)
    ridge = np.exp(-((np.sin(math.pi * turns) / float(rng.uniform(0.3, 0.8))) ** 2))
    present = 1 / (1 + np.exp(-3 * (smooth_field(rng, z.shape, 0.1) + float(rng.uniform(-1, 1)))))
    out: Field = (level + contrast * ridge * present).astype(np.float32)
    return out


def _chest_wall(rng: np.random.Generator, z: Field, x: Field) -> Field:
    """Layers of skin, fat and muscle above everything."""
    out = np.zeros_like(z)
    end = float(rng.uniform(0.0, 0.12))
    for _ in range(int(rng.integers(0, 4))):
        at = float(rng.uniform(0, max(end, 1e-3)))
        out += float(rng.uniform(-6, 10)) * np.exp(-(((z - at) / 0.01) ** 2))
    return out


def _shadows(rng: np.random.Generator, side: Field, depth: Field) -> Field:
    """Columns that ribs and lung leave dark."""
    out = np.zeros_like(side)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15]))):
        at, half = float(rng.uniform(-1.1, 1.1)), float(rng.uniform(0.05, 0.25))
        column = 1 / (1 + np.exp(np.clip((np.abs(side - at) - half) / 0.04, -30, 30)))
        out -= float(rng.uniform(5, 30)) * column * np.clip((depth - 0.05) / 0.1, 0, 1)
    return out.astype(np.float32)
