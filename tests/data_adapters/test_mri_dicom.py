"""Results of MRI as DICOM: values, place, what is said of them, and files whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ismrmrd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.uid import MRImageStorage

from sciddm.data_adapters import load_result, open_kspace
from sciddm.data_adapters.mri.result import check_mri_outputs, mri_outputs, save_mri_result
from sciddm.data_adapters.mri.save_dicom import Study, write_mr_slices
from sciddm.errors import InputError, OutputError

SHAPE = (3, 9, 7)


def affine() -> np.ndarray:
    """Oblique slices of 0.9 x 1.3 mm, 4.5 mm apart, RAS."""
    a, b = 0.4, -0.3
    first = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    second = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    found = np.eye(4)
    found[:3, :3] = first @ second @ np.diag([-1.3, 0.9, 4.5])
    found[:3, 3] = (31.0, -20.0, 12.5)
    return found


def result(slices: int = 3, **attrs: Any) -> xr.Dataset:
    rng = np.random.default_rng(1)
    shape = (slices, *SHAPE[1:])
    known = {
        "voxel_size_mm": [4.5, 0.9, 1.3],
        "affine": affine().tolist(),
        "orientation_known": True,
        "echo_time_ms": 14.5,
        "field_strength_T": 2.9,
        "model": "mri-brain",
        "seed": 3,
        **attrs,
    }
    dims = ("slice", "y", "x")
    return xr.Dataset(
        {
            "reconstruction": (dims, rng.uniform(0, 3e-4, shape).astype(np.float32)),
            "std": (dims, rng.uniform(0, 1e-5, shape).astype(np.float32)),
        },
        attrs=known,
    )


def read(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def test_a_series_lies_where_the_nifti_does(tmp_path: Path) -> None:
    """Values and places of both, as SimpleITK, which knows nothing of this package, sees them."""
    given_ = result()
    save_mri_result(given_, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"out", "out_std", "out.json"}
    save_mri_result(given_, tmp_path / "nifti.nii.gz")
    for end in ("", "_std"):
        series = read(tmp_path / f"out{end}")
        nifti = sitk.ReadImage(str(tmp_path / f"nifti{end}.nii.gz"))
        values = sitk.GetArrayFromImage(nifti)
        assert series.GetSize() == nifti.GetSize()
        for k, y, x in np.ndindex(SHAPE):
            place = nifti.TransformIndexToPhysicalPoint((x, y, k))
            there = series.TransformPhysicalPointToIndex(place)
            np.testing.assert_allclose(
                series.TransformIndexToPhysicalPoint(there), place, atol=1e-3
            )
            assert abs(series[there] - values[k, y, x]) <= 1e-4 * np.ptp(values)


def test_headers(tmp_path: Path) -> None:
    save_mri_result(result(), tmp_path / "out")
    image = [pydicom.dcmread(f) for f in sorted((tmp_path / "out").iterdir())]
    spread = [pydicom.dcmread(f) for f in sorted((tmp_path / "out_std").iterdir())]
    everything = [*image, *spread]
    assert len(image) == len(spread) == 3
    for slice_ in everything:
        assert slice_.SOPClassUID == slice_.file_meta.MediaStorageSOPClassUID == MRImageStorage
        assert slice_.Modality == "MR"
        assert slice_.EchoTime == 14.5
        assert slice_.MagneticFieldStrength == 2.9
        assert not slice_.PatientName
        assert not slice_.PatientID
        assert "ImageComments" not in slice_
        assert "mri-brain" in slice_.DerivationDescription
    # One study and frame of reference, two series, every instance its own.
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert len({s[keyword].value for s in everything}) == 1
    assert len({s.SeriesInstanceUID for s in image}) == 1
    assert len({s.SeriesInstanceUID for s in everything}) == 2
    assert len({s.SOPInstanceUID for s in everything}) == 6
    assert spread[0].SeriesDescription.startswith("std of ")
    assert json.loads((tmp_path / "out.json").read_text())["seed"] == 3


@pytest.mark.parametrize(
    ("attrs", "said"),
    [
        ({"orientation_known": False}, ["orientation unknown"]),
        ({"orientation_known": False, "affine": None}, ["orientation unknown", "voxel size"]),
    ],
)
def test_what_is_not_known_is_said(tmp_path: Path, attrs: dict[str, Any], said: list[str]) -> None:
    given_ = result(**attrs)
    given_.attrs = {k: v for k, v in given_.attrs.items() if v is not None}
    save_mri_result(given_, tmp_path / "out")
    header = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    for words in said:
        assert words in header.ImageComments
    assert not header.PatientPosition


@settings(max_examples=25, deadline=None)
@given(
    values=hnp.arrays(
        np.float32,
        (2, 3, 4),
        elements=st.floats(-1, 1, width=32).filter(lambda v: v == 0 or abs(v) > 1e-6),
    ),
    power=st.integers(-12, 12),
)
def test_integers_lose_little_of_the_range(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, power: int
) -> None:
    values = values * np.float32(10.0**power)
    folder = tmp_path_factory.mktemp("dicom")
    files = [folder / "1.dcm", folder / "2.dcm"]
    write_mr_slices(values, files, Study({}), 1, "test")
    read_ = [pydicom.dcmread(f) for f in files]
    back = np.stack(
        [s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in read_]
    )
    extent = max(values.max(), 0) - min(values.min(), 0)
    assert np.abs(back - values).max() <= 1e-4 * extent


def test_one_slice_as_a_file(tmp_path: Path) -> None:
    given_ = result(slices=1)
    path = tmp_path / "out.dcm"
    save_mri_result(given_, path)
    assert {p.name for p in tmp_path.iterdir()} == {"out.dcm", "out_std.dcm", "out.json"}
    assert [p.name for p in mri_outputs(path)] == ["out.dcm", "out_std.dcm", "out.json"]
    image = sitk.ReadImage(str(path))
    wanted = given_["reconstruction"].values
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), wanted, atol=1e-4 * wanted.max())
    with pytest.raises(OutputError, match="exists already"):
        save_mri_result(given_, path)
    save_mri_result(given_, path, overwrite=True)
    with pytest.raises(OutputError, match="3 slices"):
        save_mri_result(result(), tmp_path / "other.dcm")


def test_a_folder_with_something_else_stays(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="out"):
        check_mri_outputs(mri_outputs(folder), overwrite=True)
    with pytest.raises(OutputError, match="out"):
        save_mri_result(result(), folder, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"


def test_nothing_is_left_after_a_failure(tmp_path: Path) -> None:
    broken = result()
    broken["std"][1, 2, 3] = np.nan
    with pytest.raises(InputError, match="NaN"):
        save_mri_result(broken, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_suffix_that_is_no_format(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.png"):
        mri_outputs(tmp_path / "a.png")


def test_frames_lie_at_one_place_one_after_the_other(tmp_path: Path) -> None:
    """Two frames of three slices: a series of two volumes, not a volume of six slices."""
    frames = result(6, slices_per_frame=3)
    save_mri_result(frames, tmp_path / "out")
    slices = [pydicom.dcmread(f) for f in sorted((tmp_path / "out").iterdir())]
    places = [tuple(map(float, s.ImagePositionPatient)) for s in slices]
    assert places[:3] == places[3:]
    assert len(set(places)) == 3
    assert [int(s.TemporalPositionIdentifier) for s in slices] == [1, 1, 1, 2, 2, 2]
    assert [int(s.InstanceNumber) for s in slices] == [1, 2, 3, 4, 5, 6]
    save_mri_result(frames, tmp_path / "b.nii.gz")
    volume = nib.load(tmp_path / "b.nii.gz")
    assert volume.shape == (7, 9, 3, 2)
    np.testing.assert_allclose(volume.affine, affine(), atol=1e-5)
    values = frames["reconstruction"].values
    np.testing.assert_allclose(volume.get_fdata()[..., 1], values[3:].T, rtol=1e-6)
    again = load_result(tmp_path / "b.nii.gz")
    np.testing.assert_allclose(again["reconstruction"], values, rtol=1e-6)
    np.testing.assert_allclose(again["std"], frames["std"], rtol=1e-6)


IDENTITY = """<subjectInformation><patientName>Müller^Eva</patientName>
  <patientWeight_kg>71.5</patientWeight_kg><patientID>P-17</patientID>
  <patientBirthdate>1970-02-28</patientBirthdate><patientGender>F</patientGender>
 </subjectInformation>
 <studyInformation><studyDate>2024-05-06</studyDate><studyTime>07:08:09</studyTime>
  <studyID>4</studyID><studyInstanceUID>1.2.3.4.5</studyInstanceUID></studyInformation>
 <measurementInformation><protocolName>t2_tse</protocolName>
  <patientPosition>HFS</patientPosition><frameOfReferenceUID>1.2.3.99</frameOfReferenceUID>
 </measurementInformation>"""


def scan_of(path: Path, identity: str) -> Path:
    """An ISMRMRD file of one slice whose header names a patient."""
    xml = (
        f'<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">{identity}<encoding><encodedSpace>'
        "<matrixSize><x>8</x><y>8</y><z>1</z></matrixSize><fieldOfView_mm><x>80</x><y>80</y>"
        "<z>5</z></fieldOfView_mm></encodedSpace><trajectory>cartesian</trajectory></encoding>"
        "</ismrmrdHeader>"
    )
    with ismrmrd.Dataset(str(path), create_if_needed=True) as file:
        file.write_xml_header(xml.encode())
        for y in range(8):
            acquisition = ismrmrd.Acquisition.from_array(np.ones((2, 8), np.complex64))
            acquisition.idx.kspace_encode_step_1 = y
            acquisition.read_dir[:], acquisition.phase_dir[:] = (1, 0, 0), (0, 1, 0)
            acquisition.slice_dir[:] = (0, 0, 1)
            file.append_acquisition(acquisition)
    return path


def test_patient_study_and_frame_of_reference_are_those_of_the_raw_data(tmp_path: Path) -> None:
    scan = open_kspace(scan_of(tmp_path / "scan.h5", IDENTITY))
    assert "Eva" not in str(scan.attrs)
    found = result()
    found.encoding["dicom"] = scan.encoding["dicom"]
    save_mri_result(found, tmp_path / "a")
    for folder in ("a", "a_std"):
        header = pydicom.dcmread(tmp_path / folder / "0002.dcm")
        assert str(header.PatientName) == "Müller^Eva"
        assert (header.PatientID, header.PatientSex, header.PatientBirthDate) == (
            "P-17", "F", "19700228",
        )  # fmt: skip
        assert header.PatientWeight == 71.5
        assert (header.StudyInstanceUID, header.StudyID) == ("1.2.3.4.5", "4")
        assert (header.StudyDate, header.StudyTime) == ("20240506", "070809")
        assert header.FrameOfReferenceUID == "1.2.3.99"
        assert header.PatientPosition == "HFS"
    assert "Eva" not in (tmp_path / "a.json").read_text()
    unplaced = result(orientation_known=False)
    unplaced.encoding["dicom"] = scan.encoding["dicom"]
    save_mri_result(unplaced, tmp_path / "b")
    header = pydicom.dcmread(tmp_path / "b" / "0001.dcm")
    assert header.StudyInstanceUID == "1.2.3.4.5"
    assert header.FrameOfReferenceUID != "1.2.3.99"
    assert not header.PatientPosition


def test_an_identity_that_dicom_cannot_hold_is_left_out(tmp_path: Path) -> None:
    wrong = IDENTITY.replace("1.2.3.4.5", "not a uid").replace("1970-02-28", "spring")
    wrong = wrong.replace("<patientGender>F", "<patientGender>yes")
    identity = open_kspace(scan_of(tmp_path / "scan.h5", wrong)).encoding["dicom"]
    assert not {"StudyInstanceUID", "PatientBirthDate", "PatientSex"} & set(identity)
    assert identity["PatientID"] == "P-17"
