"""A denoised cube and its uncertainty in files.

For scene.SUFFIX: the cube itself in the format and with the metadata of any cube; scene_std.SUFFIX,
the standard deviation of every entry (float32), where there is one; scene_flags.SUFFIX, the quality
layer (uint8, `physics.spectral.flags`); scene.json, the attributes that repeat the run. ENVI's
headers may name either of their two files.

A simulated scene is a cube, and the same without noise beside it as scene_truth.SUFFIX.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import read_sidecar, sidecar
from sciddm.data_adapters.commit import commit
from sciddm.data_adapters.hsi.cube import checked_cube
from sciddm.data_adapters.hsi.files import cube_outputs, open_cube, write_cube
from sciddm.data_adapters.hsi.ortho import warn_of_place
from sciddm.data_adapters.staging import check_outputs
from sciddm.physics.spectral.flags import MEANINGS, Flag

__all__ = [
    "flags_path",
    "load_denoised",
    "result_outputs",
    "save_denoised",
    "simulation_outputs",
    "std_path",
    "write_result",
    "write_simulation",
]

#: Attributes of a simulation that are no attributes of its cube.
_RUN = (
    *("case", "level", "psnr_db", "command", "request", "seconds", "date", "versions"),
    *("input", "input_sha256"),
)
_DESCRIPTIONS = {
    "std": "standard deviation of the denoised cube",
    "flags": "quality flags: "
    + "; ".join(f"{int(flag)} {str(flag.name).lower()}" for flag in MEANINGS),
}


def std_path(path: str | Path) -> Path:
    """Where the standard deviation of a result lies."""
    return _beside(Path(path), "std")


def flags_path(path: str | Path) -> Path:
    """Where the quality layer of a result lies."""
    return _beside(Path(path), "flags")


def result_outputs(path: str | Path, *, spread: bool) -> list[Path]:
    """All that `save_denoised` writes for a path: the main output first, the JSON file last.

    Args:
        path: the suffix chooses the format.
        spread: with the standard deviation.

    Raises:
        OutputError: the suffix is not one of CUBE_SUFFIXES.
    """
    path = Path(path)
    main = sorted(cube_outputs(path), key=lambda p: p != path)
    std = cube_outputs(std_path(path)) if spread else []
    return [*main, *std, *cube_outputs(flags_path(path)), path.with_suffix(".json")]


def write_result(result: xr.Dataset, path: Path, at: Mapping[Path, Path]) -> None:
    """Writes a result block by block.

    Args:
        result: `cube` and, where there are such, `std` and `flags` (band, y, x). Of its attributes
            those that `scene_attributes` names belong to the cube, the others to the JSON file.
        path: the main output; the suffix chooses the format.
        at: from each of `result_outputs` to where it is written.
    """
    warn_of_place(result, path)
    own = set(result.attrs.get("scene_attributes", ()))
    about = {k: v for k, v in result.attrs.items() if k not in own | {"scene_attributes"}}
    about["source"] = result.attrs.get("source")
    held = checked_cube(result).assign_attrs({})
    held.attrs = {k: v for k, v in result.attrs.items() if k in own}
    # The name of the file of numbers is that of the new header, whatever the old one was called.
    held = held.assign_attrs(data_suffix=".img") if "data_suffix" in held.attrs else held
    bare = held.drop_vars([n for n in ("std", "flags", "noisy") if n in held])
    write_cube(bare, path, at)
    for name, place in (("std", std_path(path)), ("flags", flags_path(path))):
        if name in held:
            write_cube(_layer(held, name), place, at)
    text = sidecar(about, "result", sciddm.__version__)
    at[path.with_suffix(".json")].write_text(text, encoding="utf-8")


def simulation_outputs(path: Path, *, scene: object = None) -> list[Path]:
    """All that `write_simulation` writes for a path, the main output first.

    Args:
        path: the suffix chooses the format.
        scene: the cube that noise was added to: then no truth is written.
    """
    main = sorted(cube_outputs(path), key=lambda p: p != path)
    return main if scene is not None else [*main, *cube_outputs(_beside(path, "truth"))]


def write_simulation(result: xr.Dataset, path: Path, at: Mapping[Path, Path]) -> None:
    """Writes a cube to which noise was added.

    Args:
        result: `cube`, and `truth` where there is one, of which the attributes of the run stay
            away: a simulated cube is an input as any other.
        path: the main output.
        at: from each of `simulation_outputs` to where it is written.
    """
    attrs = {k: v for k, v in result.attrs.items() if k not in _RUN}
    cube = result.copy()
    cube.attrs = dict(attrs)  # of this copy alone
    if "truth" in cube:
        truth = cube.assign(cube=cube["truth"]).drop_vars("truth")
        write_cube(truth, _beside(path, "truth"), at)
        cube = cube.drop_vars("truth")
    write_cube(cube, path, at)


def save_denoised(result: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes a result: all of its files, or none.

    Args:
        result: see `write_result`.
        path: the suffix chooses the format.
        overwrite: existing files may be replaced; a standard deviation of an earlier result goes.

    Raises:
        InputError: no cube in it.
        OutputError: an output exists, cannot be written, or its format cannot hold the data.
    """
    path = Path(path)
    targets = result_outputs(path, spread="std" in result)
    stale = [p for p in result_outputs(path, spread=True) if p not in targets and p.exists()]
    check_outputs([*targets, *stale], overwrite)
    with commit(targets[::-1], overwrite, remove=stale) as at:
        write_result(result, path, at)


def load_denoised(path: str | Path) -> xr.Dataset:
    """Reads what `save_denoised` wrote, lazily.

    Returns:
        `cube`, `std` and `flags` where there are such, and the attributes of the run beside those
        of the cube.

    Raises:
        InputError: not there or damaged.
    """
    path = Path(path)
    held = open_cube(path)
    for name, place in (("std", std_path(path)), ("flags", flags_path(path))):
        if place.exists():
            held = held.assign({name: open_cube(place)["cube"]})
    return held.assign_attrs(read_sidecar(path.with_suffix(".json"), "result"))


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}_{name}{path.suffix}")


def _layer(held: xr.Dataset, name: str) -> xr.Dataset:
    """The standard deviation or the flags as a cube of its own, of the same place and bands."""
    kind = np.dtype(np.float32 if name == "std" else np.uint8)
    layer = held.drop_vars([n for n in ("cube", "std", "flags", "noisy") if n in held])
    packing = ("offset",) if name == "std" else ("gain", "offset")
    layer = layer.assign(cube=held[name].astype(kind))
    layer = layer.drop_vars([n for n in packing if n in layer.coords])
    attrs = {k: v for k, v in held.attrs.items() if k not in ("nodata", "description")}
    layer.attrs = {**attrs, "description": _DESCRIPTIONS[name]}
    # A standard deviation scales with the cube but has no offset; flags do neither.
    away = {"_FillValue", "emit_dtype", "add_offset", "valid_range", "standard_name", "long_name"}
    away |= {"units", "scale_factor"} if name == "flags" else set()
    layer["cube"].attrs = {k: v for k, v in held["cube"].attrs.items() if k not in away}
    if name == "std":
        layer.attrs["nodata"] = float("nan")
    else:
        layer["cube"].attrs |= {
            "flag_masks": [int(flag) for flag in Flag],
            "flag_meanings": " ".join(str(flag.name).lower() for flag in Flag),
        }
    return layer
