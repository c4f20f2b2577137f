"""Spectra under the cursor: before, estimate and its 90 % interval at every pixel of a grid.

The values are in the page as 8 bit codes with a scale for each band; 0 is a value that is absent.

    estimate       low + (high - low) (c - 1) / 254
    before         estimate + D sign(k) (k / 127)^2,    k = c - 128
    deviation      S ((c - 1) / 254)^2

The squares keep small differences fine where a few pixels of a band are far off.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPECTRA", "FlagMarks", "Spectra", "sampling_step", "spectra_block"]

SPECTRA = (Path(__file__).parent / "spectra.js").read_text(encoding="utf-8")
#: Half the width of a 90 % interval in standard deviations.
_INTERVAL = 1.645
#: Bytes of all codes as base64, pixels along the longer side of the grid, and of the picture.
_BUDGET, _SIDE, _PICTURE = 1_100_000, 64, 420


class FlagMarks(NamedTuple):
    """One bit of the quality layer."""

    title: str
    bit: int
    colour: str


@dataclass(frozen=True)
class Spectra:
    """Spectra of a scene, of which a picture is shown.

    Attributes:
        title: of the block.
        picture: (rows, columns, 3) of the whole scene, red, green and blue in [0, 1].
        lines: numbers of the lines of the grid.
        samples: numbers of the samples of the grid.
        size: lines and samples of the scene.
        before: (band, line, sample) as measured; NaN where absent.
        estimate: likewise.
        deviation: likewise, the standard deviation; None where there is none.
        flags: likewise, bits of the quality layer; None where there are none.
        marks: the bits that are marked.
        x: of each band.
        x_label: what x is, with its unit.
        y_label: what the values are, with their unit.
    """

    title: str
    picture: NDArray[Any]
    lines: NDArray[np.intp]
    samples: NDArray[np.intp]
    size: tuple[int, int]
    before: NDArray[Any]
    estimate: NDArray[Any]
    x: NDArray[Any]
    x_label: str
    y_label: str
    deviation: NDArray[Any] | None = None
    flags: NDArray[Any] | None = None
    marks: Sequence[FlagMarks] = ()


def sampling_step(lines: int, samples: int) -> int:
    """Pixels from one spectrum to the next, of a scene of this size."""
    return max(1, math.ceil(max(lines, samples) / _SIDE))


def spectra_block(spectra: Spectra) -> str:
    """The block as HTML; hidden until the script has read it."""
    every = 1
    while True:
        code = _Coded(spectra, every)
        if code.bytes <= _BUDGET or code.shape[1] * code.shape[2] <= 4:
            break
        every += 1
    bands = len(spectra.x)
    about = {
        "shape": code.shape, "lines": code.lines, "samples": code.samples,
        "size": spectra.size, "x": _rounded(spectra.x), "xLabel": spectra.x_label,
        "yLabel": spectra.y_label, "interval": _INTERVAL, "scales": code.scales,
        "sheets": [name for name, _ in code.sheets],
        "marks": [mark._asdict() for mark in spectra.marks],
    }  # fmt: skip
    images = "".join(
        f'<img alt="" hidden data-sheet src="data:image/png;base64,{sheet}">'
        for _, sheet in code.sheets
    )
    apart = int(code.lines[1] - code.lines[0]) if len(code.lines) > 1 else 1
    part = f" One pixel of {apart} in each direction." if apart > 1 else ""
    note = (
        f"Move over the picture, or take the arrows, to choose a pixel.{part} {bands} bands. "
        "The files hold the exact values."
    )
    title = escape(spectra.title)
    return (
        f'<section class="spectra" hidden data-spectra="{escape(json.dumps(about))}">'
        f"<h2>{title}</h2>{images}"
        f'<div class="pair"><div class="stage" tabindex="0" role="group" '
        f'aria-label="{title}: the arrows choose a pixel">'
        f'<img alt="The scene in colours" src="data:image/jpeg;base64,{_jpeg(spectra.picture)}">'
        '<div class="cross row"></div><div class="cross column"></div></div>'
        '<div class="chart"><canvas role="img"></canvas></div></div>'
        '<div class="controls"></div><output aria-live="polite"></output>'
        f"<p>{escape(note)}</p></section>"
    )


class _Coded:
    """All codes of a coarser grid."""

    def __init__(self, spectra: Spectra, every: int) -> None:
        grid = (slice(None), slice(None, None, every), slice(None, None, every))
        estimate = np.asarray(spectra.estimate[grid], np.float64)
        before = np.asarray(spectra.before[grid], np.float64)
        self.shape = estimate.shape
        self.lines = [int(v) for v in spectra.lines[::every]]
        self.samples = [int(v) for v in spectra.samples[::every]]
        low, high = _ends(estimate)
        share = (estimate - low[:, None, None]) / (high - low)[:, None, None]
        codes = _levels(1 + 254 * share, np.isfinite(estimate))
        # The difference is taken from what the page shows, so that errors do not add up.
        decoded = low[:, None, None] + (high - low)[:, None, None] * (codes - 1.0) / 254
        away = before - decoded
        most = np.nanmax(np.abs(away), axis=(1, 2), initial=0, where=np.isfinite(away))
        most = np.where(most > 0, most, 1.0)
        root = np.sqrt(np.abs(away) / most[:, None, None]) * np.sign(away)
        layers = {"estimate": codes, "before": _levels(128 + 127 * root, np.isfinite(away))}
        self.scales: dict[str, list[float]] = {
            "low": _rounded(low), "high": _rounded(high), "away": _rounded(most)
        }  # fmt: skip
        if spectra.deviation is not None:
            deviation = np.asarray(spectra.deviation[grid], np.float64)
            finite = np.isfinite(deviation)
            top = np.nanmax(deviation, axis=(1, 2), initial=0, where=finite)
            top = np.where(top > 0, top, 1.0)
            root = np.sqrt(np.clip(deviation, 0, None) / top[:, None, None])
            layers["deviation"] = _levels(1 + 254 * root, finite)
            self.scales["deviation"] = _rounded(top)
        if spectra.flags is not None and spectra.marks:
            layers["flags"] = np.asarray(spectra.flags[grid], np.uint8)
        self.sheets = [(name, _sheet(values)) for name, values in layers.items()]
        self.bytes = sum(len(sheet) for _, sheet in self.sheets)


def _ends(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and largest finite value of each band, never equal."""
    finite = np.isfinite(values)
    low = np.min(values, axis=(1, 2), initial=np.inf, where=finite)
    high = np.max(values, axis=(1, 2), initial=-np.inf, where=finite)
    low, high = (np.where(np.isfinite(v), v, d) for v, d in ((low, 0.0), (high, 1.0)))
    return low, np.where(high > low, high, low + np.maximum(np.abs(low), 1.0) * 1e-6)


def _levels(values: NDArray[np.float64], present: NDArray[np.bool_]) -> NDArray[np.uint8]:
    codes = np.rint(np.clip(np.where(present, values, 0), 1, 255))
    return np.where(present, codes, 0).astype(np.uint8)


def _sheet(codes: NDArray[np.uint8]) -> str:
    """A picture with a row for each band."""
    from PIL import Image

    buffer = io.BytesIO()
    flat = np.ascontiguousarray(codes.reshape(len(codes), -1))
    Image.fromarray(flat).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _jpeg(picture: NDArray[Any]) -> str:
    from PIL import Image

    image = Image.fromarray(np.rint(255 * np.clip(np.nan_to_num(picture), 0, 1)).astype(np.uint8))
    factor = _PICTURE / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    smooth = Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST
    buffer = io.BytesIO()
    image.resize(size, smooth).save(buffer, "JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _rounded(values: NDArray[Any]) -> list[float]:
    return [float(f"{float(v):.6g}") for v in values]
