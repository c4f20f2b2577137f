"""fastMRI HDF5 files, and files with the same keys.

    kspace            (slice, ky, kx) one coil, (slice, coil, ky, kx) several; or as `axes` says;
                      complex, or real with a last axis of real and imaginary part
    mask              (kx,) as fastMRI has it, (ky, kx) or (slice, ky, kx)
    reconstruction_rss, reconstruction_esc or reference   (slice, y, x)
    maps              (slice, coil, y, x) or (coil, y, x)
    noise             (coil, sample)
    ismrmrd_header    XML: readout along ky, phase encoding along kx

Source: J. Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI,
arXiv 1811.08839. What `save_kspace` writes is this layout with `hdf5`'s attributes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.attributes import decode
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.hdf5 import (
    ATTRS,
    dataset_at,
    names_in,
    open_hdf5,
    read_array,
    read_text,
    text_of,
    write_hdf5,
)
from sciddm.data_adapters.mri.header import build_header, parse_header
from sciddm.data_adapters.mri.scan import ROOT_SUM_OF_SQUARES, build_scan, ordered
from sciddm.errors import InputError

__all__ = ["MAPS", "read_fastmri", "read_fastmri_maps", "write_fastmri"]

#: Names under which coil sensitivities are found.
MAPS = ("maps", "sensitivity_maps", "sensitivities", "sens_maps", "coil_maps", "csm")
_REFERENCES = ("reference", "reconstruction_rss", "reconstruction_esc")
_CORE = {"kspace", "mask", "noise", ATTRS, "ismrmrd_header", *MAPS, *_REFERENCES}
_DIMS = ("slice", "coil", "ky", "kx")
#: A side of k-space that is shorter, beside so many "coils" or more, may be a coil axis.
_SHORT_SIDE, _MANY_COILS = 16, 48


def read_fastmri(source: str | Path, axes: Sequence[str] | None = None) -> xr.Dataset:
    """Reads a scan; see `scan` for what is returned.

    Args:
        source: the file.
        axes: names of the axes of k-space, in its order, among slice, coil, ky, kx; where the file
            itself does not tell.

    Raises:
        InputError: unusable, or of axes that could be read in two ways; the message says why and
            what helps.
    """
    path = existing_file(source)
    with reading(path), open_hdf5(path) as file:
        if not isinstance(file.get("kspace"), h5py.Dataset):
            raise InputError(
                f"{path}: no k-space in it, only {names_in(file)}: give raw data, with a dataset "
                "'kspace' (fastMRI) or an ISMRMRD group"
            )
        kspace = _canonical(path, file, axes)
        mask = read_array(file["mask"], path) if "mask" in file else None
        if mask is not None:
            mask = _expanded(path, mask, kspace, "ismrmrd_header" in file)
        maps = next((read_array(file[k], path) for k in MAPS if k in file), None)
        key = next((k for k in _REFERENCES if k in file), None)
        reference = None if key is None else read_array(file[key], path)
        noise = read_array(file["noise"], path) if "noise" in file else None
        attrs = _attrs(path, file, kspace.shape[-2:])
        if key == "reconstruction_rss":
            attrs["reference_combination"] = ROOT_SUM_OF_SQUARES
        scan = build_scan(
            path,
            kspace,
            attrs,
            mask=mask,
            maps=maps,
            noise=noise,
            reference=reference,
            others=_others(path, file),
        )
        if "ismrmrd_header" in file:
            header = parse_header(read_text(file, "ismrmrd_header", path), path)
            scan.encoding["dicom"] = header.identity
        return scan


def read_fastmri_maps(source: str | Path) -> NDArray[Any]:
    """Coil sensitivities of an HDF5 file, not yet checked.

    Raises:
        InputError: there are none.
    """
    path = existing_file(source)
    with reading(path), open_hdf5(path) as file:
        for name in MAPS:
            if isinstance(file.get(name), h5py.Dataset):
                return read_array(file[name], path)
        raise InputError(
            f"{path}: no coil sensitivities in it, only {names_in(file)}: name the dataset 'maps'"
        )


def write_fastmri(dataset: xr.Dataset, path: Path) -> None:
    """Writes a scan so that both `read_fastmri` and fastMRI's own loader read it.

    Args:
        dataset: in the form of `scan`.
        path: a new file.
    """
    scan = ordered(dataset)
    ny, nx = scan.sizes["ky"], scan.sizes["kx"]
    z, y, x = scan.attrs.get("voxel_size_mm", [math.nan] * 3)
    rows, columns = scan.attrs.get("image_shape", (ny, nx))
    header = build_header(
        (ny, nx, 1),
        (int(rows), int(columns), 1),
        (float(y), float(x), float(z)),
        float(scan.attrs.get("field_strength_T", math.nan)),
    )
    write_hdf5(scan, path, "kspace", more={"ismrmrd_header": header})


def _canonical(path: Path, file: h5py.File, axes: Sequence[str] | None) -> NDArray[Any]:
    """k-space as (slice, coil, ky, kx)."""
    node = dataset_at(file, "kspace")
    pairs = node.dtype.kind in "fiu" and node.ndim > 3 and node.shape[-1] == 2
    shape = node.shape[:-1] if pairs else node.shape
    stated = _checked_axes(path, axes, shape) if axes else _stated_axes(file, len(shape))
    if len(shape) not in (3, 4) and stated is None:
        raise InputError(
            f"{path}: k-space has {len(shape)} axes {shape}, not (slice, ky, kx) or "
            "(slice, coil, ky, kx): reorder it, or name its axes in the attribute 'axes'"
        )
    if stated is None:
        if len(shape) == 4:
            _check_four(path, file, shape)
        stated = _DIMS if len(shape) == 4 else (_first_of_three(path, file, shape), "ky", "kx")
    values = read_array(node, path)
    if pairs:
        values = values[..., 0] + 1j * values[..., 1].astype(np.promote_types(values.dtype, "f4"))
    values = values.transpose([stated.index(d) for d in _DIMS if d in stated])
    missing = tuple(i for i, d in enumerate(_DIMS) if d not in stated)
    return np.expand_dims(values, missing)


def _check_four(path: Path, file: h5py.File, shape: tuple[int, ...]) -> None:
    """Raises InputError for four axes without names that are hardly (slice, coil, ky, kx)."""
    if "ismrmrd_header" in file or "sciddm_kind" in file.attrs:
        return
    slices, coils, ny, nx = shape
    if min(ny, nx) < _SHORT_SIDE and coils >= _MANY_COILS:
        doubt = f"{coils} coils and a matrix of {ny} x {nx}, or have its axes in another order"
    elif coils == 1 < slices and min(ny, nx) >= _SHORT_SIDE and not _is_image_count(file, slices):
        doubt = f"{slices} slices of one coil or {slices} coils of one slice"
    else:
        return
    raise InputError(
        f"{path}: k-space {shape} could be {doubt}: say which with --axes (slice,coil,ky,kx) or "
        "in the attribute 'axes' of the file"
    )


def _is_image_count(file: h5py.File, count: int) -> bool:
    """Whether the file has an image of so many slices."""
    nodes = (file.get(name) for name in _REFERENCES)
    return any(isinstance(n, h5py.Dataset) and n.ndim == 3 and len(n) == count for n in nodes)


def _checked_axes(path: Path, axes: Sequence[str], shape: tuple[int, ...]) -> tuple[str, ...]:
    """Axes that the caller names.

    Raises:
        InputError: not those of this array.
    """
    names = tuple(axes)
    if not {"ky", "kx"} <= set(names) <= set(_DIMS) or len(set(names)) != len(names):
        raise InputError(f"{path}: axes {','.join(names)}: name each of {', '.join(_DIMS)} once")
    if len(names) != len(shape):
        raise InputError(
            f"{path}: {len(names)} axes {','.join(names)} for k-space of {len(shape)} {shape}: "
            "name all of them"
        )
    return names


def _first_of_three(path: Path, file: h5py.File, shape: tuple[int, ...]) -> str:
    """Whether k-space of three axes has slices of one coil, as fastMRI, or coils of one slice.

    Raises:
        InputError: nothing in the file tells.
    """
    count = shape[0]
    if count == 1 or "ismrmrd_header" in file or "reconstruction_esc" in file:
        return "slice"
    for name in (*_REFERENCES, *MAPS):
        node = file.get(name)
        if isinstance(node, h5py.Dataset) and node.ndim == 3:
            is_image = name in _REFERENCES
            return "slice" if is_image == (node.shape[0] == count) else "coil"
    raise InputError(
        f"{path}: k-space {shape} could be {count} slices of one coil or {count} "
        "coils of one slice: say which with --axes slice,ky,kx or --axes coil,ky,kx, or in the "
        "attribute 'axes' of the file"
    )


def _stated_axes(file: h5py.File, count: int) -> tuple[str, ...] | None:
    """Axes from the attribute `dims` of k-space or `axes` of it or of the file, if they make sense.

    The attribute reads like "slice,coil,ky,kx; any remark".
    """
    node = file["kspace"]
    for owner, key in ((node, "dims"), (node, "axes"), (file, "axes")):
        if key in owner.attrs:
            stated = text_of(owner.attrs[key]).split(";")[0]
            axes = tuple(name.strip().lower() for name in stated.split(","))
            known = {"ky", "kx"} <= set(axes) <= set(_DIMS)
            if known and len(set(axes)) == len(axes) == count:
                return axes
    return None


def _expanded(
    path: Path, mask: NDArray[Any], kspace: NDArray[Any], is_fastmri: bool
) -> NDArray[Any]:
    """A mask of lines as (ky, kx), fastMRI's of columns among them; others as they are.

    Raises:
        InputError: a mask that could be of rows or of columns.
    """
    slices, ny, nx = kspace.shape[0], *kspace.shape[-2:]
    if mask.ndim == 4 and mask.shape[1] == 1:  # with an axis for coils
        mask = mask[:, 0]
    lines = mask.squeeze()
    if lines.ndim != 1 or mask.shape in ((ny, nx), (slices, ny, nx)):
        return mask
    if mask.shape in ((ny, 1), (1, nx)):
        return np.broadcast_to(mask, (ny, nx))
    sampled = lines != 0
    filled = (kspace != 0).any(axis=(0, 1))
    rows, columns = filled.any(axis=1), filled.any(axis=0)
    fits_rows = lines.shape == (ny,) and not (rows & ~sampled).any()
    fits_columns = lines.shape == (nx,) and not (columns & ~sampled).any()
    if lines.shape == (nx,) and (is_fastmri or ny != nx or (fits_columns and not fits_rows)):
        # Columns beyond the encoding limits are padded with zeros, and fastMRI's masks cover them.
        return np.broadcast_to(sampled & columns, (ny, nx))
    if lines.shape == (ny,) and (ny != nx or (fits_rows and not fits_columns)):
        return np.broadcast_to((sampled & rows)[:, None], (ny, nx))
    if lines.shape == (nx,) and not (sampled.all() and filled.all()):
        raise InputError(
            f"{path}: a mask of {len(lines)} entries for k-space of {ny} x {nx} could be of its "
            "rows (ky) or of its columns (kx), and the data fit both or neither: write it as "
            "(ky, 1) or (1, kx), of all slices as (ky, kx)"
        )
    return np.broadcast_to(sampled, (ny, nx)) if lines.shape == (nx,) else mask


def _attrs(path: Path, file: h5py.File, matrix: tuple[int, ...]) -> dict[str, Any]:
    ny, nx = matrix
    attrs: dict[str, Any] = {}
    if "ismrmrd_header" in file:
        header = parse_header(read_text(file, "ismrmrd_header", path), path)
        thickness = header.recon.voxel_mm(2)
        if math.isnan(thickness):
            thickness = header.encoded.voxel_mm(2)
        # Samples of k-space are 1 / FOV apart, so FOV / samples is the pixel of any padding.
        attrs["voxel_size_mm"] = [
            thickness,
            header.encoded.voxel_mm(0, ny),
            header.encoded.voxel_mm(1, nx),
        ]
        if all(header.recon.matrix[:2]):
            attrs["image_shape"] = [header.recon.matrix[0], header.recon.matrix[1]]
        attrs |= header.attrs
        if "sciddm_kind" not in file.attrs:  # fastMRI itself, whose readout is along ky
            attrs["phase_encoding_axis"] = "kx"
    named = {"acquisition": "acquisition", "desc": "description", "description": "description"}
    for key, name in {**named, "licence": "licence", "scanner": "scanner"}.items():
        if key in file.attrs:
            attrs[name] = text_of(file.attrs[key])
    field = re.search(r"(\d+(?:\.\d+)?)\s*T\b", str(attrs.get("scanner", "")))
    if field and math.isnan(attrs.get("field_strength_T", math.nan)):
        attrs["field_strength_T"] = float(field.group(1))
    for key, length in (("voxel_size_mm", 3), ("image_shape", 2)):
        stated = np.asarray(file.attrs.get(key, ()))
        if stated.shape == (length,) and stated.dtype.kind in "fiu":
            attrs[key] = stated.tolist()
    if isinstance(file.get(ATTRS), h5py.Dataset):
        attrs |= decode(read_text(file, ATTRS, path))
    return {**attrs, "format": "fastmri"}


def _others(path: Path, file: h5py.File) -> dict[str, Any]:
    """Further variables that `write_fastmri` wrote."""
    found = {}
    for name, node in file.items():
        if name in _CORE or not isinstance(node, h5py.Dataset) or "dims" not in node.attrs:
            continue
        dims = [d for d in text_of(node.attrs["dims"]).split(",") if d]
        found[name] = (dims, read_array(node, path))
    return found
