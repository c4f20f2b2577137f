"""A stack of planes to explore: slice slider, window and level, before and after side by side.

The planes are stored as 8 bit PNGs, one for each layer, the planes below each other; the script
that reads them back is part of the page and depends on nothing. A browser without scripts shows
the panels alone. A code c of 0 to 255 stands for the value low + c (high - low) / 255.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciddm.geometry.display import Letters, View

__all__ = ["SCRIPT", "Layer", "Viewer", "viewer_block"]

#: Bytes of all PNGs of a viewer, and pixels along its longer side.
_BUDGET, _LONGEST = 750_000, 320
SCRIPT = (Path(__file__).parent / "viewer.js").read_text(encoding="utf-8")


class Layer(NamedTuple):
    """One volume.

    Attributes:
        title: what it shows.
        planes: (plane, rows, columns), in the viewer's unit.
    """

    title: str
    planes: NDArray[Any]


@dataclass(frozen=True)
class Viewer:
    """Volumes of one shape and one unit, a plane of two of them at a time.

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


def viewer_block(viewer: Viewer) -> str:
    """The viewer as HTML; hidden until the script has read it."""
    ends = [viewer.window, *viewer.presets.values()]
    low, high = min(a for a, _ in ends), max(b for _, b in ends)
    count = viewer.layers[0].planes.shape[0]
    sprites, planes = _within_budget(viewer, low, high)
    rows, columns = sprites[0].shape[1:]
    labels = viewer.labels or [f"{viewer.plane} {k + 1} of {count}" for k in range(count)]
    dy, dx = viewer.view.pixel(viewer.pixel_mm or (1.0, 1.0))
    ratio = dy / dx if math.isfinite(dy / dx) and dy > 0 and dx > 0 else 1.0
    # The aspect of a plane before it was made smaller: both sides shrink by rounded steps.
    before = viewer.view(viewer.layers[0].planes[0]).shape
    about = {
        "low": low, "high": high, "window": viewer.window, "unit": viewer.unit,
        "rows": rows, "columns": columns, "labels": [labels[k] for k in planes],
        "presets": {"Start": viewer.window, **viewer.presets}, "inverse": viewer.inverse,
        "layers": [layer.title for layer in viewer.layers],
        "aspect": before[1] / (before[0] * ratio),
    }  # fmt: skip
    images = "".join(
        f'<img alt="" hidden src="data:image/png;base64,{_png(sprite)}">' for sprite in sprites
    )
    step = (high - low) / 255
    total = viewer.total or count
    part = f"{len(planes)} of {total} {viewer.plane}s. " if len(planes) < total else ""
    note = f"{part}Grey values in steps of {step:.3g} {viewer.unit}".rstrip()
    wheel = f" The wheel changes the {escape(viewer.plane)}." if len(planes) > 1 else ""
    return (
        f'<section class="viewer" hidden data-viewer="{escape(json.dumps(about))}">'
        f"<h2>{escape(viewer.title)}</h2>{images}"
        f'<div class="stage"><canvas role="img" aria-label="{escape(viewer.title)}"></canvas>'
        f"{_letters(viewer.view.letters)}</div>"
        f'<div class="controls"></div><p>{escape(note)}; the files hold the exact values. '
        f"Drag on the image to change window and level.{wheel}</p></section>"
    )


def _within_budget(
    viewer: Viewer, low: float, high: float
) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """Codes of every layer (planes, rows, columns), and which planes they are."""
    count = viewer.layers[0].planes.shape[0]
    middle = [_codes(viewer, layer, [count // 2], low, high) for layer in viewer.layers]
    cost = sum(len(_png(codes)) for codes in middle)
    most = max(1, min(count, int(_BUDGET / cost)))
    planes = [int(k) for k in np.unique(np.linspace(0, count - 1, most).round())]
    if most == 1:
        planes = [count // 2]
    return [_codes(viewer, layer, planes, low, high) for layer in viewer.layers], planes


def _codes(
    viewer: Viewer, layer: Layer, planes: Sequence[int], low: float, high: float
) -> NDArray[np.uint8]:
    found = []
    for k in planes:
        image = np.nan_to_num(np.asarray(layer.planes[k], dtype=np.float64), nan=low)
        image = viewer.view(image)
        step = math.ceil(max(image.shape) / _LONGEST)
        rows, columns = (n // step * step for n in image.shape)
        blocks = image[:rows, :columns].reshape(rows // step, step, columns // step, step)
        share = (blocks.mean(axis=(1, 3)) - low) / (high - low)
        found.append(np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8))
    return np.stack(found)


def _png(codes: NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(codes.reshape(-1, codes.shape[-1])).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _letters(letters: Letters | None) -> str:
    if letters is None:
        return ""
    return "".join(
        f'<span class="letter {side}">{escape(letter)}</span>'
        for side, letter in letters._asdict().items()
    )
