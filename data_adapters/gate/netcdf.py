"""NetCDF: version 4 is HDF5 and passes its gate; the classic versions name no other files.

The dimensions of a variable are references in its attribute DIMENSION_LIST. netCDF takes whatever
lies there for references: of text it reads memory that is not its own, which may crash or not.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from sciddm.data_adapters.gate.hdf5 import check_hdf5
from sciddm.errors import InputError

__all__ = ["check_netcdf"]

_DIMENSIONS = "DIMENSION_LIST"


def check_netcdf(path: Path) -> None:
    """Refuses a file that reads files of other folders, or whose dimensions are no references.

    Raises:
        InputError: as `check_hdf5`, or such dimensions.
        OSError: damaged.
    """
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            check_hdf5(file, path)
            damaged = file.visititems(_without_references)
        if damaged is not None:
            raise InputError(
                f"{path}: the dimensions of {damaged} are no references: the file is damaged, copy "
                "or export it again"
            )


def _without_references(name: str, node: h5py.Dataset | h5py.Group) -> str | None:
    """The name of an array whose list of dimensions netCDF would misread; None for all others."""
    if not isinstance(node, h5py.Dataset) or _DIMENSIONS not in node.attrs:
        return None
    listed = node.attrs.get_id(_DIMENSIONS)
    each = h5py.check_vlen_dtype(listed.dtype)
    references = each is not None and h5py.check_ref_dtype(each) is h5py.Reference
    return None if references and listed.shape == (node.ndim,) else name
