"""Results of CT on disk: a DICOM series, or one of the formats of `save`.

a folder       the image as a DICOM series; FOLDER_std: its standard deviation, likewise, where
               there is one; FOLDER.json: the attributes, all that repeats the run
other names    as `save.save_result` has it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.ct.save_dicom import write_slices
from sciddm.data_adapters.ct.sinogram import save_sinogram
from sciddm.data_adapters.save import RESULT_SUFFIXES, save_result
from sciddm.data_adapters.series_result import (
    check_series_outputs,
    is_series_target,
    save_series,
    series_outputs,
)
from sciddm.data_adapters.volume_files import is_volume_file

__all__ = [
    "SUFFIXES",
    "check_ct_outputs",
    "ct_outputs",
    "is_dicom_source",
    "is_dicom_target",
    "save_ct_result",
    "write_ct_result",
]

_PADDING = 1  # in `flags`
#: Suffixes of results that are no DICOM series.
SUFFIXES = tuple(s for s in RESULT_SUFFIXES if s != ".cfl")


def is_dicom_source(path: str | Path) -> bool:
    """Whether an input is read as DICOM: any that is no NIfTI, MetaImage or NRRD; see `open_ct`."""
    return not is_volume_file(path)


def is_dicom_target(path: str | Path) -> bool:
    """Whether a name is that of a folder for a DICOM series.

    Raises:
        OutputError: a suffix that is neither a known one nor a part of a UID.
    """
    return is_series_target(path, SUFFIXES)


def ct_outputs(path: str | Path, *, spread: bool = True) -> list[Path]:
    """All that `save_ct_result` writes for a path, the main output first.

    Args:
        path: the main output.
        spread: with a standard deviation.
    """
    return series_outputs(path, SUFFIXES, spread=spread)


def check_ct_outputs(paths: Iterable[str | Path], overwrite: bool = False) -> None:
    """Raises OutputError where an output cannot be written, or exists and may not be replaced."""
    check_series_outputs(paths, SUFFIXES, overwrite)


def write_ct_result(
    result: xr.Dataset,
    path: Path,
    at: Mapping[Path, Path],
    *,
    image: str,
    done: str,
    source: Path | None,
    series: str | None,
) -> None:
    """Writes a result or a simulated sinogram to where each of its files is made.

    Args:
        result: see `save_ct_result`; or `sinogram`, for .h5.
        path: the main output.
        at: place of each of `ct_outputs`.
        image: name of the image.
        done: what was done; the description of a DICOM series.
        source: the input; a DICOM series keeps its patient and study.
        series: its SeriesInstanceUID, where the folder holds several.
    """
    if "sinogram" in result:
        save_sinogram(result, at[path])
        text = sidecar(result.attrs, "sinogram", sciddm.__version__)
        at[ct_outputs(path, spread=False)[-1]].write_text(text, encoding="utf-8")
        return
    save_ct_result(
        result,
        at[path],
        image=image,
        description=f"sciddm {sciddm.__version__} {done}",
        source=source if source is not None and is_dicom_source(source) else None,
        series=series,
        overwrite=True,
    )


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

    def write(values: xr.DataArray, place: Path, target: Path, text: str) -> None:
        # The steps of the source's numbers are those of the image only.
        own = {k: v for k, v in dataset.attrs.items() if k != "rescale" or values.name == image}
        volume = values.assign_attrs({**own, "units": "HU"})
        if "flags" in dataset:
            volume = volume.assign_coords(padding=dataset["flags"] == _PADDING)
        write_slices(
            volume,
            place,
            target,
            description=text,
            source=source,
            series=series,
            is_map=values.name != image,
        )

    save_series(
        dataset, path, image=image, description=description, write=write, overwrite=overwrite
    )
