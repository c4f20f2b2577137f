"""DICOM series: round trips, geometry against SimpleITK, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pydicom
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from sciddm.data_adapters.ct import open_ct, read_dicom, save_ct, save_dicom
from sciddm.errors import InputError, OutputError

SHAPE = (5, 6, 7)
SPACING = ["0.8", "0.7"]  # y, x: not square, so that a swap is seen
TILT = math.radians(20)
SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
OBLIQUE = [math.cos(TILT), math.sin(TILT), 0.0, 0.0, 0.0, -1.0]
ORIENTATIONS = {"axial": AXIAL, "sagittal": SAGITTAL, "oblique": OBLIQUE}


def scanner_series(
    folder: Path,
    orientation: list[float] = AXIAL,
    *,
    slope: float = 1.0,
    intercept: float = -1024.0,
    signed: bool = False,
    gap: float = 2.5,
) -> np.ndarray:
    """A series as a scanner writes it, files in an order that is not that of the slices.

    Returns HU in the order of the slices along their normal.
    """
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(4)
    low, kind = (-2000, np.int16) if signed else (0, np.uint16)
    stored = rng.integers(low, 4096, SHAPE).astype(kind)
    x, y = np.array(orientation).reshape(2, 3)
    normal = np.cross(x, y)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k, pixels in enumerate(stored):
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, generate_uid()
        header.SeriesInstanceUID, header.StudyInstanceUID = series, study
        header.FrameOfReferenceUID = frame
        header.Modality, header.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        header.PatientName, header.PatientID = "Doe^Jane", "42"
        header.StudyDate, header.SeriesNumber, header.InstanceNumber = "20200101", 3, 5 - k
        header.SeriesDescription = "Thorax"
        header.ImageOrientationPatient = [f"{v:.10f}" for v in orientation]
        position = np.array([-101.3, 55.25, 310.0]) + gap * k * normal
        header.ImagePositionPatient = [f"{v:.6f}" for v in position]
        header.PixelSpacing, header.SliceThickness, header.KVP = SPACING, "3.0", "120"
        header.Rows, header.Columns = pixels.shape
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
        header.PixelRepresentation = int(signed)
        header.RescaleSlope, header.RescaleIntercept = str(slope), str(intercept)
        header.SmallestImagePixelValue = 0
        header.add_new(0x00091010, "LO", "private")
        header.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        header["PixelData"].VR = "OW"
        header.file_meta = FileMetaDataset()
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.save_as(folder / f"{(k * 3) % 5}.dcm", enforce_file_format=True)
    (folder / "notes.txt").write_text("not an image")
    return stored * slope + intercept


def change(file: Path, **values: object) -> None:
    dataset = pydicom.dcmread(file)
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(file)


@pytest.mark.parametrize(
    ("slope", "intercept", "signed"),
    [(1.0, -1024.0, False), (1.0, 0.0, True), (0.5, -100.25, False), (2.0, -3024.0, True)],
)
@pytest.mark.parametrize("orientation", list(ORIENTATIONS))
def test_round_trip(tmp_path, orientation, slope, intercept, signed):
    """HU bit for bit and the geometry to the letter; new identities that point to their source."""
    source = tmp_path / "scan"
    hu = scanner_series(
        source, ORIENTATIONS[orientation], slope=slope, intercept=intercept, signed=signed
    )
    volume = read_dicom(source)
    assert volume.dims == ("z", "y", "x")
    assert volume.attrs["units"] == "HU"
    assert volume.attrs["tube_voltage_kV"] == 120
    assert "Doe" not in str(volume.attrs)
    np.testing.assert_array_equal(volume.values, hu.astype(np.float32))
    assert volume.attrs["voxel_size_mm"] == pytest.approx([2.5, 0.8, 0.7])

    save_dicom(volume, tmp_path / "clean", description="denoised", source=source)
    again = read_dicom(tmp_path / "clean")
    np.testing.assert_array_equal(again.values, volume.values)
    np.testing.assert_array_equal(again.attrs["affine"], volume.attrs["affine"])

    before = {f: pydicom.dcmread(f) for f in source.glob("*.dcm")}
    by_uid = {d.SOPInstanceUID: d for d in before.values()}
    after = [pydicom.dcmread(f) for f in sorted((tmp_path / "clean").iterdir())]
    assert len({d.SOPInstanceUID for d in after} | set(by_uid)) == 10
    assert len({d.SeriesInstanceUID for d in after}) == 1
    for made in after:
        of = by_uid[made.SourceImageSequence[0].ReferencedSOPInstanceUID]
        for same in (
            "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PatientName",
            "StudyInstanceUID", "FrameOfReferenceUID", "InstanceNumber", "SliceThickness",
        ):  # fmt: skip
            assert str(made[same].value) == str(of[same].value)
        assert made.SeriesInstanceUID != of.SeriesInstanceUID
        assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
        assert list(made.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert made.DerivationDescription == "denoised"
        assert made.SeriesDescription == "Thorax denoised"
        assert made.SeriesNumber == 1003
        assert made.ContributingEquipmentSequence[0].Manufacturer == "sciddm"
        assert 0x00091010 not in made
        assert "SmallestImagePixelValue" not in made
        own = made.pixel_array * float(made.RescaleSlope) + float(made.RescaleIntercept)
        np.testing.assert_array_equal(
            own, of.pixel_array * float(of.RescaleSlope) + float(of.RescaleIntercept)
        )


@pytest.mark.parametrize("orientation", list(ORIENTATIONS))
def test_where_voxels_lie(tmp_path, orientation):
    """By DICOM's own equation (PS3.3 C.7.6.2.1.1), from each file, in RAS."""
    scanner_series(tmp_path / "scan", ORIENTATIONS[orientation])
    affine = np.array(read_dicom(tmp_path / "scan").attrs["affine"])
    for file in (tmp_path / "scan").glob("*.dcm"):
        header = pydicom.dcmread(file)
        k = round(
            np.cross(*np.reshape(header.ImageOrientationPatient, (2, 3)))
            @ (np.array(header.ImagePositionPatient) - [-101.3, 55.25, 310.0])
            / 2.5
        )
        across, down = np.reshape(header.ImageOrientationPatient, (2, 3))
        for column, row in ((0, 0), (6, 0), (2, 5)):
            lps = np.array(header.ImagePositionPatient) + across * 0.7 * column + down * 0.8 * row
            ras = affine @ [column, row, k, 1]
            np.testing.assert_allclose(ras[:3], lps * [-1, -1, 1], atol=1e-5)


@pytest.mark.parametrize("orientation", list(ORIENTATIONS))
@pytest.mark.parametrize("made", ["with its source", "without a source"])
def test_simple_itk_sees_the_same(tmp_path, orientation, made):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    scanner_series(tmp_path / "scan", ORIENTATIONS[orientation])
    volume = read_dicom(tmp_path / "scan")
    source = tmp_path / "scan" if made == "with its source" else None
    save_dicom(volume, tmp_path / "clean", description="denoised", source=source)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "clean"))
    image = sitk.ReadImage(names)
    values = sitk.GetArrayFromImage(image)
    affine = np.array(volume.attrs["affine"])
    for index in ((0, 0, 0), (6, 1, 0), (2, 5, 4)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose((affine @ [*index, 1])[:3], lps * [-1, -1, 1], atol=1e-4)
    np.testing.assert_array_equal(values, volume.values)


def test_fractions_of_hu(tmp_path):
    """A network's values are kept to 1/32 HU over the range of a scan."""
    scanner_series(tmp_path / "scan")
    volume = read_dicom(tmp_path / "scan")
    changed = volume.copy(data=np.clip(volume.values * 0.98 + 0.1234, -1024, 3000))
    save_dicom(changed, tmp_path / "clean", description="d", source=tmp_path / "scan")
    again = read_dicom(tmp_path / "clean")
    assert float(np.abs(again - changed).max()) <= 1 / 32
    wide = volume.copy(data=np.where(volume.values > 2000, 30_000.3, volume.values))
    save_dicom(wide, tmp_path / "wide", description="d", source=tmp_path / "scan")
    assert float(np.abs(read_dicom(tmp_path / "wide") - wide).max()) <= 0.5
    beyond = volume.copy(data=np.where(volume.values > 2000, 90_000.0, volume.values))
    with pytest.raises(InputError, match="exceed 16 bits"):
        save_dicom(beyond, tmp_path / "beyond", description="d")
    assert not (tmp_path / "beyond").exists()


def test_without_a_source(tmp_path):
    """From NIfTI: geometry to a micrometre, and a series of nobody."""
    affine = np.array([[-0.7, 0, 0.1, 80], [0, -0.8, 0, 60], [0, 0, 2.0, -33], [0, 0, 0, 1.0]])
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4) * 7 - 60
    volume = xr.DataArray(values, dims=("z", "y", "x"), attrs={"affine": affine.tolist()})
    save_ct(volume, tmp_path / "a.nii.gz", description="d")
    from_nifti = open_ct(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(from_nifti.values, values)
    assert from_nifti.dims == ("z", "y", "x")
    save_ct(from_nifti, tmp_path / "series", description="d")
    again = open_ct(tmp_path / "series")
    np.testing.assert_array_equal(again.values, values)
    np.testing.assert_allclose(again.attrs["affine"], affine, atol=1e-6)
    header = pydicom.dcmread(tmp_path / "series" / "0001.dcm")
    assert str(header.PatientName) == ""
    assert header.Modality == "CT"


def test_a_single_slice(tmp_path):
    hu = scanner_series(tmp_path / "scan")
    files = {f: pydicom.dcmread(f) for f in (tmp_path / "scan").glob("*.dcm")}
    file = next(f for f, d in files.items() if d.InstanceNumber == 4)
    volume = open_ct(file)
    np.testing.assert_array_equal(volume.values[0], hu[1])
    assert volume.attrs["voxel_size_mm"][0] == 3.0  # its thickness


def test_one_of_several_series(tmp_path):
    scanner_series(tmp_path / "scan")
    uid = pydicom.dcmread(tmp_path / "scan" / "2.dcm").SeriesInstanceUID
    other = pydicom.dcmread(tmp_path / "scan" / "2.dcm")
    other.SeriesInstanceUID, other.Modality = generate_uid(), "SR"
    other.save_as(tmp_path / "scan" / "report.dcm")
    assert read_dicom(tmp_path / "scan", uid).shape == SHAPE
    volume = read_dicom(tmp_path / "scan")
    assert volume.shape == SHAPE
    assert any("report.dcm" in w for w in volume.attrs["warnings"])
    with pytest.raises(InputError, match="no images of the series"):
        read_dicom(tmp_path / "scan", "1.2.3")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"SeriesInstanceUID": "1.2.3.4"}, "2 series of CT"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour image"),
        ({"Modality": "MR"}, "modality is MR"),
        ({"NumberOfFrames": 5}, "several frames"),
        ({"RescaleSlope": None}, "RescaleSlope is missing"),
        ({"Columns": None}, "Columns is missing"),
        ({"RescaleType": "MGML"}, "MGML"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient is missing"),
        ({"PixelSpacing": ["0.8", "0.9"]}, "PixelSpacing differs"),
        ({"Rows": 7}, "7 x 7 pixels"),
        ({"PixelData": None}, "no pixels"),
        ({"PixelData": b"\0\0"}, "damaged"),
    ],
)
def test_slices_that_do_not_belong(tmp_path, values, message):
    """One line that names the file."""
    scanner_series(tmp_path / "scan")
    change(tmp_path / "scan" / "4.dcm", **values)
    with pytest.raises(InputError, match=message) as caught:
        read_dicom(tmp_path / "scan")
    assert "4.dcm" in str(caught.value)
    assert str(tmp_path / "scan") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_slice_names_its_neighbours(tmp_path):
    scanner_series(tmp_path / "scan")
    (tmp_path / "scan" / "1.dcm").unlink()  # the third along the normal
    with pytest.raises(InputError, match="a slice is missing between them") as caught:
        read_dicom(tmp_path / "scan")
    assert "3.dcm and 4.dcm: 5.00 mm apart, the others 2.50 mm" in str(caught.value)


def test_double_and_uneven_slices(tmp_path):
    scanner_series(tmp_path / "scan")
    position = pydicom.dcmread(tmp_path / "scan" / "3.dcm").ImagePositionPatient
    place = list(pydicom.dcmread(tmp_path / "scan" / "1.dcm").ImagePositionPatient)
    change(tmp_path / "scan" / "1.dcm", ImagePositionPatient=list(position))
    with pytest.raises(InputError, match=r"3\.dcm.*same place|1\.dcm.*same place"):
        read_dicom(tmp_path / "scan")
    change(tmp_path / "scan" / "1.dcm", ImagePositionPatient=[*place[:2], place[2] + 0.3])
    with pytest.raises(InputError, match="not evenly spaced"):
        read_dicom(tmp_path / "scan")


@given(part=st.floats(0, 0.999))
@example(part=0.58203125)  # within the number of its series
@example(part=0.8407098864629137)  # within the two bytes of a number that is read late
@settings(max_examples=40, deadline=None)
def test_truncated_files_are_named(part, scanned):
    """Cut anywhere, the last slice gives one line with its name, never wrong HU or a lost slice."""
    file = scanned / "2.dcm"
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(InputError) as caught:
            read_dicom(scanned)
        assert "2.dcm" in str(caught.value)
        assert "\n" not in str(caught.value)
    finally:
        file.write_bytes(whole)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom") / "scan"
    scanner_series(folder)
    return folder


def test_what_is_no_series(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_dicom(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no DICOM images"):
        read_dicom(tmp_path / "empty")
    (tmp_path / "empty" / "a.dcm").write_bytes(b"\0" * 300)
    with pytest.raises(InputError, match=r"a\.dcm"):
        read_dicom(tmp_path / "empty")


def test_results_lie_where_their_source_lies(tmp_path):
    scanner_series(tmp_path / "scan")
    volume = read_dicom(tmp_path / "scan")
    moved = volume.assign_attrs(affine=(np.array(volume.attrs["affine"]) + np.eye(4, k=3)).tolist())
    with pytest.raises(InputError, match=r"1\.00 mm from its source"):
        save_dicom(moved, tmp_path / "out", description="d", source=tmp_path / "scan")
    with pytest.raises(InputError, match="voxels, its source"):
        save_dicom(volume[1:], tmp_path / "out", description="d", source=tmp_path / "scan")
    with pytest.raises(InputError, match="not HU"):
        save_dicom(volume.assign_attrs(units="1/mm"), tmp_path / "out", description="d")
    assert not (tmp_path / "out").exists()


def test_existing_folders_are_kept(tmp_path):
    scanner_series(tmp_path / "scan")
    volume = read_dicom(tmp_path / "scan")
    with pytest.raises(OutputError, match="not empty"):
        save_dicom(volume, tmp_path / "scan", description="d")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        save_dicom(volume, tmp_path / "scan", description="d", overwrite=True)
    save_dicom(volume[:3], tmp_path / "out", description="d")
    save_dicom(volume, tmp_path / "out", description="d", overwrite=True)
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "scan"]  # nothing temporary
    with pytest.raises(OutputError, match="folder for a DICOM series"):
        save_ct(volume, tmp_path / "out.png", description="d")
