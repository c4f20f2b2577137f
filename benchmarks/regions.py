"""Do the intervals of region means hold what they promise?

    python -m benchmarks.regions [--only mri ...] [--quality balanced] [--limit 3]   results/regions
    python -m benchmarks.regions --fit [--only mri ...] [--quality balanced]         prints weights

Every case is a result whose truth is known (`benchmarks.region_cases`). Its regions are chosen on
the estimate, as a user would: discs of 5 to 15 pixels across anywhere in the object, the same where
the estimate varies least (uniform tissue), and compact parts that are brighter than their
surroundings (lesions). For each the 90 % interval of the mean is compared with the true mean.

Beside the result's own interval the table shows two that fail: of independent pixels, and of errors
that are the same everywhere. The correlation of errors that a result states was fitted by ``--fit``
on calibration cases, which are none of these.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label, uniform_filter

from benchmarks.region_cases import DOMAINS, Known, names_of, result_of
from sciddm.uncertainty.error_field import ErrorField, fit_weights

LENGTHS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, math.inf)
LEVEL, HALF = 0.9, 1.6448536269514722
RESULTS = Path(__file__).resolve().parent / "results"
_FIELDS = ("domain", "quality", "case", "kind", "pixels", "mean", "truth", "half", "white", "same")
_EACH = {"disc": 4, "uniform": 3, "lesion": 3}
_BODY = {"mri": 0.15, "ct denoise": None, "ct reconstruct": None, "hsi": 0.0}


@dataclass(frozen=True)
class Region:
    """Some pixels of a layer.

    Attributes:
        kind: disc, uniform or lesion.
        layer: slice or band.
        inside: (y, x) bool.
    """

    kind: str
    layer: int
    inside: NDArray[np.bool_]


def regions_of(domain: str, known: Known, times: int = 1) -> Iterator[Region]:
    """Regions of a case, by its estimate alone."""
    rng = np.random.default_rng(sum(map(ord, known.name)))
    layers = len(known.estimate)
    for kind, count in _EACH.items():
        for _ in range(count * times):
            layer = int(rng.integers(layers))
            image, body = known.estimate[layer], _body(domain, known, layer)
            if kind == "lesion":
                inside = _lesion(image, body, rng)
            else:
                inside = _disc(image, body, rng, tries=1 if kind == "disc" else 30)
            if inside is not None:
                yield Region(kind, layer, inside)


def _body(domain: str, known: Known, layer: int) -> NDArray[np.bool_]:
    image, std = known.estimate[layer], known.std[layer]
    usable = np.isfinite(std) & (std > 0)
    if domain.startswith("ct"):
        return np.asarray(usable & (gaussian_filter(image, 2) > -300))
    if domain == "mri":
        smooth = gaussian_filter(image, 2)
        return np.asarray(usable & (smooth > _BODY["mri"] * np.percentile(smooth, 99.5)))
    return np.asarray(usable)


def _disc(
    image: NDArray[np.float32], body: NDArray[np.bool_], rng: np.random.Generator, tries: int
) -> NDArray[np.bool_] | None:
    """The disc within the body, of several the one with the least variation for its size."""
    best: tuple[float, NDArray[np.bool_]] | None = None
    places = np.argwhere(body)
    diameter = rng.uniform(5, 15)
    y, x = np.indices(image.shape)
    for _ in range(20 * tries):
        cy, cx = places[rng.integers(len(places))]
        inside = np.hypot(y - cy, x - cx) <= diameter / 2
        if not body[inside].all() or inside.sum() < 0.7 * math.pi * diameter**2 / 4:
            continue
        varies = float(image[inside].std())
        if best is None or varies < best[0]:
            best = (varies, inside)
        tries -= 1
        if tries <= 0:
            break
    return None if best is None else best[1]


def _lesion(
    image: NDArray[np.float32], body: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """A compact part that is brighter than the 21 x 21 pixels about it."""
    share = np.maximum(uniform_filter(body.astype(float), 21), 1e-6)
    around = uniform_filter(np.where(body, image, 0.0), 21) / share
    excess = np.where(body, image - around, 0.0)
    spots, count = label(excess > 1.0 * excess[body].std())
    sizes = np.bincount(spots.ravel(), minlength=count + 1)[1:]
    usable = np.flatnonzero((sizes >= 15) & (sizes <= 180)) + 1
    return None if len(usable) == 0 else spots == rng.choice(usable)


def parts_of(known: Known, region: Region, field: ErrorField) -> NDArray[np.floating]:
    """Variance of the mean of a region by lengths."""
    a = np.where(region.inside, known.std[region.layer], 0)[None] / region.inside.sum()
    return field.parts(a)


def error_of(known: Known, region: Region) -> float:
    """Of the mean."""
    difference = known.estimate[region.layer] - known.truth[region.layer]
    return float(difference[region.inside].mean(dtype=np.float64))


def fit(domain: str, quality: str, times: int = 8) -> None:
    """Prints the weights of the calibration cases, and how they do there."""
    basis = ErrorField(LENGTHS, (1.0,) * len(LENGTHS))
    parts, errors, names = [], [], []
    for name in names_of(domain, "calibration"):
        known = result_of(domain, name, quality)
        for region in regions_of(domain, known, times):
            parts.append(parts_of(known, region, basis))
            errors.append(error_of(known, region))
            names.append(name)
    table, seen = np.array(parts), np.array(errors)
    weights = fit_weights(table, seen, LEVEL)
    held = np.abs(seen) <= HALF * np.sqrt(table @ np.array(weights))
    print(domain, quality, len(seen), "regions", dict(zip(LENGTHS, weights, strict=True)))
    for name in dict.fromkeys(names):
        mine = [h for h, n in zip(held, names, strict=True) if n == name]
        print(f"  {name}: {np.mean(mine):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(DOMAINS))
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    for domain in arguments.only:
        if arguments.fit:
            fit(domain, arguments.quality)
