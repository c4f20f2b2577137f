"""Results of MRI on disk: DICOM, or one of the formats of `save`.

a folder       the image as a series of MR images; FOLDER_std: its standard deviation, likewise;
               FOLDER.json: the attributes, all that repeats the run
.dcm           the same of a single slice as files: NAME.dcm, NAME_std.dcm, NAME.json
other names    as `save.save_result` has it; with the phase NAME_phase.nii, in radians, or the
               complex image as .cfl; with the noise map NAME_noise.nii and NAME_gfactor.nii
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.commit import commit
from sciddm.data_adapters.image_format import in_frames
from sciddm.data_adapters.save import RESULT_SUFFIXES, save_result
from sciddm.data_adapters.series_result import (
    check_series_outputs,
    is_series_target,
    save_series,
    series_outputs,
)
from sciddm.data_adapters.staging import staged
from sciddm.errors import InputError, OutputError

__all__ = [
    "SUFFIXES",
    "check_mri_outputs",
    "check_room",
    "check_slices",
    "mri_outputs",
    "save_mri_result",
    "write_mri_result",
]

_DCM = ".dcm"
#: Suffixes of results that are no DICOM series.
SUFFIXES = (*RESULT_SUFFIXES, _DCM)
#: Suffixes of formats that hold all variables of a result.
_ALL_VARIABLES = (".h5", ".nc", ".zarr")
_IMAGE = "reconstruction"
_DIMS = ("slice", "y", "x")


def mri_outputs(
    path: str | Path, *, phase: bool = False, noise_map: bool = False, samples: bool = False
) -> list[Path]:
    """All that `save_mri_result` writes for a path, the main output first.

    Args:
        path: the main output.
        phase: with the phase.
        noise_map: with the noise map and the g-factor.
        samples: with the posterior samples, in the file of the image.

    Raises:
        OutputError: a suffix that is neither a known one nor a part of a UID, or a format without
            a place for the phase, the noise map or the samples.
    """
    path = Path(path)
    if samples and not path.name.lower().endswith(_ALL_VARIABLES):
        raise OutputError(f"{path}: has no place for samples, use {', '.join(_ALL_VARIABLES)}")
    if phase or noise_map:
        first, *others = mri_outputs(path)
        more = _phase_files(path) if phase else []
        return [first, *more, *(_noise_files(path) if noise_map else {}), *others]
    if path.suffix.lower() == _DCM:
        return [path, path.with_name(f"{path.stem}_std{path.suffix}"), path.with_suffix(".json")]
    return series_outputs(path, SUFFIXES, spread=True)


def check_mri_outputs(paths: Iterable[str | Path], overwrite: bool = False) -> None:
    """Raises OutputError where an output cannot be written, or exists and may not be replaced."""
    check_series_outputs(paths, (*SUFFIXES, ".hdr"), overwrite)


def check_slices(path: str | Path, slices: int) -> None:
    """Finds out before any computation whether an output has room for so many slices.

    Raises:
        OutputError: several slices for one .dcm file.
    """
    path = Path(path)
    if path.suffix.lower() == _DCM and slices > 1:
        raise OutputError(
            f"{path}: {slices} slices do not go into one file: give a name without suffix for a "
            "DICOM series"
        )


def check_room(scan: xr.Dataset, path: Path) -> None:
    """Raises OutputError where an output has no room for the slices of a scan."""
    check_slices(path, scan.sizes["slice"])


def write_mri_result(
    result: xr.Dataset, path: Path, at: Mapping[Path, Path], *, phase: bool, noise_map: bool
) -> None:
    """Writes a result to where each of its files is made; see `save_mri_result`."""
    save_mri_result(result, at[path], phase=phase, noise_map=noise_map, overwrite=True)


def save_mri_result(
    dataset: xr.Dataset,
    path: str | Path,
    *,
    phase: bool = False,
    noise_map: bool = False,
    overwrite: bool = False,
) -> None:
    """Writes a result: all of its files, or none.

    Args:
        dataset: `reconstruction` (slice, y, x), `std` likewise, and attributes; with the phase
            `complex_image`, too, with the noise map `noise_map` and `g_factor`.
        path: the suffix chooses the format, a name without suffix is a DICOM series.
        phase: write the phase, too.
        noise_map: write the noise map and the g-factor, too.
        overwrite: existing outputs may be replaced.

    Raises:
        InputError: no image, or values that are not finite.
        OutputError: the suffix is unknown, an output exists, or cannot be written.
    """
    path = Path(path)
    single = path.suffix.lower() == _DCM
    if phase or noise_map:  # nibabel takes a third of a second to import
        from sciddm.data_adapters.nifti import write_nifti
    if phase:
        for place in _phase_files(path):
            angle = np.angle(dataset["complex_image"].transpose(*_DIMS).values).astype(np.float32)
            with commit([place], overwrite) as at:
                write_nifti(in_frames(angle, dataset.attrs), at[place], dataset.attrs)
        if path.suffix.lower() == ".cfl":
            dataset = dataset.assign({_IMAGE: dataset["complex_image"]})
    if noise_map:
        for place, name in _noise_files(path).items():
            values = dataset[name].transpose(*_DIMS).values
            with commit([place], overwrite) as at:
                write_nifti(in_frames(values, dataset.attrs), at[place], dataset.attrs)
    if not single and not is_series_target(path, SUFFIXES):
        save_result(dataset, path, overwrite=overwrite)
        return
    if _IMAGE not in dataset or set(dataset[_IMAGE].dims) != set(_DIMS):
        raise InputError(f"{path}: the result has no variable {_IMAGE} {_DIMS}: add it")
    check_slices(path, dataset.sizes["slice"])
    # pydicom takes a third of a second to import, which other formats need not spend.
    from sciddm.data_adapters.mri.save_dicom import Study, write_mr_slices

    study = Study(dataset.attrs, dataset.encoding.get("dicom"))
    description = _description(dataset.attrs)

    def write(values: xr.DataArray, place: Path, target: Path, text: str) -> None:
        numbers = values.transpose(*_DIMS).values
        files = [place / f"{k + 1:04d}.dcm" for k in range(len(numbers))]
        write_mr_slices(numbers, files, study, 1 if values.name == _IMAGE else 2, text)

    if not single:
        save_series(
            dataset, path, image=_IMAGE, description=description, write=write, overwrite=overwrite
        )
        return
    targets = mri_outputs(path)
    names = {path: _IMAGE}
    if "std" in dataset:
        names[targets[1]] = "std"
    with staged([targets[-1], *list(names)[::-1]], overwrite) as at:
        for number, (target, name) in enumerate(names.items(), start=1):
            text = description if number == 1 else f"standard deviation of: {description}"
            numbers = dataset[name].transpose(*_DIMS).values
            write_mr_slices(numbers, [at[target]], study, number, text)
        told = sidecar(dataset.attrs, "result", sciddm.__version__)
        at[targets[-1]].write_text(told, encoding="utf-8")


def _phase_files(path: Path) -> list[Path]:
    """The file of the phase, none where the main output holds the complex image.

    Raises:
        OutputError: a format without a place for it.
    """
    beside = _beside(path, "phase")
    if beside is not None:
        return [beside]
    if path.name.lower().endswith((*_ALL_VARIABLES, ".cfl")):
        return []
    raise OutputError(
        f"{path}: DICOM has no place for the phase here: give .nii.gz, .h5, .nc, .zarr or .cfl"
    )


def _noise_files(path: Path) -> dict[Path, str]:
    """The files of noise map and g-factor with their variables, none where the main output holds
    them.

    Raises:
        OutputError: a format without a place for them.
    """
    noise, factor = _beside(path, "noise"), _beside(path, "gfactor")
    if noise is not None and factor is not None:
        return {noise: "noise_map", factor: "g_factor"}
    if path.name.lower().endswith(_ALL_VARIABLES):
        return {}
    raise OutputError(
        f"{path}: has no place for the noise map here: give .nii.gz, .h5, .nc or .zarr"
    )


def _beside(path: Path, name: str) -> Path | None:
    """NAME_name.nii of a NIfTI file NAME.nii, compressed or not; None for other formats."""
    for suffix in (".nii.gz", ".nii"):
        if path.name.lower().endswith(suffix):
            base, end = path.name[: -len(suffix)], path.name[-len(suffix) :]
            return path.with_name(f"{base}_{name}{end}")
    return None


def _description(attrs: Mapping[Any, Any]) -> str:
    """What was done, in a sentence."""
    words = ["sciddm MRI reconstruction"]
    if attrs.get("model"):
        words.append(f"with {attrs['model']}")
    if attrs.get("quality"):
        words.append(f"({attrs['quality']})")
    return " ".join(words)
