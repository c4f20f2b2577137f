"""Labelled regions of a result: mean and interval of each, for terminal, JSON and page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sciddm.errors import InputError
from sciddm.pipelines.engine.intervals import Errors, errors_of
from sciddm.pipelines.engine.summary import Fact, warnings_of

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.data_adapters.label_masks import LabelMask
    from sciddm.pipelines.engine.report.page import Table

__all__ = ["REGIONS", "Grid", "add_regions", "region_facts", "region_table"]

#: Attribute of a result that holds the rows.
REGIONS = "regions"
LEVEL = 0.9
_SHOWN = 40  # rows of a table that is open


class Grid(NamedTuple):
    """What a mask must lie on.

    Attributes:
        shape: (layer, y, x).
        attrs: its affine, voxel size or map transform.
    """

    shape: tuple[int, int, int]
    attrs: Mapping[Any, Any]


def add_regions(
    dataset: xr.Dataset, mask: LabelMask, estimate: str, std: str, *, each_layer: bool
) -> None:
    """Adds the regions of a mask to a result's attributes; a warning where that cannot be.

    The result took its time: it is not lost for a mask that does not fit.

    Args:
        dataset: the result.
        mask: the labels.
        estimate, std: names of its variables.
        each_layer: the mask stands for every layer, whose means are told one by one.
    """
    try:
        errors = errors_of(dataset, estimate, std)
        dataset.attrs[REGIONS] = _measured(mask, errors, dataset.attrs, each_layer)
    except InputError as error:
        warnings = [*warnings_of(dataset.attrs), f"Regions were not measured: {error}."]
        dataset.attrs["warnings"] = json.dumps(warnings)


def _measured(mask: LabelMask, errors: Errors, attrs: Mapping[Any, Any], each_layer: bool) -> str:
    """All regions of a mask as JSON: see ``region_facts``."""
    from sciddm.data_adapters.label_masks import check_grid

    shape = errors.estimate.shape
    labels = check_grid(mask, shape, attrs, each_layer=each_layer)
    rows = []
    for label in mask.labels:
        inside = labels == label
        row: dict[str, Any] = {"label": label, "pixels": int(inside.sum())}
        if each_layer:
            plane = inside if len(inside) == 1 else None
            each = []
            for layer in range(shape[0]):
                here = np.zeros((1, *shape[1:]), bool)
                here[0] = inside[0] if plane is not None else inside[layer]
                one = Errors(
                    errors.estimate[layer : layer + 1], errors.std[layer : layer + 1], errors.field
                )
                each.append(one.mean_of(here, LEVEL) if here.any() else None)
            for name in ("mean", "low", "high"):
                row[name] = [None if i is None else _number(getattr(i, name)) for i in each]
        else:
            interval = errors.mean_of(inside, LEVEL)
            row |= {name: _number(getattr(interval, name)) for name in ("mean", "low", "high")}
        rows.append(row)
    table = {"mask": mask.name, "level": LEVEL, "correlation": errors.field.sentence, "rows": rows}
    if each_layer:
        first = errors.estimate.dims[0]
        table["layer"] = str(first)
    return json.dumps(table)


def region_facts(attrs: Mapping[Any, Any]) -> Iterator[Fact]:
    """What the terminal, the JSON and the table of a batch tell.

    Keys: roi_LABEL_mean, _low and _high, a list of all layers where they are told one by one;
    roi_LABEL_pixels; roi_level; roi_correlation, how errors of pixels are alike.
    """
    if REGIONS not in attrs:
        return
    table = json.loads(str(attrs[REGIONS]))
    for row in table["rows"]:
        name = f"roi_{row['label']}"
        yield Fact(f"{name}_mean", f"region {row['label']}", row["mean"], _told(row, table))
        for key in ("low", "high", "pixels"):
            yield Fact(f"{name}_{key}", "", row[key], "")
    yield Fact("roi_level", "", table["level"], "")
    yield Fact("roi_correlation", "in regions", table["correlation"], table["correlation"])


def region_table(attrs: Mapping[Any, Any]) -> Table | None:
    """For the page; None where there are no regions."""
    from sciddm.pipelines.engine.report.page import Table

    if REGIONS not in attrs:
        return None
    table = json.loads(str(attrs[REGIONS]))
    percent = f"{100 * table['level']:g} % interval"
    rows = []
    for row in table["rows"]:
        if not isinstance(row["mean"], list):
            rows.append([str(row["label"]), str(row["pixels"]), *_cells(row["mean"], row)])
            continue
        for k, mean in enumerate(row["mean"]):
            if mean is None:
                continue
            one = {end: row[end][k] for end in ("low", "high")}
            name = f"{row['label']}, {table['layer']} {k + 1}"
            rows.append([name, str(row["pixels"]), *_cells(mean, one)])
    return Table(
        f"Regions of {table['mask']}",
        rows,
        ("label", "pixels", "mean", percent),
        folded=len(rows) > _SHOWN,
        note=f"{table['correlation'][:1].upper()}{table['correlation'][1:]}.",
    )


def _cells(mean: float | None, ends: Mapping[str, Any]) -> list[str]:
    if mean is None:
        return ["no value", ""]
    return [f"{mean:.5g}", f"{ends['low']:.5g} to {ends['high']:.5g}"]


def _told(row: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    pixels = f"{row['pixels']} pixels"
    if not isinstance(row["mean"], list):
        mean, ends = _cells(row["mean"], row)
        return f"{mean} ({ends}), {pixels}" if ends else f"{mean}, {pixels}"
    layers = [k for k, mean in enumerate(row["mean"]) if mean is not None]
    if not layers:
        return f"no value, {pixels}"
    told = []
    for k in sorted({layers[0], layers[len(layers) // 2], layers[-1]}):
        mean, ends = _cells(row["mean"][k], {e: row[e][k] for e in ("low", "high")})
        told.append(f"{table['layer']} {k + 1}: {mean} ({ends})")
    return "; ".join(told) + f"; {pixels}"


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
