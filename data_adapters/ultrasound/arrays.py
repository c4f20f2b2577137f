"""Frames in NumPy's .npz: arrays by name.

The frames are the array named `rf`, `iq`, `envelope` or `bmode`, which says what they are, or
`frames`, which is B-mode unless `kind` says otherwise. Axes are (frame, depth, lateral) or (depth,
lateral); `axes`, a text such as "lateral depth", says others. Real IQ has a last axis of two, I and
Q, which `axes` leaves out. `fs`, `fc`, `c`, `pitch`, `depth`, `lateral` are as in `frames`; uint8
B-mode is taken from 0..255.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.gate.npz import Members, open_npz
from sciddm.data_adapters.ultrasound.frames import KINDS, build_frames
from sciddm.data_adapters.ultrasound.sector import image_region
from sciddm.errors import InputError

__all__ = ["Stated", "read_npz"]

_AXES = ("frame", "depth", "lateral")

#: Numbers that a user states beside the file: fs, fc, c, pitch, kind, axes.
Stated = dict[str, Any]


def read_npz(source: str | Path, stated: Stated | None = None) -> xr.Dataset:
    """Reads a .npz file whole.

    Args:
        source: the file.
        stated: what the file does not say, or says wrongly.

    Raises:
        InputError: damaged, pickled objects, no frames, or axes that do not fit.
    """
    path = existing_file(source)
    with reading(path), open_npz(path) as file:
        # The frames, and what describes them: all else stays packed.
        frames = next((k for k in (*KINDS, "frames") if _is_image(file, k)), None)
        arrays = {k: file[k] for k in file if k == frames or len(file.described(k)[0]) < 2}
        shapes = {k: file.described(k)[0] for k in file}
    known = {k: v.reshape(-1)[0] for k, v in arrays.items() if v.size == 1}
    known |= {k: v for k, v in (stated or {}).items() if v is not None}
    name = next((k for k in (*KINDS, "frames") if k in arrays and arrays[k].ndim >= 2), None)
    if name is None:
        held = ", ".join(f"{k} {v}" for k, v in shapes.items()) or "nothing"
        raise InputError(
            f"{path}: no array rf, iq, envelope, bmode or frames in it, but {held}: save the "
            "frames under the one of these names that they are"
        )
    kind = str(known.get("kind") or ("bmode" if name == "frames" else name))
    values = arrays[name]
    if kind == "iq" and not np.iscomplexobj(values):
        if values.shape[-1] != 2:
            raise InputError(f"{path}: real IQ needs a last axis of two, I and Q: {values.shape}")
        values = values[..., 0] + 1j * values[..., 1].astype(np.float32)
    scaled = kind == "bmode" and values.dtype == np.uint8
    values = values.astype(np.float32) / 255 if scaled else values
    values = _ordered(path, values, known.get("axes"))
    shown = kind == "bmode" and values.ndim in (2, 3)
    return build_frames(
        path,
        values,
        kind,
        form="npz",
        fs=known.get("fs"),
        fc=known.get("fc"),
        c=known.get("c"),
        depth=arrays.get("depth"),
        lateral=arrays.get("lateral"),
        pitch=known.get("pitch"),
        mask=image_region(values.reshape(-1, *values.shape[-2:])) if shown else None,
    )


def _is_image(file: Members, name: str) -> bool:
    return name in file and len(file.described(name)[0]) >= 2


def _ordered(path: Path, values: NDArray[Any], axes: Any) -> NDArray[Any]:
    if axes is None:
        return values
    names = str(axes).replace(",", " ").split()
    if len(names) != values.ndim or set(names) - set(_AXES) or len(set(names)) != len(names):
        raise InputError(
            f"{path}: axes {' '.join(names)!r} do not name those of the shape {values.shape}: use "
            f"{', '.join(_AXES)}"
        )
    wanted = [a for a in _AXES if a in names]
    return values.transpose([names.index(a) for a in wanted])
