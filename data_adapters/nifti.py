"""NIfTI volumes.

An array (slice, y, x) is stored with the axes (x, y, slice), no axis is flipped, and the affine
maps (x, y, slice) to RAS in mm, so that any viewer shows it where it lies. Without an affine the
voxel sizes make a centred one; without voxel sizes they are 1 and the unit is 'unknown'.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import xarray as xr
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_finite, check_size, existing_file, reading
from sciddm.data_adapters.isolation import isolated
from sciddm.errors import InputError
from sciddm.geometry.affine import centred_affine, voxel_sizes

__all__ = ["read_nifti", "write_nifti"]

_MM = {"mm": 1.0, "unknown": 1.0, "meter": 1e3, "micron": 1e-3}
_SCANNER, _ALIGNED = 1, 2  # codes of what an affine refers to
_SHEAR = 1e-4  # cosine between axes: .05 mm over 500 mm
_DEFLATE_RATIO = 1032  # the most that deflate can compress


def write_nifti(image: NDArray[Any], path: Path, attrs: Mapping[Any, Any]) -> None:
    """Writes a volume: whole numbers of 8 bits as uint8, all others as float32.

    Args:
        image: (slice, y, x), or (frame, slice, y, x) for a series of one place, real; a mask is
            bool or uint8, so that viewers open a label map.
        path: .nii or .nii.gz.
        attrs: `affine` and `orientation_known`, or `voxel_size_mm` [z, y, x], as far as known;
            `nifti_codes`, [qform, sform] as a file had them, are kept.
    """
    known = attrs.get("affine") is not None
    affine = np.asarray(attrs["affine"], dtype=np.float64) if known else None
    if affine is None:
        affine = centred_affine(attrs.get("voxel_size_mm", [np.nan] * 3), image.shape[-3:])
    unit = "unknown" if affine is None else "mm"
    if affine is None:
        affine = np.asarray(centred_affine([1.0] * 3, image.shape[-3:]))
    kind = np.uint8 if image.dtype in (np.bool_, np.uint8) else np.float32
    volume = nib.Nifti1Image(np.ascontiguousarray(image.T, dtype=kind), affine)
    code = _SCANNER if known and attrs.get("orientation_known", True) else _ALIGNED
    _place(volume, affine, code, attrs.get("nifti_codes") if known else None)
    volume.header.set_xyzt_units(unit)
    volume.header["descrip"] = b"sciddm"
    nib.save(volume, path)


def _place(volume: Any, affine: NDArray[np.float64], code: int, stored: Any) -> None:
    """Sets sform and, where it can say the same, qform: a quaternion has no place for a shear.

    Args:
        volume: nibabel's.
        affine: of its voxels.
        code: of a new file.
        stored: [qform, sform] codes of the file that the affine came from, or None.
    """
    qform, sform = (int(c) for c in stored) if stored is not None else (code, code)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    sheared = float(np.abs(axes.T @ axes - np.eye(3)).max()) > _SHEAR
    volume.set_qform(affine, 0 if sheared else qform, strip_shears=True)
    volume.set_sform(affine, sform)
    if qform == sform == 0 and np.allclose(volume.header.get_best_affine(), affine, atol=1e-4):
        return  # voxel sizes alone, as they came
    if sform == 0 and (sheared or qform == 0):
        volume.set_sform(affine, qform or _ALIGNED)


@isolated
def read_nifti(source: str | Path, *, series: bool = False) -> xr.DataArray:
    """Reads a volume of real numbers.

    Args:
        source: the file.
        series: a series of volumes is read too, one after the other along ``slice``.

    Returns:
        (slice, y, x) float32, scaled as the header says, with attributes voxel_size_mm [z, y, x],
        affine (of the indices (x, y, slice), RAS, mm), orientation_known and source.

    Raises:
        InputError: damaged, not a single 2D or 3D volume, not real, NaN, or larger than memory.
    """
    path = existing_file(source)
    with reading(path):
        try:
            volume = nib.load(path.absolute())  # it takes ``~`` for the home folder
        except ImageFileError as error:
            raise InputError(f"{path}: not NIfTI, or damaged: copy or export again") from error
        if not isinstance(volume, nib.Nifti1Image):  # Nifti2Image is one too
            raise InputError(f"{path}: {type(volume).__name__}, not NIfTI: convert it")
        shape = volume.shape
        if len(shape) < 2 or any(n != 1 for n in shape[4 if series else 3 :]):
            raise InputError(f"{path}: has the shape {shape}, not one 3D volume: extract one")
        stored = np.dtype(volume.get_data_dtype())
        if stored.kind not in "fiub":
            raise InputError(f"{path}: is {stored}, not real: give magnitudes")
        itemsize = stored.itemsize
        check_size(path, "the volume", shape, max(itemsize, 4))
        packed = path.stat().st_size * (_DEFLATE_RATIO if path.suffix == ".gz" else 1)
        if int(np.prod([int(n) for n in shape])) * itemsize > packed:
            raise InputError(f"{path}: shorter than its header says: truncated, copy it again")
        check_size(path, "the volume", shape, itemsize, stored=path)
        values = np.asarray(volume.get_fdata(dtype=np.float32, caching="unchanged"))
        unit = _MM.get(str(volume.header.get_xyzt_units()[0]), 1.0)
        affine = np.asarray(volume.affine, dtype=np.float64).copy()
        header = volume.header
        codes = [int(header["qform_code"]), int(header["sform_code"])]
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise InputError(f"{path}: its affine is no map of voxels to places: export it again")
    affine[:3] *= unit
    nx, ny, nz, frames = (*shape[:4], *[1] * (4 - len(shape)))
    values = values.reshape(nx, ny, nz, frames).T.reshape(frames * nz, ny, nx)
    check_finite(path, "the volume", values)
    attrs = {
        "voxel_size_mm": voxel_sizes(affine),
        "affine": affine.tolist(),
        # Both codes 0: what the affine refers to is not stated.
        "orientation_known": any(codes),
        "nifti_codes": codes,
        "source": path.name,
    }
    return xr.DataArray(np.ascontiguousarray(values), dims=("slice", "y", "x"), attrs=attrs)
