"""Channel data of plane waves from linear arrays.

An `xarray.Dataset` with `channels` (frame, angle, element, time), real or complex, coordinates
`angle` (rad) and `element` (m), and attributes fs, fc, c, t0 (s, of the first sample, one per
angle), bandwidth (fractional).

.npz: an array `rf` (or RF, channels) with `axes` (default "angle element time", for three axes, or
"element time" for two), `fs`, `fc` (f0), `pitch`, and where known `angles` (angles_rad), `c`, `t0`
(start_time, less correction_time_shift), `bandwidth`. UFF: an object of class `uff.channel_data`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_finite, existing_file, reading
from sciddm.data_adapters.gate.npz import open_npz
from sciddm.data_adapters.hdf5 import names_in, open_hdf5, text_of
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.ultrasound.frames import SOUND_SPEED
from sciddm.errors import InputError

__all__ = ["CHANNEL_SUFFIXES", "open_channels"]

CHANNEL_SUFFIXES = (".npz", ".uff", ".h5", ".hdf5")
_AXES = ("frame", "angle", "element", "time")
_OTHER_NAMES = {
    "rf": ("RF", "channels", "channel_data"),
    "fc": ("f0", "center_frequency"),
    "fs": ("sampling_frequency",),
    "angles": ("angles_rad",),
    "t0": ("start_time", "initial_time"),
    "c": ("sound_speed",),
}
_MORE = ("axes", "pitch", "correction_time_shift", "bandwidth")
_PERCENT = 2.0  # a bandwidth above it is one in percent


@isolated
def open_channels(source: str | Path, stated: dict[str, Any] | None = None) -> xr.Dataset:
    """Opens channel data.

    Args:
        source: .npz or UFF.
        stated: what the user says of them: fs, fc, c, pitch, t0, axes.

    Raises:
        InputError: unusable; one line that names the file and what helps.
    """
    path = existing_file(source)
    given = {k: v for k, v in (stated or {}).items() if v is not None}
    if path.suffix.lower() == ".npz":
        with reading(path), open_npz(path) as file:
            known = {*_OTHER_NAMES, *(n for names in _OTHER_NAMES.values() for n in names), *_MORE}
            arrays = {name: file[name] for name in file if name in known}
        return _from_arrays(path, arrays, given)
    with reading(path), open_hdf5(path) as file:
        name = _uff_object(path, file)
    with reading(path):
        return _from_uff(path, name, given)


def _from_arrays(path: Path, arrays: dict[str, Any], given: dict[str, Any]) -> xr.Dataset:
    for name, others in _OTHER_NAMES.items():
        for other in others:
            if other in arrays and name not in arrays:
                arrays[name] = arrays[other]
    if "rf" not in arrays:
        held = ", ".join(f"{k} {np.shape(v)}" for k, v in arrays.items()) or "nothing"
        raise InputError(f"{path}: no array rf of channel data in it ({held})")
    values = arrays["rf"]
    single = {k: np.ravel(v)[0] for k, v in arrays.items() if np.size(v) == 1 and k != "rf"}
    numbers = {k: float(v) for k, v in single.items() if np.asarray(v).dtype.kind in "iuf"}
    numbers |= {k: float(v) for k, v in given.items() if k != "axes"}
    default = {2: "element time", 3: "angle element time", 4: "frame angle element time"}
    stated = given.get("axes", arrays.get("axes", default.get(values.ndim, "")))
    values = _ordered(path, values, str(stated))
    angles = np.ravel(arrays.get("angles", np.zeros(values.shape[1]))).astype(float)
    t0 = numbers.get("t0", 0.0) - numbers.get("correction_time_shift", 0.0)
    return _build(path, values, numbers, angles, t0)


def _from_uff(path: Path, name: str, given: dict[str, Any]) -> xr.Dataset:
    from pyuff_ustb import LinearArray, Uff

    made: Any = Uff(str(path)).read(name)
    if not isinstance(made.probe, LinearArray):
        kind = type(made.probe).__name__
        raise InputError(f"{path}: a probe of class {kind}: only linear arrays are beamformed")
    waves = made.sequence if isinstance(made.sequence, list) else [made.sequence]
    if any(np.isfinite(w.source.distance) for w in waves):
        raise InputError(f"{path}: focused or diverging waves: only plane waves are beamformed")
    values = np.asarray(made.data)
    values = values.reshape(*values.shape, *(1,) * (4 - values.ndim))  # time, element, wave, frame
    delays = [float(np.ravel(w.delay if w.delay is not None else 0.0)[0]) for w in waves]
    numbers = {
        "fs": float(made.sampling_frequency),
        "c": float(made.sound_speed),
        "pitch": float(made.probe.pitch),
        **{k: float(v) for k, v in given.items() if k != "axes"},
    }
    if "fc" not in numbers and made.pulse is not None:
        numbers["fc"] = float(np.ravel(made.pulse.center_frequency)[0])
    angles = np.array([float(w.source.azimuth) for w in waves])
    t0 = float(made.initial_time) - np.asarray(delays)
    return _build(path, values.transpose(3, 2, 1, 0), numbers, angles, t0)


def _build(
    path: Path,
    values: NDArray[Any],
    numbers: dict[str, float],
    angles: NDArray[np.float64],
    t0: float | NDArray[np.float64],
) -> xr.Dataset:
    for name, what in (
        ("fs", "sampling frequency"),
        ("fc", "centre frequency"),
        ("pitch", "pitch"),
    ):
        if not numbers.get(name, 0.0) > 0:
            raise InputError(f"{path}: does not say {name}, the {what}: give it with --{name}")
    if len(angles) != values.shape[1]:
        raise InputError(f"{path}: {len(angles)} angles for {values.shape[1]} transmissions")
    if np.abs(angles).max() > 1.2:
        raise InputError(f"{path}: angles up to {np.abs(angles).max():g} rad: are they degrees?")
    check_finite(path, "rf", values)
    count = values.shape[2]
    elements = (np.arange(count) - (count - 1) / 2) * numbers["pitch"]
    attrs: dict[str, object] = {k: numbers[k] for k in ("fs", "fc", "pitch")}
    bandwidth = numbers.get("bandwidth", 0.7)
    attrs |= {
        "c": numbers.get("c", SOUND_SPEED),
        "t0": np.broadcast_to(t0, angles.shape).tolist(),
        "bandwidth": bandwidth / 100 if bandwidth > _PERCENT else bandwidth,
        "source": path.name,
    }
    dtype = np.complex64 if np.iscomplexobj(values) else np.float32
    return xr.Dataset(
        {"channels": (_AXES, values.astype(dtype))},
        {
            "angle": ("angle", angles, {"units": "rad"}),
            "element": ("element", elements, {"units": "m"}),
        },
        attrs,
    )


def _ordered(path: Path, values: NDArray[Any], stated: str) -> NDArray[Any]:
    """(frame, angle, element, time)."""
    names = stated.replace(",", " ").split()
    if len(names) != values.ndim or set(names) - set(_AXES) or len(set(names)) != len(names):
        raise InputError(
            f"{path}: axes {stated!r} do not name those of the shape {values.shape}: say which "
            f"they are (--axes), of {', '.join(_AXES)}"
        )
    if not {"element", "time"} <= set(names):
        raise InputError(f"{path}: channel data need the axes element and time, not {stated!r}")
    wanted = [a for a in _AXES if a in names]
    values = values.transpose([names.index(a) for a in wanted])
    return values.reshape([values.shape[wanted.index(a)] if a in wanted else 1 for a in _AXES])


def _uff_object(path: Path, file: h5py.File) -> str:
    for name, node in file.items():
        if text_of(node.attrs.get("class", "")).endswith("channel_data"):
            return str(name)
    raise InputError(f"{path}: holds no UFF channel data, only {names_in(file)}")
