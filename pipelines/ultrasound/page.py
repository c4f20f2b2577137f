"""The report of a dehazed scan: before, after, what was taken away, how sure that is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.physics.ultrasound.representation import amplitude, log_compressed
from sciddm.physics.ultrasound.scan_conversion import picture_grid, to_picture
from sciddm.pipelines.engine.report.page import (
    Layer,
    Overlay,
    Panel,
    Report,
    Section,
    Table,
    Verdict,
    Viewer,
)
from sciddm.pipelines.engine.summary import warnings_of
from sciddm.pipelines.ultrasound.describe import facts, size_text
from sciddm.pipelines.ultrasound.statements import statements

__all__ = ["ultrasound_page"]

_RANGE_DB = 60.0
_EXPLORED = 60  # frames of the viewer, at most
_PER_SECOND = 12.0  # of the clip, where the file does not tell
_PICTURE_ROWS = 512
_NO_DEVIATION = 0.1  # of full scale: top of the scale of a standard deviation of zero
_STD_NOTE = "Of the posterior samples: larger where haze covered what is below it."
_NO_STD = "Zero everywhere: nothing was sampled, since this is the scan as it was."


def ultrasound_page(scan: object, result: xr.Dataset) -> Report:
    """The page of a result, as the pipeline returns it; the result holds the scan as `hazy`."""
    attrs = result.attrs
    shown = _Shown(result)
    i = _middle(result)
    before, after = shown.image("hazy", i), shown.image("frames", i)
    taken, std = shown.taken(i), shown.std(i)
    of = f" (frame {i + 1} of {result.sizes['frame']})" if result.sizes["frame"] > 1 else ""
    db = (-_RANGE_DB, 0.0) if shown.decibels else (0.0, 1.0)
    unit = "dB" if shown.decibels else "grey value"
    panels = [
        Panel("Before", before, db, unit, pixel_mm=shown.pixel_mm),
        Panel("After: tissue", after, db, unit, pixel_mm=shown.pixel_mm),
        Panel(
            "Taken away",
            taken,
            db,
            unit,
            pixel_mm=shown.pixel_mm,
            note="On the scale of the images: what is black here was left as it was.",
        ),
        Panel(
            "Standard deviation",
            std,
            (0.0, _deviation_top(std)),
            shown.std_unit,
            "heat",
            pixel_mm=shown.pixel_mm,
            note=_STD_NOTE if np.nanmax(std) > 0 else _NO_STD,
        ),
    ]
    sections = [Section(f"The scan{of}", panels, viewers=[_viewer(shown, result, db, unit)])]
    rows = [(fact.label, fact.text) for fact in facts(result)]
    run = [(str(k), _text(v)) for k, v in sorted(attrs.items()) if k != "warnings"]
    return Report(
        title=f"{attrs.get('source', 'scan')}, dehazed",
        subtitle=f"Joint posterior sampling of tissue and haze. {size_text(result)}.",
        verdict=_verdict(attrs),
        sections=sections,
        tables=[
            Table("Result", rows),
            Table("Everything that repeats this run", run, folded=True),
        ],
        methods=list(statements(attrs)),
        command=str(attrs.get("command", "")),
        caution="Tissue and haze are estimates; research software, not for clinical use.",
    )


class _Shown:
    """Images of a result as they are displayed: log-compressed, and as a sector where it is one."""

    def __init__(self, result: xr.Dataset) -> None:
        self.result = result
        a = result.attrs
        self.decibels = a["kind"] != "bmode"
        self.top = 1.0
        self.std_unit = "of the largest amplitude" if self.decibels else "grey value"
        if self.decibels:
            self.top = max(float(self._amplitude("hazy", i).max()) for i in _some(result)) or 1.0
        self.sector = a.get("lateral") == "angle" and {"depth", "lateral"} <= set(result.coords)
        self.pixel_mm: tuple[float, float] | None = (math.nan, math.nan)
        if self.sector:
            depth, angles = result["depth"].values, result["lateral"].values
            self.apex = float(a.get("apex_m", depth[0]))
            step = float(depth[-1] - depth[0]) / _PICTURE_ROWS
            self.grid = picture_grid(depth, angles, self.apex, step)
            self.pixel_mm = (1e3 * step, 1e3 * step)
        elif {"depth", "lateral"} <= set(result.coords) and result.sizes["lateral"] > 1:
            steps = (abs(float(result[k][1] - result[k][0])) for k in ("depth", "lateral"))
            dy, dx = (1e3 * s for s in steps)
            self.pixel_mm = (dy, dx)

    def image(self, name: str, i: int) -> NDArray[Any]:
        """One frame, dB about the largest amplitude or grey values."""
        if not self.decibels:
            return self._placed(np.asarray(self.result[name][i].values))
        return self._placed(self._db(self._amplitude(name, i)))

    def taken(self, i: int) -> NDArray[Any]:
        """What was taken away, on the same scale."""
        if not self.decibels:
            return self._placed(np.clip(np.asarray(self.result["haze"][i].values), 0, 1))
        return self._placed(self._db(self._amplitude("haze", i)))

    def std(self, i: int) -> NDArray[Any]:
        """Standard deviation, of grey values or of the largest amplitude."""
        return self._placed(np.asarray(self.result["std"][i].values) / self.top)

    def _amplitude(self, name: str, i: int) -> NDArray[Any]:
        return amplitude(self.result, np.asarray(self.result[name][i].values))

    def _db(self, values: NDArray[Any]) -> NDArray[Any]:
        return _RANGE_DB * (log_compressed(np.abs(values), self.top, _RANGE_DB) - 1)

    def _placed(self, image: NDArray[Any]) -> NDArray[Any]:
        if not self.sector:
            return image
        depth, angles = self.result["depth"].values, self.result["lateral"].values
        return to_picture(image, depth, angles, self.apex, *self.grid)


def _viewer(shown: _Shown, result: xr.Dataset, window: tuple[float, float], unit: str) -> Viewer:
    """Frames before and after, and what was taken away, on one scale."""
    count = result.sizes["frame"]
    frames = [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, _EXPLORED)).round())]
    layers = [
        Layer("Before", np.stack([shown.image("hazy", i) for i in frames])),
        Layer("Taken away", np.stack([shown.taken(i) for i in frames])),
        Layer("After: tissue", np.stack([shown.image("frames", i) for i in frames])),
    ]
    return Viewer(
        "Before and after",
        layers,
        window,
        unit,
        plane="frame",
        labels=[f"frame {i + 1} of {count}" for i in frames],
        pixel_mm=shown.pixel_mm,
        total=count,
        overlays=[] if result.attrs.get("unchanged") else [_deviation(shown, frames)],
        moves=_PER_SECOND if count > 1 else 0.0,
    )


def _deviation(shown: _Shown, frames: list[int]) -> Overlay:
    """The standard deviation in colours."""
    std = np.stack([shown.std(i) for i in frames])
    return Overlay("Standard deviation", std, (0.0, _deviation_top(std)), shown.std_unit)


def _deviation_top(std: NDArray[Any]) -> float:
    """Top of the colour scale: what .5 % of the deviations within the image exceed.

    Pixels outside the image have none. Where all is zero the scale is a fixed one, on which zero
    looks like zero and not like the top of its own rounding.
    """
    inside = std[np.nan_to_num(std) > 0]
    return float(np.percentile(inside, 99.5)) if inside.size else _NO_DEVIATION


def _verdict(attrs: dict[Any, Any]) -> Verdict:
    warnings = warnings_of(attrs)
    if attrs.get("contradicts"):
        return Verdict("contradiction", "Tissue and haze together do not give the scan.", warnings)
    if attrs.get("unchanged"):
        return Verdict("good", "No evidence of haze: the scan is returned unchanged.", warnings)
    if warnings:
        return Verdict("doubtful", "Look at the remarks before believing the result.", warnings)
    ratio = float(attrs.get("consistency", math.nan))
    return Verdict(
        "good", f"Tissue and haze together give the scan: residual {ratio:.2f} times the noise."
    )


def _middle(result: xr.Dataset) -> int:
    """The middle one of the frames that hold something."""
    empty = {int(i) - 1 for i in result.attrs.get("empty_frames", [])}
    full = [i for i in range(result.sizes["frame"]) if i not in empty] or [0]
    return full[len(full) // 2]


def _some(result: xr.Dataset) -> list[int]:
    count = result.sizes["frame"]
    return sorted({0, count // 2, count - 1})


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
