"""Frames in zea's HDF5 layouts.

    data/beamformed_data (frame, z, x, channel: 1 RF, 2 IQ), data/envelope_data, data/image

Each is an array, or a group with `values`, `coordinates` (x, y, z of every pixel, m; with or
without the axis of frames) and, of images, `min` and `max`. Earlier files call the image `image_sc`
where it is scan converted. `scan/` holds frequencies and the speed of sound. Files of several
tracks hold the same in `tracks/track_0`; the first track is read.

Images are uint8 from 0 to 255, or floats in dB up to 0, or floats whose range `min` and `max`
declare. Other floats are refused: what they span is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.hdf5 import dataset_at, names_in, read_array
from sciddm.data_adapters.ultrasound.frames import build_frames
from sciddm.data_adapters.ultrasound.sector import image_region
from sciddm.errors import InputError

__all__ = ["read_zea", "scalar_of", "zea_group"]

_KINDS = {
    "beamformed_data": "rf",
    "envelope_data": "envelope",
    "image": "bmode",
    "image_sc": "bmode",
}
_RANGE_DB = 60.0
_STRAIGHT = 0.02  # of a step: how far rows of a rectangular grid may be from straight


def zea_group(file: h5py.File) -> h5py.Group | None:
    """The group with `data` and `scan`: the file, or its first track; None of other layouts."""
    if isinstance(file.get("data"), h5py.Group):
        return file
    tracks = file.get("tracks")
    if isinstance(tracks, h5py.Group):
        for name in sorted(tracks):
            track = tracks[name]
            if isinstance(track, h5py.Group) and isinstance(track.get("data"), h5py.Group):
                return track
    return None


def read_zea(path: Path, group: h5py.Group, stated: Mapping[str, Any]) -> xr.Dataset:
    """The first of beamformed data, envelopes and images that a file holds.

    Args:
        path: the file, for messages.
        group: as of `zea_group`.
        stated: fs, fc, c that the file does not say.

    Raises:
        InputError: none of them, volumes, or images whose range is unknown.
    """
    data = group["data"]
    if not isinstance(data, h5py.Group):
        raise InputError(f"{path}: data is no group: export it again")
    name = next((n for n in _KINDS if n in data), None)
    if name is None:
        raise InputError(
            f"{path}: holds no beamformed_data, envelope_data or image, only {names_in(data)}: "
            "beamform it first"
        )
    node, places = data[name], None
    bounds: tuple[float | None, float | None] = (None, None)
    if isinstance(node, h5py.Group):
        places = dataset_at(node, "coordinates") if "coordinates" in node else None
        bounds = (_plain(node, "min"), _plain(node, "max"))
        if "values" not in node:
            raise InputError(f"{path}: data/{name} holds no values, only {names_in(node)}")
        node = node["values"]
    values = read_array(node, path)
    kind = _KINDS[name]
    if kind == "rf":
        if values.ndim != 4 or values.shape[-1] not in (1, 2):
            raise InputError(
                f"{path}: {name} needs the axes (frame, z, x, 1 or 2), not {values.shape}: "
                "volumes are not supported"
            )
        kind = "rf" if values.shape[-1] == 1 else "iq"
        values = values[..., 0] if kind == "rf" else values[..., 0] + 1j * values[..., 1]
    elif values.ndim == 4:
        if 1 not in values.shape[2:]:
            raise InputError(f"{path}: {name} has the shape {values.shape}: give planes")
        values = values.reshape(*values.shape[:2], max(values.shape[2:]))
    attrs: dict[str, Any] = {}
    mask = None
    if kind == "bmode":
        values, attrs["dynamic_range_db"] = _grey(path, name, values, bounds)
        mask = image_region(values)
    scan = group.get("scan", {})
    numbers = {
        "fs": scalar_of(scan, "sampling_frequency"),
        "fc": scalar_of(scan, "demodulation_frequency" if kind == "iq" else "center_frequency"),
        "c": scalar_of(scan, "sound_speed"),
    }
    numbers["fc"] = numbers["fc"] or scalar_of(scan, "center_frequency")
    place: dict[str, Any] = {}
    if places is not None:
        grid = read_array(places, path)
        values, mask, place = _placed(path, values, mask, grid)
        numbers["fs"] = None
    return build_frames(
        path,
        values,
        kind,
        form="zea",
        mask=mask,
        attrs={**attrs, **place.pop("attrs", {})},
        **place,
        **{**numbers, **stated},
    )


def _grey(
    path: Path, name: str, values: NDArray[Any], bounds: tuple[float | None, float | None]
) -> tuple[NDArray[np.float32], float]:
    """(0..1, dynamic range in dB)."""
    low, high = bounds
    if values.dtype == np.uint8:
        return (values / np.float32(255)).astype(np.float32), _RANGE_DB
    values = values.astype(np.float32)
    finite = values[np.isfinite(values)]
    if low is not None and high is not None and high > low:
        shown = np.clip((np.nan_to_num(values, neginf=low) - low) / (high - low), 0, 1)
        return shown.astype(np.float32), high - low if high <= 0 else _RANGE_DB
    if finite.size and finite.max() <= 0 and finite.min() < 0:  # dB, 0 the brightest
        return np.clip(values / _RANGE_DB + 1, 0, 1).astype(np.float32), _RANGE_DB
    top = float(finite.max()) if finite.size else 0.0
    raise InputError(
        f"{path}: data/{name} holds floats up to {top:g} whose range is not declared: write "
        f"data/{name}/min and data/{name}/max, dB up to 0, or uint8"
    )


def _placed(
    path: Path, values: NDArray[Any], mask: NDArray[np.bool_] | None, grid: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, dict[str, Any]]:
    """Values with depth along axis 1, their mask, and the axes of the grid.

    A grid is rectangular, with z along one axis and x along the other; or lines from one apex, at
    angles.
    """
    grid = grid[0] if grid.ndim == 4 else grid
    if grid.ndim != 3 or grid.shape[-1] != 3 or grid.shape[:2] != values.shape[1:3]:
        raise InputError(
            f"{path}: coordinates of the shape {grid.shape} for frames of {values.shape[1:]}"
        )
    x, z = grid[..., 0].astype(float), grid[..., 2].astype(float)
    if np.ptp(z[:, 0]) < np.ptp(z[0]):  # depth runs along the second axis
        values, x, z = values.swapaxes(1, 2), x.T, z.T
        mask = None if mask is None else mask.T
    middle = z.shape[1] // 2
    rows = max(abs(float(np.diff(z[:, middle]).mean())), 1e-12) if len(z) > 1 else 1.0
    if float(np.ptp(z, axis=1).max()) < _STRAIGHT * rows + 1e-9:
        return values, mask, {"depth": z[:, middle], "lateral": x[len(x) // 2]}
    angles = np.arctan2(x[-1] - x[0], z[-1] - z[0])
    steps = np.hypot(np.diff(x, axis=0), np.diff(z, axis=0))
    if float(np.ptp(steps)) > 0.02 * float(steps.mean()):
        raise InputError(f"{path}: coordinates of no rectangular grid and of no sector: resample")
    away = steps.mean() * np.arange(len(z))
    # Lines of an apex: their first samples lie at its radius.
    spread = np.ptp(np.sin(angles))
    radius = float(np.ptp(x[0]) / spread) if spread > 0 else 0.0
    return (
        values,
        mask,
        {
            "depth": radius + away,
            "lateral": angles,
            "angles": True,
            "attrs": {"apex_m": radius},
        },
    )


def scalar_of(group: Any, name: str) -> float | None:
    """A positive number of a group, None where it is not there."""
    number = _plain(group, name)
    return number if number is not None and number > 0 else None


def _plain(group: Any, name: str) -> float | None:
    if name not in group:
        return None
    number = float(np.asarray(group[name][()]).reshape(-1)[0])
    return number if np.isfinite(number) else None
