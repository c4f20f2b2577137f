"""Random stacks of images that belong to one scene, as the coefficients of a cube do.

A stack is (component, y, x): images with edges in the same places, each with its own contrast.
Sources:

    leaves    opaque objects of all sizes thrown on one another (dead leaves; Lee, Mumford and
              Huang, 2001), which have the statistics of natural images, occlusion included
    parcels   land: the cells of a stretched Voronoi diagram, with furrows and roads
    mixtures  soft mixtures of materials over Gaussian random fields
    finch     the maps of a simulated FINCH scene (`simulation`)
    photos    colour photographs (scikit-image's, public domain or CC0), reduced at random

All but the photographs get textures and shading, and are seen by a blurring sensor. The stack is
then rotated to principal components, the strongest first.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial import KDTree

from sciddm.simulation.hsi.scene import Library, simulate_scene

__all__ = ["PHOTOS", "random_stack"]

Stack = NDArray[np.float32]
Split = Literal["train", "validate"]

#: Photographs that come with scikit-image, by the split they belong to.
PHOTOS: dict[Split, tuple[str, ...]] = {
    "train": (
        "astronaut.png",
        "camera.png",
        "rocket.jpg",
        "grass.png",
        "gravel.png",
        "moon.png",
        "hubble_deep_field.jpg",
        "coffee.png",
    ),
    "validate": ("chelsea.png", "brick.png"),
}
_SHARES = {"leaves": 0.3, "parcels": 0.25, "mixtures": 0.1, "finch": 0.15, "photos": 0.2}
_MOST = 8  # components


def random_stack(
    side: int, rng: np.random.Generator, library: Library | None = None, split: Split = "train"
) -> Stack:
    """A stack (component, side, side), every component of mean 0 and variance 1.

    Args:
        side: in pixels.
        rng: source of all that is random.
        library: spectra for FINCH scenes; none of these if None.
        split: whose photographs are taken.
    """
    shares = {k: v for k, v in _SHARES.items() if k != "finch" or library is not None}
    weights = np.array(list(shares.values()))
    kind = str(rng.choice(list(shares), p=weights / weights.sum()))
    if kind == "photos":
        # Weaker ones are what 8 bits and compression left behind.
        return _components(_photo(side, rng, split), rng, least=3e-3)
    if kind == "finch":
        assert library is not None
        return _components(_finch(side, rng, library), rng)
    count = int(rng.integers(2, _MOST + 1))
    if kind == "leaves":
        stack = _painted(_leaves(side, rng), count, rng)
    elif kind == "parcels":
        stack = _painted(_parcels(side, rng), count, rng)
        _furrow(stack, rng)
    else:
        stack = _mixtures(side, count, rng)
    stack += _textures(side, count, rng)
    if rng.random() < 0.5:
        stack *= np.exp(rng.uniform(0, 0.3) * field(side, rng, rng.uniform(2, 4)))
    if rng.random() < 0.7:
        stack = gaussian_filter(stack, (0, *[rng.uniform(0.2, 0.9)] * 2))
    return _components(stack, rng)


def field(side: int, rng: np.random.Generator, slope: float) -> NDArray[np.float32]:
    """A Gaussian random field (side, side) of power |k|^-slope, mean 0, variance 1."""
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    k[0, 0] = 1.0
    shaped = np.fft.rfft2(rng.standard_normal((side, side))) * k ** (-slope / 2)
    shaped[0, 0] = 0
    made = np.fft.irfft2(shaped, s=(side, side))
    return np.asarray(made / max(made.std(), 1e-9), np.float32)


def _components(
    stack: NDArray[np.floating[Any]], rng: np.random.Generator, least: float = 1e-6
) -> Stack:
    """Principal components of the stack, its images weighted at random.

    Those of less power than `least`, in units of the first one's, are left out.
    """
    count, side = len(stack), stack.shape[1]
    flat = stack.reshape(count, -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    flat *= rng.lognormal(0, 0.7, (count, 1))
    power, vectors = np.linalg.eigh(flat @ flat.T / flat.shape[1])
    kept = power[::-1] > least * max(power[-1], 1e-30)
    found = vectors[:, ::-1][:, kept].T @ flat
    found /= np.maximum(found.std(axis=1, keepdims=True), 1e-12)
    found *= rng.choice([-1.0, 1.0], (len(found), 1))
    return np.asarray(found.reshape(-1, side, side), np.float32)


def _painted(labels: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Every label in a colour (count,): heavy tails, since some materials are far from the rest."""
    colours = rng.standard_t(rng.uniform(2.5, 8), (count, int(labels.max()) + 1))
    colours = np.clip(colours, -8, 8)
    few = rng.random(count) < 0.25
    # Some components see few of the objects.
    colours[few] *= rng.random((int(few.sum()), colours.shape[1])) < 0.1
    return np.ascontiguousarray(colours[:, labels].astype(np.float32))


def _leaves(side: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Labels of objects whose radii have the density r^-3 between two bounds."""
    labels = np.zeros((side, side), np.intp)
    least, most = rng.uniform(1.0, 4.0), rng.uniform(0.15, 0.6) * side
    number = int(rng.integers(60, 400))
    u = rng.random(number)
    radii = 1 / np.sqrt(u / least**2 + (1 - u) / most**2)
    boxes = rng.random(number) < rng.choice([0.0, 0.3, 0.8])
    for i in range(number):
        cy, cx = rng.uniform(-2, side + 2, 2)
        flat = rng.uniform(0.25, 1.0)
        reach = int(np.ceil(radii[i] * 1.5)) + 1
        y0, y1 = max(0, int(cy) - reach), min(side, int(cy) + reach + 1)
        x0, x1 = max(0, int(cx) - reach), min(side, int(cx) + reach + 1)
        if y0 >= y1 or x0 >= x1:
            continue
        angle = rng.uniform(0, np.pi)
        y = np.arange(y0, y1)[:, None] - cy
        x = np.arange(x0, x1)[None] - cx
        u1 = np.cos(angle) * x + np.sin(angle) * y
        u2 = (np.cos(angle) * y - np.sin(angle) * x) / flat
        if boxes[i]:
            inside = (np.abs(u1) < radii[i]) & (np.abs(u2) < radii[i])
        else:
            inside = u1**2 + u2**2 < radii[i] ** 2
        labels[y0:y1, x0:x1][inside] = i + 1
    return labels


def _parcels(side: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Labels of the cells of a Voronoi diagram, stretched and turned; some roads on it."""
    count = max(2, round(side**2 / np.exp(rng.uniform(np.log(60), np.log(3000)))))
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1)
    pixels = grid.reshape(-1, 2) - side / 2
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.25, 1.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = (pixels @ turn) * [1.0, stretch]
    points = turned[rng.choice(len(turned), count, replace=False)]
    # Nearest in the maximum norm: rectangles rather than cells of honeycombs.
    power = np.inf if rng.random() < 0.5 else 2
    labels = np.asarray(KDTree(points).query(turned, p=power)[1], np.intp).reshape(side, side)
    for road in range(int(rng.integers(0, 4))):
        across = np.cos(a := rng.uniform(0, np.pi)) * grid[..., 0] + np.sin(a) * grid[..., 1]
        near = np.abs(across - rng.uniform(across.min(), across.max())) < rng.uniform(0.5, 1.5)
        labels[near] = count + road
    return labels


def _furrow(stack: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Waves across some components, as rows of plants make them."""
    side = stack.shape[1]
    for image in stack:
        if rng.random() < 0.2:
            angle, wave = rng.uniform(0, np.pi), rng.uniform(2.5, 12)
            y, x = np.arange(side)[:, None], np.arange(side)[None]
            phase = 2 * np.pi / wave * (np.cos(angle) * y + np.sin(angle) * x)
            mask = field(side, rng, 3.0) > rng.uniform(0, 1)
            image += rng.uniform(0.1, 0.6) * np.sin(phase) * mask


def _mixtures(side: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Softmax of Gaussian fields: `count` abundances."""
    slope, sharp = rng.uniform(2, 4), rng.uniform(1, 6)
    fields = np.stack([field(side, rng, slope) for _ in range(count + 1)])
    raised = np.exp(sharp * (fields - fields.max(axis=0)))
    share = raised / raised.sum(axis=0)
    return np.asarray(4 * share[:count], np.float32)


def _textures(side: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Textures of every component, partly shared, stronger in some places."""
    strength = rng.choice([0.0, 1.0], p=[0.25, 0.75]) * np.exp(rng.uniform(-4, -0.3))
    shared = field(side, rng, rng.uniform(0.5, 3))
    where = np.exp(rng.uniform(0, 1) * field(side, rng, 3.0))
    own = np.stack([field(side, rng, rng.uniform(0.5, 3)) for _ in range(count)])
    weights = rng.normal(0, 1, (count, 1, 1))
    return np.asarray(strength * where * (weights * shared + 0.5 * own), np.float32)


def _finch(side: int, rng: np.random.Generator, library: Library) -> NDArray[np.float32]:
    """Coefficients of a FINCH scene in the basis of its cube, those of little power left out."""
    scene = simulate_scene(library, (side, side), rng)
    maps = scene["illumination"].values * scene["abundance"].values
    spectra = scene["endmembers"].values  # x = spectra^T maps: a cube need not be made
    _, size, basis = np.linalg.svd(spectra.T, full_matrices=False)
    stack = size[:, None, None] * np.tensordot(basis, maps, 1)
    return np.asarray(stack[:_MOST], np.float32)


def _photo(side: int, rng: np.random.Generator, split: Split) -> NDArray[np.float32]:
    """Colours of a part of a photograph, reduced by 1 to 4."""
    image = _photos(split)[int(rng.integers(len(PHOTOS[split])))]
    shrink = min(np.exp(rng.uniform(0, np.log(4))), min(image.shape[1:]) / (side + 2))
    wide = int(np.ceil(side * shrink)) + 2
    y = int(rng.integers(max(1, image.shape[1] - wide)))
    x = int(rng.integers(max(1, image.shape[2] - wide)))
    part = image[:, y : y + wide, x : x + wide]
    if shrink > 1.05:
        smooth = gaussian_filter(part, (0, 0.35 * shrink, 0.35 * shrink))
        part = np.asarray(zoom(smooth, (1, 1 / shrink, 1 / shrink), order=1), np.float32)
    part = part[:, :side, :side]
    grow = [(0, 0), *((0, side - n) for n in part.shape[1:])]
    return np.pad(part, grow, mode="reflect")


@cache
def _photos(split: Split) -> list[NDArray[np.float32]]:
    """(colour, y, x) of each photograph, in the reflectance-like scale of linear light."""
    import skimage.data
    import skimage.io

    images = []
    for name in PHOTOS[split]:
        path = f"{skimage.data.__path__[0]}/{name}"
        image = np.asarray(skimage.io.imread(path), np.float32) / 255
        image = image[..., None] if image.ndim == 2 else image[..., :3]
        images.append(np.ascontiguousarray(np.moveaxis(image**2.2, -1, 0), np.float32))
    return images
