"""Files that unpack to far more than their size: each is refused by one sentence, before the memory
is filled. Bombs of .npz and of Zarr's metadata are in tests/data_adapters/test_gate.py, those of a
model's configuration in tests/core/test_zoo_folder.py."""

from __future__ import annotations

import gzip
import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
import scipy.io
import xarray as xr

from sciddm.data_adapters import open_cube, open_frames, open_kspace, read_nifti
from sciddm.data_adapters.ct.dicom import read_dicom
from sciddm.data_adapters.dicom_modality import modality_of
from sciddm.data_adapters.dicom_pixels import picture_frames, stored_frames
from sciddm.data_adapters.gate.codestream import check_frames
from sciddm.data_adapters.isolation import call
from sciddm.data_adapters.isolation.limits import Limits
from sciddm.data_adapters.labelled import read_labelled
from sciddm.data_adapters.ultrasound.files import is_ultrasound
from sciddm.errors import InputError

_ZEROS = 2**23


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit for small files is small here, so that bombs can be."""
    monkeypatch.setattr("sciddm.data_adapters.memory._SMALL", 2**18)


def refused(read: Callable[[Path], Any], path: Path, words: str) -> None:
    """Reading is one sentence, and takes less memory than half of what was packed."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=words) as error:
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.name in str(error.value)
    assert "\n" not in str(error.value)
    assert peak < _ZEROS / 2


def test_nifti(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((256, 256, 128), np.uint8), np.eye(4)), path)
    assert path.stat().st_size < 80_000
    refused(read_nifti, path, "8 MiB|0.0 GiB, but the file has")


def deflated(path: Path) -> Path:
    """An image whose data set unpacks to 8 MiB from 8 kB."""
    d = pydicom.Dataset()
    d.SOPClassUID, d.SOPInstanceUID = pydicom.uid.CTImageStorage, "1.2.3"
    d.SeriesInstanceUID, d.Modality = "1.2.4", "US"
    d.Rows = d.Columns = 2048
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated = d.BitsStored = 16
    d.HighBit, d.PixelRepresentation = 15, 0
    d.PixelData = bytes(_ZEROS)
    d["PixelData"].VR = "OW"
    d.file_meta = pydicom.dataset.FileMetaDataset()
    d.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    d.save_as(path, enforce_file_format=True)
    assert path.stat().st_size < 20_000
    return path


def test_deflated_dicom(tmp_path: Path) -> None:
    from sciddm.data_adapters.petct.images import open_pet

    path = deflated(tmp_path / "a.dcm")
    for read in (read_dicom, open_pet, open_frames):
        refused(read, path, "unpacks to more than")
    # A quick look takes no more memory, and says nothing.
    assert modality_of(path) == ""
    assert not is_ultrasound(path)


def test_a_deflated_image_of_usual_size_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciddm.data_adapters.memory._SMALL", 2**29)
    path = deflated(tmp_path / "a.dcm")
    assert modality_of(path) == "US"


def encapsulated(path: Path, syntax: str, frame: bytes, rows: int, frames: int = 1) -> Path:
    """A square image of one encoded frame, whatever that holds."""
    d = pydicom.Dataset()
    d.SOPClassUID, d.SOPInstanceUID = pydicom.uid.CTImageStorage, "1.2.3"
    d.SeriesInstanceUID, d.Modality = "1.2.4", "CT"
    d.ImagePositionPatient, d.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    d.PixelSpacing, d.SliceThickness = [1, 1], 1
    d.RescaleSlope, d.RescaleIntercept = 1, 0
    d.Rows = d.Columns = rows
    d.NumberOfFrames = frames
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated = d.BitsStored = 16
    d.HighBit, d.PixelRepresentation = 15, 0
    d.PixelData = pydicom.encaps.encapsulate([frame])
    d["PixelData"].VR = "OB"
    d["PixelData"].is_undefined_length = True
    d.file_meta = pydicom.dataset.FileMetaDataset()
    d.file_meta.TransferSyntaxUID = syntax
    d.save_as(path, enforce_file_format=True)
    return path


def jpeg2000(size: int) -> bytes:
    """The main header of a code stream (ITU-T T.800, A.5.1), and no more."""
    siz = struct.pack(">HHIIIIIIIIHBBB", 41, 0, size, size, 0, 0, size, size, 0, 0, 1, 15, 1, 1)
    return b"\xff\x4f\xff\x51" + siz + b"\xff\xd9"


def jpeg(size: int) -> bytes:
    """The start of a lossless JPEG frame (ITU-T T.81, B.2.2), after a comment."""
    frame = struct.pack(">HBHHBBBB", 11, 16, size, size, 1, 1, 0x11, 0)
    return b"\xff\xd8\xff\xfe\x00\x04ab\xff\xff\xc3" + frame + b"\xff\xd9"


RLE = struct.pack("<16I", 2, 64, 66, *[0] * 13) + b"\x81\x00" * 2


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        (pydicom.uid.RLELossless, RLE),
        (pydicom.uid.JPEG2000Lossless, jpeg2000(16)),
        (pydicom.uid.HTJ2KLossless, jpeg2000(16)),
        (pydicom.uid.JPEGLosslessSV1, jpeg(16)),
        (pydicom.uid.JPEGLSLossless, jpeg(16)),
    ],
)
@pytest.mark.parametrize(("rows", "frames"), [(8192, 1), (64, 2**20)])
def test_an_encapsulated_image_that_claims_more_than_it_holds(
    tmp_path: Path, syntax: str, frame: bytes, rows: int, frames: int
) -> None:
    path = encapsulated(tmp_path / "a.dcm", syntax, frame, rows, frames)
    header = pydicom.dcmread(path)
    for decode in (picture_frames, lambda file, d: list(stored_frames(file, d))):
        refused(lambda p, decode=decode: decode(p, header), path, "claims the shape|too much")


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        (pydicom.uid.JPEG2000Lossless, jpeg2000(60_000)),
        (pydicom.uid.JPEG2000Lossless, jpeg2000(2**32 - 1)),
        (pydicom.uid.HTJ2KLossless, jpeg2000(60_000)),
        (pydicom.uid.JPEGLosslessSV1, jpeg(60_000)),
        (pydicom.uid.JPEGBaseline8Bit, jpeg(60_000)),
        (pydicom.uid.JPEGLSLossless, jpeg(60_000).replace(b"\xff\xc3", b"\xff\xf7")),
    ],
)
def test_a_code_stream_that_asks_for_more_than_the_image(
    tmp_path: Path, syntax: str, frame: bytes
) -> None:
    """A codec allocates what its own header says: it is not asked."""
    path = encapsulated(tmp_path / "a.dcm", syntax, frame, 16)
    refused(read_dicom, path, "in an image of 16 x 16")


def boxed(*boxes: tuple[bytes, bytes]) -> bytes:
    """A file of JPEG 2000 (ITU-T T.800, I.4)."""
    first = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
    return first + b"".join(struct.pack(">I4s", 8 + len(c), name) + c for name, c in boxes)


def jpeg_without_lines(lines: int) -> bytes:
    """A frame of 16 columns whose number of lines is told after its first scan."""
    frame = struct.pack(">HBHHBBBB", 11, 16, 0, 16, 1, 1, 0x11, 0)
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0) + b"abc"
    segment = b"\xff\xdc" + struct.pack(">HH", 4, lines) if lines else b""
    return b"\xff\xd8\xff\xc3" + frame + scan + segment + b"\xff\xd9"


@pytest.mark.parametrize(
    ("syntax", "frame", "stated"),
    [
        # What a box of free use holds is no header.
        (
            pydicom.uid.JPEG2000Lossless,
            boxed((b"uuid", jpeg2000(16)), (b"jp2c", jpeg2000(60_000))),
            "60000 x 60000",
        ),
        (pydicom.uid.JPEGLosslessSV1, jpeg_without_lines(60_000), "60000 x 16"),
        (pydicom.uid.JPEGLosslessSV1, jpeg_without_lines(0), "0 x 16"),
    ],
)
def test_a_size_that_stands_elsewhere(
    tmp_path: Path, syntax: str, frame: bytes, stated: str
) -> None:
    path = encapsulated(tmp_path / "a.dcm", syntax, frame, 16)
    refused(read_dicom, path, f"a frame of {stated} pixels in an image of 16 x 16")


def test_a_size_in_its_box_is_that_of_the_image(tmp_path: Path) -> None:
    frame = boxed((b"uuid", jpeg2000(60_000)), (b"jp2c", jpeg2000(16)))
    path = encapsulated(tmp_path / "a.dcm", pydicom.uid.JPEG2000Lossless, frame, 16)
    refused(read_dicom, path, "Unable to decode")  # by the codec: it is a header and no more


_DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"


def deflated_frame(path: Path, nbytes: int) -> Path:
    """An image of 16 x 16 pixels of 16 bits, deflated frame by frame (DICOM PS3.5, A.4.12)."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    frame = packing.compress(bytes(nbytes)) + packing.flush()
    encapsulated(path, pydicom.uid.RLELossless, frame + bytes(len(frame) % 2), 16)
    content = path.read_bytes()
    before = struct.pack("<HH2sH", 2, 16, b"UI", 20) + b"1.2.840.10008.1.2.5\0"
    after = struct.pack("<HH2sH", 2, 16, b"UI", 22) + _DEFLATED_FRAME.encode() + b"\0"
    length = struct.unpack_from("<I", content, 140)[0] + len(after) - len(before)
    content = content[:140] + struct.pack("<I", length) + content[144:]
    path.write_bytes(content.replace(before, after))
    return path


def test_a_deflated_frame(tmp_path: Path) -> None:
    """No decoder here knows them: the reader says so, and the gate holds for one that does."""
    path = deflated_frame(tmp_path / "a.dcm", _ZEROS)
    assert path.stat().st_size < 20_000
    refused(read_dicom, path, "its compression .* is unknown|unpacks to more than")
    header = pydicom.dcmread(path)
    refused(lambda p: check_frames(p, header, "PixelData", 1), path, "unpacks to more than its 512")
    whole = pydicom.dcmread(deflated_frame(tmp_path / "b.dcm", 512))
    check_frames(path, whole, "PixelData", 1)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        (pydicom.uid.RLELossless, RLE),
        (pydicom.uid.JPEG2000Lossless, jpeg2000(16)),
        (pydicom.uid.JPEGLosslessSV1, jpeg(16)),
    ],
)
def test_frames_that_a_header_does_not_count(
    tmp_path: Path, syntax: str, frame: bytes, table: bool, recwarn: pytest.WarningsRecorder
) -> None:
    path = encapsulated(tmp_path / "a.dcm", syntax, frame, 16, 3)
    header = pydicom.dcmread(path)
    header.PixelData = pydicom.encaps.encapsulate([frame] * 3, has_bot=table)
    check_frames(path, header, "PixelData", 3)
    assert not recwarn
    with pytest.warns(UserWarning, match=r"counts 1 frame, its pixels are 3 frames"):
        check_frames(path, header, "PixelData", 1)


def test_png(tmp_path: Path) -> None:
    def part(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    path = tmp_path / "a.png"
    size = struct.pack(">IIBBBBB", 3000, 3000, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(3000 * 3001))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + part(b"IHDR", size) + part(b"IDAT", packed) + part(b"IEND", b"")
    )
    refused(open_frames, path, r"claims the shape \(3000, 3000\)")
    size = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", size) + part(b"IDAT", packed))
    refused(open_frames, path, "damaged|claims")


def test_mat(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"cube": np.zeros((128, 128, 128), np.float32)}, do_compression=True)
    # The library unpacks it to know its size: the worker's limit bounds that.
    with pytest.raises(InputError, match=r"a\.mat: cube claims .* but the file has"):
        open_cube(path)


@pytest.mark.parametrize("name", ["a.h5", "a.nc"])
def test_hdf5(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "kspace",
            data=np.zeros((1, 8, 256, 512), np.complex64),
            compression="gzip",
            chunks=(1, 1, 256, 512),
        )
    refused(open_kspace, path, "but the file has")


def test_a_labelled_netcdf(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    held = xr.Dataset({"a": (("y", "x"), np.zeros((1024, 1024)))})
    held.attrs = {"sciddm_kind": "result", "sciddm_attrs": "{}"}
    held.to_netcdf(path, encoding={"a": {"zlib": True}})
    refused(lambda p: read_labelled(p, "nc", "result"), path, "but the file has")


def test_entities_of_a_header(tmp_path: Path) -> None:
    """Nine entities of ten times the one before are 1 GB of text."""
    ismrmrd = pytest.importorskip("ismrmrd")
    entities = "".join(f'<!ENTITY e{k} "{10 * (f"&e{k - 1};" if k else "x")}">' for k in range(10))
    header = f"<!DOCTYPE a [{entities}]><ismrmrdHeader>&e9;</ismrmrdHeader>"
    path = tmp_path / "a.mrd"
    with ismrmrd.Dataset(str(path), "dataset", create_if_needed=True) as file:
        file.write_xml_header(header.encode())
        file.append_acquisition(ismrmrd.Acquisition.from_array(np.ones((1, 8), np.complex64)))
    refused(open_kspace, path, r"a\.mrd")


@pytest.fixture
def isolation(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What only unpacking shows is stopped by the worker's limit."""
    monkeypatch.setenv("SCIDDM_ISOLATION", "on")
    yield
    call._shut_down()


@pytest.mark.usefixtures("isolation")
def test_a_chunk_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata that are plausible, and a chunk of 512 MiB where the worker may have 64."""
    monkeypatch.setattr(call, "limits_for", lambda path: Limits(20, 60.0, 2**26))
    store = tmp_path / "a.zarr"
    cube = np.ones((3, 4, 5), np.float32)
    data = xr.Dataset({"cube": (("band", "y", "x"), cube)})
    data.to_zarr(store, zarr_format=2, consolidated=False)
    path = store / "cube" / ".zarray"
    meta = json.loads(path.read_text()) | {"compressor": {"id": "gzip", "level": 1}}
    path.write_text(json.dumps(meta))
    member = gzip.compress(bytes(2**24))
    (store / "cube" / "0.0.0").write_bytes(member * 32)
    with pytest.raises(InputError, match=r"a\.zarr.*(more memory|damaged)") as error:
        open_cube(store)["cube"].compute()
    assert "\n" not in str(error.value)
    assert call._worker is not None
    with open(f"/proc/{call._worker.pid}/status", encoding="ascii") as file:
        peak = int(dict(line.split(":", 1) for line in file)["VmHWM"].split()[0])
    assert peak < 2**19  # kB
