"""File names for libraries that read more into a text than the name of a file.

Some take ``file:x`` for a protocol and ``GTIFF_DIR:1:/x`` for a part of another file; some leave
out blanks at the start. An absolute path begins with none of these. Names that are not UTF-8 cannot
be given to GDAL, netCDF and ITK at all.
"""

from __future__ import annotations

import os
from pathlib import Path

from sciddm.errors import InputError

__all__ = ["library_path", "netcdf_path"]


def library_path(path: Path) -> Path:
    """The absolute path of a file, by which a library opens this file and no other.

    Args:
        path: as the user gives it, for messages.

    Raises:
        InputError: the name is not UTF-8.
    """
    absolute = path.absolute()
    try:
        str(absolute).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: its name is not UTF-8, by which the library of this format cannot open it: "
            "rename it"
        ) from error
    return absolute


def netcdf_path(path: Path) -> Path:
    """As `library_path`; netCDF's library takes a backslash for a slash.

    Raises:
        InputError: as there, or the name has a backslash.
    """
    absolute = library_path(path)
    if os.sep == "/" and "\\" in str(absolute):
        raise InputError(f"{path}: netCDF cannot open a name with a backslash: rename it")
    return absolute
