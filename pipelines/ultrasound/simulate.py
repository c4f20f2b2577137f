"""Simulated scans with known tissue and known haze: for trying things out, and for honest tests."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.data_adapters.ultrasound import build_frames
from sciddm.errors import InputError
from sciddm.physics.ultrasound.waves import SAMPLES_PER_PERIOD, analytic
from sciddm.simulation.ultrasound.anatomy import VIEWS, Anatomy, draw_anatomy
from sciddm.simulation.ultrasound.echoes import (
    Clutter,
    draw_beam,
    draw_clutter,
    haze_echoes,
    tissue_echoes,
)

__all__ = ["Wanted", "simulate_scan"]

_C = 1540.0
_WIDENING = 2.0
_COARSE = 192  # rows of a map; lines as many as the scan's, 128 at most


@dataclass(frozen=True)
class Wanted:
    """A scan to simulate.

    Attributes:
        depth: samples along depth, 4 per period.
        lines: across.
        frames: of one heart beat.
        view: one of `anatomy.VIEWS`.
        kind: "rf" or "iq".
        fc: carrier, Hz.
        tissue_db: root mean square of the myocardium, dB of full scale.
        haze_db: root mean square of diffuse haze at its strongest, dB of full scale; None for a
            scan without haze.
        seed: of everything.
    """

    depth: int = 1024
    lines: int = 128
    frames: int = 1
    view: str = "four-chamber"
    kind: str = "rf"
    fc: float = 2.5e6
    tissue_db: float = -18.0
    haze_db: float | None = -24.0
    seed: int = 0


def simulate_scan(wanted: Wanted) -> tuple[xr.Dataset, xr.Dataset]:
    """(hazy, clean) scans.

    The clean one has the regions too, `blood_roi` and `tissue_roi` (frame, depth, lateral), which
    keep a beam's width from each other, and `true_haze`.

    Raises:
        InputError: an impossible size or an unknown view.
    """
    if wanted.view not in VIEWS:
        raise InputError(f"--view {wanted.view}: one of {', '.join(VIEWS)}")
    if wanted.depth < 64 or wanted.lines < 16 or wanted.frames < 1:
        raise InputError("a scan has 64 samples, 16 lines and 1 frame at least")
    shape = (wanted.depth, wanted.lines)
    setting = np.random.default_rng([wanted.seed, 0])
    beam, clutter = draw_beam(setting), draw_clutter(setting, wanted.haze_db or 0.0)
    beam = replace(beam, lines=min(beam.lines, wanted.lines / 48))
    tissue, haze, blood, muscle = [], [], [], []
    for i in range(wanted.frames):
        phase = i / max(1, wanted.frames)
        rngs = [np.random.default_rng([wanted.seed, k]) for k in (1, 2, 3)]
        anatomy = draw_anatomy(rngs[0], (_COARSE, min(128, wanted.lines)), wanted.view, phase)
        echo = _fine(anatomy.echo_db, shape, 1)
        tissue.append(tissue_echoes(echo, beam, wanted.tissue_db, rngs[1], _WIDENING))
        # Haze comes from the chest wall: it stays while the heart beats.
        haze.append(_haze(shape, beam, clutter, rngs[2], wanted))
        regions = _regions(anatomy, shape, beam.lines * math.sqrt(_WIDENING))
        blood.append(regions[0])
        muscle.append(regions[1])
    dims = ("frame", "depth", "lateral")
    clean = _dataset(np.stack(tissue), wanted)
    clean["blood_roi"] = (dims, np.stack(blood))
    clean["tissue_roi"] = (dims, np.stack(muscle))
    clean["true_haze"] = (dims, _as_kind(np.stack(haze), wanted.kind))
    clean = clean.assign_attrs(simulated=1, **_told(wanted, beam, clutter))
    hazy = _dataset(np.stack(tissue) + np.stack(haze), wanted)
    return hazy.assign_attrs(simulated=1, **_told(wanted, beam, clutter)), clean


def _haze(
    shape: tuple[int, int], beam: Any, clutter: Clutter, rng: np.random.Generator, wanted: Wanted
) -> NDArray[np.float32]:
    if wanted.haze_db is None:
        return np.zeros(shape, np.float32)
    return haze_echoes(shape, beam, clutter, rng, widening=_WIDENING)


def _fine(image: NDArray[Any], shape: tuple[int, int], order: int) -> NDArray[Any]:
    place = [np.linspace(0, n - 1, m) for n, m in zip(image.shape, shape, strict=True)]
    grid = np.meshgrid(*place, indexing="ij")
    return np.asarray(ndimage.map_coordinates(image, grid, order=order, mode="nearest"))


def _regions(
    anatomy: Anatomy, shape: tuple[int, int], lines: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Blood and tissue without the beam's width at their borders."""
    near = np.ones((9, 2 * math.ceil(lines) + 1), bool)
    both = (_fine(m.astype(np.float32), shape, 1) > 0.99 for m in (anatomy.blood, anatomy.muscle))
    first, second = (np.asarray(ndimage.binary_erosion(m, near), bool) for m in both)
    return first, second


def _dataset(rf: NDArray[np.float32], wanted: Wanted) -> xr.Dataset:
    fs = SAMPLES_PER_PERIOD * wanted.fc
    return build_frames(
        Path("simulated"),
        _as_kind(rf, wanted.kind),
        wanted.kind,
        form="simulation",
        fs=fs,
        fc=wanted.fc,
        c=_C,
        pitch=0.7 * _C / wanted.fc,
    )


def _as_kind(rf: NDArray[np.float32], kind: str) -> NDArray[Any]:
    if kind != "iq":
        return rf
    phase = np.exp(-2j * np.pi / SAMPLES_PER_PERIOD * np.arange(rf.shape[1]))
    return np.stack([analytic(f) * phase[:, None] for f in rf]).astype(np.complex64)


def _told(wanted: Wanted, beam: Any, clutter: Clutter) -> dict[str, Any]:
    return {"wanted": asdict(wanted), "beam": asdict(beam), "clutter": asdict(clutter)}
