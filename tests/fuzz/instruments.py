"""Samples of what scanners and recorders write: raw data, projections, masks, films, MP3."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.fuzz.sample import Sample

__all__ = ["INSTRUMENTS"]


def _random() -> np.random.Generator:
    return np.random.default_rng(0)


def _uff(folder: Path) -> None:
    from pyuff_ustb import BeamformedData, LinearScan

    z, x = 1e-3 + np.arange(12) * 1e-4, np.linspace(-1e-3, 1e-3, 4)
    noise = _random().standard_normal((2, 48, 1, 1, 1))
    data = BeamformedData(data=noise[0] + 1j * noise[1], scan=LinearScan(x_axis=x, z_axis=z))
    data.modulation_frequency = np.float32(4e6)
    data.write(str(folder / "a.uff"), "b")


def _uff_channels(folder: Path) -> None:
    from pyuff_ustb import ChannelData, LinearArray, Point, Pulse, Wave, Wavefront

    waves = [
        Wave(wavefront=Wavefront.plane, source=Point(azimuth=a, elevation=0.0, distance=np.inf))
        for a in (-0.1, 0.1)
    ]
    probe = LinearArray(N=6, pitch=3e-4, element_width=2e-4, element_height=5e-3)
    rf = _random().standard_normal((40, 6, 2, 1)).astype(np.float32)
    data = ChannelData(
        data=rf,
        probe=probe,
        sequence=waves,
        sampling_frequency=np.float32(2e7),
        pulse=Pulse(center_frequency=5e6, fractional_bandwidth=0.6, phase=0.0),
        modulation_frequency=np.float32(0),
        initial_time=np.float32(0),
        sound_speed=np.float32(1540),
    )
    data.write(str(folder / "a.uff"), "channel_data", ignore_missing_compulsory_fields=True)


def _twix(folder: Path) -> None:
    import twixtools
    from twixtools.mdb import Mdb_local

    samples, lines = 8, 6
    values = {
        "sKSpace.lBaseResolution": samples // 2,
        "sKSpace.lPhaseEncodingLines": lines,
        "sKSpace.lPartitions": 1,
        "sKSpace.ucDimension": "0x2",
        "sKSpace.ucTrajectory": "0x1",
        "sSliceArray.asSlice[0].dReadoutFOV": 40.0,
        "sSliceArray.asSlice[0].dPhaseFOV": 60.0,
        "sSliceArray.asSlice[0].dThickness": 5.0,
        "sRXSPEC.alDwellTime[0]": 5000,
        "sProtConsistencyInfo.flMagneticFieldStrength": 2.9,
    }
    assignments = "".join(f"{k} = {v}\n" for k, v in values.items())
    text = f"### ASCCONV BEGIN ###\n{assignments}\n### ASCCONV END ###\n".encode("latin1")
    body = b"MeasYaps\x00" + struct.pack("<I", len(text)) + text
    length = -(-(8 + len(body) + 48) // 32) * 32
    header = (struct.pack("<II", length, 1) + body).ljust(length, b"\x00")
    blocks = []
    for line in range(lines):
        noise = _random().standard_normal((2, 2, samples))
        block = Mdb_local((noise[0] + 1j * noise[1]).astype(np.complex64), version_is_ve=True)
        block.mdh.Counter.Lin, block.mdh.CenterCol, block.mdh.CenterLin = line, 4, 3
        block.mdh.SliceData.Quaternion[:] = (1.0, 0.0, 0.0, 0.0)
        blocks.append(block)
    scan = {"hdr_str": np.frombuffer(header, dtype="S1"), "mdb": blocks}
    twixtools.write_twix([scan], str(folder / "a.dat"))


def _projections(folder: Path) -> None:
    rows, columns = 3, 9
    (folder / "scan").mkdir()
    for k in range(8):
        d = pydicom.Dataset()
        d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, generate_uid()
        d.Modality, d.InstanceNumber = "CT", k + 1
        d.Rows, d.Columns, d.SamplesPerPixel = rows, columns, 1
        d.PhotometricInterpretation, d.PixelRepresentation = "MONOCHROME2", 0
        d.BitsAllocated = d.BitsStored = 16
        d.HighBit, d.RescaleSlope, d.RescaleIntercept = 15, "0.0001", "-0.2"
        for tag, kind, value in (
            ((0x7029, 0x1010), "US", rows), ((0x7029, 0x1011), "US", columns),
            ((0x7029, 0x1002), "FL", 4.0), ((0x7029, 0x1006), "FL", 3.0),
            ((0x7031, 0x1001), "FL", 2 * math.pi * k / 8), ((0x7031, 0x1002), "FL", 0.0),
            ((0x7031, 0x1003), "FL", 400.0), ((0x7031, 0x1031), "FL", 750.0),
            ((0x7031, 0x1033), "FL", [5.0, 2.0]), ((0x7029, 0x100B), "CS", "CYLINDRICAL"),
            ((0x7033, 0x1065), "FL", [1e5 + c for c in range(columns)]),
            ((0x7041, 0x1001), "DS", "0.0193"),
        ):  # fmt: skip
            d.add_new(tag, kind, value)
        stored = _random().integers(2000, 9000, (rows, columns)).astype("<u2")
        d.PixelData = stored.tobytes()
        d["PixelData"].VR = "OW"
        d.file_meta = FileMetaDataset()
        d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID
        d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.save_as(folder / "scan" / f"{k}.dcm", enforce_file_format=True)


def _mask(kind: str) -> Callable[[Path], None]:
    """A mask over a CT series that lies beside it."""

    def write(folder: Path) -> None:
        from sciddm.data_adapters.petct.rtstruct import save_rtstruct
        from sciddm.data_adapters.petct.seg import save_seg
        from tests.fuzz.corpus import write_slices

        write_slices(folder, "CT")
        mask = np.zeros((3, 6, 7), np.uint8)
        mask[1, 1:5, 2:6] = 1
        save = save_seg if kind == "seg" else save_rtstruct
        save(mask, folder / "a.dcm", folder / "series")

    return write


def _volume(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        from sciddm.data_adapters.itk_images import write_itk

        image = _random().uniform(-1000, 1000, (3, 5, 6)).astype(np.float32)
        write_itk(image, folder / f"a{suffix}", {"affine": np.diag([2.0, 2, 3, 1]).tolist()})

    return write


def _ultrasound_mha(folder: Path) -> None:
    pixels = _random().integers(1, 200, (2, 20, 24)).astype(np.uint8)
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 24 20 2\n"
        "ElementSpacing = 0.2 0.2 1\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    (folder / "a.mha").write_bytes(header.encode() + pixels.tobytes())


def _film(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        from sciddm.data_adapters.ultrasound.images import write_images

        grey = _random().integers(0, 200, (2, 16, 16)).astype(np.uint8)
        write_images(np.repeat(grey, 4, axis=0), folder / f"a{suffix}")

    return write


def _mp3(folder: Path) -> None:
    import soundfile

    soundfile.write(folder / "a.mp3", 0.5 * _random().standard_normal(6000).clip(-1, 1), 16_000)


def _m4a(folder: Path) -> None:
    import subprocess

    import soundfile
    from imageio_ffmpeg import get_ffmpeg_exe

    soundfile.write(folder / "a.wav", 0.3 * _random().standard_normal(6000).clip(-1, 1), 16_000)
    command = [get_ffmpeg_exe(), "-v", "error", "-i", folder / "a.wav", "-c:a", "aac"]
    subprocess.run([*command, folder / "a.m4a"], check=True)
    (folder / "a.wav").unlink()


def _picture_folder(folder: Path) -> None:
    import imageio.v3 as iio

    (folder / "clip").mkdir()
    for k in range(2):
        grey = _random().integers(0, 200, (20, 24)).astype(np.uint8)
        iio.imwrite(folder / "clip" / f"{k}.png", grey)


def _compressed(folder: Path) -> None:
    """A picture of ultrasound in JPEG 2000, which a library in C decodes."""
    from tests.fuzz.corpus import ultrasound_header

    d: Any = ultrasound_header()
    larger = d.pixel_array.repeat(2, axis=1).repeat(2, axis=2)
    d.Rows, d.Columns, d.PixelData = 40, 48, larger.tobytes()
    d.compress(pydicom.uid.JPEG2000Lossless, encoding_plugin="pylibjpeg")
    d.save_as(folder / "a.dcm", enforce_file_format=True)


INSTRUMENTS = (
    Sample("uff", "a.uff", _uff, "frames"),
    Sample("uff-channels", "a.uff", _uff_channels, "channels"),
    Sample("us-mha", "a.mha", _ultrasound_mha, "frames"),
    Sample("us-folder", "clip", _picture_folder, "frames"),
    Sample("us-jpeg2000", "a.dcm", _compressed, "frames"),
    Sample("twix", "a.dat", _twix, "kspace"),
    Sample("projections", "scan", _projections, "projections"),
    Sample("seg", "a.dcm", _mask("seg"), "seg"),
    Sample("rtstruct", "a.dcm", _mask("rtstruct"), "rtstruct"),
    *(Sample(f"volume{s}", f"a{s}", _volume(s), "itk") for s in (".mha", ".mhd", ".nrrd", ".nhdr")),
    *(Sample(f"us{s}", f"a{s}", _film(s), "frames") for s in (".mp4", ".mov")),
    Sample("sound.mp3", "a.mp3", _mp3, "sound"),
    Sample("sound.m4a", "a.m4a", _m4a, "sound"),
)
