"""Colours of a report: scales by their names, and one image laid over another."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["colour_scale", "fused", "heat_table"]

_MATPLOTLIB = {"grey": "gray", "inverse": "gray_r", "heat": "inferno", "binary": "gray"}
#: Share of the colour where an overlay is at its largest, and the exponent of its rise.
_STRONGEST, _RISE = 0.75, 0.7


def colour_scale(name: str) -> Any:
    """The scale of matplotlib: grey, inverse, heat, binary or signed."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    if name == "signed":  # black in the middle: on a dark page nothing is to look like nothing
        signed = ["#a6d8ff", "#2c7fd0", "#0b1a2b", "#000000", "#2b1605", "#d9731a", "#ffe0b0"]
        return LinearSegmentedColormap.from_list("signed", signed)
    scale = colormaps[_MATPLOTLIB[name]]
    return scale.with_extremes(bad="#1c2229") if name == "heat" else scale


def heat_table() -> str:
    """256 colours (red, green, blue) of the heat scale in base64."""
    table = np.rint(255 * colour_scale("heat")(np.arange(256))[:, :3]).astype(np.uint8)
    return base64.b64encode(table.tobytes()).decode("ascii")


def fused(grey: NDArray[Any], share: NDArray[Any]) -> NDArray[np.float64]:
    """A grey image with another in the heat scale over it, the stronger the higher that is.

    Args:
        grey: (rows, columns) in [0, 1].
        share: (rows, columns) in [0, 1].

    Returns:
        (rows, columns, 3), red, green and blue in [0, 1].
    """
    colour = np.asarray(colour_scale("heat")(share), dtype=np.float64)[..., :3]
    weight = _STRONGEST * np.asarray(share, dtype=np.float64)[..., None] ** _RISE
    return (1 - weight) * np.asarray(grey, dtype=np.float64)[..., None] + weight * colour
