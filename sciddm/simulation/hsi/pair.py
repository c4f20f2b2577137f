"""A scene as FINCH sees it, without noise and with the noise of a case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciddm.errors import InputError
from sciddm.simulation.hsi.cases import add_case
from sciddm.simulation.hsi.scene import Library, bundled_library, finch_sensor, simulate_scene

__all__ = ["Wanted", "simulate_pair"]


@dataclass(frozen=True)
class Wanted:
    """A scene to make.

    Attributes:
        lines, samples, bands: its size.
        start_nm, stop_nm: what the bands cover.
        case: of noise; see CASES.
        level: standard deviation of Gaussian noise, reflectance.
        seed: of all that is random.
        library: spectra to use; procedural ones if None.
    """

    lines: int = 256
    samples: int = 256
    bands: int = 80
    start_nm: float = 900.0
    stop_nm: float = 1700.0
    case: str = "finch"
    level: float = 0.02
    seed: int = 0
    library: Library | None = None


def simulate_pair(wanted: Wanted) -> tuple[xr.Dataset, xr.Dataset]:
    """(clean, noisy) scene: `cube` (band, y, x), reflectance, with wavelengths.

    Raises:
        InputError: impossible sizes, or bands that the spectra do not cover.
    """
    if min(wanted.lines, wanted.samples) < 1 or wanted.bands < 1:
        raise InputError("a scene has at least one line, sample and band: give other numbers")
    if not 0 < wanted.start_nm < wanted.stop_nm:
        raise InputError(
            f"bands from {wanted.start_nm:g} to {wanted.stop_nm:g} nm: give the shorter first"
        )
    if wanted.case == "mixture" and wanted.bands < 3:
        raise InputError("the case mixture needs 3 bands or more")
    if not 0 <= wanted.level < np.inf:
        raise InputError(f"noise of the level {wanted.level:g}: give 0 or more")
    shape = (wanted.bands, wanted.lines, wanted.samples)
    scene_rng, noise_rng = np.random.default_rng(wanted.seed).spawn(2)
    clean = simulate_scene(
        wanted.library or bundled_library(),
        shape[1:],
        scene_rng,
        sensor=finch_sensor(wanted.bands, wanted.start_nm, wanted.stop_nm),
    )
    noisy, _ = add_case(clean["cube"].values, wanted.case, wanted.level, noise_rng)
    about = f"simulated scene of seed {wanted.seed}"
    clean = clean.assign_attrs(description=about)
    held = clean.assign(cube=clean["cube"].copy(data=noisy.astype(np.float32)))
    told = f"{about}, noise: {wanted.case}, level {wanted.level:g}"
    return clean, held.assign_attrs(description=told)
