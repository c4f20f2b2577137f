"""An xarray data set as one flat HDF5 file.

/NAME           one HDF5 dataset per variable. Its attribute `dims` names the axes, separated by
                commas; complex numbers are h5py's compound (r, i); bool is h5py's enumeration
/sciddm_attrs   scalar text: the attributes as JSON (see `attributes`)
root attributes `sciddm_kind` ("kspace" or "result"), `sciddm_layout` (1), and those of the
                attributes that HDF5 holds as they are, for other programs
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.attributes import decode, encode, plain
from sciddm.data_adapters.checks import check_size, existing_file, reading
from sciddm.data_adapters.gate.hdf5 import check_hdf5, check_written
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.patient_file import PatientFile
from sciddm.errors import InputError

__all__ = [
    "ATTRS",
    "dataset_at",
    "names_in",
    "open_hdf5",
    "read_array",
    "read_hdf5",
    "read_text",
    "text_of",
    "write_hdf5",
]

ATTRS = "sciddm_attrs"
_LAYOUT = 1


def write_hdf5(
    dataset: xr.Dataset, path: Path, kind: str, more: dict[str, Any] | None = None
) -> None:
    """Writes a data set in the layout above.

    Args:
        dataset: variables of numbers, bool or text.
        path: a new file.
        kind: "kspace" or "result".
        more: further HDF5 datasets by name, which `read_hdf5` does not return.
    """
    with new_hdf5(path) as file:
        # Attributes first: h5py refuses root attributes above 64 kB, so long lists stay out.
        for key, value in plain(dataset.attrs).items():
            if not isinstance(value, list | str) or len(value) <= 4096:
                file.attrs[key] = value
        file.attrs["sciddm_kind"], file.attrs["sciddm_layout"] = kind, _LAYOUT
        file.create_dataset(ATTRS, data=encode(dataset.attrs), dtype=h5py.string_dtype())
        for name, variable in dataset.variables.items():
            values = np.asarray(variable.values)
            stored: Any = h5py.string_dtype() if values.dtype.kind in "UO" else None
            packing = {"compression": "gzip"} if values.dtype == bool and values.ndim else {}
            node = file.create_dataset(str(name), data=values, dtype=stored, **packing)
            node.attrs["dims"] = ",".join(map(str, variable.dims))
            if name in dataset.coords:
                node.attrs["coordinate"] = 1
            for key, value in plain(variable.attrs).items():
                node.attrs[key] = value
        for name, value in (more or {}).items():
            file.create_dataset(name, data=value)


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new file, for which a disk that refuses is an error and no crash (``patient_file``).

    Raises:
        OSError: the disk refuses.
    """
    with PatientFile(path, "w+b") as raw, h5py.File(raw, "w") as file:
        yield file


@isolated
def read_hdf5(source: str | Path, kind: str) -> xr.Dataset:
    """Reads what `write_hdf5` wrote, bit for bit.

    Raises:
        InputError: no such file, damaged, or of another kind.
    """
    path = existing_file(source)
    with reading(path), open_hdf5(path) as file:
        if file.attrs.get("sciddm_kind") != kind:
            raise InputError(
                f"{path}: not a {kind} written by sciddm; it holds {names_in(file)}: "
                "give another file"
            )
        variables, coordinates = {}, []
        for name, node in file.items():
            if not isinstance(node, h5py.Dataset) or "dims" not in node.attrs:
                continue
            dims = [d for d in text_of(node.attrs["dims"]).split(",") if d]
            own = {k: v for k, v in node.attrs.items() if k not in ("dims", "coordinate")}
            variables[name] = (dims, read_array(node, path), own)
            if "coordinate" in node.attrs:
                coordinates.append(name)
        attrs = decode(read_text(file, ATTRS, path))
        return xr.Dataset(variables, attrs=attrs).set_coords(coordinates)


def open_hdf5(path: Path) -> h5py.File:
    """Opens a file for reading.

    Raises:
        InputError: not HDF5, truncated, or one that reads files of other folders.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if h5py.is_hdf5(path):
            raise InputError(
                f"{path}: a damaged or truncated HDF5 file: copy or export it again"
            ) from error
        raise InputError(f"{path}: not an HDF5 file: give a file of a format it says") from error
    try:
        check_hdf5(file, path)
    except BaseException:
        file.close()
        raise
    return file


def dataset_at(group: h5py.Group | h5py.Dataset | h5py.Datatype, name: str) -> h5py.Dataset:
    """The array of that name in a group.

    Raises:
        ValueError: it is none; `reading` makes that one line.
    """
    node = group[name] if isinstance(group, h5py.Group) else None
    if not isinstance(node, h5py.Dataset):
        raise ValueError(f"{name} is no array")
    return node


def read_text(group: h5py.Group | h5py.Dataset | h5py.Datatype, name: str, path: Path) -> str:
    """The text of a scalar HDF5 dataset.

    Raises:
        InputError: a group, or never written.
    """
    return text_of(read_array(dataset_at(group, name), path)[()])


def read_array(node: h5py.Dataset | h5py.Group | h5py.Datatype, path: Path) -> NDArray[Any]:
    """The values of an HDF5 dataset, its size checked first.

    Compound types of two numbers, as ISMRMRD (real, imag) has them, become complex.

    Raises:
        InputError: a group, empty, never written, or larger than memory.
    """
    name = str(node.name).lstrip("/")
    if not isinstance(node, h5py.Dataset):
        raise InputError(f"{path}: {name} is a group, not an array of numbers: export it again")
    if node.shape is None:
        raise InputError(f"{path}: {name} is empty: export it again")
    check_size(path, name, node.shape, node.dtype.itemsize, stored=_stored(node, path))
    if node.size * node.dtype.itemsize > 4096 and node.id.get_storage_size() == 0:
        virtual = node.is_virtual or node.external
        if not virtual:
            raise InputError(f"{path}: {name} was declared but never written: export it again")
    check_written(node, path)
    if h5py.check_string_dtype(node.dtype) is not None:
        return _decoded(node)
    values = np.asarray(node[()])
    fields = values.dtype.names
    if fields is not None and len(fields) == 2:
        parts = [values.dtype[f] for f in fields]
        if all(part.kind in "fiu" for part in parts):
            # Whole numbers of 32 bits do not fit into the 24 of single precision.
            double = any(part.itemsize > (4 if part.kind == "f" else 2) for part in parts)
            joined = np.empty(values.shape, np.complex128 if double else np.complex64)
            joined.real, joined.imag = values[fields[0]], values[fields[1]]
            return joined
    return values


def _decoded(node: h5py.Dataset) -> NDArray[Any]:
    """Text: of UTF-8, whatever the file declares, since ISMRMRD declares ASCII; else of Latin-1."""
    try:
        return np.asarray(node.asstr("utf-8")[()])
    except UnicodeDecodeError:
        return np.asarray(node.asstr("latin-1")[()])


def _stored(node: h5py.Dataset, path: Path) -> int | None:
    """Size of the file that holds a dataset; None where other files hold it."""
    return None if node.is_virtual or node.external else path.stat().st_size


def names_in(file: h5py.Group, most: int = 12) -> str:
    """The datasets and groups of a file, for error messages."""
    found: list[str] = []
    file.visit(lambda name: found.append(name) if len(found) <= most else True)
    shown = ", ".join(found[:most]) + (", ..." if len(found) > most else "")
    return shown or "nothing"


def text_of(value: Any) -> str:
    """Text from whatever HDF5 files keep text in."""
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
