"""xarray data sets as netCDF-4 files and zarr stores.

netCDF has no complex numbers: a complex variable NAME is kept as NAME_real and NAME_imag, each with
the attribute `complex_part_of` = NAME. zarr keeps complex numbers as they are. The attributes are
one JSON text in the attribute `sciddm_attrs`; those that the format holds as they are stand beside
it for other programs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from sciddm.data_adapters.attributes import decode, encode, plain
from sciddm.data_adapters.checks import check_size, reading
from sciddm.data_adapters.gate.netcdf import check_netcdf
from sciddm.data_adapters.gate.zarr import WHOLE, check_chunks, check_zarr
from sciddm.data_adapters.hdf5 import ATTRS
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.library_path import netcdf_path
from sciddm.data_adapters.netcdf import write_dataset
from sciddm.errors import InputError

__all__ = ["read_labelled", "write_labelled"]

_PART = "complex_part_of"


def write_labelled(
    dataset: xr.Dataset,
    path: Path,
    form: Literal["nc", "zarr"],
    kind: str,
    fill: Mapping[str, float] | None = None,
    zarr_format: Literal[2, 3] = 3,
) -> None:
    """Writes a data set.

    Args:
        dataset: what to write.
        path: a new file (nc) or folder (zarr).
        form: format.
        kind: "kspace" or "result".
        fill: of variables in which a value stands for none, that value.
        zarr_format: version of the format of a store.
    """
    held = dataset.copy(deep=False)
    held.attrs = {**plain(dataset.attrs), ATTRS: encode(dataset.attrs), "sciddm_kind": kind}
    for variable in held.variables.values():
        variable.attrs = plain(variable.attrs)
        # NaN is a value here, not a mark of absence.
        real = np.issubdtype(variable.dtype, np.floating)
        variable.encoding = {"_FillValue": None} if real else {}
    for name, value in (fill or {}).items():
        held[name].encoding = {"_FillValue": held[name].dtype.type(value)}
    if form == "zarr":
        # A chunk of zeros is written as any other: one that is missing was lost.
        held.attrs[WHOLE] = 1
        with warnings.catch_warnings():
            # Names are text of a fixed length, which zarr writes but has not specified yet.
            warnings.filterwarnings("ignore", "The data type .FixedLengthUTF32")
            held.to_zarr(
                path, mode="w", consolidated=False, write_empty_chunks=True, zarr_format=zarr_format
            )
    else:
        write_dataset(_split(held), path)


@isolated
def read_labelled(path: Path, form: Literal["nc", "zarr"], kind: str) -> xr.Dataset:
    """Reads what `write_labelled` wrote, bit for bit.

    Raises:
        InputError: damaged, of another kind, or larger than memory.
    """
    options: dict[str, Any] = {"engine": "zarr", "consolidated": False}
    if form == "nc":
        options = {"engine": "netcdf4"}
    with reading(path):
        if form == "nc":
            check_netcdf(path)
        else:
            check_zarr(path)
            check_chunks(path)
    place = netcdf_path(path) if form == "nc" else path
    with (
        reading(path),
        xr.open_dataset(place, mask_and_scale=False, decode_times=False, **options) as file,
    ):
        if file.attrs.get("sciddm_kind") != kind or ATTRS not in file.attrs:
            names = ", ".join(map(str, file.variables)) or "nothing"
            raise InputError(
                f"{path}: not a {kind} written by sciddm; it holds {names}: give another file"
            )
        for name, variable in file.variables.items():
            # Of a store the gate has compared the sizes.
            stored = path if form == "nc" else None
            size = variable.dtype.itemsize
            check_size(path, str(name), variable.shape, size, stored=stored)
        held = _joined(file.load())
        held.attrs = decode(file.attrs[ATTRS])
    for name in held.variables:
        held[name].encoding = {}
    held.encoding = {}
    return held


def _split(dataset: xr.Dataset) -> xr.Dataset:
    for name, variable in list(dataset.data_vars.items()):
        if not np.iscomplexobj(variable):
            continue
        dataset = dataset.drop_vars([name])
        for part, values in (("real", variable.real), ("imag", variable.imag)):
            attrs = {**variable.attrs, _PART: str(name)}
            dataset[f"{name}_{part}"] = (variable.dims, values.values, attrs)
            dataset[f"{name}_{part}"].encoding = {"_FillValue": None}
    return dataset


def _joined(dataset: xr.Dataset) -> xr.Dataset:
    wholes = [v.attrs[_PART] for k, v in dataset.data_vars.items() if _PART in v.attrs]
    for name in dict.fromkeys(wholes):
        real, imag = dataset[f"{name}_real"], dataset[f"{name}_imag"]
        values = np.empty(real.shape, np.result_type(real.dtype, np.complex64))
        values.real, values.imag = real.values, imag.values
        attrs = {k: v for k, v in real.attrs.items() if k != _PART}
        dataset = dataset.drop_vars([f"{name}_real", f"{name}_imag"])
        dataset[name] = (real.dims, values, attrs)
    return dataset
