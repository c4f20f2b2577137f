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


def pixels_of(domain: str, known: Known, count: int) -> Iterator[Region]:
    """Single pixels and squares of 2 and 3: without them a field may be right for discs alone."""
    rng = np.random.default_rng(sum(map(ord, known.name)) + 1)
    for k in range(count):
        layer, side = int(rng.integers(len(known.estimate))), 1 + k % 3
        places = np.argwhere(_body(domain, known, layer)[: 1 - side or None, : 1 - side or None])
        y, x = places[rng.integers(len(places))]
        inside = np.zeros(known.estimate.shape[1:], bool)
        inside[y : y + side, x : x + side] = True
        if _body(domain, known, layer)[inside].all():
            yield Region("square", layer, inside)


def group_of(domain: str, known: Known) -> str:
    """What a result says of itself by which errors of regions differ."""
    if domain == "hsi":
        return "stripes" if known.attrs.get("striped_columns", 0) else "plain"
    if domain == "ct reconstruct":
        return "few views" if int(known.attrs["views"]) < 360 else "low dose"
    # The acceleration of a scan, which a result states, is in the name of its case.
    return known.name.split()[-1] if domain == "mri" else ""


def fit(domain: str, quality: str, times: int = 8) -> None:
    """Prints the weights of the calibration cases, and how they do there."""
    names = names_of(domain, "calibration")
    groups = {n: group_of(domain, result_of(domain, n, quality)) for n in names}
    for group in dict.fromkeys(groups.values()):
        _fit(domain, quality, group, [n for n in names if groups[n] == group], times)


def _fit(domain: str, quality: str, group: str, cases: Sequence[str], times: int) -> None:
    basis = ErrorField(LENGTHS, (1.0,) * len(LENGTHS))
    parts, errors, names = [], [], []
    large = []
    for name in cases:
        result = result_of(domain, name, quality)
        regions = list(regions_of(domain, result, times))
        for region in [*regions, *pixels_of(domain, result, len(regions))]:
            large.append(region.kind != "square")
            parts.append(parts_of(result, region, basis))
            errors.append(error_of(result, region))
            names.append(name)
    table, seen = np.array(parts), np.array(errors)
    of_regions = np.array(large)
    weights = fit_weights(table, seen, LEVEL, where=of_regions)
    inside = np.abs(seen) <= HALF * np.sqrt(table @ np.array(weights))
    print(domain, quality, group, len(seen), "regions", dict(zip(LENGTHS, weights, strict=True)))
    shares = inside[of_regions].mean(), inside[~of_regions].mean()
    print("  held: regions {:.3f}, squares of 1 to 3 {:.3f}".format(*shares))
    names = [n if r else "" for n, r in zip(names, large, strict=True)]
    for name in filter(None, dict.fromkeys(names)):
        mine = [h for h, n in zip(inside, names, strict=True) if n == name]
        print(f"  {name}: {np.mean(mine):.2f}")


def measure(domain: str, quality: str, limit: int | None) -> None:
    """Adds the regions of validation cases to the table, case by case; those there are kept."""
    path = RESULTS / "regions.csv"
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    done = {(r["domain"], r["quality"], r["case"]) for r in rows}
    for name in names_of(domain, "validation")[:limit]:
        if (domain, quality, name) in done:
            continue
        known = result_of(domain, name, quality)
        field = ErrorField.from_attribute(known.attrs["error_field"])
        for region in regions_of(domain, known):
            image, truth = known.estimate[region.layer], known.truth[region.layer]
            half, white, same = (
                HALF * float(parts_of(known, region, f) @ np.array(f.weights)) ** 0.5
                for f in (field, ErrorField((0.0,), (1.0,)), ErrorField((math.inf,), (1.0,)))
            )
            mean, true = (float(v[region.inside].mean(dtype=np.float64)) for v in (image, truth))
            values = (domain, quality, name, region.kind, int(region.inside.sum()), mean, true)
            rows.append(dict(zip(_FIELDS, (*values, half, white, same), strict=True)))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, _FIELDS)
            writer.writeheader()
            writer.writerows(_rounded(row) for row in rows)
        print(domain, quality, name, flush=True)


def _rounded(row: dict[str, object]) -> dict[str, object]:
    return {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}


def tell() -> None:
    """Writes results/regions.md from the table."""
    rows = list(csv.DictReader((RESULTS / "regions.csv").open()))
    lines = [_INTRODUCTION]
    header = ("domain", "quality", "cases", "regions", "interval holds", "median half width")
    header += ("independent pixels", "one error for all")
    lines.append("| " + " | ".join(header) + " |")
    lines.append("|---|---|" + "---:|" * (len(header) - 2))
    groups = list(dict.fromkeys((r["domain"], r["quality"]) for r in rows))
    for group in groups:
        mine = [r for r in rows if (r["domain"], r["quality"]) == group]
        lines.append(_line(*group, mine))
    lines.append(_line("**all**", "", rows, width=False))
    lines += [
        "",
        "By kind of region:",
        "",
        "| kind | regions | interval holds |",
        "|---|---:|---:|",
    ]
    for kind in dict.fromkeys(r["kind"] for r in rows):
        mine = [r for r in rows if r["kind"] == kind]
        lines.append(f"| {kind} | {len(mine)} | {100 * _share(mine, 'half'):.0f} % |")
    (RESULTS / "regions.md").write_text("\n".join(lines) + "\n")


def _line(domain: str, quality: str, rows: Sequence[dict[str, str]], *, width: bool = True) -> str:
    halves = f"{np.median([float(r['half']) for r in rows]):.3g}" if width else ""
    cells = (domain, quality, len({r["case"] for r in rows}), len(rows))
    shares = [f"{100 * _share(rows, name):.0f} %" for name in ("half", "white", "same")]
    return f"| {' | '.join(map(str, cells))} | {shares[0]} | {halves} | {' | '.join(shares[1:])} |"


def _share(rows: Sequence[dict[str, str]], name: str) -> float:
    held = [abs(float(r["mean"]) - float(r["truth"])) <= float(r[name]) for r in rows]
    return float(np.mean(held))


_INTRODUCTION = """# Intervals of regions

Written by `python -m benchmarks.regions`; do not edit. Share of regions whose true mean lies in the
90 % interval of `--roi`: discs of 5 to 15 pixels across, uniform tissue and bright spots, chosen on
the estimate. MRI: simulated scans of patient 19 (R = 4 and 8, 30 dB). CT: slices of patients 037 to
042 at 25 and 10 % dose, projections of slices of 037, 039 and 041 at those doses and with 90 views;
the errors of reconstructions were fitted on five patients, of whose regions they hold 78 to 100 %.
Hyperspectral: simulated scenes of seeds that nothing was fitted on. The correlation of errors was
fitted on other patients and seeds. The last two columns show the intervals of independent pixels
and of one error for all pixels, both from the same standard deviation. Half widths are in scaled
intensity (MRI), HU (CT) and reflectance.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(DOMAINS))
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--limit", type=int, help="validation cases of each domain")
    parser.add_argument("--fit", action="store_true", help="fit weights on calibration cases")
    arguments = parser.parse_args()
    for domain in arguments.only:
        if arguments.fit:
            fit(domain, arguments.quality)
        else:
            measure(domain, arguments.quality, arguments.limit)
            tell()
