"""PET and CT in DICOM as scanners write them, and a model that needs no training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)
from torch import Tensor, nn

from sciddm.geometry.grid import DIMS, Grid

CENTRE = (6.0, -4.0, 3.0)  # of the ball of `study`, RAS, mm
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
_C, _S = math.cos(math.radians(20)), math.sin(math.radians(20))
OBLIQUE = [_C, _S, 0.0, -0.6 * _S, 0.6 * _C, 0.8]
STUDY, FRAME = generate_uid(), generate_uid()


def write_series(
    folder: Path,
    stored: NDArray[Any],
    modality: str,
    *,
    orientation: list[float] = AXIAL,
    origin: tuple[float, float, float] = (-40.0, -30.0, 100.0),
    spacing: tuple[float, float, float] = (3.0, 2.0, 1.5),
    slope: float = 1.0,
    intercept: float = 0.0,
    patient: str = "P1",
    frame: str = FRAME,
    **header: Any,
) -> NDArray[np.float64]:
    """Writes uint16 values (z, y, x); spacing is [z, y, x]. Returns the affine, RAS."""
    folder.mkdir(parents=True, exist_ok=True)
    x, y = np.array(orientation).reshape(2, 3)
    normal = np.cross(x, y)
    kinds = {"CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage}
    series = generate_uid()
    for k, pixels in enumerate(stored.astype("<u2")):
        d = Dataset()
        d.SOPClassUID, d.SOPInstanceUID = kinds[modality], generate_uid()
        d.SeriesInstanceUID, d.StudyInstanceUID, d.FrameOfReferenceUID = series, STUDY, frame
        d.Modality, d.ImageType = modality, ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "Doe^J", patient, "", "O"
        d.StudyDate, d.StudyTime, d.StudyID, d.AccessionNumber = "20240310", "0800", "1", "7"
        d.ReferringPhysicianName, d.Manufacturer = "", "test"
        d.SeriesNumber, d.InstanceNumber = 2, k + 1
        d.ImageOrientationPatient = [f"{v:.10f}" for v in orientation]
        place = np.array(origin) + spacing[0] * k * normal
        d.ImagePositionPatient = [f"{v:.6f}" for v in place]
        d.PixelSpacing, d.SliceThickness = [str(spacing[1]), str(spacing[2])], str(spacing[0])
        d.Rows, d.Columns = pixels.shape
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
        d.RescaleSlope, d.RescaleIntercept = str(slope), str(intercept)
        for keyword, value in header.items():
            if value is not None:
                setattr(d, keyword, value)
        d.PixelData = pixels.tobytes()
        d["PixelData"].VR = "OW"
        d.file_meta = FileMetaDataset()
        d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID
        d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.save_as(folder / f"{modality}{k:03d}.dcm", enforce_file_format=True)
    affine = np.eye(4)
    axes = np.stack([x * spacing[2], y * spacing[1], normal * spacing[0], origin], axis=1)
    affine[:3] = np.diag([-1.0, -1.0, 1.0]) @ axes
    return affine


def tracer(**values: Any) -> Sequence:
    """RadiopharmaceuticalInformationSequence; a value of None leaves its element out."""
    item = Dataset()
    told = {
        "RadionuclideTotalDose": "370000000",
        "RadionuclideHalfLife": "6586.2",
        "RadiopharmaceuticalStartTime": "090000",
        **values,
    }
    for keyword, value in told.items():
        if value is not None:
            setattr(item, keyword, value)
    return Sequence([item])


def pet_header(**changes: Any) -> dict[str, Any]:
    """Elements of a PET corrected to the start of the scan, an hour after the injection."""
    return {
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["DECY", "ATTN", "SCAT"],
        "PatientWeight": "70",
        "SeriesDate": "20240310",
        "SeriesTime": "100000",
        "AcquisitionDate": "20240310",
        "AcquisitionTime": "100000",
        "RadiopharmaceuticalInformationSequence": tracer(),
        **changes,
    }


def write_pet(folder: Path, stored: NDArray[Any], **options: Any) -> NDArray[np.float64]:
    """A PET series; see `write_series` and `pet_header`."""
    names = ("orientation", "origin", "spacing", "slope", "intercept", "patient", "frame")
    place = {k: options.pop(k) for k in names if k in options}
    return write_series(folder, stored, "PT", **place, **pet_header(**options))


def write_ct(folder: Path, hu: NDArray[Any], **options: Any) -> NDArray[np.float64]:
    """A CT series; see `write_series`."""
    options = {"intercept": -1024.0, "RescaleType": "HU", "KVP": "120", **options}
    return write_series(folder, np.rint(hu + 1024), "CT", **options)


class Uptake(nn.Module):
    """A network whose mask is where the PET channel is above a level, whatever x_t is."""

    def __init__(self, level: float, gain: float = 40.0) -> None:
        super().__init__()
        self.level, self.gain = level, gain
        self.config = {"level": level, "gain": gain}

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        assert cond is not None
        return self.gain * (cond[:, :1] - self.level)


def uptake_pipeline(suv: float = 2.5) -> Any:
    """A segmentation of what takes up more than a SUV, through all of the pipeline."""
    from sciddm.denoiser import NetworkDenoiser
    from sciddm.pipelines.petct.pipeline import TumourSegmentation
    from sciddm.pipelines.petct.representation import Representation
    from sciddm.process import VPCosine

    seen = Representation(spacing_mm=(3.0, 2.0, 2.0), window=(16, 24, 24))
    level = 2 * (suv / seen.suv_clip) ** seen.suv_power - 1
    torch.manual_seed(0)
    model = NetworkDenoiser(Uptake(level), VPCosine(end=0.005), "logit", data_std=0.8)
    return TumourSegmentation(model.eval(), seen)


def distances(grid: Any, centre: tuple[float, float, float]) -> NDArray[np.float64]:
    """Of the voxels (z, y, x) of a grid from a point, RAS, mm."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    mm = np.stack([x, y, z, np.ones_like(x)], -1) @ grid.affine[:3].T
    return np.linalg.norm(mm - np.asarray(centre), axis=-1)


def volume(shape, spacing, values, units, shift=(0.0, 0.0, 0.0)) -> xr.DataArray:
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-spacing[2], -spacing[1], spacing[0]])
    affine[:3, 3] = shift - affine[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    data = values(Grid(affine, shape)).astype(np.float32)
    attrs = {"affine": affine.tolist(), "units": units, "voxel_size_mm": list(spacing)}
    return xr.DataArray(data, dims=DIMS, attrs=attrs)


def study() -> tuple[xr.DataArray, xr.DataArray]:
    """A ball of SUV 6 in 0.5, of 18 mm; PET and CT of different grids."""
    pet = volume(
        (18, 20, 21), (4.0, 4.0, 4.0),
        lambda g: 0.5 + 5.5 * np.clip((18 - distances(g, CENTRE)) / 4 + 0.5, 0, 1),
        "SUV", (2.0, 1.0, 0.0),
    )  # fmt: skip
    ct = volume((22, 40, 36), (3.3, 2.0, 2.2), lambda g: np.full(g.shape, 40.0), "HU")
    return pet, ct
