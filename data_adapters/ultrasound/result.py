"""Dehazed frames on disk.

.h5 holds everything: frames, haze, std, the frames as they were, all attributes. Every other format
holds the frames alone, and NAME_parts.h5 beside it everything. NAME.json repeats the run.

Beamformed and simulated scans are .h5 with NAME.json; a simulated one may have its clean scan, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import encode, sidecar
from sciddm.data_adapters.hdf5 import write_hdf5
from sciddm.data_adapters.staging import staged
from sciddm.data_adapters.ultrasound.files import write_frames
from sciddm.data_adapters.ultrasound.frames import checked_frames
from sciddm.data_adapters.ultrasound.images import CLIPS, PICTURES, VIDEOS, write_images
from sciddm.errors import OutputError

__all__ = [
    "RESULT_SUFFIXES",
    "check_format",
    "dehazed_outputs",
    "save_dehazed",
    "scan_outputs",
    "write_dehazed",
    "write_scan",
]

_SHOWN = (*PICTURES, *CLIPS, *VIDEOS)
RESULT_SUFFIXES = (".h5", ".hdf5", ".npz", ".dcm", *_SHOWN)


def dehazed_outputs(path: str | Path) -> list[Path]:
    """All that `save_dehazed` writes for a path: the main output first, the .json last.

    Raises:
        OutputError: the suffix is not one of RESULT_SUFFIXES.
    """
    path = Path(path)
    if path.suffix.lower() not in RESULT_SUFFIXES:
        known = ", ".join(RESULT_SUFFIXES)
        raise OutputError(f"{path}: the suffix chooses the format, one of {known}: rename")
    parts = [] if path.suffix.lower() in (".h5", ".hdf5") else [_parts(path)]
    return [path, *parts, path.with_suffix(".json")]


def save_dehazed(
    result: xr.Dataset,
    path: str | Path,
    attrs: Mapping[str, Any],
    *,
    source: Path,
    overwrite: bool = False,
) -> None:
    """Writes a result: all of its files, or none.

    Args:
        result: as the pipeline returns it.
        path: the suffix chooses the format.
        attrs: what repeats the run, for the .json file.
        source: the file that was dehazed; a DICOM result has its header.
        overwrite: existing files may be replaced.

    Raises:
        OutputError: a file exists or cannot be written, or the format cannot hold such frames.
    """
    path = Path(path)
    check_format(checked_frames(result), path)
    with staged(dehazed_outputs(path)[::-1], overwrite) as at:
        write_dehazed(result.assign_attrs(attrs), path, at, source=source)


def write_dehazed(
    result: xr.Dataset, path: Path, at: Mapping[Path, Path], *, source: Path | None
) -> None:
    """Writes the outputs of a result to the places that stand for them until they are committed.

    Args:
        result: as the pipeline returns it; its attributes go into the .json file.
        path: main output; its suffix chooses the format.
        at: of every output of `dehazed_outputs`, where it is written.
        source: the file that was dehazed; None for data in memory, which cannot become DICOM.

    Raises:
        OutputError: the format cannot hold such frames.
    """
    held = checked_frames(result)
    suffix = path.suffix.lower()
    check_format(held, path)
    if suffix == ".npz":
        _write_npz(held, at[path])
    elif suffix == ".dcm":
        from sciddm.data_adapters.ultrasound.dicom import write_us_dicom

        if source is None:
            raise OutputError(f"{path}: DICOM is written of a DICOM file only: give its path")
        write_us_dicom(_bytes(held), held["mask"].values, source, at[path], run=_run(held.attrs))
    elif suffix in _SHOWN:
        write_images(_bytes(held), at[path])
    whole = path if suffix in (".h5", ".hdf5") else _parts(path)
    write_hdf5(held, at[whole], "result")
    text = sidecar(result.attrs, "result", sciddm.__version__)
    at[path.with_suffix(".json")].write_text(text, encoding="utf-8")


def scan_outputs(path: Path, clean: Path | None = None) -> list[Path]:
    """All that `write_scan` writes: the main output first, the .json last."""
    return [path, *([] if clean is None else [clean]), path.with_suffix(".json")]


def write_scan(
    scan: xr.Dataset, path: Path, at: Mapping[Path, Path], *, clean: Path | None = None
) -> None:
    """Writes a scan as .h5, and its attributes as .json.

    Args:
        scan: `frames`; of a simulated one also `clean`, the same without haze, and what is known
            of it.
        path: the main output.
        at: of every output of `scan_outputs`, where it is written.
        clean: file for the scan without haze.
    """
    truth = [str(name) for name in scan.data_vars if name != "frames"] if "clean" in scan else []
    write_frames(scan.drop_vars(truth), at[path])
    if clean is not None:
        write_frames(scan.drop_vars("frames").rename(clean="frames"), at[clean])
    text = sidecar(scan.attrs, "frames", sciddm.__version__)
    at[path.with_suffix(".json")].write_text(text, encoding="utf-8")


def check_format(data: xr.Dataset, path: Path) -> None:
    """Whether a format can hold such frames.

    Raises:
        OutputError: it cannot; says what can.
    """
    suffix, kind, form = path.suffix.lower(), data.attrs["kind"], data.attrs.get("format")
    if suffix in (*_SHOWN, ".dcm") and kind != "bmode":
        raise OutputError(f"{path}: {kind} data need .h5 or .npz; {suffix} holds images: rename")
    if suffix == ".dcm" and form != "dicom":
        raise OutputError(f"{path}: only frames read from DICOM are written as DICOM: use .h5")
    if suffix in PICTURES and data.sizes["frame"] > 1:
        raise OutputError(f"{path}: {data.sizes['frame']} frames need .gif, .tif or .h5: rename")


def _parts(path: Path) -> Path:
    return path.with_name(f"{path.stem}_parts.h5")


def _run(attrs: Mapping[Any, Any]) -> str:
    """What decides a result beside its input."""
    names = ("request", "weights_sha256", "haze_weights_sha256", "sciddm_version")
    return encode({n: attrs[n] for n in names if n in attrs})


def _bytes(held: xr.Dataset) -> np.ndarray:
    return np.round(255 * held["frames"].values.clip(0, 1)).astype(np.uint8)


def _write_npz(held: xr.Dataset, path: Path) -> None:
    """The arrays that `arrays.read_npz` reads, with haze and std."""
    kind = held.attrs["kind"]
    arrays: dict[str, Any] = {kind: held["frames"].values}
    arrays |= {n: held[n].values for n in ("haze", "std", "depth", "lateral") if n in held}
    arrays |= {n: held.attrs[n] for n in ("fs", "fc", "c") if n in held.attrs}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
