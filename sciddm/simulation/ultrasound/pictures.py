"""Simulated B-mode pictures with and without haze, as scanners of many kinds show them.

    echoes -> envelope -> grid of the screen -> 20 log10 -> filter -> compression curve -> 8 bit

Every stage is drawn: samples and lines of the scan, a linear or a sector grid, the noise of the
receiver under a gain over depth, a smoothing or median filter, the dynamic range, the gain and the
exponent of the compression curve,

    v = clip(1 + (L - g) / R, 0, 1)^e

with L the level in dB. Tissue and noise are the same in both pictures of a pair;
only one of them has haze. The curve is drawn apart from the scene (`Curve`): it costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.physics.ultrasound.scan_conversion import picture_grid, to_picture
from sciddm.physics.ultrasound.waves import envelope
from sciddm.simulation.ultrasound.anatomy import VIEWS, draw_anatomy
from sciddm.simulation.ultrasound.echoes import (
    draw_beam,
    draw_clutter,
    haze_echoes,
    tissue_echoes,
)

__all__ = ["Curve", "Scene", "draw_curve", "draw_scene"]

_DEPTH_M = 0.15
_TISSUE_DB = -18.0
_FLOOR_DB = -140.0  # of amplitudes that vanish

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A pair of pictures before the compression curve.

    Levels are dB of the amplitude that 0.2 % of the hazy picture exceed; a `Curve` of them gives
    grey values, 0 outside the image.

    Attributes:
        hazy_db, clean_db: (y, x) levels; equal without haze.
        mask: (y, x), where the image is.
        top_db: level that 0.1 % of the hazy picture exceed.
        haze_db: root mean square of the haze at its strongest, dB of full scale; None without.
        view: of the anatomy.
    """

    hazy_db: Field
    clean_db: Field
    mask: NDArray[np.bool_]
    top_db: float
    haze_db: float | None
    view: str


@dataclass(frozen=True)
class Curve:
    """Gain and compression of a scanner's screen.

    Attributes:
        range_db: R, from black to white.
        gain_db: -g; positive values saturate the brightest echoes.
        exponent: e, 1 for grey values that are linear in dB.
    """

    range_db: float = 60.0
    gain_db: float = 0.0
    exponent: float = 1.0

    def __call__(self, level_db: NDArray[np.floating]) -> Field:
        """Grey values, 0 to 1, in steps of 1/255."""
        linear = np.clip(1 + (level_db + self.gain_db) / self.range_db, 0, 1)
        out: Field = (np.round(255 * linear**self.exponent) / 255).astype(np.float32)
        return out


def draw_curve(rng: np.random.Generator) -> Curve:
    """A screen at random."""
    return Curve(
        range_db=float(rng.uniform(45, 80)),
        gain_db=float(rng.uniform(-8, 6)),
        exponent=float(np.exp(rng.uniform(-0.35, 0.5))),
    )


def draw_scene(
    rng: np.random.Generator,
    haze_db: float | None,
    views: Sequence[str] = VIEWS,
) -> Scene:
    """A scan of one of the views on a screen at random.

    Args:
        rng: decides everything else.
        haze_db: root mean square of the haze at its strongest, dB of full scale, where tissue has
            -18 dB; None for a pair without haze.
        views: of `anatomy.VIEWS`, drawn from.
    """
    samples, lines = int(rng.integers(500, 1400)), int(rng.integers(96, 220))
    view = str(rng.choice(list(views)))
    coarse = draw_anatomy(rng, (192, min(128, lines)), view).echo_db
    echo_db = _at(coarse, samples, lines)
    beam, widening = draw_beam(rng), float(rng.uniform(1, 2.2))
    rf = tissue_echoes(echo_db, beam, _TISSUE_DB, rng, widening)
    # What a gain over depth makes of the receiver's noise.
    depth = np.linspace(0, 1, samples, dtype=np.float32)[:, None]
    noise = 10 ** (float(rng.uniform(-75, -48)) / 20) * depth ** float(rng.uniform(0.3, 3))
    rf = np.asarray(rf + noise * rng.standard_normal(rf.shape, dtype=np.float32), np.float32)
    screen = _draw_screen(rng, samples, lines)
    clean_db, mask = screen(rf)
    hazy_db = clean_db
    if haze_db is not None:
        clutter = replace(draw_clutter(rng, haze_db), noise_db=_FLOOR_DB)
        hazy_db, _ = screen(rf + haze_echoes(rf.shape, beam, clutter, rng, widening=widening))
    white, top = (float(p) for p in np.percentile(hazy_db[mask], (99.8, 99.9)))
    return Scene(hazy_db - white, clean_db - white, mask, top - white, haze_db, view)


@dataclass(frozen=True)
class _Screen:
    """From echoes to log-compressed amplitude on the pixels of a screen."""

    rows: int
    columns: int
    half_angle: float | None  # of a sector, rad; None for parallel lines
    apex_m: float
    smooth: float  # pixels; 0 for none
    median: bool

    def __call__(self, rf: Field) -> tuple[Field, NDArray[np.bool_]]:
        """(dB, mask), each (y, x)."""
        amplitude = envelope(rf)
        samples, lines = amplitude.shape
        if self.half_angle is None:
            blur = 0.35 * max(samples / self.rows - 1, 0)
            image = _at(ndimage.gaussian_filter(amplitude, (blur, 0)), self.rows, self.columns)
        else:
            depth = np.linspace(0, _DEPTH_M, samples)
            angles = np.linspace(-self.half_angle, self.half_angle, lines)
            z, x = picture_grid(depth, angles, self.apex_m, _DEPTH_M / self.rows)
            image = to_picture(amplitude, depth, angles, self.apex_m, z, x)
        mask = np.isfinite(image)
        floor = 10 ** (_FLOOR_DB / 20)
        level_db = 20 * np.log10(np.maximum(np.nan_to_num(image), floor))
        if self.smooth:
            level_db = ndimage.gaussian_filter(level_db, self.smooth)
        elif self.median:
            level_db = ndimage.median_filter(level_db, 3)
        return np.where(mask, level_db, _FLOOR_DB).astype(np.float32), mask


def _draw_screen(rng: np.random.Generator, samples: int, lines: int) -> _Screen:
    rows = int(rng.integers(220, 560))
    sector = rng.random() < 0.6
    kind = rng.random()
    return _Screen(
        rows=rows,
        columns=int(rows * rng.uniform(0.6, 1.2)),
        half_angle=float(rng.uniform(0.4, 0.8)) if sector else None,
        apex_m=float(rng.choice([0.002, 0.01, 0.04])),
        smooth=float(rng.uniform(0.4, 0.9)) if kind < 0.3 else 0.0,
        median=bool(0.3 <= kind < 0.45),
    )


def _at(image: NDArray[np.floating], rows: int, columns: int) -> Field:
    """Linear interpolation on a grid of this size."""
    places = [np.linspace(0, n - 1, m) for n, m in zip(image.shape, (rows, columns), strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    values = ndimage.map_coordinates(image.astype(np.float32), grid, order=1, mode="nearest")
    return np.asarray(values, np.float32)
