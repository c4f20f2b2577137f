"""DICOM: a deflated data set is unpacked within bounds before pydicom unpacks all of it at once."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import FileDataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from sciddm.data_adapters.memory import memory_limit, plausible_size
from sciddm.errors import InputError

__all__ = ["checked_dcmread"]

_BLOCK = 2**20


def checked_dcmread(path: Path, **options: Any) -> FileDataset:
    """``pydicom.dcmread`` of a file that unpacks to no more than a file of its size holds.

    Args:
        path: the file.
        options: of ``dcmread``.

    Raises:
        InputError: it unpacks to more than `plausible_size`, or than fits into memory.
        pydicom.errors.InvalidDicomError: it has no DICOM header.
    """
    with path.open("rb") as file:
        read_preamble(file, bool(options.get("force")))
        meta = _read_file_meta_info(file)
        start = file.tell()
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        _check_unpacked(path, start)
    return pydicom.dcmread(path, **options)


def _check_unpacked(path: Path, start: int) -> None:
    limit = min(plausible_size(path.stat().st_size), memory_limit())
    unpacking, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        file.seek(start)
        while not unpacking.eof:
            packed = unpacking.unconsumed_tail or file.read(_BLOCK)
            if not packed:
                return  # it ends early, which the reader says
            size += len(unpacking.decompress(packed, _BLOCK))
            if size > limit:
                raise InputError(
                    f"{path}: unpacks to more than {limit / 2**30:.1f} GiB, but the file has "
                    f"{path.stat().st_size / 2**20:.1f} MiB: it is damaged, or save it uncompressed"
                )
