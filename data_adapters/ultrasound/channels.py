"""Channel data of arrays on a line, and the waves that were transmitted.

An `xarray.Dataset` with `channels` (frame, wave, element, time), real or complex, the coordinates

    element     m
    t0          (wave), s, time of the first sample
    angle, distance, delay, origin_z, origin_x, first, last     (wave), a `TransmitWave` each

and the attributes fs, fc, c, pitch, bandwidth (fractional), source. Time 0 is that of the delays.

.npz    an array `rf` (or RF, channels) with `axes` (default "wave element time" for three axes,
        "element time" for two; "angle" is another word for wave), `fs`, `fc` (f0), `pitch` or
        `elements`, and where known `delays` (wave, element; s; also t0_delays, TXdelay; NaN for
        elements that do not fire), or `angles` (angles_rad) with `focus` (m; negative for sources
        behind the probe, 0 or infinite for plane waves), `c`, `t0` (start_time, initial_times, less
        correction_time_shift), `bandwidth`
UFF     an object of class `uff.channel_data` of a linear array
zea     `data/raw_data` (frame, wave, time, element, 1 or 2) with `scan/`, as it is or in
        `tracks/track_0`
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_finite, existing_file, reading
from sciddm.data_adapters.gate.npz import open_npz
from sciddm.data_adapters.hdf5 import names_in, open_hdf5, read_array, text_of
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.ultrasound.frames import SOUND_SPEED
from sciddm.data_adapters.ultrasound.zea import zea_group
from sciddm.errors import InputError
from sciddm.physics.transmit_wave import TransmitWave

__all__ = ["CHANNEL_SUFFIXES", "open_channels", "waves_of"]

CHANNEL_SUFFIXES = (".npz", ".uff", ".h5", ".hdf5")
_AXES = ("frame", "wave", "element", "time")
_OTHER_NAMES = {
    "rf": ("RF", "channels", "channel_data"),
    "fc": ("f0", "center_frequency"),
    "fs": ("sampling_frequency",),
    "angles": ("angles_rad", "polar_angles"),
    "delays": ("t0_delays", "TXdelay", "tx_delays"),
    "focus": ("focus_distances", "distances"),
    "t0": ("start_time", "initial_time", "initial_times"),
    "c": ("sound_speed",),
}
_MORE = ("axes", "pitch", "elements", "correction_time_shift", "bandwidth")
_PERCENT = 2.0  # a bandwidth above it is one in percent
_TURN = 0.125  # of a period: how far delays may be from those of a wave

Array = NDArray[Any]


@isolated
def open_channels(source: str | Path, stated: dict[str, Any] | None = None) -> xr.Dataset:
    """Opens channel data.

    Args:
        source: .npz, UFF or zea's HDF5.
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
        group = zea_group(file)
        if group is not None and "data/raw_data" in group:
            return _from_zea(path, group, given)
        name = _uff_object(path, file)
    with reading(path):
        return _from_uff(path, name, given)


def waves_of(data: xr.Dataset) -> list[TransmitWave]:
    """The transmissions of a data set."""
    names = ("angle", "distance", "delay", "origin_z", "origin_x", "first", "last")
    rows = zip(*(data[n].values.tolist() for n in names), strict=True)
    return [
        TransmitWave(a, d, t, (z, x), None if math.isnan(low) else (low, high))
        for a, d, t, z, x, low, high in rows
    ]


def _from_arrays(path: Path, arrays: dict[str, Any], given: dict[str, Any]) -> xr.Dataset:
    for name, others in _OTHER_NAMES.items():
        for other in others:
            if other in arrays and name not in arrays:
                arrays[name] = arrays[other]
    if "rf" not in arrays:
        held = ", ".join(f"{k} {np.shape(v)}" for k, v in arrays.items()) or "nothing"
        raise InputError(
            f"{path}: no array rf of channel data in it, but {held}: save them under this name"
        )
    values = arrays["rf"]
    single = {k: np.ravel(v)[0] for k, v in arrays.items() if np.size(v) == 1 and k != "rf"}
    numbers = {k: float(v) for k, v in single.items() if np.asarray(v).dtype.kind in "iuf"}
    numbers |= {k: float(v) for k, v in given.items() if k != "axes"}
    default = {2: "element time", 3: "wave element time", 4: "frame wave element time"}
    stated = given.get("axes", arrays.get("axes", default.get(values.ndim, "")))
    values = _ordered(path, values, str(stated))
    count = values.shape[1]
    elements = _elements(path, values.shape[2], numbers, arrays.get("elements"))
    late = numbers.get("correction_time_shift", 0.0)
    first = given.get("t0", arrays.get("t0", 0.0))
    t0 = _per_wave(path, "t0", first, count) - late
    c = numbers.get("c", SOUND_SPEED)
    fc = numbers.get("fc", math.nan)
    if "delays" in arrays and np.size(arrays["delays"]) > 1:
        delays = np.asarray(arrays["delays"], float).reshape(-1, values.shape[2])
        delays = np.broadcast_to(delays, (count, values.shape[2])) if len(delays) == 1 else delays
        if len(delays) != count:
            raise InputError(f"{path}: delays of {len(delays)} waves for {count} transmissions")
        waves = _waves_of_delays(path, elements, delays, c, fc)
    else:
        angles = _per_wave(path, "angles", arrays.get("angles", np.zeros(count)), count)
        focus = _per_wave(path, "focus", arrays.get("focus", np.zeros(count)), count)
        waves = [
            TransmitWave(a, _distance(d), aperture=_whole(elements, d))
            for a, d in zip(angles.tolist(), focus.tolist(), strict=True)
        ]
    return _build(path, values, numbers, elements, waves, t0)


def _from_zea(path: Path, group: Mapping[str, Any], given: dict[str, Any]) -> xr.Dataset:
    raw = read_array(group["data"]["raw_data"], path)
    if raw.ndim != 5 or raw.shape[-1] not in (1, 2):
        raise InputError(
            f"{path}: raw_data needs the axes (frame, wave, time, element, 1 or 2), not {raw.shape}"
        )
    scan = {name: np.asarray(node[()]) for name, node in group["scan"].items()}
    values = raw[..., 0] if raw.shape[-1] == 1 else raw[..., 0] + 1j * raw[..., 1]
    values = values.transpose(0, 1, 3, 2)  # frame, wave, element, time
    count = values.shape[1]
    carrier = "demodulation_frequency" if raw.shape[-1] == 2 else "center_frequency"
    numbers = {
        name: float(np.ravel(scan[other])[0])
        for name, other in (
            ("fs", "sampling_frequency"),
            ("fc", carrier if carrier in scan else "center_frequency"),
            ("c", "sound_speed"),
        )
        if other in scan
    }
    numbers |= {k: float(v) for k, v in given.items() if k not in ("axes", "t0")}
    probe = np.asarray(scan["probe_geometry"], float)
    if np.ptp(probe[:, 2]) > 1e-4 or np.ptp(probe[:, 1]) > 1e-4:
        raise InputError(f"{path}: a curved or two-dimensional probe: only arrays on a line")
    delays = np.asarray(scan["t0_delays"], float)
    weights = np.asarray(scan.get("tx_apodizations", np.ones_like(delays)), float)
    delays = np.where(weights != 0, delays, np.nan)
    c, fc = numbers.get("c", SOUND_SPEED), numbers.get("fc", math.nan)
    waves = _waves_of_delays(path, probe[:, 0], delays, c, fc)
    t0 = _per_wave(path, "initial_times", scan.get("initial_times", 0.0), count)
    return _build(path, values, numbers, probe[:, 0], waves, t0)


def _from_uff(path: Path, name: str, given: dict[str, Any]) -> xr.Dataset:
    from pyuff_ustb import LinearArray, Uff

    made: Any = Uff(str(path)).read(name)
    if not isinstance(made.probe, LinearArray):
        kind = type(made.probe).__name__
        raise InputError(f"{path}: a probe of class {kind}: only linear arrays are beamformed")
    sequence = made.sequence if isinstance(made.sequence, list) else [made.sequence]
    values = np.asarray(made.data)
    values = values.reshape(*values.shape, *(1,) * (4 - values.ndim))  # time, element, wave, frame
    numbers = {
        "fs": float(made.sampling_frequency),
        "c": float(made.sound_speed),
        "pitch": float(made.probe.pitch),
        **{k: float(v) for k, v in given.items() if k != "axes"},
    }
    if "fc" not in numbers and made.pulse is not None:
        numbers["fc"] = float(np.ravel(made.pulse.center_frequency)[0])
    values = values.transpose(3, 2, 1, 0)
    elements = _elements(path, values.shape[2], numbers, None)
    delays = [float(np.ravel(w.delay if w.delay is not None else 0.0)[0]) for w in sequence]
    waves = [_uff_wave(w, elements) for w in sequence]
    t0 = float(made.initial_time) - np.asarray(delays)
    return _build(path, values, numbers, elements, waves, t0)


def _uff_wave(wave: Any, elements: Array) -> TransmitWave:
    """USTB's wave: a source before or behind the probe, seen from the origin."""
    away = float(wave.source.distance)
    angle = float(wave.source.azimuth)
    if not np.isfinite(away):
        return TransmitWave(angle)
    z, x = away * math.cos(angle), away * math.sin(angle)
    if z < 0:  # behind the probe: the wave travels away from it
        return TransmitWave(math.atan2(-x, -z), -abs(away), aperture=_whole(elements, -1.0))
    return TransmitWave(math.atan2(x, z), abs(away), aperture=_whole(elements, 1.0))


def _waves_of_delays(
    path: Path, elements: Array, delays: Array, c: float, fc: float
) -> list[TransmitWave]:
    tolerance = _TURN / fc if fc > 0 else math.inf
    waves = []
    for i, row in enumerate(delays):
        try:
            waves.append(TransmitWave.from_delays(elements, row, c, tolerance))
        except ValueError as error:
            raise InputError(f"{path}: transmission {i + 1}: {error}") from error
    return waves


def _build(
    path: Path,
    values: Array,
    numbers: Mapping[str, float],
    elements: Array,
    waves: list[TransmitWave],
    t0: Array,
) -> xr.Dataset:
    for name, what in (("fs", "sampling frequency"), ("fc", "centre frequency")):
        if not numbers.get(name, 0.0) > 0:
            raise InputError(f"{path}: does not say {name}, the {what}: give it with --{name}")
    if len(waves) != values.shape[1]:
        raise InputError(f"{path}: {len(waves)} angles for {values.shape[1]} transmissions")
    check_finite(path, "angles", np.array([w.angle for w in waves]))
    check_finite(path, "t0", np.asarray(t0, np.float64))
    check_finite(path, "delays", np.array([w.delay for w in waves]))
    steep = max(abs(w.angle) for w in waves)
    if steep > 1.5:
        raise InputError(f"{path}: angles up to {steep:g} rad: are they degrees?")
    check_finite(path, "rf", values)
    bandwidth = numbers.get("bandwidth", 0.7)
    attrs: dict[str, object] = {
        "fs": numbers["fs"],
        "fc": numbers["fc"],
        "pitch": float(np.ptp(elements) / max(len(elements) - 1, 1)),
        "c": numbers.get("c", SOUND_SPEED),
        "bandwidth": bandwidth / 100 if bandwidth > _PERCENT else bandwidth,
        "source": path.name,
    }
    bounds = [w.aperture or (math.nan, math.nan) for w in waves]
    columns: dict[str, list[float]] = {
        "angle": [w.angle for w in waves],
        "distance": [w.distance for w in waves],
        "delay": [w.delay for w in waves],
        "origin_z": [w.origin[0] for w in waves],
        "origin_x": [w.origin[1] for w in waves],
        "first": [b[0] for b in bounds],
        "last": [b[1] for b in bounds],
        "t0": t0.tolist(),
    }
    units = {"angle": "rad", "delay": "s", "t0": "s"}
    dtype = np.complex64 if np.iscomplexobj(values) else np.float32
    return xr.Dataset(
        {"channels": (_AXES, values.astype(dtype))},
        {
            **{k: ("wave", v, {"units": units.get(k, "m")}) for k, v in columns.items()},
            "element": ("element", elements, {"units": "m"}),
        },
        attrs,
    )


def _elements(path: Path, count: int, numbers: Mapping[str, float], positions: Any) -> Array:
    """Positions of the elements, m."""
    if positions is not None and np.size(positions) > 1:
        x = np.asarray(positions, float)
        x = x if x.ndim == 1 else x[:, 0]
        if len(x) != count:
            raise InputError(f"{path}: {len(x)} positions for {count} elements: correct elements")
        return x
    if not numbers.get("pitch", 0.0) > 0:
        raise InputError(f"{path}: does not say pitch, the distance of elements: give --pitch")
    return (np.arange(count) - (count - 1) / 2) * numbers["pitch"]


def _per_wave(path: Path, name: str, values: Any, count: int) -> NDArray[np.float64]:
    found = np.ravel(np.asarray(values, float))
    if len(found) not in (1, count):
        raise InputError(f"{path}: {len(found)} {name} for {count} transmissions")
    return np.broadcast_to(found, (count,)).astype(float)


def _distance(focus: float) -> float:
    """A focus of 0 or nothing is none."""
    return focus if np.isfinite(focus) and focus != 0 else math.inf


def _whole(elements: Array, focus: float) -> tuple[float, float] | None:
    """All elements fire, which bounds beams from a source or to a focus."""
    if not math.isfinite(_distance(focus)):
        return None
    return float(elements.min()), float(elements.max())


def _ordered(path: Path, values: Array, stated: str) -> Array:
    """(frame, wave, element, time)."""
    names = ["wave" if n == "angle" else n for n in stated.replace(",", " ").split()]
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
