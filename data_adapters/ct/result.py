"""Results of CT on disk: a DICOM series, or one of the formats of `save`.

a folder       the image as a DICOM series; FOLDER_std: its standard deviation, likewise, where
               there is one; FOLDER.json: the attributes, all that repeats the run
other names    as `save.save_result` has it
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.ct.save_dicom import names_folder, write_slices
from sciddm.data_adapters.save import RESULT_SUFFIXES, result_outputs, save_result
from sciddm.data_adapters.staging import check_folder, check_outputs, staged, staged_folder
from sciddm.errors import InputError, OutputError

__all__ = ["SUFFIXES", "check_ct_outputs", "ct_outputs", "is_dicom_target", "save_ct_result"]

#: Suffixes of results that are no DICOM series.
SUFFIXES = tuple(s for s in RESULT_SUFFIXES if s != ".cfl")


def is_dicom_target(path: str | Path) -> bool:
    """Whether a name is that of a folder for a DICOM series.

    Raises:
        OutputError: a suffix that is neither a known one nor a part of a UID.
    """
    path = Path(path)
    if path.name.lower().endswith(SUFFIXES):
        return False
    if not names_folder(path):
        known = ", ".join(SUFFIXES)
        raise OutputError(f"{path}: give {known}, or a name without suffix for a DICOM series")
    return True


def ct_outputs(path: str | Path, *, spread: bool = True) -> list[Path]:
    """All that `save_ct_result` writes for a path, the main output first.

    Args:
        path: the main output.
        spread: with a standard deviation.
    """
    path = Path(path)
    if not is_dicom_target(path):
        named = result_outputs(path)
        return [p for p in named if spread or p in (named[0], named[-1])]
    std = [path.with_name(path.name + "_std")] if spread else []
    return [path, *std, path.with_name(path.name + ".json")]


def check_ct_outputs(paths: Iterable[str | Path], overwrite: bool = False) -> None:
    """Raises OutputError where an output cannot be written, or exists and may not be replaced."""
    for path in map(Path, paths):
        if path.suffix not in (".json", ".html", ".npz") and is_dicom_target(path):
            check_folder(path, overwrite, ".dcm")
        else:
            check_outputs([path], overwrite)


def save_ct_result(
    dataset: xr.Dataset,
    path: str | Path,
    *,
    image: str,
    description: str,
    source: str | Path | None = None,
    series: str | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a result: all of its files, or none.

    Args:
        dataset: the image (z, y, x) in HU, with `affine` and `voxel_size_mm`; `std` likewise.
        path: the suffix chooses the format, a name without suffix is a DICOM series.
        image: name of the image.
        description: what was done; DICOM only, as the next two.
        source: the series the image was made of; see `save_dicom`.
        series: its SeriesInstanceUID, where the folder holds several.
        overwrite: existing outputs may be replaced.

    Raises:
        InputError: no such image, or it does not lie where its source does.
        OutputError: the suffix is unknown, an output exists, or cannot be written.
    """
    path = Path(path)
    if not is_dicom_target(path):
        save_result(dataset, path, image=image, overwrite=overwrite)
        return
    if image not in dataset:
        raise InputError(f"{path}: the result has no variable {image}: add it")
    parts = {path: (image, description)}
    targets = ct_outputs(path, spread="std" in dataset)
    if "std" in dataset:
        parts[targets[1]] = ("std", f"standard deviation of: {description}")
    attrs = {k: v for k, v in dataset.attrs.items() if k != "rescale"}
    with ExitStack() as stack:
        # Entered first, renamed last: the image is there only when all else is.
        folders = {
            target: stack.enter_context(staged_folder(target, overwrite, ".dcm"))
            for target in parts
        }
        at = stack.enter_context(staged([targets[-1]], overwrite))
        for target, (name, text) in parts.items():
            own = dataset.attrs if name == image else attrs
            volume = dataset[name].assign_attrs({**own, "units": "HU"})
            place = folders[target]
            write_slices(volume, place, target, description=text, source=source, series=series)
        told = sidecar(dataset.attrs, "result", sciddm.__version__)
        at[targets[-1]].write_text(told, encoding="utf-8")
