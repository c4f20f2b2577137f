"""Simulated echoes of tissue and of haze, as two fields whose sum a scanner would record.

Tissue: fully developed speckle, white scatterers as strong as the map says, and specular echoes
where the map rises along the beam, all through the scanner's own beam, which widens with depth.

Haze: what came back after several reflections. It is blurred by its longer way: its beam is wider,
its band narrower and lower. Three parts: diffuse clutter under a smooth map that is strongest near
the probe, layers of the chest wall that return at multiples of their depth, and the receiver's
white noise, which no model of tissue explains either. Levels are dB of full scale.

The published work on dehazing by diffusion (Stevens et al. 2024) trained its haze model on a
scanner's measurements; these are simulations in their place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sciddm.physics.ultrasound.waves import Beam, convolve
from sciddm.simulation.ultrasound.anatomy import smooth_field

__all__ = ["Clutter", "draw_beam", "draw_clutter", "haze_echoes", "tissue_echoes"]

Field = NDArray[np.float32]

_SPECULAR = 0.35  # amplitude of specular echoes per unit of relative rise
_MARGIN = (24, 12)  # samples, lines: beyond which a beam is nothing


def draw_beam(rng: np.random.Generator) -> Beam:
    """A scanner: bandwidth and width of the beam halfway down."""
    return Beam(bandwidth=float(rng.uniform(0.4, 0.85)), lines=float(rng.uniform(0.7, 2.2)))


def tissue_echoes(
    echo_db: Field, beam: Beam, level_db: float, rng: np.random.Generator, widening: float = 1.0
) -> Field:
    """RF (depth, lines), sampled at `SAMPLES_PER_PERIOD` times the carrier.

    Args:
        echo_db: scattering strength on the same grid.
        beam: halfway down.
        level_db: root mean square of the echoes where the map is 0 dB, in dB of full scale 1.
        rng: places the scatterers.
        widening: width of the beam at the bottom over that at the top.
    """
    amplitude = (10 ** ((echo_db + level_db) / 20)).astype(np.float32)
    rise = np.clip(np.diff(amplitude, axis=0, prepend=amplitude[:1]), 0, None)
    scatterers = amplitude * rng.standard_normal(amplitude.shape, dtype=np.float32)
    scatterers += _SPECULAR * SHARPEST * rise
    return _through(scatterers, beam, widening)


#: A map rises over some samples; specular echoes gather what one sample holds of it.
SHARPEST = 8.0


@dataclass(frozen=True)
class Clutter:
    """What haze a scan has.

    Attributes:
        level_db: root mean square of the diffuse part at its strongest, dB of full scale.
        decay: depth (share of the frame) over which it falls by 1/e towards its floor.
        floor_db: of the diffuse part far from the probe, about its strongest.
        patchy_db: standard deviation of its smooth variation.
        layers: (depth as a share of the frame, level dB of full scale) of layers that repeat.
        repeat_db: by how much each repeat is weaker.
        wider: its beam over that of tissue.
        narrower: its bandwidth over that of tissue.
        shift: maximum of its spectrum, in units of the carrier.
        noise_db: root mean square of the receiver's noise, dB of full scale.
    """

    level_db: float
    decay: float = 0.4
    floor_db: float = -12.0
    patchy_db: float = 5.0
    layers: tuple[tuple[float, float], ...] = ()
    repeat_db: float = 6.0
    wider: float = 2.5
    narrower: float = 0.7
    shift: float = 0.93
    noise_db: float = -55.0


def draw_clutter(rng: np.random.Generator, level_db: float | None = None) -> Clutter:
    """A haze at random; as strong as said, or anything from hardly seen to stronger than tissue."""
    level = float(rng.uniform(-48, -10)) if level_db is None else level_db
    count = int(rng.choice([0, 1, 2], p=[0.4, 0.4, 0.2]))
    return Clutter(
        level_db=level,
        decay=float(np.exp(rng.uniform(math.log(0.1), math.log(1.5)))),
        floor_db=float(rng.uniform(-20, -4)),
        patchy_db=float(rng.uniform(2, 7)),
        layers=tuple(
            (float(rng.uniform(0.03, 0.2)), level + float(rng.uniform(-3, 9))) for _ in range(count)
        ),
        repeat_db=float(rng.uniform(3, 10)),
        wider=float(rng.uniform(1.8, 3.5)),
        narrower=float(rng.uniform(0.45, 0.85)),
        shift=float(rng.uniform(0.86, 0.98)),
        noise_db=float(rng.uniform(-64, -44)),
    )


def haze_echoes(
    shape: tuple[int, int],
    beam: Beam,
    clutter: Clutter,
    rng: np.random.Generator,
    *,
    rows: tuple[float, float] = (0.0, 1.0),
    widening: float = 1.0,
) -> Field:
    """RF (depth, lines) of haze and noise.

    Args:
        shape: samples, lines.
        beam: of tissue, halfway down.
        clutter: of this scan.
        rng: places what scatters.
        rows: first and last depth of the grid, as shares of the frame.
        widening: as of `tissue_echoes`.
    """
    depth = np.linspace(*rows, shape[0], dtype=np.float32)[:, None]
    near = np.exp(-np.clip(depth, 0, None) / clutter.decay)
    floor = 10 ** (clutter.floor_db / 20)
    strength = floor + (1 - floor) * near
    scale = 0.25 / max(rows[1] - rows[0], 1e-3)  # of the smooth map, in shares of this grid
    swell = 10 ** (clutter.patchy_db * smooth_field(rng, shape, max(scale, 0.05)) / 20)
    top = 10 ** (clutter.level_db / 20)
    scatterers = top * strength * swell * rng.standard_normal(shape, dtype=np.float32)
    step = (rows[1] - rows[0]) / shape[0]
    bend = 0.004 * smooth_field(rng, (2, shape[1]), 0.5)[:1]
    for at, level in clutter.layers:
        for order in range(1, 1 + int(1 / at)):
            db = level - clutter.repeat_db * (order - 1)
            line = np.exp(-(((depth - order * (at + bend)) / (0.7 * step)) ** 2))
            sides = np.clip(1 + 0.5 * smooth_field(rng, (2, shape[1]), 0.3)[:1], 0, None)
            scatterers += (3 * 10 ** (db / 20) * line * sides).astype(np.float32)
    blurred = replace(
        beam,
        bandwidth=beam.bandwidth * clutter.narrower,
        lines=beam.lines * clutter.wider,
        shift=clutter.shift,
    )
    noise = 10 ** (clutter.noise_db / 20) * rng.standard_normal(shape, dtype=np.float32)
    echoes = _through(scatterers.astype(np.float32), blurred, widening)
    return np.asarray(echoes + noise, np.float32)


def _through(scatterers: Field, beam: Beam, widening: float) -> Field:
    """Convolution with a beam that widens with depth, between its two ends; no wrap-around."""
    padded = np.pad(scatterers, [(m, m) for m in _MARGIN])
    inner = tuple(slice(m, -m) for m in _MARGIN)
    if widening == 1.0:
        return convolve(padded, beam)[inner]
    ratio = math.sqrt(widening)
    top, bottom = (
        convolve(padded, replace(beam, lines=beam.lines * r))[inner] for r in (1 / ratio, ratio)
    )
    share = np.linspace(0, 1, len(scatterers), dtype=np.float32)[:, None]
    return np.asarray((1 - share) * top + share * bottom, np.float32)
