"""Segmentations and SUV volumes on disk.

A mask NAME.nii.gz, and beside it NAME_probability, NAME_entropy, NAME_flags (where a region limited
the search), NAME_lesions.csv, NAME_seg.dcm (where the CT is DICOM), NAME_rtstruct.dcm (if asked
for) and NAME.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.checks import one_line
from sciddm.data_adapters.petct.lesion_table import write_lesions
from sciddm.data_adapters.petct.rtstruct import save_rtstruct
from sciddm.data_adapters.petct.seg import save_seg
from sciddm.data_adapters.volume_files import WRITTEN_SUFFIXES, is_volume_file, write_volume
from sciddm.errors import OutputError
from sciddm.physics.petct.lesions import COLUMNS, lesions_in

__all__ = ["is_dicom", "save_segmentation", "save_suv", "segmentation_outputs", "suv_outputs"]

_ENDINGS = {
    "probability": "_probability",
    "entropy": "_entropy",
    "flags": "_flags",
    "lesions": "_lesions.csv",
    "seg": "_seg.dcm",
    "rtstruct": "_rtstruct.dcm",
    "json": ".json",
}
#: Attributes of a PET series that stay out of the JSON: who it is.
_PRIVATE = ("patient", "series")


def is_dicom(path: Path) -> bool:
    """Whether an input is a DICOM series, by its name."""
    return not is_volume_file(path)


def segmentation_outputs(
    path: Path, *, ct: Path | None, rtstruct: bool, roi: object = None, point: object = None
) -> list[Path]:
    """All that ``save_segmentation`` writes for a mask, the mask first, the JSON file last.

    Args:
        path: the mask, of a suffix of `volume_files`.
        ct: the CT where it is a DICOM series, which gets a DICOM-SEG.
        rtstruct: with contours.
        roi, point: region that the search was limited to, None for none: flags say where.

    Raises:
        OutputError: another suffix.
    """
    region = roi is not None or point is not None
    names = ["probability", "entropy", *["flags"] * region, "lesions"]
    names += [*["seg"] * (ct is not None), *["rtstruct"] * rtstruct]
    return [path, *(_beside(path, name) for name in [*names, "json"])]


def suv_outputs(path: Path) -> list[Path]:
    """All that ``save_suv`` writes for a volume."""
    return [path, _beside(path, "json")]


def save_segmentation(
    result: xr.Dataset,
    path: Path,
    at: Mapping[Path, Path],
    *,
    ct: Path | None,
    rtstruct: bool,
    pet: Path | None = None,
    pet_series: str | None = None,
) -> None:
    """Writes a segmentation.

    A table, segmentation or structure set that cannot be written is left out and named in the
    result's warnings: it never costs the mask.

    Args:
        result: of the pipeline; its attribute ``ct_series`` is the SeriesInstanceUID of the CT.
        path: the mask.
        at: from each output to where it is written.
        ct: the DICOM series that masks are drawn on, None for none.
        rtstruct: write contours, too.
        pet: the PET, to which the segmentation refers where it is DICOM.
        pet_series: its SeriesInstanceUID, where that folder holds several.
    """
    write_volume(result["mask"].values, at[path], result.attrs)
    for name in ("probability", "entropy", "flags"):
        if _beside(path, name) in at:
            write_volume(result[name].values, at[_beside(path, name)], result.attrs)
    rows = [lesion.row() for lesion in lesions_in(result)]
    labels = result["label"].values
    series = result.attrs["ct_series"] or None
    writers: dict[str, Callable[[Path], None]] = {
        "lesions": lambda place: write_lesions(rows, place, COLUMNS)
    }
    if ct is not None:
        writers["seg"] = lambda place: save_seg(
            labels,
            place,
            ct,
            series=series,
            pet=pet if pet is not None and is_dicom(pet) else None,
            pet_series=pet_series,
            model=str(result.attrs["model"]),
        )
        if rtstruct:
            writers["rtstruct"] = lambda place: save_rtstruct(labels, place, ct, series=series)
    for name, writer in writers.items():
        place = at[_beside(path, name)]
        try:
            writer(place)
        except Exception as error:  # of libraries that are stricter than the source's files
            place.unlink(missing_ok=True)
            _warn(result, f"{place.name} could not be written: {one_line(error)}.")
    _write_json(result.attrs, at[_beside(path, "json")])


def save_suv(result: xr.Dataset, path: Path, at: Mapping[Path, Path]) -> None:
    """Writes a volume in SUV; arguments as in ``save_segmentation``."""
    write_volume(np.asarray(result["suv"].values), at[path], result.attrs)
    kept = {k: v for k, v in result.attrs.items() if k not in _PRIVATE}
    _write_json(kept, at[_beside(path, "json")])


def _warn(result: xr.Dataset, sentence: str) -> None:
    stored = result.attrs.get("warnings") or "[]"
    warnings = json.loads(stored) if isinstance(stored, str) else list(stored)
    result.attrs["warnings"] = json.dumps([*warnings, sentence])


def _write_json(attrs: Mapping[Any, Any], path: Path) -> None:
    path.write_text(sidecar(attrs, "result", sciddm.__version__), encoding="utf-8")


def _beside(path: Path, name: str) -> Path:
    for suffix in sorted(WRITTEN_SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            base, own = path.name[: -len(suffix)], path.name[-len(suffix) :]
            ending = _ENDINGS[name]
            return path.with_name(f"{base}{ending}{'' if '.' in ending else own}")
    known = ", ".join(WRITTEN_SUFFIXES)
    raise OutputError(f"{path}: masks and SUV are written to {known}: rename")
