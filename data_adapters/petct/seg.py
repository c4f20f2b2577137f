"""Masks as DICOM Segmentation objects over a CT series, which viewers show on top of it.

Every lesion is a segment of its own, with a tracking identifier and a colour.
"""

from __future__ import annotations

import colorsys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom.dataset import Dataset

import sciddm
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.dicom_series import PET, Series, read_series
from sciddm.data_adapters.dicom_text import unicode_header
from sciddm.data_adapters.gate.dicom import checked_dcmread
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.slice_order import slice_normal
from sciddm.data_adapters.staging import staged
from sciddm.errors import InputError
from sciddm.extras import extra
from sciddm.geometry.affine import stacked_affine, voxel_sizes
from sciddm.geometry.grid import DIMS

with extra("petct", "DICOM-SEG"):
    import highdicom as hd

__all__ = ["read_seg", "save_seg"]

_GOLDEN_TURN = 0.618034  # between the hues of neighbouring segments: they never look alike
_SAME_MM = 0.01


def save_seg(
    labels: NDArray[Any],
    path: str | Path,
    source: str | Path,
    *,
    series: str | None = None,
    pet: str | Path | None = None,
    pet_series: str | None = None,
    label: str = "Tumour",
    description: str = "sciddm tumour segmentation",
    model: str = "",
    overwrite: bool = False,
) -> None:
    """Writes a mask as binary segments.

    Args:
        labels: (z, y, x), the voxels of the series; voxels of the value n are segment n, or one
            segment for a mask of True and False.
        path: .dcm.
        source: folder of the CT series the mask lies over; patient, study and frame of reference
            are taken from it.
        series: SeriesInstanceUID, where it holds several of CT.
        pet: folder of the PET that the mask was made from too, to refer to; of the same study.
        pet_series: its SeriesInstanceUID, where that folder holds several of PET.
        label: of the segments.
        description: of the series.
        model: that made it.
        overwrite: an existing file may be replaced.

    Raises:
        InputError: the mask has other voxels than the series.
        OutputError: the file exists or cannot be written.
    """
    slices = read_series(source, series)
    if np.shape(labels) != slices.shape:
        raise InputError(
            f"{source}: has {slices.shape} voxels, the mask {np.shape(labels)}: give its series"
        )
    numbered = np.ascontiguousarray(labels).astype(np.uint16)
    count = max(int(numbered.max()), 1)  # an empty mask has an empty segment
    images = _images(slices)
    if slices.enhanced:  # frames in the order of the file
        numbered = numbered[np.argsort(slices.frames)]
    path = Path(path)
    with staged([path], overwrite) as at, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values in the source that are not to the letter
        segmentation = hd.seg.Segmentation(
            source_images=images,
            pixel_array=numbered,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_segment(n, count, label, model) for n in range(1, count + 1)],
            series_instance_uid=hd.UID(),
            series_number=int(slices.headers[0].get("SeriesNumber") or 0) + 1000,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="sciddm",
            manufacturer_model_name="sciddm",
            software_versions=sciddm.__version__,
            device_serial_number="0",
            series_description=description[:64],
            # An empty mask is written with all of its frames: no frame at all is not allowed.
            omit_empty_frames=bool(numbered.any()),
            further_source_images=_further(pet, pet_series, images[0]),
        )
        segmentation.save_as(at[path])


@isolated
def read_seg(path: str | Path, source: str | Path | None = None) -> xr.DataArray:
    """Reads a binary segmentation; all of its segments together.

    Args:
        path: the file.
        source: folder of the series it lies over: the mask then has that series' slices, else
            only those from its first to its last.

    Returns:
        (z, y, x) uint8 with an affine.

    Raises:
        InputError: damaged, no segmentation, or of another series.
    """
    file: Path = existing_file(path)
    slices = None if source is None else read_series(source)
    with reading(file), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = hd.seg.Segmentation.from_dataset(checked_dcmread(file), copy=False)
        positions, orientation, spacing = _places(stored)
        pixels = stored.pixel_array
        frames = pixels[None] if pixels.ndim == 2 else pixels
        if slices is None:
            normal = slice_normal(orientation)
            if normal is None:
                raise InputError(f"{file}: its directions are no frame: export it again")
            values, affine = _stacked(frames, positions, orientation, spacing, normal)
        else:
            affine = slices.affine
            values = _laid(file, frames, positions, slices)
    attrs = {
        "affine": np.asarray(affine, np.float64).tolist(),
        "voxel_size_mm": voxel_sizes(affine),
        "source": file.name,
    }
    return xr.DataArray(np.asarray(values > 0, np.uint8), dims=DIMS, attrs=attrs)


def _images(slices: Series) -> list[Dataset]:
    """Source images as highdicom takes them: single slices, or the one enhanced image."""
    if not slices.enhanced:
        return [unicode_header(h) for h in slices.headers]
    if len(set(slices.files)) > 1:
        raise InputError(
            f"{slices.files[0].parent}: several enhanced images in one series: no segmentation can "
            "refer to them"
        )
    from sciddm.data_adapters.dicom_files import open_dicom

    return [unicode_header(open_dicom(slices.files[0], pixels=False))]


def _further(pet: str | Path | None, series: str | None, first: Dataset) -> list[Dataset] | None:
    """The images of the PET, where they belong to the same study: others may not be referred to."""
    if pet is None:
        return None
    images = _images(read_series(pet, series, PET))
    same = images[0].get("StudyInstanceUID") == first.get("StudyInstanceUID")
    return images if same else None


def _segment(number: int, count: int, label: str, model: str) -> hd.seg.SegmentDescription:
    from pydicom.sr.codedict import codes

    name = label if count == 1 else f"{label} {number}"
    hue = ((number - 1) * _GOLDEN_TURN) % 1.0
    rgb = [round(255 * v) for v in colorsys.hsv_to_rgb(hue, 0.8, 1.0)]
    algorithm = hd.AlgorithmIdentificationSequence(
        name=f"sciddm {model}".strip(),
        version=sciddm.__version__,
        family=codes.DCM.ArtificialIntelligence,
    )
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=hd.UID(),
        tracking_id=f"sciddm {name}",
        display_color=hd.color.CIELabColor.from_rgb(*rgb),
    )


def _places(stored: Dataset) -> tuple[NDArray[np.float64], list[float], list[float]]:
    """Positions of the frames (frame, 3), their orientation and spacing [y, x]."""
    shared = stored.SharedFunctionalGroupsSequence[0]
    groups = stored.PerFrameFunctionalGroupsSequence
    orientation = [float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient]
    spacing = [float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing]
    positions = [g.PlanePositionSequence[0].ImagePositionPatient for g in groups]
    return np.asarray(positions, np.float64), orientation, spacing


def _stacked(
    frames: NDArray[Any],
    positions: NDArray[np.float64],
    orientation: list[float],
    spacing: list[float],
    normal: NDArray[np.float64],
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The slices from the first to the last that have a frame, and where they lie.

    Slices without a frame are empty; those of a tilted gantry are shifted against one another.
    """
    along = positions @ normal
    places = np.unique(np.round(along / _SAME_MM) * _SAME_MM)
    gaps = np.diff(places)
    distance = float(gaps.min()) if len(gaps) else 1.0
    number = np.rint((along - along.min()) / distance).astype(int)
    volume = np.zeros((int(number.max()) + 1, *frames.shape[1:]), frames.dtype)
    for k, frame in zip(number, frames, strict=True):
        volume[k] |= frame
    ends = positions[[int(along.argmin()), int(along.argmax())]]
    step = (ends[1] - ends[0]) / max(len(volume) - 1, 1)
    line = ends[0] + np.arange(len(volume))[:, None] * step
    return volume, stacked_affine(line, orientation, spacing, distance)


def _laid(
    file: Path, frames: NDArray[Any], positions: NDArray[np.float64], slices: Series
) -> NDArray[Any]:
    """The frames on the slices of a series."""
    if frames.shape[1:] != slices.shape[1:]:
        raise InputError(f"{file}: frames of {frames.shape[1:]} pixels: of another series")
    own = np.array([np.asarray(h.ImagePositionPatient, np.float64) for h in slices.headers])
    volume = np.zeros(slices.shape, frames.dtype)
    for position, frame in zip(positions, frames, strict=True):
        apart = np.linalg.norm(own - position, axis=1)
        if apart.min() > 10 * _SAME_MM:
            raise InputError(f"{file}: a frame lies in no slice of the series: of another one?")
        volume[int(apart.argmin())] |= frame
    return volume
