"""Writing results; the suffix chooses the format.

result   .nii .nii.gz .mha .nrrd   the image; beside it NAME_std of the same suffix
         .h5            all variables (`hdf5`)
         .nc .zarr      all variables (`labelled`)
         .cfl           the image as complex64 with its .hdr; NAME_std.cfl, .hdr (`bart`)
         beside each NAME.json: the attributes, all that repeats the run
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import read_sidecar, sidecar
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.commit import commit
from sciddm.data_adapters.hdf5 import read_hdf5, write_hdf5
from sciddm.data_adapters.labelled import read_labelled, write_labelled
from sciddm.data_adapters.mri.bart import read_bart_image, write_bart_image
from sciddm.data_adapters.nifti import read_nifti
from sciddm.data_adapters.staging import check_outputs, is_zarr
from sciddm.data_adapters.volume_files import WRITTEN_SUFFIXES, read_volume, write_volume
from sciddm.errors import InputError, OutputError

__all__ = [
    "RESULT_SUFFIXES",
    "check_outputs",
    "in_frames",
    "load_result",
    "result_outputs",
    "save_result",
]

RESULT_SUFFIXES = (*WRITTEN_SUFFIXES, ".h5", ".nc", ".zarr", ".cfl")
_ITK = (".mha", ".nrrd")
_AXES = (("slice", "y", "x"), ("z", "y", "x"))
_RECONSTRUCTION = "reconstruction"


def result_outputs(path: str | Path) -> list[Path]:
    """All that `save_result` writes for a path, the main output first.

    Raises:
        OutputError: the suffix is not one of RESULT_SUFFIXES.
    """
    path = Path(path)
    base, suffix = _parted(path, RESULT_SUFFIXES)
    named = [path]
    if suffix in WRITTEN_SUFFIXES:
        named.append(_named(path, base + "_std" + path.name[len(base) :]))
    elif suffix == ".cfl":
        named += [_named(path, base + end) for end in (".hdr", "_std.cfl", "_std.hdr")]
    return [*named, _named(path, base + ".json")]


def save_result(
    dataset: xr.Dataset, path: str | Path, *, image: str = _RECONSTRUCTION, overwrite: bool = False
) -> None:
    """Writes a result: all of its files, or none.

    Args:
        dataset: the image (slice, y, x) or (z, y, x), `std` and whatever else it holds; .nii,
            .nii.gz, .mha, .nrrd and .cfl keep only those two.
        path: the suffix chooses the format.
        image: name of the image.
        overwrite: existing files may be replaced.

    Raises:
        InputError: no such image in it.
        OutputError: the suffix is unknown, an output exists, or cannot be written.
    """
    path = Path(path)
    targets = result_outputs(path)
    _, suffix = _parted(path, RESULT_SUFFIXES)
    values = _image(dataset, image)
    std = _image(dataset, "std") if "std" in dataset else None
    stale: list[Path] = []  # of an earlier result that had a standard deviation
    if std is None:
        stale = [p for p in targets[1:-1] if p.name.rpartition(".")[0].endswith("_std")]
        stale = stale or [p for p in targets[1:-1] if p.name.endswith("_std.nii.gz")]
    check_outputs(targets, overwrite)
    wanted = [p for p in targets if p not in stale]
    with commit(wanted[::-1], overwrite, remove=stale, nbytes=dataset.nbytes // 2) as at:
        if suffix in WRITTEN_SUFFIXES:
            write_volume(in_frames(values, dataset), at[path], dataset.attrs)
            if std is not None:
                write_volume(in_frames(std, dataset), at[targets[1]], dataset.attrs)
        elif suffix == ".cfl":
            write_bart_image(values, at[path])
            if std is not None:
                write_bart_image(std, at[targets[2]])
        elif suffix == ".h5":
            write_hdf5(dataset, at[path], "result")
        else:
            write_labelled(dataset, at[path], "zarr" if suffix == ".zarr" else "nc", "result")
        kept = dict(dataset.attrs)
        if image != _RECONSTRUCTION:
            kept |= {"sciddm_image": image, "sciddm_axes": list(_axes(dataset[image]) or ())}
        text = sidecar(kept, "result", sciddm.__version__)
        at[targets[-1]].write_text(text, encoding="utf-8")


def load_result(path: str | Path) -> xr.Dataset:
    """Reads what `save_result` wrote.

    Returns:
        The data set that was saved; of .nii, .nii.gz and .cfl its image and std, as float32.

    Raises:
        InputError: not there, damaged, or not a result.
    """
    path = Path(path)
    try:
        base, suffix = _parted(path, RESULT_SUFFIXES)
    except OutputError as error:
        known = ", ".join(RESULT_SUFFIXES)
        raise InputError(f"{path}: results are read from {known}: give one of these") from error
    if suffix == ".zarr" and not is_zarr(path):
        raise InputError(f"{path}: no zarr store: check the name")
    if suffix != ".zarr":
        existing_file(path)
    if suffix == ".h5":
        return read_hdf5(path, "result")
    if suffix in (".nc", ".zarr"):
        return read_labelled(path, "zarr" if suffix == ".zarr" else "nc", "result")
    attrs = read_sidecar(_named(path, base + ".json"), "result")
    std = _named(path, base + "_std" + path.name[len(base) :])
    image = str(attrs.pop("sciddm_image", _RECONSTRUCTION))
    axes = tuple(attrs.pop("sciddm_axes", _AXES[0]))
    variables = {}
    for name, file in ((image, path), ("std", std)):
        if name == "std" and not file.exists():
            continue
        values, own = _read_image(file, suffix, "slices_per_frame" in attrs)
        variables[name] = (axes, values)
        attrs = {**own, **attrs}
    with reading(std):
        return xr.Dataset(variables, attrs=attrs)


def in_frames(values: np.ndarray[Any, Any], dataset: xr.Dataset) -> np.ndarray[Any, Any]:
    """(frame, slice, y, x) of a result that has several frames one after the other."""
    each = int(dataset.attrs.get("slices_per_frame", len(values)))
    return values if each == len(values) else values.reshape(-1, each, *values.shape[1:])


def _read_image(
    path: Path, suffix: str, series: bool
) -> tuple[np.ndarray[Any, Any], Mapping[str, Any]]:
    if suffix == ".cfl":
        image = read_bart_image(path)
        values = np.abs(image) if image.imag.any() else image.real
        return np.ascontiguousarray(values), {"source": path.name}
    volume = read_volume(path) if suffix in _ITK else read_nifti(path, series=series)
    return volume.values, volume.attrs


def _image(dataset: xr.Dataset, name: str) -> np.ndarray[Any, Any]:
    axes = _axes(dataset[name]) if name in dataset else None
    if axes is None:
        raise InputError(f"the result has no variable {name} {_AXES[0]}: add it")
    return np.asarray(dataset[name].transpose(*axes).values)


def _axes(variable: xr.DataArray) -> tuple[str, ...] | None:
    return next((axes for axes in _AXES if set(axes) == set(variable.dims)), None)


def _parted(path: Path, suffixes: tuple[str, ...]) -> tuple[str, str]:
    """(name without its suffix, suffix in lower case)."""
    for suffix in suffixes:
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.name[: -len(suffix)], suffix
    raise OutputError(
        f"{path}: the suffix chooses the format, and it is none of {', '.join(suffixes)}: rename"
    )


def _named(path: Path, name: str) -> Path:
    return path.with_name(name)
