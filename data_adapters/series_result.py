"""Results as DICOM series: the image, its standard deviation, and the attributes beside them.

a folder       the image as a DICOM series; FOLDER_std: its standard deviation, likewise, where
               there is one; FOLDER.json: the attributes, all that repeats the run
other names    as `save.save_result` has it
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.commit import commit
from sciddm.data_adapters.dicom_slices import names_folder
from sciddm.data_adapters.save import result_outputs
from sciddm.data_adapters.staging import check_folder, check_outputs
from sciddm.errors import InputError, OutputError

__all__ = ["check_series_outputs", "is_series_target", "save_series", "series_outputs"]

#: Writes one variable's slices into a folder: (variable, temporary folder, final folder, text).
Write = Callable[[xr.DataArray, Path, Path, str], None]


def is_series_target(path: str | Path, suffixes: Collection[str]) -> bool:
    """Whether a name is that of a folder for a DICOM series.

    Args:
        path: the output.
        suffixes: of results that are something else.

    Raises:
        OutputError: a suffix that is neither a known one nor a part of a UID.
    """
    path = Path(path)
    if path.name.lower().endswith(tuple(suffixes)):
        return False
    if not names_folder(path):
        known = ", ".join(suffixes)
        raise OutputError(f"{path}: give {known}, or a name without suffix for a DICOM series")
    return True


def series_outputs(path: str | Path, suffixes: Collection[str], *, spread: bool) -> list[Path]:
    """All that a result is written to, the main output first.

    Args:
        path: the main output.
        suffixes: of results that are no DICOM series.
        spread: with a standard deviation.
    """
    path = Path(path)
    if not is_series_target(path, suffixes):
        named = result_outputs(path)
        return [p for p in named if spread or p in (named[0], named[-1])]
    std = [path.with_name(path.name + "_std")] if spread else []
    return [path, *std, path.with_name(path.name + ".json")]


def check_series_outputs(
    paths: Iterable[str | Path], suffixes: Collection[str], overwrite: bool
) -> None:
    """Raises OutputError where an output cannot be written, or exists and may not be replaced."""
    for path in map(Path, paths):
        beside = path.suffix in (".json", ".html", ".npz")
        if not beside and is_series_target(path, suffixes):
            check_folder(path, overwrite, ".dcm")
        else:
            check_outputs([path], overwrite)


def save_series(
    dataset: xr.Dataset,
    path: Path,
    *,
    image: str,
    description: str,
    write: Write,
    overwrite: bool,
) -> None:
    """Writes a result as series: all of its files, or none.

    Args:
        dataset: the image, `std` where there is one, and attributes.
        path: folder of the image.
        image: name of the image.
        description: what was done.
        write: the slices of one of them.
        overwrite: existing outputs may be replaced.

    Raises:
        InputError: no such image.
        OutputError: an output exists or cannot be written.
    """
    if image not in dataset:
        raise InputError(f"{path}: the result has no variable {image}: add it")
    parts = {path: (image, description)}
    if "std" in dataset:
        parts[path.with_name(path.name + "_std")] = ("std", f"std of {description}")
    attributes = path.with_name(path.name + ".json")
    # The image last: it is there only when all else is.
    targets = [attributes, *list(parts)[::-1]]
    std = path.with_name(path.name + "_std")
    stale = [std] if std not in parts and _is_series(std) else []
    folders = dict.fromkeys(parts, ".dcm")
    with commit(targets, overwrite, folders=folders, remove=stale) as at:
        for target, (name, text) in parts.items():
            write(dataset[name], at[target], target, text)
        told = sidecar(dataset.attrs, "result", sciddm.__version__)
        at[attributes].write_text(told, encoding="utf-8")


def _is_series(folder: Path) -> bool:
    """Whether a folder holds slices and nothing else."""
    return folder.is_dir() and all(p.suffix.lower() == ".dcm" for p in folder.iterdir())
