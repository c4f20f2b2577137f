"""Writing a volume as a series of CT slices in DICOM that any viewer opens.

A series that was made from another keeps its patient, study, frame of reference and geometry, to
the letter. What is new: SeriesInstanceUID, SOPInstanceUID, ImageType DERIVED\\SECONDARY, a
DerivationDescription, the source of every slice (SourceImageSequence), this software among the
contributing equipment, and the pixels, 16 bits and not compressed. Private elements are left out.
"""

from __future__ import annotations

import copy
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, generate_uid

from sciddm.data_adapters.ct.dicom import Series, read_headers
from sciddm.data_adapters.ct.volume import checked_volume
from sciddm.data_adapters.dicom_slices import (
    SERIES_OFFSET,
    anonymous_headers,
    code,
    describe,
    save_slice,
    set_pixels,
)
from sciddm.data_adapters.staging import staged_folder
from sciddm.errors import InputError

__all__ = ["save_dicom", "write_slices"]

_SAME_MM = 0.01
_LOW, _HIGH = -(2**15), 2**15 - 1
_FINEST = 4  # the finest step is 2^-4 HU
# They describe the pixels of the source, or how they were coded.
_STALE = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "IconImageSequence",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "OriginalAttributesSequence",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
)


def save_dicom(
    volume: xr.DataArray,
    folder: str | Path,
    *,
    description: str,
    source: str | Path | None = None,
    series: str | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a volume (z, y, x) in HU as one file per slice: 0001.dcm, ...

    Values that are whole HU, or lie on the source's own steps, are kept exactly; others to half a
    step, which is 1/16 HU for a range of at most 4095 HU and coarser for larger ones.

    Args:
        volume: see `volume`.
        folder: a new one.
        description: what was done, for DerivationDescription and, shortened, SeriesDescription.
        source: the folder of the series that the volume was made of. Without it the series has no
            patient's name and a study of its own.
        series: SeriesInstanceUID, where that folder holds several.
        overwrite: an existing folder of .dcm files may be replaced.

    Raises:
        InputError: the volume is unusable, or does not lie where its source does.
        OutputError: the folder is not empty, or cannot be written.
    """
    folder = Path(folder)
    checked_volume(folder, volume)
    with staged_folder(folder, overwrite, ".dcm") as place:
        write_slices(volume, place, folder, description=description, source=source, series=series)


def write_slices(
    volume: xr.DataArray,
    place: Path,
    folder: Path,
    *,
    description: str,
    source: str | Path | None = None,
    series: str | None = None,
) -> None:
    """The files of `save_dicom` in the folder `place`, for the sake of a later rename to `folder`.

    Raises:
        InputError: as `save_dicom`.
    """
    hu = checked_volume(folder, volume)
    origin = None if source is None else read_headers(source, series)
    if origin is not None:
        _check_geometry(folder, volume, origin)
    slope, intercept = _steps(folder, hu, volume.attrs.get("rescale"))
    series_uid, now = generate_uid(), datetime.datetime.now()
    fresh = _anonymous(volume) if origin is None else []
    for k, values in enumerate(hu):
        dataset = fresh[k] if origin is None else _derived(origin.headers[k])
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = series_uid, generate_uid()
        dataset.SOPClassUID = CTImageStorage
        describe(dataset, description, now)
        set_pixels(dataset, _stored(values, slope, intercept), slope, intercept, "HU")
        save_slice(dataset, place / f"{k + 1:04d}.dcm")


def _check_geometry(folder: Path, volume: xr.DataArray, origin: Series) -> None:
    first = origin.headers[0]
    shape = (len(origin.files), int(first.Rows), int(first.Columns))
    sizes = tuple(volume.sizes[d] for d in ("z", "y", "x"))
    if sizes != shape:
        raise InputError(
            f"{folder}: the volume has {sizes} voxels, its source in {origin.files[0].parent} "
            f"{shape}: give the series it was made of"
        )
    corners = np.array(
        [[i, j, k, 1] for i in (0, shape[2]) for j in (0, shape[1]) for k in (0, shape[0])]
    )
    apart = (np.asarray(volume.attrs["affine"], np.float64) - origin.affine) @ corners.T
    if np.abs(apart).max() > _SAME_MM:
        raise InputError(
            f"{folder}: the volume lies up to {np.abs(apart).max():.2f} mm from its source in "
            f"{origin.files[0].parent}: give the series it was made of"
        )


def _steps(folder: Path, hu: NDArray[np.float32], rescale: Any) -> tuple[float, float]:
    """Slope and intercept: exact where that is possible, else as fine as fits.

    Looks at the volume slice by slice, since it may fill most of the memory.
    """
    low, high = float(hu.min()), float(hu.max())
    candidates = [(1.0, -1024.0), (1.0, float(np.floor(low)) - _LOW)]
    if rescale is not None and float(rescale[0]) > 0:
        candidates.insert(0, (float(rescale[0]), float(rescale[1])))
    for slope, intercept in candidates:
        ends = np.rint((np.array([low, high]) - intercept) / slope)
        if ends[0] < _LOW or ends[1] > _HIGH:
            continue
        if all(_is_exact(values, slope, intercept) for values in hu):
            return slope, intercept
    for power in range(_FINEST, -1, -1):
        slope = 2.0**-power
        intercept = float(np.floor(low)) - _LOW * slope
        if np.rint((high - intercept) / slope) <= _HIGH:
            return slope, intercept
    raise InputError(f"{folder}: values from {low:.0f} to {high:.0f} HU exceed 16 bits: clip them")


def _is_exact(values: NDArray[np.float32], slope: float, intercept: float) -> bool:
    back = _stored(values, slope, intercept) * slope + intercept
    return np.array_equal(back.astype(np.float32), values)


def _stored(values: NDArray[np.float32], slope: float, intercept: float) -> NDArray[np.int16]:
    return np.rint((values.astype(np.float64) - intercept) / slope).astype(np.int16)


def _derived(header: Dataset) -> Dataset:
    dataset = copy.deepcopy(header)
    dataset.remove_private_tags()
    for keyword in _STALE:
        if keyword in dataset:
            delattr(dataset, keyword)
    for element in [e for e in dataset if 0x6000 <= e.tag.group <= 0x60FF]:  # overlays
        del dataset[element.tag]
    kind = [str(v) for v in header.get("ImageType", [])]
    dataset.ImageType = ["DERIVED", "SECONDARY", *(kind[2:] or ["AXIAL"])]
    dataset.SeriesNumber = int(header.get("SeriesNumber") or 0) + SERIES_OFFSET
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = Sequence(
        [code("121322", "Source image for image processing operation")]
    )
    dataset.SourceImageSequence = Sequence([reference])
    return dataset


def _anonymous(volume: xr.DataArray) -> list[Dataset]:
    """Headers of a series without a source, one per slice."""
    headers = anonymous_headers(volume.attrs["affine"], volume.sizes["z"], "CT")
    for header in headers:
        header.KVP = None
    return headers
