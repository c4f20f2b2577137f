"""Frames in HDF5: zea's layout, USTB's UFF, and sciddm's own.

zea    `data/beamformed_data`, `data/envelope_data` or `data/image`: see `zea`
UFF    an object of class `uff.beamformed_data` with its scan; pixels run down each line first

The sampling along depth of a beamformed image is that of its pixels, whatever the channels had.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.hdf5 import names_in, open_hdf5, read_hdf5, text_of
from sciddm.data_adapters.ultrasound.frames import SOUND_SPEED, build_frames, checked_frames
from sciddm.data_adapters.ultrasound.zea import read_zea, zea_group
from sciddm.errors import InputError

__all__ = ["KIND", "is_uff", "read_frames_hdf5"]

#: Kind of sciddm's own files of frames; results have the kind "result".
KIND = "ultrasound"


def read_frames_hdf5(source: str | Path, stated: dict[str, Any] | None = None) -> xr.Dataset:
    """Reads a file of any of the layouts above.

    Args:
        source: .h5, .hdf5 or .uff.
        stated: fs, fc, c that the file does not say.

    Raises:
        InputError: damaged, or none of these layouts.
    """
    path = existing_file(source)
    given = {k: v for k, v in (stated or {}).items() if v is not None and k in ("fs", "fc", "c")}
    with reading(path), open_hdf5(path) as file:
        own = file.attrs.get("sciddm_kind")
        if own is not None:
            # A dehazed result is read as its tissue, which is `frames` there too.
            return checked_frames(read_hdf5(path, text_of(own)).assign_attrs(given))
        group = zea_group(file)
        if group is not None:
            return read_zea(path, group, given)
        name = _uff_object(file)
        if name is None:
            raise InputError(
                f"{path}: neither zea's layout (data/beamformed_data), nor UFF, nor sciddm's; it "
                f"holds {names_in(file)}"
            )
    with reading(path):
        return _read_uff(path, name, given)


def is_uff(file: h5py.File) -> bool:
    """Whether a file holds USTB's objects."""
    return any("uff." in text_of(node.attrs.get("class", "")) for node in file.values())


def _uff_object(file: h5py.File) -> str | None:
    """The first beamformed data in a UFF file."""
    for name, node in file.items():
        if text_of(node.attrs.get("class", "")).endswith("beamformed_data"):
            return str(name)
    return None


def _read_uff(path: Path, name: str, given: dict[str, Any]) -> xr.Dataset:
    from pyuff_ustb import LinearScan, SectorScan, Uff

    made: Any = Uff(str(path)).read(name)
    scan = made.scan
    if isinstance(scan, LinearScan):
        depth, lateral, angles = np.ravel(scan.z_axis), np.ravel(scan.x_axis), False
    elif isinstance(scan, SectorScan):
        depth, lateral, angles = np.ravel(scan.depth_axis), np.ravel(scan.azimuth_axis), True
    else:
        raise InputError(f"{path}: a scan of class {type(scan).__name__}: only linear and sector")
    values = _uff_frames(path, np.asarray(made.data), len(depth), len(lateral))
    # USTB keeps the phase of the carrier out of what it calls beamformed only where it demodulates.
    fm = _positive(made.modulation_frequency)
    if np.iscomplexobj(values):
        kind, fc = ("iq", fm) if fm else ("rf", None)
        values = values if fm else np.real(values)  # an analytic signal, its carrier still in it
    else:
        kind, fc = "rf", None
    if fc is None and made.pulse is not None:
        fc = _positive(made.pulse.center_frequency)
    speed = given.get("c", SOUND_SPEED)
    return build_frames(
        path,
        values,
        kind,
        form="uff",
        depth=depth,
        lateral=lateral,
        angles=angles,
        **{"fc": fc, "c": speed, **{k: v for k, v in given.items() if k != "fs"}},
    )


def _uff_frames(path: Path, data: NDArray[Any], depth: int, lines: int) -> NDArray[Any]:
    """(frame, depth, line) from (pixel, channel, wave, frame) in either order of axes."""
    if data.ndim > 1 and data.shape[0] != depth * lines:
        data = data.transpose()
    if data.shape[0] != depth * lines:
        raise InputError(
            f"{path}: {data.shape[0]} pixels for a scan of {lines} lines and {depth} depths"
        )
    data = data.reshape(depth * lines, -1, data.shape[-1] if data.ndim == 4 else 1)
    # Channels and transmissions that were kept apart add up to the image.
    whole = data.sum(axis=1)
    out: NDArray[Any] = whole.T.reshape(-1, lines, depth).transpose(0, 2, 1)
    return out


def _positive(value: Any) -> float | None:
    if value is None:
        return None
    number = float(np.asarray(value).reshape(-1)[0])
    return number if np.isfinite(number) and number > 0 else None
