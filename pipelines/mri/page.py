"""The report of an MRI reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.geometry.display import view_of
from sciddm.pipelines.engine.report.page import (
    Layer,
    Overlay,
    Panel,
    Report,
    Section,
    Table,
    Verdict,
    Viewer,
    grey_window,
    oriented,
)
from sciddm.pipelines.engine.summary import jsonable, warnings_of
from sciddm.pipelines.mri.describe import (
    consistency,
    contradicts,
    cropped,
    facts,
    magnitude,
    number,
    pixel_mm,
)
from sciddm.pipelines.mri.statements import statements

__all__ = ["mri_page", "verdict"]

_SLICES_SHOWN = 3
_SUBTITLE = (("coils", " coils"), ("acceleration", "-fold accelerated"))
#: Facts that belong to the run rather than to the scan or the image.
_RUN_KEYS = ("model", "weights_sha256", "quality", "sampler", "steps", "samples", "nfe", "nvjp")
_LABELS = {"weights_sha256": "weights' SHA-256", "nfe": "NFE per sample", "nvjp": "VJPs per sample"}


def mri_page(scan: object, result: xr.Dataset) -> Report:
    """The page for one scan.

    Args:
        scan: not used: all that is shown is in the result.
        result: reconstruction, std, zero_filled and where there are reference (slice, y, x), and
            residual (slice, ky, kx), the k-space residual in units of the noise, NaN where nothing
            was measured; attributes of the run.
    """
    known = facts(result)
    slices, ny, nx = (result.sizes[d] for d in ("slice", "y", "x"))
    many = f", {slices} slices" if slices > 1 else ""
    source = result.attrs.get("input", result.attrs.get("source", "scan"))
    parts = [f"{source}: {ny} x {nx}{many}"]
    parts += [f"{known[key].text}{word}" for key, word in _SUBTITLE if key in known]
    subtitle = ", ".join(parts)
    measured = [[f.label, f.text] for f in known.values() if f.key not in _RUN_KEYS]
    measured += _acquisition(result.attrs)
    run = [
        [_LABELS.get(k, k), str(jsonable(result.attrs[k]))] for k in _RUN_KEYS if _has(result, k)
    ]
    run += [["seed", str(result.attrs["seed"])]] if _has(result, "seed") else []
    seconds = number(result.attrs, "seconds")
    run += [] if seconds is None else [["seconds", f"{seconds:.1f}"]]
    everything = [
        [str(k), _text(v)] for k, v in sorted(result.attrs.items(), key=lambda a: str(a[0]))
    ]
    return Report(
        title="MRI reconstruction",
        subtitle=subtitle,
        verdict=verdict(result),
        sections=_sections(result),
        tables=[
            Table("Scan and image", measured),
            Table("Run", run),
            Table("All attributes of the result", everything, folded=True),
        ],
        methods=list(statements(result.attrs)),
        command=str(result.attrs.get("command", "")),
    )


def verdict(result: xr.Dataset) -> Verdict:
    """What to think of a result, from its consistency and warnings."""
    remarks = warnings_of(result.attrs)
    ratio = consistency(result.attrs)
    level = "" if ratio is None else f" (residual {ratio:.2f} times the noise)"
    if contradicts(result.attrs):
        headline = f"The image contradicts the data{level}. Do not trust its details."
        others = [r for r in remarks if "contradicts the data" not in r]
        return Verdict("contradiction", headline, others)
    if remarks:
        return Verdict("doubtful", "Read these remarks before using the image.", remarks)
    if ratio is None:
        return Verdict("doubtful", "Whether the image agrees with the data was not measured.")
    return Verdict(
        "good",
        f"The image agrees with the measured data within their noise{level}.",
        ["What was not measured is filled in by the model: the standard deviation shows where."],
    )


def _sections(result: xr.Dataset) -> Sequence[Section]:
    slices = result.sizes["slice"]
    chosen = [slices // 2]
    if slices > _SLICES_SHOWN:
        chosen = [round(slices * (k + 1) / (_SLICES_SHOWN + 1)) for k in range(_SLICES_SHOWN)]
    elif slices > 1:
        chosen = list(range(slices))
    image, how = magnitude(result, "reconstruction"), view_of(result.attrs)
    mask = np.isfinite(result["residual"].values) if "residual" in result else None
    sections = []
    for place, s in enumerate(chosen):
        title = f"Slice {s + 1} of {slices}" if slices > 1 else "Images"
        panels = [oriented(panel, how) for panel in _panels(result, image, s)]
        # One mask for all slices is shown once.
        if mask is not None and (place == 0 or not np.array_equal(mask[s], mask[chosen[0]])):
            share = mask[s].mean()
            panels.append(
                Panel(
                    "Sampling mask",
                    mask[s],
                    (0, 1),
                    colours="binary",
                    axes=("ky", "kx"),
                    note=f"White: measured, {100 * share:.1f} % of k-space.",
                )
            )
        text = ""
        if place == 0:
            text = (
                "All images share one scale: white, 100 %, is the 99.5th percentile of the "
                f"reconstruction, {grey_window(image[s])[1]:.4g} in the units of the scan. "
                f"{how.sentence}"
            )
        sections.append(Section(title, panels, text))
    return [*sections, Section("Explore", [], viewers=[_viewer(result, image)])]


def _viewer(result: xr.Dataset, image: NDArray[Any]) -> Viewer:
    white = grey_window(image)[1] / 100
    titles = {"Zero-filled": "zero_filled", "Reference": "reference"}
    layers = [
        Layer(title, magnitude(result, name) / white)
        for title, name in titles.items()
        if name in result and result[name].shape == image.shape
    ]
    return Viewer(
        "Explore the slices" if len(image) > 1 else "Explore the image",
        [*layers, Layer("Reconstruction", image / white)],
        (0.0, 100.0),
        "% of white",
        presets={"Dark structures": (0.0, 40.0), "Highlights": (50.0, 150.0)},
        pixel_mm=pixel_mm(result.attrs),
        view=view_of(result.attrs),
        overlays=_deviation(result, image, white),
    )


def _deviation(result: xr.Dataset, image: NDArray[Any], white: float) -> list[Overlay]:
    """The standard deviation in colours, where there is one."""
    if "std" not in result or result["std"].shape != image.shape:
        return []
    std = magnitude(result, "std") / white
    if not np.isfinite(std).any() or np.nanmax(std) <= 0:
        return []
    return [Overlay("Standard deviation", std, grey_window(std), "% of white")]


def _panels(result: xr.Dataset, image: NDArray[Any], s: int) -> list[Panel]:
    size = pixel_mm(result.attrs)
    white = grey_window(image[s])[1] / 100
    grey, unit = (0.0, 100.0), "% of white"
    panels = []
    if "zero_filled" in result:
        zero = magnitude(result, "zero_filled")[s] / white
        note = "What the measured data give without the model."
        panels.append(Panel("Zero-filled", zero, grey, unit, pixel_mm=size, note=note))
    mean = image[s] / white
    note = "Mean of the posterior samples."
    panels.append(Panel("Reconstruction", mean, grey, unit, pixel_mm=size, note=note))
    reference = None
    if "reference" in result:
        reference = np.abs(result["reference"].values[s]).astype(np.float64) / white
    if reference is not None:
        note = "The fully sampled image."
        panels.append(Panel("Reference", reference, grey, unit, pixel_mm=size, note=note))
    if "std" in result:
        std = magnitude(result, "std")[s] / white
        if np.isfinite(std).any() and np.nanmax(std) > 0:
            inside = std[(mean > 10) & np.isfinite(std)]
            note = "Where the samples disagree."
            if inside.size:
                note += f" Median inside the object {float(np.median(inside)):.1f} %."
            window = grey_window(std)
            panels.append(
                Panel("Standard deviation", std, window, unit, "heat", pixel_mm=size, note=note)
            )
    if reference is not None and np.all(np.array(reference.shape) <= mean.shape):
        difference = cropped(mean[None], (1, *reference.shape))[0] - reference
        top = max(grey_window(np.abs(difference))[1], 1e-6)
        note = f"Root mean square {float(np.sqrt(np.mean(difference**2))):.1f} %."
        title, window = "Reconstruction − reference", (-top, top)
        panels.append(Panel(title, difference, window, unit, "signed", pixel_mm=size, note=note))
    if "residual" in result:
        first, second = (str(d) for d in result["residual"].dims if d != "slice")
        residual = np.abs(result["residual"].transpose("slice", first, second).values[s])
        panels.append(
            Panel(
                "k-space residual",
                residual,
                (0, 3),
                "|data − model of the image| / noise",
                "heat",
                axes=(first, second),
                note="About 1 everywhere if only noise is left; structure here is a contradiction.",
            )
        )
    return panels


def _acquisition(attrs: dict[Any, Any]) -> list[list[str]]:
    rows = []
    size = [float(v) for v in attrs.get("voxel_size_mm", [])]
    if size and np.isfinite(size[-2:]).all():
        z = "?" if not np.isfinite(size[0]) else f"{size[0]:.4g}"
        rows.append(["voxel (z, y, x)", f"{z} x {size[-2]:.4g} x {size[-1]:.4g} mm"])
    field = attrs.get("field_strength_T")
    if isinstance(field, int | float) and np.isfinite(field):
        rows.append(["field strength", f"{field:.3g} T"])
    if attrs.get("format"):
        rows.append(["file format", str(attrs["format"])])
    return rows


def _has(result: xr.Dataset, key: str) -> bool:
    return result.attrs.get(key) is not None


def _text(value: Any, limit: int = 400) -> str:
    text = str(jsonable(value))
    return text if len(text) <= limit else text[:limit] + " ..."
