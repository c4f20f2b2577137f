"""Regions of tissue and blood that a user names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.gate.npz import open_npz
from sciddm.errors import InputError

__all__ = ["regions_of", "stated_regions"]

_BOX = re.compile(r"^(tissue|blood):(\d+)-(\d+),(\d+)-(\d+)$")

#: Name -> mask (frame or 1, depth, lateral).
Regions = dict[str, NDArray[np.bool_]]


def stated_regions(stated: Sequence[str], shape: tuple[int, int]) -> Regions:
    """Regions from the command line.

    Args:
        stated: rectangles "tissue:Z0-Z1,X0-X1" and "blood:...", samples and lines from 0, both ends
            included; or one .npz file with masks `tissue` and `blood`.
        shape: depth and lateral size of the frames.

    Raises:
        InputError: not of that form, outside the frames, or one of the two is missing.
    """
    found: Regions = {}
    for text in stated:
        if text.endswith(".npz"):
            found |= _from_file(existing_file(text), shape)
            continue
        match = _BOX.match(text.replace(" ", ""))
        if match is None:
            raise InputError(
                f"--roi {text}: give tissue:Z0-Z1,X0-X1 or blood:Z0-Z1,X0-X1 (samples, lines), or "
                "a .npz file with masks tissue and blood"
            )
        z0, z1, x0, x1 = (int(n) for n in match.groups()[1:])
        if not (z0 <= z1 < shape[0] and x0 <= x1 < shape[1]):
            raise InputError(
                f"--roi {text}: frames have {shape[0]} samples and {shape[1]} lines, from 0"
            )
        mask = found.setdefault(match[1], np.zeros((1, *shape), bool))
        mask[:, z0 : z1 + 1, x0 : x1 + 1] = True
    missing = {"tissue", "blood"} - set(found)
    if missing:
        raise InputError(f"--roi: no region of {' and '.join(sorted(missing))}: give both")
    return found


def regions_of(data: xr.Dataset) -> Regions | None:
    """The regions that a simulated scan brings along, None where there are none."""
    if "tissue_roi" not in data or "blood_roi" not in data:
        return None
    found = {name: np.asarray(data[f"{name}_roi"].values, bool) for name in ("tissue", "blood")}
    return found if all(mask.any() for mask in found.values()) else None


def _from_file(path: Path, shape: tuple[int, int]) -> Regions:
    with reading(path), open_npz(path) as file:
        held = {n: np.asarray(file[n], bool) for n in ("tissue", "blood") if n in file}
    for name, mask in held.items():
        if mask.shape[-2:] != shape or mask.ndim not in (2, 3):
            raise InputError(f"{path}: mask {name} has the shape {mask.shape}, frames {shape}")
    return {name: mask[None] if mask.ndim == 2 else mask for name, mask in held.items()}
