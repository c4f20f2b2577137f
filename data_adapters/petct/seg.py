"""Masks as DICOM Segmentation objects over a CT series, which viewers show on top of it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import sciddm
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.ct.dicom import Series, read_headers
from sciddm.data_adapters.staging import staged
from sciddm.errors import InputError
from sciddm.geometry.affine import voxel_sizes
from sciddm.geometry.grid import DIMS

__all__ = ["read_seg", "save_seg"]


def save_seg(
    mask: NDArray[Any],
    path: str | Path,
    source: str | Path,
    *,
    series: str | None = None,
    label: str = "Tumour",
    description: str = "sciddm tumour segmentation",
    model: str = "",
    overwrite: bool = False,
) -> None:
    """Writes a mask as a binary segmentation of one segment.

    Args:
        mask: (z, y, x), the voxels of the series; above 0 is inside.
        path: .dcm.
        source: folder of the CT series the mask lies over; patient, study and frame of reference
            are taken from it.
        series: SeriesInstanceUID, where it holds several of CT.
        label: of the segment.
        description: of the series.
        model: that made it.
        overwrite: an existing file may be replaced.

    Raises:
        InputError: the mask has other voxels than the series.
        OutputError: the file exists or cannot be written.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    found = read_headers(source, series, mixed=True)
    _check_shape(mask, found, Path(source))
    algorithm = hd.AlgorithmIdentificationSequence(
        name=f"sciddm {model}".strip(),
        version=sciddm.__version__,
        family=codes.DCM.ArtificialIntelligence,
    )
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    inside = np.ascontiguousarray(np.asarray(mask) > 0).astype(np.uint8)
    path = Path(path)
    with staged([path], overwrite) as at, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values in the source that are not to the letter
        segmentation = hd.seg.Segmentation(
            source_images=found.headers,
            pixel_array=inside,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[segment],
            series_instance_uid=hd.UID(),
            series_number=int(found.headers[0].get("SeriesNumber") or 0) + 1000,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="sciddm",
            manufacturer_model_name="sciddm",
            software_versions=sciddm.__version__,
            device_serial_number="0",
            series_description=description[:64],
            # An empty mask is written with all of its frames: no frame at all is not allowed.
            omit_empty_frames=bool(inside.any()),
        )
        segmentation.save_as(at[path])


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
    import highdicom as hd

    file: Path = existing_file(path)
    with reading(file), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = hd.seg.segread(file)
        numbers = list(stored.segment_numbers)
        if source is None:
            volume = stored.get_volume(segment_numbers=numbers, combine_segments=False)
            values = volume.array.max(-1)
            affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine[:, [2, 1, 0, 3]]
        else:
            found = read_headers(source, mixed=True)
            uids = [str(h.SOPInstanceUID) for h in found.headers]
            frames = stored.get_pixels_by_source_instance(
                source_sop_instance_uids=uids,
                segment_numbers=numbers,
                assert_missing_frames_are_empty=True,
            )
            values, affine = frames.max(-1), found.affine
    attrs = {
        "affine": np.asarray(affine, np.float64).tolist(),
        "voxel_size_mm": voxel_sizes(affine),
        "source": file.name,
    }
    return xr.DataArray(np.asarray(values > 0, np.uint8), dims=DIMS, attrs=attrs)


def _check_shape(mask: NDArray[Any], found: Series, source: Path) -> None:
    first = found.headers[0]
    shape = (len(found.files), int(first.Rows), int(first.Columns))
    if np.shape(mask) != shape:
        raise InputError(
            f"{source}: has {shape} voxels, the mask {np.shape(mask)}: give its series"
        )
