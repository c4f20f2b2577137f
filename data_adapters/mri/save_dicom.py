"""Writing images as MR Image Storage, one file per slice, that any viewer opens.

Stored values are unsigned 16-bit integers that reach from 0 (or the lowest value) to the largest:

    value = RescaleSlope x stored + RescaleIntercept,   error at most 1 / 131070 of the range

Geometry is that of the affine. Where the scan's orientation is not known, or its voxel size (which
is then written as 1 mm), ImageComments says so and PatientPosition stays empty. Patient, study and
frame of reference are those of the raw data where they name them; else the patient stays empty and
the study is a new one.
"""

from __future__ import annotations

import copy
import datetime
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, generate_uid

from sciddm.data_adapters.checks import check_finite
from sciddm.data_adapters.dicom_slices import (
    SERIES_OFFSET,
    anonymous_headers,
    decimals,
    describe,
    save_slice,
    set_pixels,
)
from sciddm.geometry.affine import centred_affine

__all__ = ["Study", "write_mr_slices"]

_MOST = 2**16 - 1
_TOLD = {
    "repetition_time_ms": "RepetitionTime",
    "echo_time_ms": "EchoTime",
    "inversion_time_ms": "InversionTime",
    "flip_angle_deg": "FlipAngle",
    "field_strength_T": "MagneticFieldStrength",
    "slice_thickness_mm": "SliceThickness",
}


class Study:
    """UIDs that the series of one result share, and what the scan tells for their headers.

    Args:
        attrs: of the scan or result: `affine`, `voxel_size_mm`, sequence times, ...
        identity: DICOM keywords of patient, study and frame of reference, where they are known.
    """

    def __init__(self, attrs: Mapping[Any, Any], identity: Mapping[str, str] | None = None) -> None:
        self.attrs = attrs
        own = dict(identity or {})
        if not attrs.get("orientation_known", False):
            # Axes that are not the patient's must not be laid over other series.
            own.pop("FrameOfReferenceUID", None)
            own.pop("PatientPosition", None)
        self.uids = (
            own.pop("StudyInstanceUID", str(generate_uid())),
            own.pop("FrameOfReferenceUID", str(generate_uid())),
        )
        self.identity = own
        self.now = datetime.datetime.now()

    def headers(self, shape: tuple[int, int, int], number: int) -> list[Dataset]:
        """Headers without pixels, one per slice.

        Args:
            shape: (slice, y, x).
            number: of the series within the result, from 1.
        """
        each = int(self.attrs.get("slices_per_frame", shape[0]))
        affine, remarks = self._affine((each, *shape[1:]))
        places = anonymous_headers(affine, each, "MR", self.uids)
        headers = [copy.deepcopy(places[k % each]) for k in range(shape[0])]
        for k, header in enumerate(headers):
            if self.identity:
                header.SpecificCharacterSet = "ISO_IR 192"  # UTF-8
            for keyword, text in self.identity.items():
                setattr(header, keyword, text)
            header.InstanceNumber = k + 1
            if each < shape[0]:
                header.TemporalPositionIdentifier = k // each + 1
                header.NumberOfTemporalPositions = shape[0] // each
            header.SeriesNumber = SERIES_OFFSET + number
            header.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
            header.ScanningSequence, header.SequenceVariant = "RM", "NONE"  # research mode
            header.ScanOptions = header.EchoTrainLength = None
            volume = str(self.attrs.get("encoding", "")).startswith("3D")
            header.MRAcquisitionType = "3D" if volume else "2D"
            header.RepetitionTime = header.EchoTime = None
            for name, keyword in _TOLD.items():
                value = self.attrs.get(name)
                if isinstance(value, int | float) and math.isfinite(value):
                    setattr(header, keyword, decimals([value])[0])
            for name, keyword in (
                ("scanner", "ManufacturerModelName"),
                ("protocol", "ProtocolName"),
            ):
                if self.attrs.get(name):
                    setattr(header, keyword, str(self.attrs[name])[:64])
            if remarks:
                header.ImageComments = "; ".join(remarks)
        return headers

    def _affine(self, shape: tuple[int, int, int]) -> tuple[NDArray[np.float64], list[str]]:
        remarks = []
        if not self.attrs.get("orientation_known", False):
            remarks.append("orientation unknown: axes and sides are not those of the patient")
        affine = self.attrs.get("affine")
        if affine is None:
            remarks.append("voxel size unknown: 1 mm stands for it")
            affine = centred_affine([1.0, 1.0, 1.0], shape)
        return np.asarray(affine, dtype=np.float64), remarks


def write_mr_slices(
    values: NDArray[np.float32], places: list[Path], study: Study, number: int, description: str
) -> None:
    """Writes an image (slice, y, x), one file per slice.

    Args:
        values: magnitudes, or any real numbers.
        places: the files.
        study: of the result.
        number: of the series within it, from 1.
        description: what was done.

    Raises:
        InputError: NaN or infinite values.
    """
    check_finite(places[0].parent, "the image", values)
    low, high = min(float(values.min()), 0.0), float(values.max())
    slope = float(decimals([(high - low) / _MOST])[0]) if high > low else 1.0
    # As the header will say it: 16 characters round the slope, and the last value must still fit.
    intercept = float(decimals([low])[0])
    window = [float(np.percentile(values, q)) for q in (1, 99.5)]
    series = generate_uid()
    for k, header in enumerate(study.headers(values.shape, number)):
        header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, generate_uid()
        header.SeriesInstanceUID = series
        describe(header, description, study.now)
        stored = np.rint((values[k].astype(np.float64) - intercept) / slope)
        set_pixels(header, np.clip(stored, 0, _MOST).astype(np.uint16), slope, intercept, "US")
        width = max(window[1] - window[0], slope)
        header.WindowCenter, header.WindowWidth = decimals([sum(window) / 2, width])
        save_slice(header, places[k])
