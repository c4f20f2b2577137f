"""The form that ultrasound frames have between files and pipelines.

An `xarray.Dataset` with

    frames    (frame, depth, lateral): what `attrs["kind"]` says
    mask      (depth, lateral), bool, optional: where the image is, within what else was stored
    overlay   (frame, depth, lateral), bool, optional: where something is drawn over the image
    region    (depth, lateral), uint8, optional: number of each of several images, 0 outside
    depth     coordinate, m, evenly spaced
    lateral   coordinate: position of the lines in m, or their angle in rad (`attrs["lateral"]`)

and the attributes

    kind      "rf", real echoes; "iq", complex ones about a carrier; "envelope", amplitudes;
              "bmode", log-compressed amplitudes from 0 (nothing) to 1
    fs        sampling along depth, Hz (RF and IQ); depth steps are c / (2 fs)
    fc        carrier of IQ, centre frequency of RF, Hz
    c         speed of sound, m/s
    apex_m    for lines at angles: distance of the first sample from where they meet
    dynamic_range_db    what 0 to 1 of a B-mode image spans
    source, format      where it came from

Unknown numbers are left out, never guessed: what needs one says which.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from sciddm.data_adapters.checks import check_finite
from sciddm.errors import InputError

__all__ = ["KINDS", "SOUND_SPEED", "build_frames", "checked_frames"]

KINDS = ("rf", "iq", "envelope", "bmode")
#: Of soft tissue, m/s: what scanners assume, taken where a file does not say.
SOUND_SPEED = 1540.0
_EVEN = 0.02  # steps of depth may differ by this share


def build_frames(
    path: Path,
    values: NDArray[Any],
    kind: str,
    *,
    form: str,
    fs: float | None = None,
    fc: float | None = None,
    c: float | None = None,
    depth: ArrayLike | None = None,
    lateral: ArrayLike | None = None,
    pitch: float | None = None,
    angles: bool = False,
    mask: NDArray[np.bool_] | None = None,
    overlay: NDArray[np.bool_] | None = None,
    region: NDArray[np.integer] | None = None,
    attrs: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Checks frames and puts them into their form.

    Args:
        path: the file they come from, for messages.
        values: (frame, depth, lateral), or one frame without the first axis.
        kind: one of `KINDS`.
        form: of the file.
        fs, fc, c: as above; fs is taken from `depth` where it is None.
        depth: m, one per sample.
        lateral: m or rad, one per line.
        pitch: m between lines, where `lateral` is None.
        angles: `lateral` holds angles.
        mask: where the image is.
        overlay: where something is drawn over it; left out where nothing is.
        region: numbers of several images.
        attrs: further attributes.

    Raises:
        InputError: wrong axes, NaN, numbers that contradict each other or cannot be.
    """
    if kind not in KINDS:
        raise InputError(f"{path}: kind {kind!r} is unknown: one of {', '.join(KINDS)}")
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3:
        raise InputError(
            f"{path}: frames have the axes (frame, depth, lateral), this array has the shape "
            f"{values.shape}: give it those axes"
        )
    if min(values.shape) < 1 or values.shape[1] < 2:
        raise InputError(f"{path}: no image in it, its shape is {values.shape}: export it again")
    if (kind == "iq") != np.iscomplexobj(values):
        what = "complex" if np.iscomplexobj(values) else "real"
        raise InputError(f"{path}: holds {what} numbers, which {kind} data are not: check the kind")
    check_finite(path, "frames", values)
    known = {k: _number(path, k, v) for k, v in (("fs", fs), ("fc", fc), ("c", c)) if v is not None}
    speed = known.setdefault("c", SOUND_SPEED)
    coords: dict[str, Any] = {}
    if depth is not None:
        z = np.asarray(depth, float).reshape(-1)
        _check_axis(path, "depth", z, values.shape[1])
        coords["depth"] = ("depth", z, {"units": "m"})
        derived = speed / (2 * (z[-1] - z[0]) / (len(z) - 1))
        if "fs" in known and abs(known["fs"] / derived - 1) > _EVEN:
            raise InputError(
                f"{path}: fs {known['fs']:g} Hz and depth steps of {derived:g} Hz contradict each "
                f"other at {speed:g} m/s: correct one"
            )
        known["fs"] = derived
    elif "fs" in known:
        z = np.arange(values.shape[1]) * speed / (2 * known["fs"])
        coords["depth"] = ("depth", z, {"units": "m"})
    if lateral is None and pitch is not None:
        lateral = (np.arange(values.shape[2]) - (values.shape[2] - 1) / 2) * _number(
            path, "pitch", pitch
        )
    if lateral is not None:
        x = np.asarray(lateral, float).reshape(-1)
        _check_axis(path, "lateral", x, values.shape[2])
        coords["lateral"] = ("lateral", x, {"units": "rad" if angles else "m"})
    dtype = np.complex64 if kind == "iq" else np.float32
    variables: dict[str, Any] = {
        "frames": (("frame", "depth", "lateral"), values.astype(dtype, copy=False))
    }
    if mask is not None:
        variables["mask"] = (("depth", "lateral"), np.asarray(mask, bool))
    if overlay is not None and overlay.any():
        variables["overlay"] = (("frame", "depth", "lateral"), np.asarray(overlay, bool))
    if region is not None:
        variables["region"] = (("depth", "lateral"), np.asarray(region, np.uint8))
    told = {"kind": kind, **known, "lateral": "angle" if angles else "position", "format": form}
    return xr.Dataset(variables, coords, {**told, "source": path.name, **(attrs or {})})


def checked_frames(data: xr.Dataset) -> xr.Dataset:
    """The data set itself, if it has the form above.

    Raises:
        InputError: it has not.
    """
    name = str(data.attrs.get("source", "the data"))
    if "frames" not in data or data["frames"].dims != ("frame", "depth", "lateral"):
        raise InputError(f"{name}: needs a variable `frames` with the axes (frame, depth, lateral)")
    kind = data.attrs.get("kind")
    if kind not in KINDS:
        raise InputError(f"{name}: kind {kind!r} is unknown: one of {', '.join(KINDS)}")
    return data


def _number(path: Path, name: str, value: Any) -> float:
    number = float(np.asarray(value).reshape(-1)[0])
    if not (np.isfinite(number) and number > 0):
        raise InputError(f"{path}: {name} is {number:g}, which cannot be: correct it")
    return number


def _check_axis(path: Path, name: str, axis: NDArray[np.float64], length: int) -> None:
    if len(axis) != length:
        raise InputError(f"{path}: {len(axis)} values of {name} for {length} samples: correct it")
    steps = np.diff(axis)
    if len(steps) and not (
        np.isfinite(axis).all() and steps.min() * steps.max() > 0 and _even(name, steps)
    ):
        raise InputError(f"{path}: values of {name} are not evenly spaced: resample the frames")


def _even(name: str, steps: NDArray[np.float64]) -> bool:
    # Only depth has to be even: it is what spectra are taken along.
    return name != "depth" or float(np.ptp(steps)) <= _EVEN * abs(float(steps.mean()))
