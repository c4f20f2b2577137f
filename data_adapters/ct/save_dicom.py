"""Writing a volume as a series of CT slices in DICOM that any viewer opens.

A series that was made from another keeps its patient, study, frame of reference and geometry, to
the letter; its text is written in UTF-8. What is new: SeriesInstanceUID, SOPInstanceUID, ImageType
DERIVED\\SECONDARY, a DerivationDescription, the source of every slice (SourceImageSequence), this
software among the contributing equipment, and the pixels, 16 bits and not compressed. Padding keeps
its value and its declaration. Private elements are left out.

A map in HU that is no CT image, such as a standard deviation, has a number, a description and a
window of its own.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, generate_uid

from sciddm.data_adapters.ct.volume import checked_volume
from sciddm.data_adapters.dicom_series import Series, read_series
from sciddm.data_adapters.dicom_slices import (
    SERIES_OFFSET,
    anonymous_headers,
    code,
    decimals,
    describe,
    save_slice,
    set_pixels,
)
from sciddm.data_adapters.dicom_text import unicode_header
from sciddm.data_adapters.staging import staged_folder
from sciddm.errors import InputError

__all__ = ["save_dicom", "write_slices"]

_SAME_MM = 0.01
_LOW, _HIGH = -(2**15), 2**15 - 1
_FINEST = 4  # the finest step is 2^-4 HU
_MAP_OFFSET = 1500  # of the series' number of a map, above its source's
_WINDOW = 99.5  # percentile that a map's window reaches to
_CT_WINDOW = ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction")
# They describe the pixels of the source, or how they were coded.
_STALE = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "SmallestImagePixelValueInPlane",
    "LargestImagePixelValueInPlane",
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
    is_map: bool = False,
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
        is_map: the values are a map in HU, such as a standard deviation, and no CT image.
        overwrite: an existing folder of .dcm files may be replaced.

    Raises:
        InputError: the volume is unusable, or does not lie where its source does.
        OutputError: the folder is not empty, or cannot be written.
    """
    folder = Path(folder)
    checked_volume(folder, volume)
    with staged_folder(folder, overwrite, ".dcm") as place:
        write_slices(
            volume,
            place,
            folder,
            description=description,
            source=source,
            series=series,
            is_map=is_map,
        )


def write_slices(
    volume: xr.DataArray,
    place: Path,
    folder: Path,
    *,
    description: str,
    source: str | Path | None = None,
    series: str | None = None,
    is_map: bool = False,
) -> None:
    """The files of `save_dicom` in the folder `place`, for the sake of a later rename to `folder`.

    Raises:
        InputError: as `save_dicom`.
    """
    hu = checked_volume(folder, volume)
    origin = None if source is None else read_series(source, series)
    if origin is not None:
        _check_geometry(folder, volume, origin)
    slope, intercept = _steps(folder, hu, volume.attrs.get("rescale"))
    series_uid, now = generate_uid(), datetime.datetime.now()
    fresh = _anonymous(volume) if origin is None else []
    padding = None if is_map or origin is None else volume.coords.get("padding")
    for k, values in enumerate(hu):
        dataset = fresh[k] if origin is None else _derived(origin, k, is_map)
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = series_uid, generate_uid()
        dataset.SOPClassUID = CTImageStorage
        describe(dataset, description, now)
        stored = _stored(values, slope, intercept)
        if is_map:
            _set_window(dataset, hu)
        elif (
            origin is not None and padding is not None and "PixelPaddingValue" in origin.headers[k]
        ):
            padded = np.asarray(padding.transpose("z", "y", "x").values[k], bool)
            stored = _declare_padding(dataset, stored, padded)
        set_pixels(dataset, stored, slope, intercept, "HU")
        save_slice(dataset, place / f"{k + 1:04d}.dcm")


def _check_geometry(folder: Path, volume: xr.DataArray, origin: Series) -> None:
    shape = origin.shape
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


def _declare_padding(
    dataset: Dataset, stored: NDArray[np.int16], padded: NDArray[np.bool_]
) -> NDArray[np.int16]:
    """Declares the values of padding, and moves tissue that has one of them by a step."""
    if not padded.any():
        return stored
    low, high = int(stored[padded].min()), int(stored[padded].max())
    tissue = stored[~padded]
    if high > low and ((tissue > low) & (tissue < high)).any():
        # Not one range: the value that fills most is declared.
        values, counts = np.unique(stored[padded], return_counts=True)
        low = high = int(values[counts.argmax()])
    dataset.add_new("PixelPaddingValue", "SS", low)
    if high > low:
        dataset.add_new("PixelPaddingRangeLimit", "SS", high)
    same = ~padded & (stored >= low) & (stored <= high)
    return np.where(same, np.int16(high + 1 if high < _HIGH else low - 1), stored)


def _set_window(dataset: Dataset, values: NDArray[np.float32]) -> None:
    """From 0 to what nearly all of the map lies below."""
    top = max(float(np.percentile(values, _WINDOW)), 1.0)
    dataset.WindowCenter, dataset.WindowWidth = decimals([top / 2, top])


def _derived(origin: Series, index: int, is_map: bool) -> Dataset:
    header = origin.headers[index]
    dataset = unicode_header(header)
    for keyword in (*_STALE, *(_CT_WINDOW if is_map else ())):
        if keyword in dataset:
            delattr(dataset, keyword)
    for element in [e for e in dataset if 0x6000 <= e.tag.group <= 0x60FF]:  # overlays
        del dataset[element.tag]
    kind = [str(v) for v in header.get("ImageType", [])]
    dataset.ImageType = ["DERIVED", "SECONDARY", *(kind[2:] or ["AXIAL"])]
    offset = _MAP_OFFSET if is_map else SERIES_OFFSET
    dataset.SeriesNumber = int(header.get("SeriesNumber") or 0) + offset
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if origin.enhanced:
        reference.ReferencedFrameNumber = origin.frames[index] + 1
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
