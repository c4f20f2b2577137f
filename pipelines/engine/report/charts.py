"""Curves of a report, drawn to PNG in the style of its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.pipelines.engine.report.panels import DARK, DPI, INK, compact

__all__ = ["Chart", "Curve", "draw_chart"]

_COLOURS = ("#8fb8de", "#f0a35e", "#7fc8a9", "#d98ca8")


@dataclass(frozen=True)
class Curve:
    """Values y at the places x, one finite pair at least; a band where there is an upper end."""

    label: str
    x: NDArray[Any]
    y: NDArray[Any]
    upper: NDArray[Any] | None = None


@dataclass(frozen=True)
class Chart:
    """Curves over one axis.

    Attributes:
        title: what it shows.
        curves: in the order of their colours.
        x: name and unit of the horizontal axis.
        y: name and unit of the vertical axis.
        note: a line under the chart.
        from_zero: the vertical axis begins at 0.
    """

    title: str
    curves: Sequence[Curve]
    x: str
    y: str
    note: str = ""
    from_zero: bool = False


def draw_chart(chart: Chart) -> bytes:
    """The curves with axes and legend as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4, 2.9), dpi=DPI, facecolor=DARK)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.18, 0.16, 0.79, 0.75), facecolor=DARK)
    for curve, colour in zip(chart.curves, _COLOURS * len(chart.curves), strict=False):
        known = np.isfinite(curve.x) & np.isfinite(curve.y)
        if curve.upper is not None:
            ends = curve.y[known], curve.upper[known]
            axes.fill_between(
                curve.x[known], *ends, color=colour, alpha=0.35, lw=0, label=curve.label
            )
            continue
        axes.plot(curve.x[known], curve.y[known], color=colour, lw=1.4, label=curve.label)
    axes.set_xlabel(chart.x, color=INK, fontsize=8, labelpad=2)
    axes.set_ylabel(chart.y, color=INK, fontsize=8, labelpad=2)
    axes.tick_params(colors=INK, labelsize=8, length=2, pad=2)
    axes.locator_params(nbins=5)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    axes.yaxis.get_offset_text().set(color=INK, fontsize=7)
    if chart.from_zero:
        axes.set_ylim(bottom=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")
    return compact(figure)
