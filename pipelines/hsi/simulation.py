"""`sciddm hsi simulate`: a scene as FINCH sees it, or a cube of one's own, with noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.hsi.library import read_library
from sciddm.errors import InputError
from sciddm.metrics.spectral import psnr
from sciddm.pipelines.hsi.survey import Scene, white_of
from sciddm.simulation.hsi.cases import add_case
from sciddm.simulation.hsi.pair import Wanted, simulate_pair

__all__ = ["simulated"]


def simulated(
    own: xr.Dataset | None,
    *,
    lines: int,
    samples: int,
    bands: int,
    start: float,
    stop: float,
    noise: str,
    level: float,
    library: Path | None,
    seed: int,
) -> xr.Dataset:
    """A cube with the noise of a case.

    Args:
        own: the cube to add it to, in the form of `data_adapters.hsi.cube`; a scene is made if
            None. Empty bands, gaps and pixels outside of the swath stay as they are.
        lines, samples, bands: size of the scene.
        start, stop: what its bands cover, nm.
        noise: one of `cases.CASES`.
        level: standard deviation of Gaussian noise, reflectance, or share of what is white.
        library: spectra of the scene (`read_library`); procedural ones if None.
        seed: of all random draws.

    Returns:
        `cube`, noisy; `truth`, as it was, where a scene was made; case, level and psnr_db.

    Raises:
        InputError: see `simulate_pair`; or too large for memory.
    """
    if own is None:
        check_size(Path("scene"), "the cube", (bands, lines, samples), 32)
        spectra = None if library is None else read_library(library)
        clean, noisy = simulate_pair(
            Wanted(lines, samples, bands, start, stop, noise, level, seed, spectra)
        )
        result = noisy.assign(truth=clean["cube"])
        reached = psnr(noisy["cube"].values, clean["cube"].values)
    else:
        result, reached = _with_noise(own, noise, level, seed)
    told = {"case": noise, "level": level}
    return result.assign_attrs(told | ({} if noise == "none" else {"psnr_db": reached}))


def _with_noise(own: xr.Dataset, case: str, level: float, seed: int) -> tuple[xr.Dataset, float]:
    """(the cube with noise, PSNR in units of what is white)."""
    scene = Scene(own)
    check_size(Path(scene.name), "the cube", scene.cube.shape, 32)
    values, known = scene.read(slice(None), slice(None))
    used = np.array(
        [bool(k.any()) and np.ptp(v[k]) > 0 for v, k in zip(values, known, strict=True)]
    )
    known = known & used[:, None, None] & (known & (values != 0)).any(axis=0)
    if not known.any():
        raise InputError(f"{scene.name}: no band holds a value: give another file")
    white = white_of(own, values[known], 0.0)
    unit = np.where(known, values, 0) / white
    noisy = np.array(unit)
    rng = np.random.default_rng(seed)
    noisy[used] = add_case(unit[used], case, level, rng).cube
    kind = scene.cube.dtype
    back = white * noisy
    if kind.kind != "f":
        limits = np.iinfo(kind.name)
        back = np.clip(np.rint(back), limits.min, limits.max)
    out = np.where(known, back.astype(kind), values)
    reached = psnr(noisy[used], unit[used])
    return own.assign(cube=own["cube"].copy(data=out)), float(reached)
