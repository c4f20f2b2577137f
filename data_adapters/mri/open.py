"""Opening raw data of whatever format, by what is in the file rather than by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.hdf5 import names_in, open_hdf5
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.labelled import read_labelled
from sciddm.data_adapters.mri.bart import cfl_pair, read_bart_kspace, read_bart_maps
from sciddm.data_adapters.mri.fastmri import MAPS, read_fastmri, read_fastmri_maps
from sciddm.data_adapters.mri.frames import Selection, selection_of
from sciddm.data_adapters.mri.scan import (
    build_scan,
    build_trajectory_scan,
    checked_maps,
    ordered,
)
from sciddm.data_adapters.mri.twix import read_twix
from sciddm.data_adapters.staging import is_zarr
from sciddm.errors import InputError

__all__ = ["open_kspace", "open_maps"]

_READ = "fastMRI or ISMRMRD HDF5 (.h5, .mrd), Siemens .dat, BART .cfl, or sciddm's own .nc, .zarr"
_OTHERS = {
    ".7": "GE raw data: convert it with ge_to_ismrmrd",
    ".raw": "perhaps Philips raw data: convert it with philips_to_ismrmrd",
    ".lab": "Philips raw data: convert it with philips_to_ismrmrd",
    ".nii": "an image, not k-space: give raw data",
    ".nii.gz": "an image, not k-space: give raw data",
    ".dcm": "an image, not k-space: give raw data",
    ".npy": f"an array without a description: write it as {_READ}",
    ".mat": f"not a MATLAB 7.3 file, which is HDF5: write it as {_READ}",
}


@isolated
def open_kspace(
    path: str | Path,
    *,
    select: Selection | Sequence[str] | None = None,
    axes: Sequence[str] | str | None = None,
) -> xr.Dataset:
    """Reads raw data; see `scan` for what is returned.

    Args:
        path: fastMRI HDF5, ISMRMRD HDF5, Siemens .dat, BART cfl/hdr (either file, or their common
            name), or the .nc and .zarr that `save_kspace` writes.
        select: which repetitions, contrasts, ... to read of a file that counts them, such as
            {"repetition": [0, 1]} or ["repetition=0..1"]; see `frames`. All if not given.
        axes: names of the axes of an HDF5 file's k-space, in its order, among slice, coil, ky, kx,
            a list or "coil,ky,kx"; where the file itself does not tell.

    Raises:
        InputError: unusable; one line that names the file and what helps.
    """
    path = Path(path)
    if select is not None and not isinstance(select, Mapping):
        select = selection_of(select)
    if isinstance(axes, str):
        axes = [name.strip() for name in axes.split(",")]
    form = _format(path)
    if axes and form != "hdf5":
        raise InputError(f"{path}: its format names its axes: leave --axes out")
    if form == "zarr" or form == "nc":
        _none_to_select(path, select)
        return _own(path, form)
    if form == "bart":
        return read_bart_kspace(path, select)
    if form == "twix":
        return read_twix(path, select)
    with reading(path), open_hdf5(path) as file:
        is_ismrmrd = "kspace" not in file and _holds_ismrmrd(file)
        if "kspace" not in file and "sciddm_kind" in file.attrs:
            raise InputError(
                f"{path}: no k-space in it, but a {file.attrs['sciddm_kind']} ({names_in(file)}): "
                "give raw data"
            )
    if is_ismrmrd:
        from sciddm.data_adapters.mri.ismrmrd import read_ismrmrd

        return read_ismrmrd(path, select)
    _none_to_select(path, select)
    return read_fastmri(path, axes)


@isolated
def open_maps(path: str | Path) -> xr.DataArray:
    """Reads coil sensitivities.

    Args:
        path: HDF5 with a dataset `maps` (or sensitivity_maps, sensitivities, sens_maps, coil_maps,
            csm), (slice, coil, y, x) or (coil, y, x); BART cfl/hdr with (x, y, z, coil), as
            `bart ecalib` writes them; or a scan in .nc or .zarr that has them.

    Returns:
        (slice, coil, y, x) complex64.

    Raises:
        InputError: unusable; one line that names the file and what helps.
    """
    path = Path(path)
    form = _format(path)
    if form == "twix":
        raise InputError(f"{path}: raw data, not coil sensitivities: give maps")
    if form == "bart":
        maps = read_bart_maps(path)
    elif form == "hdf5":
        maps = read_fastmri_maps(path)
    else:
        scan = _own(path, form)
        if "maps" not in scan:
            raise InputError(f"{path}: no coil sensitivities in it: name the variable '{MAPS[0]}'")
        maps = scan["maps"].transpose("slice", "coil", "y", "x").values
    return xr.DataArray(
        checked_maps(path, maps),
        dims=("slice", "coil", "y", "x"),
        name="maps",
        attrs={"source": path.name},
    )


def _holds_ismrmrd(file: Any) -> bool:
    """Whether an HDF5 file has a group of acquisitions."""
    # ISMRMRD's schema takes a third of a second to import, which other files need not spend.
    from sciddm.data_adapters.mri.ismrmrd import find_group

    return find_group(file) is not None


def _none_to_select(path: Path, select: Selection | None) -> None:
    if select:
        raise InputError(
            f"{path}: has no repetitions or other frames to select from: leave --select out"
        )


def _own(path: Path, form: str) -> xr.Dataset:
    """A scan that `save_kspace` wrote as .nc or .zarr, checked as all others are."""
    held = read_labelled(path, "zarr" if form == "zarr" else "nc", "kspace")
    if {"kspace", "trajectory"} <= set(held.variables):
        return _own_trajectory(path, held, form)
    if "kspace" not in held or set(held["kspace"].dims) != {"slice", "coil", "ky", "kx"}:
        names = ", ".join(map(str, held.variables)) or "nothing"
        raise InputError(f"{path}: no k-space (slice, coil, ky, kx) in it, only {names}: give raw")
    held = ordered(held)
    known = ("mask", "maps", "noise", "reference", "calibration")
    parts: dict[str, Any] = {k: held[k].values for k in known if k in held}
    others = {str(k): v for k, v in held.variables.items() if k not in {"kspace", *parts}}
    attrs = {**held.attrs, "format": form}
    return build_scan(path, held["kspace"].values, attrs, others=others, **parts)


def _own_trajectory(path: Path, held: xr.Dataset, form: str) -> xr.Dataset:
    if set(held["kspace"].dims) != {"slice", "coil", "shot", "sample"} or "axis" not in held.dims:
        raise InputError(
            f"{path}: a trajectory, but k-space of {held['kspace'].dims}: name its axes slice, "
            "coil, shot, sample"
        )
    held = ordered(held)
    parts = {k: held[k].values for k in ("maps", "noise", "reference") if k in held}
    known = {"kspace", "trajectory", *parts}
    others = {str(k): v for k, v in held.variables.items() if k not in known}
    kspace, trajectory = held["kspace"].values, held["trajectory"].values
    attrs = {**held.attrs, "format": form}
    return build_trajectory_scan(path, kspace, trajectory, attrs, others=others, **parts)


def _format(path: Path) -> str:
    """hdf5, nc, zarr, bart or twix."""
    if is_zarr(path):
        return "zarr"
    suffix = path.suffix.lower()
    data, header = cfl_pair(path)
    if suffix in (".cfl", ".hdr") or (not path.exists() and data.exists() and header.exists()):
        return "bart"
    path = existing_file(path)
    if h5py.is_hdf5(path):
        return "nc" if _is_own_netcdf(path) else "hdf5"
    if suffix == ".dat":
        return "twix"
    for known, advice in _OTHERS.items():
        if path.name.lower().endswith(known):
            raise InputError(f"{path}: {advice}")
    with reading(path), path.open("rb") as file:
        start = file.read(4)
    if start[:3] == b"CDF":
        raise InputError(f"{path}: netCDF of version 3: convert it with nccopy -k nc4")
    if not start:
        raise InputError(f"{path}: is empty: copy or export it again")
    raise InputError(f"{path}: not HDF5 nor any other format that can be read: give {_READ}")


def _is_own_netcdf(path: Path) -> bool:
    with reading(path), open_hdf5(path) as file:
        return "kspace_real" in file or ("_NCProperties" in file.attrs and "kspace" not in file)
