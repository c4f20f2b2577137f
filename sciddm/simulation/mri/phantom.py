"""A procedural head: an axial slice at the level of the lateral ventricles.

Scalp, skull with marrow, cerebrospinal fluid, a folded cortex, white matter, fissures, ventricles,
deep nuclei and a few lesions, all defined by functions of position. So it is drawn at any matrix
size, contains no patient's data, and every seed is another head.

The unit of length is 122 mm. Positions are (y, x), y towards the back of the head, x towards the
right of the image, the origin in the middle of the head. A tissue covers a point by the fraction
that a smooth step of its signed distance gives; tissues are painted over one another from the
outside in. The picture is drawn on a finer grid and averaged over each pixel, as a voxel averages.

The folds: f(theta, depth) is a sum of waves around the head, and the sulci are its zero lines, at
distance about |f| / |grad f| of a point. A sulcus ends at some depth, and the cortex is what lies
within 3 mm of a sulcus, a fissure or the brain's surface.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError

Array = NDArray[np.float64]

#: Relative signal of the tissues: spin echo T1 and T2, and fluid-attenuated T2.
_SIGNAL = {
    "t1": {
        "skin": 0.42, "fat": 0.92, "bone": 0.05, "marrow": 0.50, "csf": 0.13, "grey": 0.50,
        "white": 0.76, "nuclei": 0.56, "pallidum": 0.66, "lesion": 0.48, "vessel": 0.06,
    },
    "t2": {
        "skin": 0.30, "fat": 0.62, "bone": 0.04, "marrow": 0.30, "csf": 1.0, "grey": 0.56,
        "white": 0.38, "nuclei": 0.48, "pallidum": 0.34, "lesion": 0.74, "vessel": 0.06,
    },
    "flair": {
        "skin": 0.38, "fat": 0.85, "bone": 0.05, "marrow": 0.35, "csf": 0.09, "grey": 0.62,
        "white": 0.48, "nuclei": 0.56, "pallidum": 0.47, "lesion": 1.0, "vessel": 0.08,
    },
}  # fmt: skip

_HALF_LENGTH, _HALF_WIDTH = 0.82, 0.66
_MEAN_RADIUS = 0.74
_CORTEX = 0.027
#: Half width of tissue borders: the anatomy within the thickness of a slice.
_BLUR = 0.009


def head_phantom(
    shape: tuple[int, int] = (256, 256), seed: int = 0, contrast: str = "t1"
) -> NDArray[np.float32]:
    """Magnitude image of a head.

    Args:
        shape: (ny, nx), any size from 16 on; pixels are square, and the head fills about 86 % of
            the narrower direction's field of view.
        seed: determines the head: one seed gives the same anatomy at every size and contrast.
        contrast: t1, t2 or flair.

    Returns:
        (y, x), air 0, tissue signal up to about 1.

    Raises:
        InputError: the contrast is unknown or the size too small.
    """
    if contrast not in _SIGNAL:
        raise InputError(f"unknown contrast '{contrast}': use {', '.join(_SIGNAL)}")
    ny, nx = shape
    if min(ny, nx) < 16:
        raise InputError(f"a head needs 16 x 16 pixels or more, not {ny} x {nx}")
    pixels_per_unit = min(ny / (2 * 0.95), nx / (2 * 0.78))
    fine = min(8, max(2, math.ceil(3.5 * 134.7 / pixels_per_unit / 2)))

    def positions(n: int) -> Array:
        # Centres of the fine pixels; image index n // 2 is the middle of the head.
        offset = (np.arange(n * fine) + 0.5) / fine - 0.5
        return (offset - n // 2) / pixels_per_unit

    y, x = positions(ny)[:, None], positions(nx)[None, :]
    image = _paint(y, x, np.random.default_rng([seed, 0x4EAD]), _SIGNAL[contrast])
    averaged = image.reshape(ny, fine, nx, fine).mean(axis=(1, 3))
    out: NDArray[np.float32] = averaged.astype(np.float32)
    return out


def _paint(y: Array, x: Array, rng: np.random.Generator, signal: dict[str, float]) -> Array:
    """Signal at the given positions. Every random number is drawn whatever the contrast."""
    tilt = rng.normal(0, 0.04)
    y, x = y * math.cos(tilt) + x * math.sin(tilt), x * math.cos(tilt) - y * math.sin(tilt)
    stretch = rng.normal(1, 0.015, 2)
    y, x = y / stretch[0], x / stretch[1]

    # Radius as a fraction of the head's outline: an ellipse, narrower in front, a little irregular.
    wide = _HALF_WIDTH * (1 + 0.07 * np.clip(y / _HALF_LENGTH, -1, 1))
    theta = np.arctan2(x / wide, -y / _HALF_LENGTH)
    outline = 1 + sum(
        a * np.cos(m * theta + p)
        for m, a, p in zip(
            (2, 3, 4, 5), rng.normal(0, 0.0045, 4), rng.uniform(0, 2 * np.pi, 4), strict=True
        )
    )
    depth = (1 - np.hypot(y / _HALF_LENGTH, x / wide) / outline) * _MEAN_RADIUS

    # Layers by depth below the skin, each of a thickness that varies around the head.
    scalp = 0.044 + 0.007 * _around(theta, rng, 2, 6) + 0.008 * np.clip(y, 0, None)
    skull = 0.056 + 0.008 * _around(theta, rng, 1, 5)
    space = 0.022 + 0.006 * _around(theta, rng, 3, 9) + 0.015 * np.clip(-y - 0.3, 0, None)
    bone = depth - scalp
    inner = bone - skull
    brain = inner - space

    image = signal["skin"] * _inside(depth)
    image = _over(image, _inside(depth - 0.014) * _inside(-bone), signal["fat"])
    # Septa and vessels of the scalp.
    speckle = _waves(y, x, rng, 0.03, 0.25, 18)
    image = image * (
        1 - 0.13 * np.clip(speckle, -1.5, 1.5) * _inside(depth - 0.01) * _inside(-bone)
    )
    image = _over(image, _inside(bone), signal["bone"])
    marrow = np.minimum(bone - 0.30 * skull, 0.72 * skull - bone)
    patchy = 0.75 + 0.25 * np.clip(_waves(y, x, rng, 0.08, 0.25, 10), -1, 1)
    image = _over(image, _inside(marrow) * patchy, signal["marrow"])
    image = _over(image, _inside(inner), signal["csf"])

    sulcus = _sulci(y, x, theta, brain, rng)
    cortex = np.minimum(brain, sulcus)
    inside = _inside(cortex)
    texture = _waves(y, x, rng, 0.03, 0.12, 16)
    shading = _waves(y, x, rng, 0.4, 1.2, 8)
    thickness = _CORTEX * (1 + 0.18 * _waves(y, x, rng, 0.1, 0.3, 10))
    grey = signal["grey"] * (1 + 0.03 * texture)
    white = signal["white"] * (1 + 0.015 * texture + 0.03 * shading)
    matter = _over(grey, _inside(cortex - thickness), white)

    matter = _deep(matter, y, x, rng, signal)
    image = _over(image, inside, matter)
    # Superior sagittal sinus: flowing blood, where the fissure meets the skull behind.
    back = _HALF_LENGTH - 0.052 - 0.056 - 0.035
    sinus = 0.022 - np.hypot((y - back + 0.01) / 1.5, x)
    return _over(image, _inside(sinus), signal["vessel"])


def _sulci(y: Array, x: Array, theta: Array, brain: Array, rng: np.random.Generator) -> Array:
    """Distance to the wall of the nearest sulcus or fissure, negative within its fluid."""
    # Folds.
    warp = 0.10 * _waves(y, x, rng, 0.18, 0.5, 12)
    deep = brain + 0.03 * _waves(y, x, rng, 0.15, 0.4, 12)
    f = np.zeros(np.broadcast_shapes(y.shape, x.shape))
    for order, phase, slope in zip(
        rng.integers(10, 23, 9),
        rng.uniform(0, 2 * np.pi, 9),
        rng.normal(0, 6.5, 9),
        strict=True,
    ):
        f += np.cos(order * (theta + warp) + phase + slope * deep)
    # Both derivatives by differences on the fine grid; the spacing of positions is uniform.
    step = float(x.ravel()[1] - x.ravel()[0]) if x.size > 1 else 1.0
    fy, fx = np.gradient(f, abs(step) if step else 1.0)
    across = np.abs(f) / np.sqrt(fy**2 + fx**2 + 4.0**2)
    end = 0.175 + 0.065 * _around(theta, rng, 4, 12)
    beyond = np.clip(brain - end, 0, None)
    opening = 0.0025 + 0.009 * np.exp(-np.clip(brain, 0, None) / 0.03)
    folds = np.hypot(across, beyond) - opening * np.exp(-((beyond / 0.02) ** 2))

    # Interhemispheric fissure, in front and behind, around the corpus callosum.
    sway = 0.010 * np.sin(5 * y + rng.uniform(0, 2 * np.pi)) + 0.006 * np.sin(
        17 * y + rng.uniform(0, 2 * np.pi)
    )
    front, behind = rng.normal(-0.30, 0.012), rng.normal(0.30, 0.012)
    gap = np.minimum(np.clip(y - front, 0, None), np.clip(behind - y, 0, None))
    fissure = np.hypot(x - sway * np.clip(np.abs(y) - 0.2, 0, 0.3) / 0.3, gap) - 0.008

    # Sylvian fissure and the insula behind it.
    nearest = np.minimum(folds, fissure)
    for side in (-1, 1):
        j = rng.normal(0, 0.012, 6)
        path = [
            (-0.17 + j[0], side * 0.56),
            (-0.10 + j[1], side * (0.45 + j[2])),
            (-0.06 + j[3], side * (0.36 + j[4])),
            (0.06 + j[5], side * 0.375),
            (0.13, side * 0.43),
        ]
        sylvian = _path(y, x, path, [0.012, 0.009, 0.011, 0.008, 0.004])
        insula = _path(y, x, [(-0.15, side * 0.33), path[2]], [0.005, 0.009])
        nearest = np.minimum(nearest, np.minimum(sylvian, insula))
    out: Array = nearest
    return out


def _deep(
    matter: Array, y: Array, x: Array, rng: np.random.Generator, signal: dict[str, float]
) -> Array:
    """Deep nuclei, ventricles and lesions, painted into the white matter."""
    ripple = 0.006 * _waves(y, x, rng, 0.08, 0.2, 10)
    large = float(np.exp(rng.normal(0, 0.16)))  # ventricles vary more than anything else
    csf = np.full(np.broadcast_shapes(y.shape, x.shape), -1.0)
    for side in (-1, 1):
        s = side * (1 + rng.normal(0, 0.03))
        for centre, axes, turn, tissue in (
            ((-0.175, 0.145), (0.075, 0.036), -0.35, "nuclei"),  # caudate head
            ((-0.030, 0.255), (0.135, 0.045), 0.22, "nuclei"),  # putamen
            ((0.000, 0.195), (0.075, 0.032), 0.30, "pallidum"),
            ((0.110, 0.085), (0.105, 0.068), -0.30, "nuclei"),  # thalamus
        ):
            cy, cx = np.asarray(centre) + rng.normal(0, 0.006, 2)
            blob = _ellipse(y, x * np.sign(s) / abs(s), (cy, cx), axes, turn) + ripple
            matter = _over(matter, 0.9 * _inside(blob, 0.012), signal[tissue])
        j = rng.normal(0, 0.008, 6)
        horn = [(-0.05, 0.018), (-0.16 + j[0], 0.060 + j[1]), (-0.27 + j[2], 0.120 + j[3])]
        atrium = [(0.16, 0.150), (0.25 + j[4], 0.205 + j[5]), (0.37 + j[2], 0.155)]
        for path, radii in ((horn, (0.010, 0.030, 0.012)), (atrium, (0.012, 0.034, 0.006))):
            curve = _bend(
                [(py, s * px, large * r) for (py, px), r in zip(path, radii, strict=True)]
            )
            tube = _path(y, x, [(py, px) for py, px, _ in curve], [r for _, _, r in curve])
            csf = np.maximum(csf, 0.5 * ripple - tube)
    third = 0.012 * large - np.hypot(x, np.clip(np.abs(y - 0.07) - 0.075, 0, None))
    csf = np.maximum(csf, third)

    # A few lesions, most of them near the ventricles.
    for _ in range(int(rng.integers(2, 6))):
        side, angle = rng.choice([-1, 1]), rng.uniform(0, 2 * np.pi)
        centre = (
            float(rng.choice([-0.30, 0.30]) + rng.normal(0, 0.06)),
            float(side * (0.22 + rng.normal(0, 0.04))),
        )
        axes = tuple(rng.uniform(0.012, 0.030, 2))
        spot = _ellipse(y, x, centre, (axes[0], axes[1]), angle) + 0.5 * ripple
        matter = _over(matter, 0.9 * _inside(spot, 0.010), signal["lesion"])
    return _over(matter, _inside(csf), signal["csf"])


def _inside(distance: Array, blur: float = _BLUR) -> Array:
    """Smooth step: 0 below -blur, 1 above +blur."""
    t = np.clip(0.5 + 0.5 * distance / blur, 0, 1)
    return t * t * (3 - 2 * t)


def _over(below: Array, cover: Array, value: Array | float) -> Array:
    return below + cover * (value - below)


def _waves(
    y: Array, x: Array, rng: np.random.Generator, shortest: float, longest: float, count: int
) -> Array:
    """Random smooth field of unit variance: plane waves of wavelengths in a range."""
    wavelength = np.exp(rng.uniform(math.log(shortest), math.log(longest), count))
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count))
    ky, kx = 2 * np.pi * np.cos(angle) / wavelength, 2 * np.pi * np.sin(angle) / wavelength
    # y and x may be separate axes or turned ones: a plane wave over a grid is a product of two.
    total = np.zeros(np.broadcast_shapes(y.shape, x.shape))
    for a, b, p in zip(ky, kx, phase, strict=True):
        total += np.cos(a * y + b * x + p)
    return total * math.sqrt(2 / count)


def _around(theta: Array, rng: np.random.Generator, lowest: int, highest: int) -> Array:
    """Random smooth function of the direction, of unit variance."""
    orders = np.arange(lowest, highest + 1)
    phases = rng.uniform(0, 2 * np.pi, orders.size)
    total = sum(np.cos(m * theta + p) for m, p in zip(orders, phases, strict=True))
    return np.asarray(total) * math.sqrt(2 / orders.size)


def _ellipse(
    y: Array, x: Array, centre: tuple[float, float], axes: tuple[float, float], turn: float
) -> Array:
    """About the distance to an ellipse, positive inside."""
    dy, dx = y - centre[0], x - centre[1]
    a = (dy * math.cos(turn) + dx * math.sin(turn)) / axes[0]
    b = (dx * math.cos(turn) - dy * math.sin(turn)) / axes[1]
    return (1 - np.hypot(a, b)) * math.sqrt(axes[0] * axes[1])


def _bend(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Nine points of the parabola through three: positions and radius of a bent tube."""
    first, middle, last = (np.asarray(p) for p in points)
    curve = []
    for t in np.linspace(0, 1, 9):
        p = first * (1 - t) * (1 - 2 * t) + middle * 4 * t * (1 - t) + last * t * (2 * t - 1)
        curve.append((float(p[0]), float(p[1]), float(p[2])))
    return curve


def _path(y: Array, x: Array, points: list[tuple[float, float]], radii: list[float]) -> Array:
    """Distance to a tube of varying radius around a polyline, negative inside."""
    nearest = np.full(np.broadcast_shapes(y.shape, x.shape), np.inf)
    for (y0, x0), (y1, x1), r0, r1 in zip(
        points[:-1], points[1:], radii[:-1], radii[1:], strict=True
    ):
        dy, dx = y1 - y0, x1 - x0
        t = np.clip(((y - y0) * dy + (x - x0) * dx) / (dy**2 + dx**2), 0, 1)
        distance = np.hypot(y - y0 - t * dy, x - x0 - t * dx) - (r0 + t * (r1 - r0))
        nearest = np.minimum(nearest, distance)
    return nearest
