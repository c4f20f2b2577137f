"""What a clinic's folder holds: several series, scouts, objects beside the slices, enhanced images,
padding, rounded positions, names in any script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_makers import hounsfield, plain_header, save, write_enhanced, write_slices
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from sciddm.data_adapters.ct import open_ct, save_dicom
from sciddm.data_adapters.dicom_series import CT, read_series
from sciddm.errors import InputError

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def test_several_series_are_listed_and_one_can_be_named(tmp_path):
    uids = [(generate_uid(), generate_uid(), generate_uid()) for _ in range(2)]
    first = write_slices(tmp_path, uids=uids[0], name="a{}", SeriesDescription="Lung")
    second = write_slices(
        tmp_path, hounsfield(4) + 7, uids=uids[1], name="b{}", SeriesDescription="Soft",
        SeriesNumber=5,
    )  # fmt: skip
    with pytest.raises(InputError, match="2 series of CT") as caught:
        read_series(tmp_path)
    for text in (uids[0][1], uids[1][1], "'Lung'", "'Soft'", "5 images", "4 images", "number 5"):
        assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(open_ct(tmp_path, uids[0][1]), first)
    for name in (uids[1][1], "5", "Soft"):
        np.testing.assert_array_equal(open_ct(tmp_path, name), second)


def test_other_objects_beside_the_slices_are_set_aside_and_named(tmp_path):
    """A segmentation of its own series, a PET of another, and a report within the series."""
    uids = (generate_uid(), generate_uid(), generate_uid())
    hu = write_slices(tmp_path, uids=uids)
    d = plain_header("SEG", SOPClassUID=SEGMENTATION, SOPInstanceUID=generate_uid())
    d.StudyInstanceUID, d.SeriesInstanceUID = uids[0], generate_uid()
    save(d, tmp_path / "mask.dcm")
    d = plain_header("CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID=generate_uid())
    d.StudyInstanceUID, d.SeriesInstanceUID = uids[:2]
    save(d, tmp_path / "dose.dcm")
    write_slices(tmp_path, modality="PT", name="pet{}.dcm")
    volume = open_ct(tmp_path)
    np.testing.assert_array_equal(volume, hu)
    said = " ".join(volume.attrs["warnings"])
    for name in ("mask.dcm", "dose.dcm", "pet0.dcm"):
        assert name in said


@pytest.mark.parametrize("labelled", [True, False], ids=["localizer", "unlabelled"])
def test_a_scout_is_set_aside(tmp_path, labelled):
    uids = (generate_uid(), generate_uid(), generate_uid())
    hu = write_slices(tmp_path, uids=uids, name="b{}.dcm")
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER" if labelled else "AXIAL"]
    write_slices(
        tmp_path, hounsfield(1, 30, 20), uids=uids, name="a_scout.dcm", ImageType=kind,
        orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    )  # fmt: skip
    volume = open_ct(tmp_path)
    np.testing.assert_array_equal(volume, hu)
    assert any("a_scout.dcm" in w for w in volume.attrs["warnings"])


def test_the_odd_one_is_named_not_a_good_slice(tmp_path):
    uids = (generate_uid(), generate_uid(), generate_uid())
    write_slices(tmp_path, uids=uids, name="b{}.dcm")
    write_slices(tmp_path, hounsfield(1, 30, 20), uids=uids, name="a.dcm")
    with pytest.raises(InputError, match=r"a\.dcm: 30 x 20 pixels, the others have 12 x 16"):
        open_ct(tmp_path)


@pytest.mark.parametrize("index", [True, False], ids=["with DICOMDIR", "bare"])
def test_nested_folders(tmp_path, index):
    hu = write_slices(tmp_path / "DICOM" / "ST1" / "SE2", name="IM{}")
    if index:
        d = pydicom.dataset.Dataset()
        d.file_meta = pydicom.dataset.FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        uid = pydicom.uid.MediaStorageDirectoryStorage
        d.file_meta.MediaStorageSOPClassUID, d.SOPClassUID = uid, uid
        d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid()
        d.DirectoryRecordSequence = []
        d.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    np.testing.assert_array_equal(open_ct(tmp_path), hu)


def test_an_unreadable_file_is_named(tmp_path):
    write_slices(tmp_path)
    (tmp_path / "002.dcm").write_bytes((tmp_path / "002.dcm").read_bytes()[:300])
    with pytest.raises(InputError, match=r"002\.dcm"):
        open_ct(tmp_path)


@pytest.mark.parametrize(("distance", "decimals"), [(0.625, 1), (0.3, 2), (1.25, 1)])
def test_rounded_positions_are_evenly_spaced(tmp_path, distance, decimals):
    def rounded(k, d):
        d.ImagePositionPatient = [-40.0, -30.0, round(100 + k * distance, decimals)]

    write_slices(tmp_path, hounsfield(33), each=rounded)
    spacing = open_ct(tmp_path).attrs["voxel_size_mm"][0]
    assert spacing == pytest.approx(distance, abs=0.004)


@pytest.mark.parametrize("missing", [1, 16, 31])
def test_a_missing_slice_is_found_in_a_long_series(tmp_path, missing):
    write_slices(tmp_path, hounsfield(33), step=(0.0, 0.0, 0.625))
    (tmp_path / f"{missing:03d}.dcm").unlink()
    with pytest.raises(InputError, match="a slice is missing between them"):
        open_ct(tmp_path)


def test_a_slice_beside_the_line_is_named(tmp_path):
    """Evenly spaced along the normal, but moved by 4 mm within its plane."""

    def moved(k, d):
        if k == 3:
            d.ImagePositionPatient = [-36.0, -30.0, 100.0 + 2.5 * k]

    write_slices(tmp_path, hounsfield(9), each=moved)
    with pytest.raises(InputError, match=r"003\.dcm: lies .* mm beside the line"):
        open_ct(tmp_path)


def test_an_enhanced_image_is_read_and_its_result_refers_to_its_frames(tmp_path):
    hu = write_enhanced(tmp_path / "scan" / "ct.dcm")
    volume = open_ct(tmp_path / "scan")
    np.testing.assert_array_equal(volume, hu)
    assert volume.attrs["voxel_size_mm"] == pytest.approx([2.5, 0.8, 0.7])
    save_dicom(volume, tmp_path / "out", description="d", source=tmp_path / "scan")
    again = open_ct(tmp_path / "out")
    np.testing.assert_allclose(again, hu, atol=1 / 32)
    np.testing.assert_allclose(again.attrs["affine"], volume.attrs["affine"], atol=1e-6)
    first = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    assert "PerFrameFunctionalGroupsSequence" not in first
    assert first.SourceImageSequence[0].ReferencedFrameNumber == 5  # its frames run downwards


def test_frames_without_places_are_refused(tmp_path):
    write_slices(tmp_path, hounsfield(1), NumberOfFrames=3)
    with pytest.raises(InputError, match="several frames"):
        open_ct(tmp_path)


@pytest.mark.parametrize("signed", [0, 1])
def test_padding_is_marked_and_declared_again(tmp_path, signed):
    """-2000 outside a circle; other values with a range, and a real value that equals it."""
    hu = hounsfield()
    circle = np.hypot(*np.ogrid[-6:6, -8:8]) < 6
    hu[:, ~circle] = -2000
    write_slices(
        tmp_path / "scan", hu, PixelRepresentation=signed, RescaleIntercept="-3000",
        PixelPaddingValue=1000,
    )  # fmt: skip
    volume = open_ct(tmp_path / "scan")
    np.testing.assert_array_equal(volume.coords["padding"], np.broadcast_to(~circle, hu.shape))
    changed = volume.copy(data=np.where(circle, volume + 0.3, volume))
    changed[0, 6, 8] = -2000.0
    save_dicom(changed, tmp_path / "out", description="d", source=tmp_path / "scan")
    again = open_ct(tmp_path / "out")
    np.testing.assert_array_equal(again.coords["padding"], volume.coords["padding"])
    np.testing.assert_array_equal(again.values[:, ~circle], hu[:, ~circle])
    assert abs(float(again[0, 6, 8]) + 2000) <= 0.5


def test_a_range_of_padding(tmp_path):
    hu = hounsfield()
    hu[:, :2], hu[:, 2] = -1024, -1023
    write_slices(tmp_path, hu, PixelPaddingValue=0, PixelPaddingRangeLimit=1)
    assert open_ct(tmp_path).coords["padding"].sum() == 5 * 3 * 16


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
    ids=["Japanese", "Latin 1", "Cyrillic", "UTF-8", "Korean"],
)
def test_names_are_the_same_in_every_object(tmp_path, declared, name):
    from sciddm.data_adapters.petct.rtstruct import save_rtstruct
    from sciddm.data_adapters.petct.seg import save_seg

    write_slices(tmp_path / "scan", SpecificCharacterSet=declared, PatientName=name)
    volume = open_ct(tmp_path / "scan")
    mask = np.zeros(volume.shape, bool)
    mask[1:3, 3:6, 4:8] = True
    save_dicom(volume, tmp_path / "out", description="d", source=tmp_path / "scan")
    save_seg(mask, tmp_path / "seg.dcm", tmp_path / "scan")
    save_rtstruct(mask, tmp_path / "rt.dcm", tmp_path / "scan")
    for file in ("out/0001.dcm", "seg.dcm", "rt.dcm"):
        written = pydicom.dcmread(tmp_path / file)
        assert written.SpecificCharacterSet == "ISO_IR 192"
        assert str(written.PatientName) == name


def test_a_map_has_its_own_number_window_and_text(tmp_path):
    write_slices(
        tmp_path / "scan", WindowCenter="50", WindowWidth="-600", SmallestPixelValueInSeries=3
    )
    volume = open_ct(tmp_path / "scan")
    text = "sciddm 0.1.0 denoised (residual, strength 1)"
    save_dicom(volume, tmp_path / "a", description=text, source=tmp_path / "scan")
    std = abs(volume * 0 + np.float32(12)).assign_attrs(volume.attrs)
    save_dicom(std, tmp_path / "s", description="std of " + text, source=tmp_path / "scan",
               is_map=True)  # fmt: skip
    save_dicom(volume, tmp_path / "b", description=text, source=tmp_path / "a")
    image, std_, twice = (pydicom.dcmread(tmp_path / f / "0001.dcm") for f in "asb")
    assert image.SeriesNumber != std_.SeriesNumber
    assert (image.WindowCenter, std_.WindowCenter, std_.WindowWidth) == (50, 6, 12)
    assert image.SeriesDescription == twice.SeriesDescription == f"Thorax {text}"
    assert twice.DerivationDescription == f"{text}; {text}"
    assert std_.SeriesDescription.endswith("std of " + text)
    for written in (image, std_):
        assert "SmallestPixelValueInSeries" not in written


def test_a_long_description_keeps_what_was_done(tmp_path):
    write_slices(tmp_path / "scan", SeriesDescription="T" * 60)
    text = "sciddm 0.1.0 denoised (residual, strength 1)"
    save_dicom(
        open_ct(tmp_path / "scan"), tmp_path / "a", description=text, source=tmp_path / "scan"
    )
    told = pydicom.dcmread(tmp_path / "a" / "0001.dcm").SeriesDescription
    assert len(told) <= 64
    assert told.endswith(text)


def test_series_of_another_modality_are_named(tmp_path: Path) -> None:
    write_slices(tmp_path, modality="PT", name="a{}.dcm")
    write_slices(tmp_path, modality="PT", name="b{}.dcm")
    with pytest.raises(InputError, match=r"no series of CT in it, but .*PT"):
        read_series(tmp_path, modality=CT)


def rewritten(folder: Path, syntax: str) -> None:
    """Every file of a folder in another uncompressed transfer syntax."""
    for file in folder.iterdir():
        d = pydicom.dcmread(file)
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        stored = np.frombuffer(d.PixelData, "<u2").astype(order + "u2")
        plain = pydicom.Dataset({e.tag: e for e in d})
        plain.PixelData = stored.tobytes()
        plain["PixelData"].VR = "OW"
        plain.file_meta = d.file_meta
        plain.file_meta.TransferSyntaxUID = syntax
        plain.save_as(file, enforce_file_format=True)


def test_a_big_endian_source_gives_every_object(tmp_path: Path) -> None:
    """Results are little endian, words of 16 bits in the headers too."""
    from sciddm.data_adapters.petct.rtstruct import save_rtstruct
    from sciddm.data_adapters.petct.seg import read_seg, save_seg

    item = pydicom.Dataset()
    item.StudyComments = "kept"
    hu = write_slices(tmp_path / "scan", PatientName="Test^Anna", ReferencedStudySequence=[item])
    rewritten(tmp_path / "scan", ExplicitVRBigEndian)
    volume = open_ct(tmp_path / "scan")
    np.testing.assert_array_equal(volume, hu)
    mask = np.zeros(volume.shape, bool)
    mask[1:3, 3:6, 4:8] = True
    save_dicom(volume, tmp_path / "out", description="d", source=tmp_path / "scan")
    save_seg(mask, tmp_path / "seg.dcm", tmp_path / "scan")
    save_rtstruct(mask, tmp_path / "rt.dcm", tmp_path / "scan")
    np.testing.assert_array_equal(open_ct(tmp_path / "out"), hu)
    np.testing.assert_array_equal(read_seg(tmp_path / "seg.dcm", tmp_path / "scan"), mask)
    written = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    assert written.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert written.ReferencedStudySequence[0].StudyComments == "kept"
    assert str(pydicom.dcmread(tmp_path / "rt.dcm").PatientName) == "Test^Anna"


@pytest.mark.parametrize("meta", [True, False], ids=["with file meta", "data set alone"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_files_without_the_mark_are_read(tmp_path: Path, meta: bool, syntax: str) -> None:
    """As old archives write them: no preamble, perhaps no file meta information either."""
    hu = write_slices(tmp_path, name="IM{}")
    rewritten(tmp_path, syntax)
    for file in tmp_path.iterdir():
        content = file.read_bytes()[132:]
        length = 12 + int.from_bytes(content[8:12], "little")
        file.write_bytes(content if meta else content[length:])
    (tmp_path / "notes").write_text("about this scan, in more than sixteen characters")
    np.testing.assert_array_equal(open_ct(tmp_path), hu)


def test_one_series_is_of_one_patient(tmp_path: Path) -> None:
    uids = (generate_uid(), generate_uid(), generate_uid())
    write_slices(tmp_path, uids=uids, each=lambda k, d: setattr(d, "PatientID", f"P{k // 4}"))
    with pytest.raises(InputError, match=r"004\.dcm: is of another patient"):
        open_ct(tmp_path)


def test_several_acquisitions_of_one_place_are_named(tmp_path: Path) -> None:
    uids = (generate_uid(), generate_uid(), generate_uid())
    write_slices(tmp_path, uids=uids, name="a{}.dcm")
    write_slices(tmp_path, uids=uids, name="b{}.dcm", AcquisitionNumber=2)
    with pytest.raises(InputError, match="same place, AcquisitionNumber 1 and 2"):
        open_ct(tmp_path)


def test_several_frames_of_reference_are_told(tmp_path: Path) -> None:
    write_slices(tmp_path, each=lambda k, d: setattr(d, "FrameOfReferenceUID", generate_uid()))
    assert any("5 frames of reference" in w for w in open_ct(tmp_path).attrs["warnings"])
