"""Writing results; the suffix chooses the format.

result   .h5            all variables (`hdf5`)
         .nc .zarr      all variables (`labelled`)
         others         the image; beside it NAME_std of the same suffix (`image_format`)
         beside each NAME.json: the attributes, all that repeats the run
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import read_sidecar, sidecar
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.commit import commit
from sciddm.data_adapters.hdf5 import read_hdf5, write_hdf5
from sciddm.data_adapters.image_format import ImageFormat
from sciddm.data_adapters.labelled import read_labelled, write_labelled
from sciddm.data_adapters.staging import check_outputs, is_zarr
from sciddm.data_adapters.volume_files import WRITTEN_SUFFIXES
from sciddm.errors import InputError, OutputError

__all__ = [
    "RESULT_SUFFIXES",
    "check_outputs",
    "load_result",
    "result_outputs",
    "save_result",
]

#: Formats that hold one image a file; one that a single domain has is defined there.
_IMAGES = {
    **dict.fromkeys(WRITTEN_SUFFIXES, "sciddm.data_adapters.volume_files:IMAGE"),
    ".cfl": "sciddm.data_adapters.mri.bart:IMAGE",
}
RESULT_SUFFIXES = (*WRITTEN_SUFFIXES, ".h5", ".nc", ".zarr", ".cfl")
_AXES = (("slice", "y", "x"), ("z", "y", "x"))
_RECONSTRUCTION = "reconstruction"


def result_outputs(path: str | Path) -> list[Path]:
    """All that `save_result` writes for a path, the main output first.

    Raises:
        OutputError: the suffix is not one of RESULT_SUFFIXES.
    """
    path = Path(path)
    base, _ = _parted(path, RESULT_SUFFIXES)
    return [path, *_headers(path), *_std_files(path), _named(path, base + ".json")]


def save_result(
    dataset: xr.Dataset, path: str | Path, *, image: str = _RECONSTRUCTION, overwrite: bool = False
) -> None:
    """Writes a result: all of its files, or none.

    Args:
        dataset: the image (slice, y, x) or (z, y, x), `std` and whatever else it holds; formats of
            images keep only those two.
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
    form = _format(suffix)
    images = [_image(dataset, image), *([_image(dataset, "std")] if "std" in dataset else [])]
    std = _std_files(path)
    stale = std if "std" not in dataset else []  # of an earlier result that had one
    check_outputs(targets, overwrite)
    wanted = [p for p in targets if p not in stale]
    with commit(wanted[::-1], overwrite, remove=stale, nbytes=dataset.nbytes // 2) as at:
        if form is not None:
            for values, place in zip(images, [path, *std[:1]], strict=False):
                form.write(values, at[place], dataset.attrs)
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
        The data set that was saved; of formats of images its image and std, as float32.

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
    form = _format(suffix)
    if form is None:
        return read_labelled(path, "zarr" if suffix == ".zarr" else "nc", "result")
    attrs = read_sidecar(_named(path, base + ".json"), "result")
    std = _named(path, base + "_std" + path.name[len(base) :])
    image = str(attrs.pop("sciddm_image", _RECONSTRUCTION))
    axes = tuple(attrs.pop("sciddm_axes", _AXES[0]))
    variables = {}
    for name, file in ((image, path), ("std", std)):
        if name == "std" and not file.exists():
            continue
        values, own = form.read(file, "slices_per_frame" in attrs)
        variables[name] = (axes, values)
        attrs = {**own, **attrs}
    with reading(std):
        return xr.Dataset(variables, attrs=attrs)


def _format(suffix: str) -> ImageFormat | None:
    """The format of images with a suffix; None for one that holds all variables."""
    if suffix not in _IMAGES:
        return None
    module, _, name = _IMAGES[suffix].partition(":")
    form = getattr(importlib.import_module(module), name)
    assert isinstance(form, ImageFormat)
    return form


def _headers(path: Path) -> list[Path]:
    """What belongs to the file of an image."""
    base, suffix = _parted(path, RESULT_SUFFIXES)
    form = _format(suffix)
    return [] if form is None else [_named(path, base + header) for header in form.headers]


def _std_files(path: Path) -> Sequence[Path]:
    """The file of the standard deviation and what belongs to it; none where it is a variable."""
    base, suffix = _parted(path, RESULT_SUFFIXES)
    if suffix not in _IMAGES:
        return []
    std = _named(path, base + "_std" + path.name[len(base) :])
    return [std, *_headers(std)]


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
