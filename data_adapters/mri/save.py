"""Writing k-space; the suffix chooses the format.

.h5            fastMRI's layout, all variables (`fastmri`)
.nc .zarr      all variables (`labelled`)
               and their checksum (`commit.seal`)
.cfl           k-space only, with its .hdr and NAME.json, the attributes (`bart`)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.commit.seal import seal
from sciddm.data_adapters.labelled import write_labelled
from sciddm.data_adapters.mri.bart import write_bart_kspace
from sciddm.data_adapters.mri.fastmri import write_fastmri
from sciddm.data_adapters.staging import staged
from sciddm.errors import InputError, OutputError

__all__ = ["KSPACE_SUFFIXES", "kspace_outputs", "save_kspace", "write_kspace"]

KSPACE_SUFFIXES = (".h5", ".nc", ".zarr", ".cfl")
_DIMS = ("slice", "coil", "ky", "kx")


def kspace_outputs(path: str | Path) -> list[Path]:
    """All that `save_kspace` writes for a path, the main output first.

    Raises:
        OutputError: the suffix is not one of KSPACE_SUFFIXES.
    """
    path = Path(path)
    if _suffix(path) != ".cfl":
        return [path]
    return [path, path.with_suffix(".hdr"), path.with_suffix(".json")]


def save_kspace(dataset: xr.Dataset, path: str | Path, overwrite: bool = False) -> None:
    """Writes a scan: all of its files, or none.

    Args:
        dataset: in the form of `scan`; .cfl keeps k-space and the attributes only.
        path: the suffix chooses the format.
        overwrite: existing files may be replaced.

    Raises:
        InputError: no complex kspace (slice, coil, ky, kx) in it.
        OutputError: the suffix is unknown, an output exists, or cannot be written.
    """
    path = Path(path)
    targets = kspace_outputs(path)
    _check(dataset, path)
    with staged(targets[::-1], overwrite) as at:
        write_kspace(dataset, path, at)


def write_kspace(dataset: xr.Dataset, path: Path, at: Mapping[Path, Path]) -> None:
    """Writes a scan to where each of its files is made.

    Args:
        dataset: as for `save_kspace`.
        path: the main output.
        at: place of each of `kspace_outputs`.

    Raises:
        InputError, OutputError: as `save_kspace`.
    """
    suffix = _suffix(path)
    _check(dataset, path)
    if suffix == ".h5":
        write_fastmri(dataset, at[path])
    elif suffix == ".cfl":
        write_bart_kspace(dataset["kspace"].transpose(*_DIMS).values, at[path])
        text = sidecar(dataset.attrs, "kspace", sciddm.__version__)
        at[path.with_suffix(".json")].write_text(text, encoding="utf-8")
    else:
        write_labelled(dataset, at[path], "zarr" if suffix == ".zarr" else "nc", "kspace")
    if suffix != ".cfl":  # which has a JSON file with checksums
        seal(at[path])


def _check(dataset: xr.Dataset, path: Path) -> None:
    """Raises for a data set that is no k-space, or for which the format has no place."""
    suffix = _suffix(path)
    if "kspace" in dataset and "trajectory" in dataset:
        if suffix not in (".nc", ".zarr"):
            raise OutputError(f"{path}: {suffix} has no place for a trajectory: write .nc or .zarr")
        return
    if "kspace" not in dataset or set(dataset["kspace"].dims) != set(_DIMS):
        raise InputError(f"{path}: the data set has no variable kspace {_DIMS}: add it")
    if not np.iscomplexobj(dataset["kspace"].values):
        kind = dataset["kspace"].dtype
        raise InputError(f"{path}: k-space is {kind}, not complex: give complex data")


def _suffix(path: Path) -> str:
    name = path.name.lower()
    for suffix in KSPACE_SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix):
            return suffix
    raise OutputError(
        f"{path}: the suffix chooses the format, and it is none of {', '.join(KSPACE_SUFFIXES)}: "
        "rename"
    )
