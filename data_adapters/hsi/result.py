"""A denoised cube and its uncertainty in files.

For scene.SUFFIX: the cube itself in the format and with the metadata of any cube; scene_std.SUFFIX,
the standard deviation of every entry (float32), where there is one; scene.json, the attributes that
repeat the run. ENVI's headers may name either of their two files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import read_sidecar, sidecar
from sciddm.data_adapters.commit import commit
from sciddm.data_adapters.hsi.cube import checked_cube
from sciddm.data_adapters.hsi.files import cube_outputs, open_cube, write_cube
from sciddm.data_adapters.staging import check_outputs

__all__ = ["load_denoised", "result_outputs", "save_denoised", "std_path"]

#: Of the result but not of the cube: these lie in the .json file.
_STD_DESCRIPTION = "standard deviation of the denoised cube"


def std_path(path: str | Path) -> Path:
    """Where the standard deviation of a result lies."""
    path = Path(path)
    return path.with_name(f"{path.stem}_std{path.suffix}")


def result_outputs(path: str | Path, *, spread: bool) -> list[Path]:
    """All that `save_denoised` writes for a path, the main output first.

    Args:
        path: the suffix chooses the format.
        spread: with the standard deviation.

    Raises:
        OutputError: the suffix is not one of CUBE_SUFFIXES.
    """
    path = Path(path)
    main = cube_outputs(path)
    main = sorted(main, key=lambda p: p != path)
    return [*main, *(cube_outputs(std_path(path)) if spread else []), path.with_suffix(".json")]


def save_denoised(
    cube: xr.Dataset,
    path: str | Path,
    attrs: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Writes a result block by block: all of its files, or none.

    Args:
        cube: in the form of `cube`; with the variable `std` (band, y, x) where there is one.
        path: the suffix chooses the format.
        attrs: what repeats the run, for the .json file; the cube's own attributes go with it.
        overwrite: existing files may be replaced; a standard deviation of an earlier result goes.

    Raises:
        InputError: no cube in it.
        OutputError: an output exists, cannot be written, or its format cannot hold the data.
    """
    path = Path(path)
    held = checked_cube(cube)
    spread = "std" in held
    targets = result_outputs(path, spread=spread)
    # The name of the file of numbers is that of the new header, whatever the old one was called.
    held = held.assign_attrs(data_suffix=".img") if "data_suffix" in held.attrs else held
    check_outputs(result_outputs(path, spread=True), overwrite)
    stale = [] if spread else cube_outputs(std_path(path))  # of an earlier result that had one
    with commit(targets[::-1], overwrite, remove=stale) as at:
        write_cube(held.drop_vars("std", errors="ignore"), path, at)
        if spread:
            write_cube(_std(held), std_path(path), at)
        at[targets[-1]].write_text(sidecar(attrs, "result", sciddm.__version__), encoding="utf-8")


def load_denoised(path: str | Path) -> xr.Dataset:
    """Reads what `save_denoised` wrote, lazily.

    Returns:
        `cube`, `std` where there is one, and the attributes of the run beside those of the cube.

    Raises:
        InputError: not there or damaged.
    """
    path = Path(path)
    held = open_cube(path)
    spread = std_path(path)
    if spread.exists():
        held = held.assign(std=open_cube(spread)["cube"])
    return held.assign_attrs(read_sidecar(path.with_suffix(".json"), "result"))


def _std(held: xr.Dataset) -> xr.Dataset:
    """The standard deviation as a cube of its own, with the same place and wavelengths."""
    std = held.drop_vars(["cube", "std"]).assign(cube=held["std"].astype("float32"))
    attrs = {k: v for k, v in held.attrs.items() if k not in ("nodata", "description")}
    std.attrs = {**attrs, "description": _STD_DESCRIPTION, "nodata": float("nan")}
    std["cube"].attrs = {k: v for k, v in held["cube"].attrs.items() if k != "_FillValue"}
    return std
