"""A small valid input of every format, and the reader that is given its mutations.

A sample is written into a folder of its own; `main` is what the reader is given, which may be a
file, a store or a folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as iio
import ismrmrd
import netCDF4
import numpy as np
import pydicom
import scipy.io
import torch
import xarray as xr
import yaml
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from tests.fuzz.instruments import INSTRUMENTS
from tests.fuzz.products import PRODUCTS
from tests.fuzz.sample import Sample

__all__ = ["SAMPLES", "Sample"]


def _numbers(*shape: int) -> Any:
    return np.random.default_rng(0).uniform(0.1, 1, shape).astype(np.float32)


def _complex(*shape: int) -> Any:
    return (_numbers(*shape) + 1j * _numbers(*shape)).astype(np.complex64)


def _scan() -> xr.Dataset:
    attrs = {"voxel_size_mm": [5.0, 1.0, 1.0], "image_shape": [8, 8]}
    return xr.Dataset(
        {"kspace": (("slice", "coil", "ky", "kx"), _complex(1, 2, 8, 8))}, attrs=attrs
    )


def _result() -> xr.Dataset:
    axes = ("slice", "y", "x")
    attrs = {"voxel_size_mm": [1.0, 1.0, 1.0], "warnings": [], "seed": 1}
    parts = {"reconstruction": (axes, _numbers(2, 6, 7)), "std": (axes, _numbers(2, 6, 7))}
    return xr.Dataset(parts, attrs=attrs)


def _kspace(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        from sciddm.data_adapters import save_kspace

        save_kspace(_scan(), folder / f"a{suffix}")

    return write


def _saved(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        from sciddm.data_adapters import save_result

        save_result(_result(), folder / f"a{suffix}")

    return write


def _ismrmrd(folder: Path) -> None:
    header = (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        "<experimentalConditions><H1resonanceFrequency_Hz>63000000</H1resonanceFrequency_Hz>"
        "</experimentalConditions><encoding><encodedSpace><matrixSize><x>8</x><y>6</y><z>1</z>"
        "</matrixSize><fieldOfView_mm><x>8</x><y>6</y><z>5</z></fieldOfView_mm></encodedSpace>"
        "<reconSpace><matrixSize><x>8</x><y>6</y><z>1</z></matrixSize><fieldOfView_mm><x>8</x>"
        "<y>6</y><z>5</z></fieldOfView_mm></reconSpace><encodingLimits>"
        "<kspace_encoding_step_1><minimum>0</minimum><maximum>5</maximum><center>3</center>"
        "</kspace_encoding_step_1></encodingLimits><trajectory>cartesian</trajectory></encoding>"
        "</ismrmrdHeader>"
    )
    with ismrmrd.Dataset(str(folder / "a.mrd"), "dataset", create_if_needed=True) as file:
        file.write_xml_header(header.encode())
        for line in range(6):
            acquisition = ismrmrd.Acquisition.from_array(_complex(2, 8))
            acquisition.center_sample = 4
            acquisition.read_dir[:] = (1, 0, 0)
            acquisition.phase_dir[:] = (0, 1, 0)
            acquisition.slice_dir[:] = (0, 0, 1)
            acquisition.idx.kspace_encode_step_1 = line
            file.append_acquisition(acquisition)


def write_slices(folder: Path, modality: str) -> None:
    kinds = {"CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage}
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    (folder / "series").mkdir()
    for k in range(3):
        d = pydicom.Dataset()
        d.SOPClassUID, d.SOPInstanceUID = kinds[modality], generate_uid()
        d.SeriesInstanceUID, d.StudyInstanceUID, d.FrameOfReferenceUID = series, study, frame
        d.Modality, d.ImageType = modality, ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "Doe^J", "1", "", "O"
        d.StudyDate, d.StudyTime, d.StudyID, d.AccessionNumber = "20240310", "0800", "1", "7"
        d.ReferringPhysicianName, d.Manufacturer = "", "test"
        d.SeriesNumber, d.InstanceNumber = 2, k + 1
        d.ImagePositionPatient, d.ImageOrientationPatient = [0, 0, 3.0 * k], [1, 0, 0, 0, 1, 0]
        d.PixelSpacing, d.SliceThickness = [1.5, 1.5], 3.0
        d.Rows, d.Columns, d.SamplesPerPixel = 6, 7, 1
        d.PhotometricInterpretation, d.PixelRepresentation = "MONOCHROME2", 0
        d.BitsAllocated = d.BitsStored = 16
        d.HighBit, d.RescaleSlope, d.RescaleIntercept = 15, 1, -1000 if modality == "CT" else 0
        if modality == "PT":
            d.Units, d.DecayCorrection, d.PatientWeight = "BQML", "START", 70
            d.CorrectedImage = ["DECY", "ATTN", "SCAT"]
            d.SeriesDate = d.AcquisitionDate = "20240310"
            d.SeriesTime = d.AcquisitionTime = "090000"
            tracer = pydicom.Dataset()
            tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = 3e8, 6586.2
            tracer.RadiopharmaceuticalStartTime = "080000"
            d.RadiopharmaceuticalInformationSequence = [tracer]
        d.PixelData = (1000 * _numbers(6, 7)).astype("<u2").tobytes()
        d["PixelData"].VR = "OW"
        _save(d, folder / "series" / f"{k}.dcm")


def _save(d: pydicom.Dataset, path: Path) -> None:
    d.file_meta = FileMetaDataset()
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.save_as(path, enforce_file_format=True)


def ultrasound_header() -> pydicom.Dataset:
    """Two frames of ultrasound, not compressed."""
    d = pydicom.Dataset()
    d.SOPClassUID, d.SOPInstanceUID = UltrasoundMultiFrameImageStorage, generate_uid()
    d.Modality, d.SeriesInstanceUID, d.StudyInstanceUID = "US", generate_uid(), generate_uid()
    d.NumberOfFrames, d.Rows, d.Columns = 2, 20, 24
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated = d.BitsStored = 8
    d.HighBit, d.PixelRepresentation = 7, 0
    region = pydicom.Dataset()
    region.RegionDataType, region.RegionSpatialFormat = 1, 1
    region.RegionLocationMinY0, region.RegionLocationMinX0 = 1, 1
    region.RegionLocationMaxY1, region.RegionLocationMaxX1 = 18, 22
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.02
    d.SequenceOfUltrasoundRegions = [region]
    d.PixelData = _grey().tobytes()
    d["PixelData"].VR = "OB"
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return d


def _us_dicom(folder: Path) -> None:
    _save(ultrasound_header(), folder / "a.dcm")


def _grey() -> Any:
    return (200 * _numbers(2, 20, 24)).astype(np.uint8)


def _mr_dicom(folder: Path) -> None:
    from sciddm.data_adapters.mri.result import save_mri_result

    save_mri_result(_result(), folder / "series")


def _sinogram(folder: Path) -> None:
    from sciddm.data_adapters.ct.sinogram import build_sinogram, save_sinogram
    from sciddm.physics import FanBeam

    beam = FanBeam(tuple(np.arange(6.0)), 9, 1.0, source_axis_mm=100.0, source_detector_mm=200.0)
    flux = np.full(9, 1e5)
    save_sinogram(build_sinogram(_numbers(2, 6, 9), beam, incident_flux=flux), folder / "a.h5")


def _volume(folder: Path) -> None:
    from sciddm.data_adapters.nifti import write_nifti

    write_nifti(_numbers(3, 5, 6), folder / "a.nii.gz", {"voxel_size_mm": [2.0, 1.0, 1.0]})


def _cube(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        from sciddm.data_adapters import save_cube

        cube = xr.Dataset(
            {"cube": (("band", "y", "x"), _numbers(4, 5, 6))},
            coords={
                "wavelength": ("band", [500.0, 600.0, 700.0, 800.0]),
                "good": ("band", [True, True, False, True]),
            },
            attrs={"nodata": -9999.0, "description": "a scene", "wavelength_units": "nm"},
        )
        save_cube(cube, folder / f"a{suffix}")

    return write


def _mat73(folder: Path) -> None:
    with h5py.File(folder / "a.mat", "w") as file:
        file["cube"], file["wavelength"] = _numbers(4, 5, 6), np.array([5.0, 6.0, 7.0, 8.0])


def _mat5(folder: Path) -> None:
    scipy.io.savemat(folder / "a.mat", {"cube": _numbers(5, 6, 4), "wavelength": [5, 6, 7, 8]})


def _emit(folder: Path) -> None:
    with netCDF4.Dataset(folder / "a.nc", "w") as file:
        for name, size in (("downtrack", 5), ("crosstrack", 6), ("bands", 4)):
            file.createDimension(name, size)
        radiance = file.createVariable("radiance", "f4", ("downtrack", "crosstrack", "bands"))
        radiance[:] = _numbers(5, 6, 4)
        group = file.createGroup("sensor_band_parameters")
        group.createVariable("wavelengths", "f4", ("bands",))[:] = (500, 600, 700, 800)
        file.createGroup("location").createVariable("lat", "f8", ("downtrack", "crosstrack"))


def _frames_npz(folder: Path) -> None:
    np.savez_compressed(
        folder / "a.npz", rf=_numbers(2, 40, 6), fs=2e7, fc=5e6, c=1540.0, pitch=3e-4
    )


def _channels_npz(folder: Path) -> None:
    np.savez_compressed(
        folder / "a.npz", rf=_numbers(3, 6, 40), fs=2e7, fc=5e6, pitch=3e-4, angles=[-0.1, 0, 0.1]
    )


def _zea(folder: Path) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        file["data/beamformed_data/values"] = _numbers(1, 30, 5, 2)
        z, x = np.meshgrid(np.arange(30) * 5e-5, np.arange(5) * 2e-4, indexing="ij")
        file["data/beamformed_data/coordinates"] = np.stack([x, 0 * x, z], axis=-1)
        numbers = {"center_frequency": 3e6, "sampling_frequency": 4e7, "sound_speed": 1540.0}
        for key, value in numbers.items():
            file[f"scan/{key}"] = np.float32(value)


def _frames_h5(folder: Path) -> None:
    from sciddm.data_adapters.ultrasound.files import open_frames, save_frames

    _frames_npz(folder)
    save_frames(open_frames(folder / "a.npz"), folder / "a.h5")
    (folder / "a.npz").unlink()


def _picture(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        pages = _grey() if suffix in (".gif", ".tif") else _grey()[0]
        iio.imwrite(folder / f"a{suffix}", pages)

    return write


def _clip(folder: Path) -> None:
    from sciddm.data_adapters.ultrasound.images import write_images

    write_images(np.repeat(_grey(), 4, axis=0)[:, :16, :16].copy(), folder / "a.avi")


def _sound(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        import soundfile

        soundfile.write(folder / f"a{suffix}", 0.5 * _numbers(3000, 1), 16_000)

    return write


def _model(folder: Path) -> None:
    from sciddm.denoiser import NetworkDenoiser
    from sciddm.networks import UNet
    from sciddm.process import EDM
    from sciddm.zoo import save_model

    net = UNet(1, 1, channels=[4, 8], num_res_blocks=1, norm_num_groups=2)
    card = {"name": "small", "summary": "", "calibration": {"level": 0.9}}
    save_model(NetworkDenoiser(net, EDM(), "x0"), folder / "model", card, {"patch": 64})


def _mask(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        labels = np.arange(48, dtype=np.uint8).reshape(6, 8) // 16
        if suffix == ".npy":
            np.save(folder / "a.npy", labels)
        else:
            iio.imwrite(folder / "a.png", labels)

    return write


def _diffusers(folder: Path) -> None:
    from safetensors.torch import save_file

    from sciddm.networks.unet_2d_model import UNet2DModel

    options = {
        "in_channels": 2,
        "out_channels": 2,
        "block_out_channels": [4, 8],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 2,
        "layers_per_block": 1,
        "attention_head_dim": 4,
    }
    place = folder / "unet"
    place.mkdir()
    about = {"_class_name": "UNet2DModel", **options}
    (place / "config.json").write_text(json.dumps(about))
    scheduler = {"_class_name": "DDPMScheduler", "beta_schedule": "linear", "beta_end": 0.02}
    (place / "scheduler_config.json").write_text(json.dumps(scheduler))
    state = UNet2DModel(**options).state_dict()
    save_file(state, place / "diffusion_pytorch_model.safetensors")


def _drunet(folder: Path) -> None:
    from sciddm.networks import DRUNet

    torch.save(DRUNet(1, (2, 2, 2, 2), 1).state_dict(), folder / "a.pth")


def _recipe(folder: Path) -> None:
    recipe = {
        "name": "small",
        "summary": "A recipe.",
        "process": {"name": "EDM", "sigma_min": 0.01, "sigma_max": 10.0},
        "network": {"name": "UNet", "in_channels": 1, "out_channels": 1, "channels": [4, 8]},
        "denoiser": {"parametrization": "edm", "data_std": 1.0},
        "data": {"dataset": "torch.utils.data.TensorDataset"},
        "card": {"limits": "none"},
    }
    (folder / "a.yaml").write_text(yaml.safe_dump(recipe))


def _checkpoint(folder: Path) -> None:
    content = {"global_step": 3, "state_dict": {"a": torch.ones(30)}, "loops": {"fit": None}}
    torch.save(content, folder / "last.ckpt")


def _output(folder: Path) -> None:
    from sciddm.data_adapters.commit import commit

    targets = [folder / "a.json", folder / "a.bin"]
    with commit(targets, False) as at:
        at[targets[1]].write_bytes(bytes(50))
        at[targets[0]].write_text(json.dumps({"sciddm_version": "1", "request": {"a": 1}}))


SAMPLES = (
    Sample("fastmri", "a.h5", _kspace(".h5"), "kspace"),
    Sample("ismrmrd", "a.mrd", _ismrmrd, "kspace"),
    Sample("kspace-nc", "a.nc", _kspace(".nc"), "kspace"),
    Sample("kspace-zarr", "a.zarr", _kspace(".zarr"), "kspace"),
    Sample("cfl", "a.cfl", _kspace(".cfl"), "kspace"),
    *(
        Sample(f"result{s}", f"a{s}", _saved(s), "result")
        for s in (".h5", ".nc", ".zarr", ".nii.gz")
    ),
    Sample("mr-dicom", "series", _mr_dicom, "dicom"),
    Sample("ct-dicom", "series", lambda folder: write_slices(folder, "CT"), "dicom"),
    Sample("pet-dicom", "series", lambda folder: write_slices(folder, "PT"), "pet"),
    Sample("nifti", "a.nii.gz", _volume, "nifti"),
    Sample("sinogram", "a.h5", _sinogram, "sinogram"),
    *(
        Sample(f"cube{s}", f"a{s}", _cube(s), "cube")
        for s in (".hdr", ".tif", ".npz", ".nc", ".zarr")
    ),
    Sample("cube-mat5", "a.mat", _mat5, "cube"),
    Sample("cube-mat73", "a.mat", _mat73, "cube"),
    Sample("emit", "a.nc", _emit, "cube"),
    *PRODUCTS,
    Sample("frames.npz", "a.npz", _frames_npz, "frames"),
    Sample("frames.h5", "a.h5", _frames_h5, "frames"),
    Sample("zea", "a.h5", _zea, "frames"),
    Sample("us-dicom", "a.dcm", _us_dicom, "frames"),
    *(Sample(f"us{s}", f"a{s}", _picture(s), "frames") for s in (".png", ".jpg", ".gif", ".tif")),
    Sample("us.avi", "a.avi", _clip, "frames"),
    Sample("channels.npz", "a.npz", _channels_npz, "channels"),
    *(Sample(f"sound{s}", f"a{s}", _sound(s), "sound") for s in (".wav", ".flac", ".ogg", ".aiff")),
    *INSTRUMENTS,
    Sample("model", "model", _model, "model"),
    *(Sample(f"mask{s}", f"a{s}", _mask(s), "mask") for s in (".npy", ".png")),
    Sample("diffusers", "unet", _diffusers, "foreign"),
    Sample("drunet", "a.pth", _drunet, "foreign"),
    Sample("recipe", "a.yaml", _recipe, "recipe"),
    Sample("checkpoint", "last.ckpt", _checkpoint, "checkpoint"),
    Sample("output", "a.json", _output, "output"),
)
