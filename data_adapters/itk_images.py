"""Volumes in MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr), read and written by SimpleITK.

Both state a frame of directions at right angles, in LPS; a sheared volume (slices of a tilted
gantry) has none and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_finite, check_size, existing_file, one_line
from sciddm.data_adapters.gate.itk import check_itk
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.library_path import library_path
from sciddm.data_adapters.read_back import incomplete
from sciddm.errors import InputError, OutputError
from sciddm.extras import extra
from sciddm.geometry.affine import centred_affine, voxel_sizes

__all__ = ["ITK_SUFFIXES", "check_frame", "read_itk", "write_itk"]

ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
_LPS = np.diag([-1.0, -1.0, 1.0])
_SHEAR = 1e-4  # cosine between axes


@isolated
def read_itk(source: str | Path) -> xr.DataArray:
    """Reads a volume of real numbers.

    Returns:
        (z, y, x) float32 with attributes voxel_size_mm [z, y, x], affine (of the indices (x, y, z),
        RAS, mm) and source.

    Raises:
        InputError: damaged, not one 3D volume, not real, NaN, or numbers outside of its folder.
    """
    path = existing_file(source)
    with extra("petct", "MetaImage and NRRD"):
        import SimpleITK as sitk  # noqa: N813
    stored = check_itk(path)
    reader = sitk.ImageFileReader()
    # By the suffix, which the gate went by too: the library would try all of its formats.
    meta = path.suffix.lower() in (".mha", ".mhd")
    reader.SetImageIO("MetaImageIO" if meta else "NrrdImageIO")
    reader.SetFileName(str(library_path(path)))
    try:
        reader.ReadImageInformation()
        size = [int(n) for n in reader.GetSize()]
        if len(size) != 3 or reader.GetNumberOfComponents() != 1:
            raise InputError(f"{path}: is no volume of three axes and one value: extract one")
        check_size(path, "the volume", size, 4)
        check_size(path, "the volume", size, 1, stored=stored)
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(
            f"{path}: damaged, truncated or not what its name says ({one_line(error)}): copy it "
            "again"
        ) from error
    values = np.asarray(sitk.GetArrayFromImage(image))
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path}: is {values.dtype}, not real: convert it")
    check_finite(path, "the volume", values)
    axes = np.asarray(image.GetDirection(), np.float64).reshape(3, 3) * image.GetSpacing()
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = _LPS @ axes, _LPS @ np.asarray(image.GetOrigin())
    attrs = {"voxel_size_mm": voxel_sizes(affine), "affine": affine.tolist(), "source": path.name}
    return xr.DataArray(values.astype(np.float32), dims=("z", "y", "x"), attrs=attrs)


def write_itk(image: NDArray[Any], path: Path, attrs: Mapping[Any, Any]) -> None:
    """Writes a volume: masks as uint8, all others as float32.

    Args:
        image: (z, y, x).
        path: its suffix chooses the format.
        attrs: `affine`, or `voxel_size_mm`, as far as known.

    Raises:
        OutputError: the affine is sheared, or the image is a series of volumes.
        OSError: the file is not whole, which ITK does not say by itself.
    """
    with extra("petct", "MetaImage and NRRD"):
        import SimpleITK as sitk  # noqa: N813
    if image.ndim != 3:
        raise OutputError(f"{path}: holds one volume, not a series of them: write .nii.gz")
    affine = _affine(image, attrs)
    axes, spacing = check_frame(path, affine)
    kind = np.uint8 if image.dtype in (np.bool_, np.uint8) else np.float32
    values = np.ascontiguousarray(image, kind)
    volume = sitk.GetImageFromArray(values)
    volume.SetSpacing([float(v) for v in spacing])
    volume.SetDirection([float(v) for v in (_LPS @ axes).ravel()])
    volume.SetOrigin([float(v) for v in _LPS @ affine[:3, 3]])
    sitk.WriteImage(volume, str(path), True)
    try:
        whole = np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), values)
    except RuntimeError:
        whole = False
    if not whole:
        raise incomplete(path)


def check_frame(path: Path, affine: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The directions of the axes (3, 3), RAS, and the distances of the voxels (3,), mm.

    Args:
        path: for messages.
        affine: of the indices (x, y, z), RAS, mm.

    Raises:
        OutputError: the axes are not at right angles.
    """
    columns = np.asarray(affine, np.float64)[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    axes = columns / spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SHEAR:
        raise OutputError(
            f"{path}: its slices are sheared (a tilted gantry), which {path.suffix} cannot say: "
            "write .nii.gz"
        )
    return axes, spacing


def _affine(image: NDArray[Any], attrs: Mapping[Any, Any]) -> NDArray[np.float64]:
    """As stated; else centred, of the stated voxel sizes or of 1 mm."""
    if attrs.get("affine") is not None:
        return np.asarray(attrs["affine"], np.float64)
    sizes = attrs.get("voxel_size_mm", [np.nan] * 3)
    affine = centred_affine(sizes, image.shape[-3:])
    if affine is None:
        affine = centred_affine([1.0] * 3, image.shape[-3:])
    return np.asarray(affine, np.float64)
