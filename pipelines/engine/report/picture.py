"""A small picture of a report: the first images of its first section side by side."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.pipelines.engine.report.colours import colour_scale
from sciddm.pipelines.engine.report.page import Report
from sciddm.pipelines.engine.report.panels import Panel

__all__ = ["picture"]

_HEIGHT, _WIDEST, _PANELS = 88, 132, 2


def picture(report: Report) -> bytes | None:
    """A JPEG of 88 rows: what the page shows first, in the same windows and orientation.

    Returns:
        None for a report without images.
    """
    from PIL import Image

    panels = [
        [p for p in section.panels if isinstance(p, Panel) and p.image.size]
        for section in report.sections
    ]
    chosen = next((some[:_PANELS] for some in panels if some), None)
    if chosen is None:
        return None
    tiles = [_tile(panel) for panel in chosen]
    whole = Image.new("RGB", (sum(t.width for t in tiles) + 2 * (len(tiles) - 1), _HEIGHT))
    at = 0
    for tile in tiles:
        whole.paste(tile, (at, 0))
        at += tile.width + 2
    content = io.BytesIO()
    whole.save(content, "JPEG", quality=75)
    return content.getvalue()


def _tile(panel: Panel) -> Any:
    from PIL import Image

    rows, columns = panel.image.shape[:2]
    dy, dx = panel.pixel_mm if panel.pixel_mm is not None else (1.0, 1.0)
    ratio = columns * dx / (rows * dy) if panel.scales is None else 1.5
    ratio = ratio if np.isfinite(ratio) and ratio > 0 else columns / rows
    width = int(np.clip(round(_HEIGHT * ratio), 16, _WIDEST))
    image = Image.fromarray(_colours(panel)).resize((width, _HEIGHT), Image.Resampling.BOX)
    return image


def _colours(panel: Panel) -> NDArray[np.uint8]:
    """Red, green and blue of a panel, as on its page."""
    image = np.asarray(panel.image, dtype=np.float64)
    if image.ndim == 3:
        return np.rint(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
    low, high = panel.window
    level = np.clip((np.nan_to_num(image, nan=low) - low) / ((high - low) or 1.0), 0, 1)
    colours = np.asarray(colour_scale(panel.colours)(level), dtype=np.float64)[..., :3]
    return np.rint(255 * colours).astype(np.uint8)
