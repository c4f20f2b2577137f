"""Planes to explore: one stack, or the three directions of a volume with its projection.

All layers are in the page as 8 bit codes (``sprites``); the script that reads them back is part of
the page and depends on nothing. A browser without scripts shows the panels alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciddm.geometry.display import Letters, Upright, View
from sciddm.pipelines.engine.report.colours import heat_table
from sciddm.pipelines.engine.report.sprites import (
    Levels,
    across,
    budgeted,
    coded,
    even,
    focused,
    png,
)

__all__ = ["SCRIPT", "Layer", "Overlay", "Scale", "Space", "Viewer", "viewer_block"]

#: Bytes of all PNGs of a viewer as base64, of a stack and of a volume; pixels along the longer side
#: of a plane.
_BUDGET, _VOLUME_BUDGET, _LONGEST = 1_000_000, 1_700_000, 320
SCRIPT = (Path(__file__).parent / "viewer.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Scale:
    """How values become grey.

    Attributes:
        window: values of black and white at the start.
        unit: of the values.
        presets: further windows by their names.
        inverse: black is high, as PET is read.
    """

    window: tuple[float, float]
    unit: str = ""
    presets: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    inverse: bool = False

    @property
    def levels(self) -> Levels:
        """Values of the codes: all that its windows show, finer within the first."""
        windows = [self.window, *self.presets.values()]
        return focused(min(a for a, _ in windows), max(b for _, b in windows), self.window)

    @property
    def windows(self) -> dict[str, tuple[float, float]]:
        """All windows by their names, that of the start among them."""
        first = {} if self.window in self.presets.values() else {"Start": self.window}
        return {**first, **self.presets}


class Layer(NamedTuple):
    """One volume.

    Attributes:
        title: what it shows.
        planes: (plane, rows, columns), in the unit of its scale.
        scale: None for that of the viewer.
    """

    title: str
    planes: NDArray[Any]
    scale: Scale | None = None


@dataclass(frozen=True)
class Overlay:
    """A volume in colours that is laid over the layers and can be switched.

    Attributes:
        title: what it shows.
        planes: (plane, rows, columns).
        window: values of the first and the last colour.
        unit: of the values.
        colour: of a mask, as #rrggbb; empty for a scale from black to white through red.
        shown: at the start.
        over: number of the layer that it is laid over; None for all.
    """

    title: str
    planes: NDArray[Any]
    window: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    colour: str = ""
    shown: bool = False
    over: int | None = None


class Space(NamedTuple):
    """What makes a stack a volume, of which planes of three directions are shown.

    Attributes:
        upright: how it is turned.
        voxel_mm: size of a voxel (z, y, x).
        projected: number of the layer whose largest values along the view from the front are
            shown, too; None for none.
    """

    upright: Upright
    voxel_mm: tuple[float, float, float]
    projected: int | None = None


@dataclass(frozen=True)
class Viewer:
    """Volumes of one shape, a plane of two of them at a time.

    Attributes:
        title: of the block.
        layers: the first and the last are shown at the start.
        window: values that are black and white at the start.
        unit: of the values.
        plane: what one plane is called: slice, band, frame.
        labels: of the planes; their numbers if empty.
        presets: further windows by their names.
        pixel_mm: size of a pixel (rows, columns); square where unknown.
        view: how planes of a patient are shown.
        inverse: black is high, as PET is read.
        total: planes of the measurement, where the layers do not hold all.
        overlays: further volumes of the same shape.
        space: where planes of three directions are shown; ``view`` and ``pixel_mm`` then say
            nothing.
        moves: planes per second where they follow each other in time; 0 where they do not.
        start: entry (plane, row, column) of a layer whose planes are shown first; the middle if
            None.
    """

    title: str
    layers: Sequence[Layer]
    window: tuple[float, float]
    unit: str = ""
    plane: str = "slice"
    labels: Sequence[str] = ()
    presets: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    pixel_mm: tuple[float, float] | None = None
    view: View = field(default_factory=View)
    inverse: bool = False
    total: int = 0
    overlays: Sequence[Overlay] = ()
    space: Space | None = None
    moves: float = 0.0
    start: tuple[int, int, int] | None = None

    @property
    def scale(self) -> Scale:
        """Of layers that have none of their own."""
        return Scale(self.window, self.unit, self.presets, self.inverse)


def viewer_block(viewer: Viewer) -> str:
    """The viewer as HTML; hidden until the script has read it."""
    volumes = [_turned(viewer, layer.planes) for layer in viewer.layers]
    over = [_turned(viewer, overlay.planes) for overlay in viewer.overlays]
    scales, used = _scales(viewer)
    levels = [scales[k].levels for k in used] + [even(*o.window) for o in viewer.overlays]
    whole = volumes[0].shape
    step = max(1.0, max(whole[1:]) / _LONGEST)
    size = (whole[0], *(max(1, round(n / step)) for n in whole[1:]))
    if viewer.space is not None:
        size = (max(1, round(whole[0] / max(1.0, whole[0] / _LONGEST))), *size[1:])
    axes, budget = (1, _BUDGET) if viewer.space is None else (3, _VOLUME_BUDGET)
    pairs = list(zip([*volumes, *over], levels, strict=True))
    shape = budgeted(pairs, size, budget, axes)
    places = _places(whole[0], shape[0])
    sheets = []
    for volume, table in pairs:
        part = volume[places] if viewer.space is None else volume
        sheets.append(png(coded(part, table, shape)))
    about = {
        "shape": shape,
        "across": across(shape),
        "scales": [_plain_scale(scale) for scale in scales],
        "layers": [
            {"title": layer.title, "scale": k}
            for layer, k in zip(viewer.layers, used, strict=True)
        ],
        "overlays": [
            {"title": o.title, "unit": o.unit, "low": o.window[0], "high": o.window[1],
             "colour": o.colour, "shown": o.shown, "over": o.over}
            for o in viewer.overlays
        ],
        "heat": heat_table() if any(not o.colour for o in viewer.overlays) else "",
        "views": _views(viewer, whole, shape, places),
        "start": _start(viewer, whole, shape, places),
        "moves": viewer.moves,
    }  # fmt: skip
    images = "".join(f'<img alt="" hidden src="data:image/png;base64,{sheet}">' for sheet in sheets)
    return (
        f'<section class="viewer" hidden data-viewer="{escape(json.dumps(about))}">'
        f"<h2>{escape(viewer.title)}</h2>{images}"
        '<div class="bench"><div><div class="stages"></div></div><div><div class="controls"></div>'
        f"<p>{escape(_note(viewer, scales, whole, shape))}</p></div></div></section>"
    )


def _turned(viewer: Viewer, planes: NDArray[Any]) -> NDArray[Any]:
    """A volume as it is shown."""
    if viewer.space is not None:
        return viewer.space.upright(np.asarray(planes))
    turned = viewer.view(np.moveaxis(np.asarray(planes), 0, -1))
    return np.moveaxis(turned, -1, 0)


def _scales(viewer: Viewer) -> tuple[list[Scale], list[int]]:
    """The scales, and the number of that of each layer."""
    scales: list[Scale] = []
    used = []
    for layer in viewer.layers:
        scale = layer.scale or viewer.scale
        if scale not in scales:
            scales.append(scale)
        used.append(scales.index(scale))
    return scales, used


def _plain_scale(scale: Scale) -> dict[str, Any]:
    levels = [float(f"{v:.6g}") for v in scale.levels]
    return {
        "levels": levels, "window": scale.window, "unit": scale.unit, "presets": scale.windows,
        "inverse": scale.inverse,
    }  # fmt: skip


def _places(count: int, shown: int) -> list[int]:
    """Planes that are shown, spread over all."""
    if shown == 1:
        return [count // 2]
    return [int(k) for k in np.linspace(0, count - 1, shown).round()]


def _start(
    viewer: Viewer, whole: Sequence[int], shape: Sequence[int], places: Sequence[int]
) -> list[int]:
    """The planes that are shown first."""
    if viewer.start is None:
        return [n // 2 for n in shape]
    if viewer.space is None:
        nearest = int(np.argmin(np.abs(np.array(places) - viewer.start[0])))
        return [nearest, *(n // 2 for n in shape[1:])]
    upright = viewer.space.upright
    place = [
        upright.index(axis, viewer.start[upright.order[axis]], whole[axis]) for axis in range(3)
    ]
    return [min(n - 1, k * n // w) for k, n, w in zip(place, shape, whole, strict=True)]


def _views(
    viewer: Viewer, whole: Sequence[int], shape: Sequence[int], places: Sequence[int]
) -> list[dict[str, Any]]:
    """What each canvas shows: the axis of its planes, their labels, letters and aspect."""
    if viewer.space is None:
        labels = viewer.labels or [f"{viewer.plane} {k + 1} of {whole[0]}" for k in range(whole[0])]
        dy, dx = viewer.view.pixel(viewer.pixel_mm or (1.0, 1.0))
        return [
            {
                "name": viewer.plane, "axis": 0, "labels": [labels[k] for k in places],
                "letters": _letters(viewer.view.letters),
                "aspect": _aspect(whole[1], whole[2], dy, dx),
            }
        ]  # fmt: skip
    upright, size = viewer.space.upright, viewer.space.upright.size(viewer.space.voxel_mm)
    views = []
    for axis, name in enumerate(upright.names):
        rows, columns = (k for k in range(3) if k != axis)
        # The number of the array's plane that lies in the middle of each box.
        middles = [int((k + 0.5) * whole[axis] / shape[axis]) for k in range(shape[axis])]
        indices = [upright.index(axis, place, whole[axis]) for place in middles]
        aspect = _aspect(whole[rows], whole[columns], size[rows], size[columns])
        one: dict[str, Any] = {
            "name": name.capitalize(), "axis": axis, "aspect": aspect,
            "labels": [f"{name.capitalize()} {k + 1} of {whole[axis]}" for k in indices],
            "letters": _letters(upright.letters[axis]),
        }  # fmt: skip
        views.append(one)
    if viewer.space.projected is not None:
        front = views[1]
        title = viewer.layers[viewer.space.projected].title
        name = f"Maximum projection of {title}"
        views.append({**front, "name": name, "labels": [], "projected": viewer.space.projected})
    return views


def _aspect(rows: int, columns: int, dy: float, dx: float) -> float:
    """Width over height of a plane; of square pixels where their size is unknown."""
    ratio = dx / dy if math.isfinite(dx) and math.isfinite(dy) and min(dx, dy) > 0 else 1.0
    return columns * ratio / rows


def _letters(letters: Letters | None) -> dict[str, str] | None:
    return None if letters is None else letters._asdict()


def _note(
    viewer: Viewer, scales: Sequence[Scale], whole: Sequence[int], shape: Sequence[int]
) -> str:
    """What is left out of the page, and what the hand can do."""
    words = []
    total = viewer.total or whole[0]
    if viewer.space is None and shape[0] < total:
        words.append(f"{shape[0]} of {total} {viewer.plane}s.")
    elif viewer.space is not None and tuple(shape) != tuple(whole):
        words.append("Shown on {} x {} x {} voxels.".format(*shape))
    steps = [_steps(scale) for scale in scales]
    words.append(f"Grey values in steps of {' and '.join(steps)}; the files hold the exact values.")
    words.append("Drag on the image to change window and level.")
    if shape[0] > 1:
        plane = viewer.plane if viewer.space is None else "plane"
        words.append(f"The wheel changes the {plane}.")
    words.append("Ctrl and wheel, or + and −, zoom; Shift and drag, or the arrows, move; 0 resets.")
    if viewer.space is not None:
        words.append("A click sets the three planes.")
    return " ".join(words)


def _steps(scale: Scale) -> str:
    """The finest and the coarsest step between two codes."""
    steps = np.diff(scale.levels)
    least, most = f"{steps.min():.2g}", f"{steps.max():.2g}"
    text = least if least == most else f"{least} to {most}"
    return f"{text} {scale.unit}".rstrip()
