"""Opening and saving ultrasound frames of every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from sciddm.data_adapters.checks import existing_file
from sciddm.data_adapters.hdf5 import text_of, write_hdf5
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.staging import staged
from sciddm.data_adapters.ultrasound.arrays import read_npz
from sciddm.data_adapters.ultrasound.frames import checked_frames
from sciddm.data_adapters.ultrasound.hdf5 import KIND, is_uff, read_frames_hdf5
from sciddm.data_adapters.ultrasound.images import CLIPS, PICTURES, VIDEOS, read_images
from sciddm.data_adapters.ultrasound.mha import read_mha
from sciddm.data_adapters.ultrasound.zea import zea_group
from sciddm.errors import InputError
from sciddm.storage.special_files import is_regular

__all__ = [
    "FRAME_SUFFIXES",
    "is_clip_folder",
    "is_ultrasound",
    "open_frames",
    "save_frames",
    "write_frames",
]

#: Suffixes that can be read.
FRAME_SUFFIXES = (".h5", ".hdf5", ".uff", ".npz", ".dcm", ".mha", *PICTURES, *CLIPS, *VIDEOS)


@isolated
def open_frames(source: str | Path, stated: dict[str, Any] | None = None) -> xr.Dataset:
    """Opens frames; see `frames` for what is returned.

    Args:
        source: HDF5 (zea, UFF, sciddm's own), .npz, .mha, DICOM, a picture, a clip, or a folder of
            pictures.
        stated: what the user says of them: fs, fc, c, pitch, kind, axes.

    Raises:
        InputError: unusable; one line that names the file and what helps.
    """
    path = Path(source)
    if is_clip_folder(path):
        return read_images(path)
    path = existing_file(path)
    suffix = path.suffix.lower()
    if suffix in (*PICTURES, *CLIPS, *VIDEOS):
        return read_images(path)
    if suffix == ".npz":
        return read_npz(path, stated)
    if suffix == ".mha":
        return read_mha(path)
    if h5py.is_hdf5(path) or suffix in (".h5", ".hdf5", ".uff"):
        return read_frames_hdf5(path, stated)
    if suffix == ".dcm" or _is_dicom(path):
        from sciddm.data_adapters.ultrasound.dicom import read_us_dicom

        return read_us_dicom(path)
    raise InputError(
        f"{path}: no format of ultrasound frames: give .h5, .uff, .npz, .mha, DICOM (.dcm), or a "
        "picture or clip"
    )


def is_clip_folder(folder: Path) -> bool:
    """Whether a folder is one clip: pictures, and no other data."""
    if not folder.is_dir():
        return False
    found = {p.suffix.lower() for p in folder.iterdir() if not p.name.startswith(".")}
    others = found.intersection(set(FRAME_SUFFIXES) - set(PICTURES))
    return bool(found.intersection(PICTURES)) and not others


def save_frames(data: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes frames to sciddm's HDF5 (.h5), bit for bit.

    Raises:
        InputError: they have not the form of `frames`.
        OutputError: the file exists or cannot be written.
    """
    path = Path(path)
    with staged([path], overwrite) as at:
        write_frames(data, at[path])


def write_frames(data: xr.Dataset, path: Path) -> None:
    """Writes frames to a new file of sciddm's HDF5.

    Raises:
        InputError: they have not the form of `frames`.
    """
    write_hdf5(checked_frames(data), path, KIND)


def is_ultrasound(path: Path) -> bool:
    """Whether a file or folder holds ultrasound, by a quick look: its layout or its modality."""
    try:
        if path.is_dir() or not is_regular(path):
            return False
        if h5py.is_hdf5(path):
            return _holds_frames(path)
        if _is_dicom(path):
            from sciddm.data_adapters.gate.dicom import checked_dcmread

            header = checked_dcmread(path, specific_tags=["Modality"], stop_before_pixels=True)
            return str(header.get("Modality", "")) in ("US", "IVUS")
    except Exception:
        return False
    return path.suffix.lower() == ".uff"


@isolated
def _holds_frames(path: Path) -> bool:
    with h5py.File(path) as file:
        kind = text_of(file.attrs.get("sciddm_kind", ""))
        return kind == KIND or zea_group(file) is not None or is_uff(file)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
