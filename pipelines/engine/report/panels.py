"""Images of a report: with scale bar, axes and colour bar, drawn to PNG."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciddm.geometry.display import Letters, View
from sciddm.pipelines.engine.report.colours import colour_scale

__all__ = [
    "DARK",
    "DPI",
    "INK",
    "Axis",
    "Frame",
    "Panel",
    "compact",
    "draw",
    "frame_of",
    "grey_window",
    "oriented",
]

#: Colours of the frame and of what is written on it.
DARK, INK = "#0d1013", "#c9d1d9"
#: A panel is 460 pixels wide, a little more than a page shows.
DPI = 135
_NEARLY_GREY = 16  # the ink: #c9d1d9


@dataclass(frozen=True)
class Axis:
    """The scale of an image's axis: what it measures, and the values at its two ends."""

    label: str
    first: float
    last: float


@dataclass(frozen=True)
class Panel:
    """One image.

    Attributes:
        title: what it shows.
        image: (rows, columns), row 0 on top; NaN is drawn as absent. Or (rows, columns, 3), red,
            green and blue in [0, 1]; window, unit and colours then say what its colours mean.
        window: values drawn as the ends of the colour scale.
        unit: what the colour bar measures; empty for no colour bar.
        colours: grey; inverse, black high, as PET is read; heat (black to white through red) for
            magnitudes; signed (blue, black, orange) for differences; binary.
        pixel_mm: size of a pixel (rows, columns), NaN where unknown; None where the axes are not
            lengths.
        axes: names of the axes (rows, columns) where they are not lengths.
        scales: axes with their values (rows from the bottom up, columns from the left); the image
            then fills its frame, whatever its shape.
        note: a line under the image.
        letters: of the patient's directions at the edges, None where the orientation is unknown or
            the image is no plane of a patient.
    """

    title: str
    image: NDArray[Any]
    window: tuple[float, float]
    unit: str = ""
    colours: Literal["grey", "inverse", "heat", "signed", "binary"] = "grey"
    pixel_mm: tuple[float, float] | None = None
    axes: tuple[str, str] | None = None
    scales: tuple[Axis, Axis] | None = None
    note: str = ""
    letters: Letters | None = None


def oriented(panel: Panel, view: View) -> Panel:
    """A plane of a patient as a radiologist looks at it, with its letters.

    Args:
        panel: its image in the order of the array; panels of other things stay as they are.
        view: of the plane; see ``sciddm.geometry.display``.
    """
    if panel.axes is not None or panel.scales is not None:
        return panel
    size = None if panel.pixel_mm is None else view.pixel(panel.pixel_mm)
    return replace(panel, image=view(panel.image), pixel_mm=size, letters=view.letters)


def grey_window(image: NDArray[Any], percentile: float = 99.5) -> tuple[float, float]:
    """0 to a high percentile of the finite values: a few bright pixels do not darken the rest."""
    finite = image[np.isfinite(image)]
    top = float(np.percentile(finite, percentile)) if finite.size else 0.0
    return 0.0, top if top > 0 else 1.0


class Frame(NamedTuple):
    """Where the image lies within its picture, in shares of the picture from the upper left."""

    left: float
    top: float
    width: float
    height: float


class _Layout(NamedTuple):
    """Inches of a picture: its width and height, the height of the image, and margins about it."""

    width: float
    total: float
    height: float
    left: float
    right: float
    above: float
    below: float

    @property
    def frame(self) -> Frame:
        wide = 1 - (self.left + self.right) / self.width
        return Frame(
            self.left / self.width, self.above / self.total, wide, self.height / self.total
        )


def frame_of(panel: Panel) -> Frame | None:
    """Where the image lies in the picture that ``draw`` makes; None for one that is no place.

    Args:
        panel: images with axes of other kinds than lengths are no places.
    """
    if panel.axes is not None or panel.scales is not None:
        return None
    return _layout(panel).frame


def _layout(panel: Panel) -> _Layout:
    rows, columns = panel.image.shape[:2]
    width = 3.4
    if panel.scales is None:
        height = min(max(width * rows * _ratio(panel) / columns, 0.6 * width), 1.5 * width)
        left = right = under = above = 0.0
    else:
        # A number at an edge reaches half its height beyond it.
        height, left, right, under, above = 0.72 * width, 0.54, 0.12, 0.4, 0.08
    below = under + (0.5 if panel.unit else 0.0)
    return _Layout(width, height + below + above, height, left, right, above, below)


def _ratio(panel: Panel) -> float:
    """Height over width of a pixel; 1 where unknown."""
    return panel.pixel_mm[0] / panel.pixel_mm[1] if _is_sized(panel) and panel.pixel_mm else 1.0


def _is_sized(panel: Panel) -> bool:
    return panel.pixel_mm is not None and all(math.isfinite(s) and s > 0 for s in panel.pixel_mm)


def draw(panel: Panel) -> bytes:
    """The image with its scales and colour bar as PNG."""
    # Here, not above: a third of a second that a command without a report need not spend.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    image = np.asarray(panel.image, dtype=float)
    rows, columns = image.shape[:2]
    if image.ndim == 3:
        image = np.clip(np.nan_to_num(image), 0, 1)
    layout = _layout(panel)
    total = layout.total
    figure = Figure(figsize=(layout.width, total), dpi=DPI, facecolor=DARK)
    FigureCanvasAgg(figure)
    place = layout.frame
    frame = (place.left, layout.below / total, place.width, place.height)
    axes = figure.add_axes(frame, facecolor=DARK)
    scale = axes.imshow(
        image,
        cmap=colour_scale(panel.colours),
        vmin=panel.window[0],
        vmax=panel.window[1],
        aspect=_ratio(panel) if panel.scales is None else "auto",
        interpolation="nearest" if panel.colours == "binary" or panel.axes else "antialiased",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if panel.scales:
        _numbered(axes, panel.scales)
    elif panel.axes:
        words: dict[str, Any] = {"color": "white", "fontsize": 9, "transform": axes.transAxes}
        words["bbox"] = {"facecolor": DARK, "edgecolor": "none", "pad": 2.5}
        axes.text(0.025, 0.975, f"{panel.axes[0]} ↓", va="top", **words)
        axes.text(0.975, 0.025, f"{panel.axes[1]} →", ha="right", **words)
    elif _is_sized(panel) and panel.pixel_mm is not None:
        _scale_bar(axes, rows, columns, *panel.pixel_mm)
    if panel.letters is not None:
        _lettered(axes, panel.letters)
    if panel.unit:
        bar_axes = figure.add_axes((0.12, 0.34 / total, 0.76, 0.09 / total))
        # The colours of an image in red, green and blue end where it was made.
        finite = image[np.isfinite(image)] if image.ndim == 2 else np.zeros(0)
        below_it = bool((finite < panel.window[0]).any())
        above_it = bool((finite > panel.window[1]).any())
        if image.ndim == 3:
            scale = _named_scale(panel)
        extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[
            below_it, above_it
        ]
        bar = figure.colorbar(scale, cax=bar_axes, orientation="horizontal", extend=extend)
        bar.outline.set_visible(False)
        bar_axes.tick_params(colors=INK, labelsize=8, length=2, pad=2)
        bar_axes.set_xlabel(panel.unit, color=INK, fontsize=8, labelpad=1)
        bar_axes.xaxis.get_offset_text().set(color=INK, fontsize=7)
        bar_axes.locator_params(nbins=5)
    return compact(figure, full_colour=image.ndim == 3)


def compact(figure: Any, *, full_colour: bool = False) -> bytes:
    """A drawn figure as PNG of 8 bits a pixel: grey exactly, colours from a palette of 256.

    Args:
        figure: of matplotlib, with its canvas.
        full_colour: keep 24 bits a pixel, for images that are red, green and blue themselves.
    """
    from PIL import Image

    figure.canvas.draw()
    pixels = np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    picture = Image.fromarray(pixels)
    # The frame is not quite grey: what differs by so little is drawn as grey.
    if int(np.ptp(pixels.astype(np.int16), axis=-1).max()) <= _NEARLY_GREY:
        picture = picture.convert("L")
    elif not full_colour:
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _lettered(axes: Any, letters: Letters) -> None:
    """A letter in the middle of each edge."""
    from matplotlib import patheffects

    style: dict[str, Any] = {
        "color": "white", "fontsize": 9, "transform": axes.transAxes,
        "path_effects": [patheffects.withStroke(linewidth=2.5, foreground=DARK)],
    }  # fmt: skip
    axes.text(0.02, 0.5, letters.left, ha="left", va="center", **style)
    axes.text(0.98, 0.5, letters.right, ha="right", va="center", **style)
    axes.text(0.5, 0.985, letters.top, ha="center", va="top", **style)
    axes.text(0.5, 0.015, letters.bottom, ha="center", va="bottom", **style)


def _numbered(axes: Any, scales: tuple[Axis, Axis]) -> None:
    """Numbers along the left and lower edge."""
    y, x = scales
    [shown] = axes.images
    shown.set_extent((x.first, x.last, y.first, y.last))
    axes.xaxis.set_major_locator(_ticks())
    axes.yaxis.set_major_locator(_ticks())
    axes.tick_params(colors=INK, labelsize=8, length=2, pad=2)
    axes.set_xlabel(x.label, color=INK, fontsize=8, labelpad=1)
    axes.set_ylabel(y.label, color=INK, fontsize=8, labelpad=2)


def _ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5, steps=[1, 2, 5, 10])


def _scale_bar(axes: Any, rows: int, columns: int, dy: float, dx: float) -> None:
    """A white bar of a round length, about a fifth of the width, in the lower left corner."""
    from matplotlib import patheffects

    target = 0.22 * columns * dx
    power = 10.0 ** math.floor(math.log10(target))
    length = max(m * power for m in (1, 2, 5) if m * power <= target)
    x, y = 0.04 * columns, 0.96 * rows
    edge = [patheffects.withStroke(linewidth=3.5, foreground=DARK)]
    axes.plot(
        [x, x + length / dx], [y, y], color="white", lw=2, solid_capstyle="butt", path_effects=edge
    )
    label = f"{length / 10:g} cm" if length >= 10 else f"{length:g} mm"
    axes.text(
        x + length / dx / 2,
        y - 0.012 * rows,
        label,
        color="white",
        fontsize=8,
        ha="center",
        va="bottom",
        path_effects=[patheffects.withStroke(linewidth=2, foreground=DARK)],
    )
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)


def _named_scale(panel: Panel) -> Any:
    """What the colours of an image in red, green and blue mean."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(*panel.window), colour_scale(panel.colours))
