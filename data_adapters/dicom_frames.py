"""Enhanced (multi-frame) DICOM images as one header per frame.

An enhanced image keeps what differs between its frames in the functional groups of each frame, and
what they share in the shared ones. Here each frame gets a header as a single slice has it, with
PixelSpacing, ImagePositionPatient, RescaleSlope and the others at the top: readers know one form.
"""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset

from sciddm.data_adapters.dicom_pixels import frame_count
from sciddm.errors import InputError

__all__ = ["frame_headers"]

_SHARED, _EACH = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
#: Groups whose elements have the names and meanings that they have in a single slice.
_GROUPS = (
    "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence",
    "PixelValueTransformationSequence", "FrameContentSequence", "FrameVOILUTSequence",
    "CTImageFrameTypeSequence", "CTReconstructionSequence", "CTExposureSequence",
    "CTXRayDetailsSequence", "PETFrameTypeSequence", "MRImageFrameTypeSequence",
)  # fmt: skip
_LEFT_OUT = (
    _SHARED, _EACH, "NumberOfFrames", "DimensionOrganizationSequence", "DimensionIndexSequence",
    "DimensionOrganizationType", "ConcatenationUID", "SOPInstanceUIDOfConcatenationSource",
    "InConcatenationNumber", "InConcatenationTotalNumber", "ConcatenationFrameOffsetNumber",
)  # fmt: skip
_OTHER_NAMES = {
    "FrameType": "ImageType",
    "ExposureInmAs": "Exposure",
    "XRayTubeCurrentInmA": "XRayTubeCurrent",
}


def frame_headers(file: Path, header: Dataset) -> list[Dataset]:
    """The headers of an image's frames, in their order in the file.

    Args:
        file: where it is from, for messages.
        header: of the file, with or without pixels.

    Returns:
        The header itself for a single slice.

    Raises:
        InputError: several frames without a place for each.
    """
    groups = header.get(_EACH)
    if not groups:
        if frame_count(header) > 1:
            raise InputError(
                f"{file}: several frames in one file and no place of each: export it as single "
                "slices, or as an enhanced image"
            )
        return [header]
    if len(groups) != frame_count(header):
        raise InputError(
            f"{file}: {frame_count(header)} frames, and places of {len(groups)}: export it again"
        )
    shared = header.get(_SHARED)
    common = Dataset()
    for element in header:
        if element.keyword not in _LEFT_OUT and element.keyword != "PixelData":
            common.add(element)
    _lift(shared[0] if shared else Dataset(), common)
    frames = []
    for number, group in enumerate(groups, start=1):
        frame = Dataset()
        frame.update(common)
        _lift(group, frame)
        frame.InstanceNumber = number
        _dated(frame)
        frame.file_meta = header.file_meta
        frames.append(frame)
    return frames


def _lift(group: Dataset, to: Dataset) -> None:
    """Puts the elements of a frame's functional groups to the top."""
    if "RealWorldValueMappingSequence" in group:  # its items mean nothing apart
        to.RealWorldValueMappingSequence = group.RealWorldValueMappingSequence
    for name in _GROUPS:
        items = group.get(name)
        if not items:
            continue
        for element in items[0]:
            keyword = _OTHER_NAMES.get(element.keyword, element.keyword)
            if keyword:
                setattr(to, keyword, element.value)


def _dated(frame: Dataset) -> None:
    """AcquisitionDate and AcquisitionTime, as single slices have them, from one date-time."""
    moment = str(frame.get("FrameAcquisitionDateTime") or frame.get("AcquisitionDateTime") or "")
    if len(moment) >= 10:
        frame.AcquisitionDate = moment[:8]
        frame.AcquisitionTime = moment[8:].partition("+")[0].partition("-")[0]
