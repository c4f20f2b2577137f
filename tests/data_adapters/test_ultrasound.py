"""Ultrasound frames of every format, written by the tests and read back in physical units."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage, generate_uid
from scipy import ndimage

from sciddm.data_adapters.ultrasound import build_frames, is_clip_folder, open_frames, save_frames
from sciddm.data_adapters.ultrasound.dicom import write_us_dicom
from sciddm.data_adapters.ultrasound.overlays import overlays
from sciddm.data_adapters.ultrasound.result import dehazed_outputs, save_dehazed
from sciddm.data_adapters.ultrasound.sector import image_region
from sciddm.errors import InputError, OutputError
from sciddm.physics.ultrasound.scan_conversion import from_picture, picture_grid, to_picture

RNG = np.random.default_rng(0)
FS, FC, C = 10e6, 2.5e6, 1500.0


def noise(*shape: int, complex_: bool = False) -> np.ndarray:
    out = RNG.standard_normal(shape).astype(np.float32)
    return (out + 1j * RNG.standard_normal(shape)).astype(np.complex64) if complex_ else out


# HDF5 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rf", "iq"])
def test_own_files_come_back_bit_for_bit(tmp_path, kind):
    values = noise(2, 20, 6, complex_=kind == "iq")
    data = build_frames(Path("a"), values, kind, form="x", fs=FS, fc=FC, c=C, pitch=3e-4)
    save_frames(data, tmp_path / "a.h5")
    back = open_frames(tmp_path / "a.h5")
    assert np.array_equal(back["frames"], values)
    assert back.attrs["fs"] == FS
    # A sample is c / (2 fs) deep.
    assert float(back["depth"][-1]) == pytest.approx(19 * C / (2 * FS))
    assert np.diff(back["lateral"]) == pytest.approx(3e-4)
    with pytest.raises(OutputError, match="exists"):
        save_frames(data, tmp_path / "a.h5")


def zea(path: Path, values: np.ndarray, name: str = "beamformed_data", places: bool = True) -> Path:
    """A file in the layout of zea 0.1, or of earlier ones, which knew no coordinates."""
    with h5py.File(path, "w") as file:
        if places:
            file[f"data/{name}/values"] = values
            z, x = np.arange(values.shape[1]) * 5e-5 + 2e-3, np.arange(values.shape[2]) * 2e-4
            zz, xx = np.meshgrid(z, x, indexing="ij")
            file[f"data/{name}/coordinates"] = np.stack([xx, 0 * xx, zz], axis=-1)
        else:
            file[f"data/{name}"] = values
        numbers = {"center_frequency": 3e6, "demodulation_frequency": 2.8e6, "sound_speed": C}
        for key, value in {"sampling_frequency": 40e6, **numbers}.items():
            file[f"scan/{key}"] = np.float32(value)
    return path


@pytest.mark.parametrize("places", [True, False])
def test_zea_iq(tmp_path, places):
    values = noise(2, 30, 5, 2)
    data = open_frames(zea(tmp_path / "a.h5", values, places=places))
    assert data.attrs["kind"] == "iq"
    assert np.array_equal(data["frames"], values[..., 0] + 1j * values[..., 1])
    assert data.attrs["fc"] == pytest.approx(2.8e6)
    # Pixels decide: 50 um of depth are C / (2 * 50 um) samples a second, whatever channels had.
    expected = C / (2 * 5e-5) if places else 40e6
    assert data.attrs["fs"] == pytest.approx(expected, rel=1e-5)


def test_zea_rf_envelope_and_image(tmp_path):
    rf = open_frames(zea(tmp_path / "a.h5", noise(1, 30, 5, 1)))
    assert (rf.attrs["kind"], rf.attrs["fc"]) == ("rf", pytest.approx(3e6))
    envelope = open_frames(zea(tmp_path / "b.h5", np.abs(noise(1, 30, 5)), "envelope_data"))
    assert envelope.attrs["kind"] == "envelope"
    db = np.array([[[0.0, -30.0, -60.0, -np.inf, -90.0]] * 4], np.float32)
    image = open_frames(zea(tmp_path / "c.h5", db, "image"))
    assert np.allclose(image["frames"][0, 0], [1, 0.5, 0, 0, 0])


@pytest.mark.parametrize("name", ["image", "image_sc"])
@pytest.mark.parametrize("where", ["", "tracks/track_0/"])
def test_zea_images_of_present_layouts(tmp_path, name, where):
    """A group with values, min and max; scan converted under another name; tracks."""
    levels = np.array([[[-50.0, -25.0, 0.0, -np.inf]] * 6], np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group(f"{where}data/{name}")
        group["values"], group["min"], group["max"] = levels, np.float32(-50), np.float32(0)
    image = open_frames(tmp_path / "a.h5")
    assert image.attrs["kind"] == "bmode"
    assert image.attrs["dynamic_range_db"] == 50
    assert np.allclose(image["frames"][0, 0], [0, 0.5, 1, 0])


def test_zea_images_of_unknown_range_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/image/values"] = np.linspace(0, 300, 24).astype(np.float32).reshape(1, 6, 4)
    with pytest.raises(InputError, match="range is not declared"):
        open_frames(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["data/image/min"], file["data/image/max"] = 0.0, 300.0
    assert float(open_frames(tmp_path / "a.h5")["frames"].max()) == 1.0


def test_zea_coordinates_of_a_sector_and_of_turned_frames(tmp_path):
    r, angles = 5e-3 + np.arange(40) * 1e-4, np.linspace(-0.4, 0.4, 9)
    places = np.stack(
        [r[:, None] * np.sin(angles), np.zeros((40, 9)), r[:, None] * np.cos(angles)], axis=-1
    )
    values = np.abs(noise(1, 40, 9))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/envelope_data/values"] = values
        file["data/envelope_data/coordinates"] = places
    data = open_frames(tmp_path / "a.h5")
    assert data.attrs["lateral"] == "angle"
    assert data.attrs["apex_m"] == pytest.approx(5e-3)
    assert np.allclose(data["lateral"], angles)
    assert np.allclose(data["depth"], r)
    z, x = np.arange(40) * 1e-4, np.linspace(-1e-3, 1e-3, 9)
    turned = np.stack(np.broadcast_arrays(x[:, None], 0.0, z[None]), axis=-1)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data/envelope_data/values"] = values.swapaxes(1, 2)
        file["data/envelope_data/coordinates"] = turned
    data = open_frames(tmp_path / "b.h5")
    assert np.array_equal(data["frames"], values)
    assert np.allclose(data["depth"], z)


def test_uff_linear_and_sector(tmp_path):
    from pyuff_ustb import BeamformedData, LinearScan, Point, Pulse, SectorScan

    z, x = 1e-3 + np.arange(12) * 1e-4, np.linspace(-1e-3, 1e-3, 4)
    image = noise(12, 4, complex_=True)
    pixels = image.T.reshape(-1, 1, 1, 1)  # down each line first
    made = BeamformedData(data=pixels, scan=LinearScan(x_axis=x, z_axis=z))
    made.modulation_frequency = np.float32(4e6)
    made.write(str(tmp_path / "a.uff"), "b")
    data = open_frames(tmp_path / "a.uff")
    assert (data.attrs["kind"], data.attrs["fc"]) == ("iq", pytest.approx(4e6))
    assert np.allclose(data["frames"][0], image)
    assert np.allclose(data["depth"], z)
    scan = SectorScan(azimuth_axis=np.linspace(-0.3, 0.3, 4), depth_axis=z, origin=Point())
    made = BeamformedData(
        data=pixels.real,
        scan=scan,
        pulse=Pulse(center_frequency=3e6, fractional_bandwidth=0.6, phase=0.0),
    )
    # A pulse's waveform may be missing, as it is in files of scanners.
    made.write(str(tmp_path / "b.uff"), "b", ignore_missing_compulsory_fields=True)
    data = open_frames(tmp_path / "b.uff")
    assert (data.attrs["kind"], data.attrs["lateral"]) == ("rf", "angle")
    assert data.attrs["fc"] == pytest.approx(3e6)
    assert np.allclose(data["frames"][0], image.real)


# npz --------------------------------------------------------------------------------------------


def test_npz_with_axes_and_integers(tmp_path):
    iq = RNG.integers(-999, 999, (6, 40, 2)).astype(np.int16)
    np.savez(tmp_path / "a.npz", iq=iq)
    stated = {"fs": FS, "fc": FC, "axes": "lateral depth"}
    data = open_frames(tmp_path / "a.npz", stated)
    assert data["frames"].shape == (1, 40, 6)
    assert np.array_equal(data["frames"][0], (iq[..., 0] + 1j * iq[..., 1]).T)
    np.savez(tmp_path / "b.npz", frames=np.full((2, 8, 8), 128, np.uint8))
    assert float(open_frames(tmp_path / "b.npz")["frames"][0, 0, 0]) == pytest.approx(128 / 255)


# DICOM ------------------------------------------------------------------------------------------


def dicom(path: Path, pages: np.ndarray, regions=((1, (10, 8, 69, 87)),)) -> Path:
    """Multi-frame ultrasound; regions are (data type, (y0, x0, y1, x1)), pixels of 0.2 mm."""
    header = pydicom.Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    uid = generate_uid()
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = uid
    header.SOPClassUID, header.Modality = UltrasoundMultiFrameImageStorage, "US"
    header.PatientName, header.SeriesInstanceUID = "A^B", generate_uid()
    header.StudyInstanceUID = generate_uid()
    colour = pages.ndim == 4
    header.NumberOfFrames, header.Rows, header.Columns = pages.shape[:3]
    header.SamplesPerPixel = 3 if colour else 1
    header.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        header.PlanarConfiguration = 0
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation = 7, 0
    items = []
    for kind, (y0, x0, y1, x1) in regions:
        item = pydicom.Dataset()
        item.RegionDataType, item.RegionSpatialFormat = kind, 1
        item.RegionLocationMinY0, item.RegionLocationMinX0 = y0, x0
        item.RegionLocationMaxY1, item.RegionLocationMaxX1 = y1, x1
        item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
        item.PhysicalDeltaX = item.PhysicalDeltaY = 0.02
        items.append(item)
    header.SequenceOfUltrasoundRegions = items
    header.PixelData = pages.tobytes()
    header.save_as(path, enforce_file_format=True)
    return path


def screen(frames: int = 2, colour: bool = False) -> np.ndarray:
    """A disc of speckle with text above it."""
    y, x = np.mgrid[:80, :96]
    disc = np.hypot(y - 40, x - 48) < 25
    pages = np.where(disc, RNG.integers(60, 250, (frames, 80, 96)), 0)
    pages[:, 2:7, 5:30:3] = 255
    pages = pages.astype(np.uint8)
    return np.repeat(pages[..., None], 3, axis=-1) if colour else pages


@pytest.mark.parametrize("colour", [False, True])
def test_dicom_round_trip_leaves_text_alone(tmp_path, colour):
    pages = screen(colour=colour)
    path = dicom(tmp_path / "a.dcm", pages)
    data = open_frames(path)
    mask = data["mask"].values
    assert mask[40, 48]
    assert not mask[:9].any()
    assert float(data["depth"][1] - data["depth"][0]) == pytest.approx(2e-4)
    assert "fs" not in data.attrs
    new = np.full(pages.shape[:3], 7, np.uint8)
    write_us_dicom(new, mask, path, tmp_path / "b.dcm")
    back, source = pydicom.dcmread(tmp_path / "b.dcm"), pydicom.dcmread(path)
    got = back.pixel_array
    assert np.array_equal(got[:, ~mask], pages[:, ~mask])
    assert (got[:, mask] == 7).all()
    assert back.SOPInstanceUID != source.SOPInstanceUID
    assert back.file_meta.MediaStorageSOPInstanceUID == back.SOPInstanceUID
    assert back.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert back.PatientName == source.PatientName
    assert back.ImageType[0] == "DERIVED"


def test_colour_doppler_is_refused(tmp_path):
    with pytest.raises(InputError, match="colour Doppler region"):
        open_frames(
            dicom(tmp_path / "a.dcm", screen(), regions=((1, (0, 0, 9, 9)), (2, (0, 0, 9, 9))))
        )
    pages = screen(colour=True)
    pages[1, 30:50, 40:60, 0] = 255
    pages[1, 30:50, 40:60, 2] = 0
    with pytest.raises(InputError, match=r"frame 2 has colour in 20\.6%"):
        open_frames(dicom(tmp_path / "b.dcm", pages))


def stated(path: Path, **changes: object) -> Path:
    """A DICOM file with other attributes."""
    header = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(header, name, value)
    header.save_as(path, enforce_file_format=True)
    return path


def test_photometric_interpretations_mean_brightness(tmp_path):
    """YBR, inverted grey and a palette show the same picture, and come back as it."""
    pages = screen()
    plain = open_frames(dicom(tmp_path / "a.dcm", pages))
    inverted = stated(
        dicom(tmp_path / "b.dcm", 255 - pages), PhotometricInterpretation="MONOCHROME1"
    )
    ybr = np.stack([pages, np.full_like(pages, 128), np.full_like(pages, 128)], axis=-1)
    full = stated(dicom(tmp_path / "c.dcm", ybr), PhotometricInterpretation="YBR_FULL")
    palette = dicom(tmp_path / "d.dcm", 255 - pages)
    lut = np.arange(255, -1, -1).astype(np.uint8).tobytes()
    table = {f"{c}PaletteColorLookupTableData": lut for c in ("Red", "Green", "Blue")}
    header = pydicom.dcmread(palette)
    for tag in (0x00281101, 0x00281102, 0x00281103):
        header.add_new(tag, "US", [256, 0, 8])
    header.save_as(palette, enforce_file_format=True)
    stated(palette, PhotometricInterpretation="PALETTE COLOR", **table)
    for path in (inverted, full, palette):
        data = open_frames(path)
        assert np.array_equal(data["frames"], plain["frames"]), path.name
        mask = data["mask"].values
        write_us_dicom(np.full(pages.shape, 9, np.uint8), mask, path, tmp_path / "out.dcm")
        back = pydicom.dcmread(tmp_path / "out.dcm")
        got = back.pixel_array
        got = got[..., 0] if got.ndim == 4 else got
        assert back.PhotometricInterpretation in ("RGB", "MONOCHROME2")
        assert "RedPaletteColorLookupTableData" not in back
        assert (got[:, mask] == 9).all()
        assert np.array_equal(got[:, ~mask], pages[:, ~mask])


def test_two_tissue_regions_are_two_images_and_colour_beside_them_is_no_flow(tmp_path):
    pages = screen(colour=True)
    both = np.concatenate([pages, pages], axis=2)
    both[:, :60, 90:94] = (255, 60, 0)  # a colour bar between them
    boxes = ((1, (10, 8, 69, 87)), (1, (10, 104, 69, 183)))
    data = open_frames(dicom(tmp_path / "a.dcm", both, regions=boxes))
    region = data["region"].values
    assert (region[40, 48], region[40, 144], region[5, 92]) == (1, 2, 0)
    assert np.array_equal(data["mask"], region > 0)
    assert "overlay" not in data
    assert "depth" not in data.coords  # each image has a scale of its own


def test_an_incomplete_region_is_no_error(tmp_path):
    path = dicom(tmp_path / "a.dcm", screen())
    header = pydicom.dcmread(path)
    del header.SequenceOfUltrasoundRegions[0].RegionLocationMaxX1
    header.save_as(path, enforce_file_format=True)
    assert open_frames(path)["mask"].values[40, 48]  # found in the picture


def test_clips_of_a_study_are_one_series_of_a_run(tmp_path):
    made = {}
    study = generate_uid()
    for name, run in (("a", "x"), ("b", "x"), ("c", "y")):
        path = stated(
            dicom(tmp_path / f"{name}.dcm", screen()),
            StudyInstanceUID=study,
            SeriesDescription="A4C",
            SpecificCharacterSet=["", "ISO 2022 IR 87"],
        )
        mask = open_frames(path)["mask"].values
        out = tmp_path / f"{name}_out.dcm"
        write_us_dicom(np.full((2, 80, 96), 9, np.uint8), mask, path, out, run=run)
        made[name] = pydicom.dcmread(out)
    assert made["a"].SeriesInstanceUID == made["b"].SeriesInstanceUID
    assert made["a"].SeriesInstanceUID != made["c"].SeriesInstanceUID
    assert made["a"].SOPInstanceUID != made["b"].SOPInstanceUID
    header = made["a"]
    purpose = header.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0]
    assert purpose.CodeValue == "121322"
    equipment = header.ContributingEquipmentSequence[-1]
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109103"
    assert "dehazed" in header.SeriesDescription
    assert header.SpecificCharacterSet == "ISO_IR 192"


def drawn_over() -> tuple[np.ndarray, np.ndarray]:
    """(pages, drawing): speckle with a green trace and white letters over it."""
    rng = np.random.default_rng(1)
    grey = rng.integers(20, 140, (2, 120, 160)).astype(np.uint8)
    pages = np.repeat(grey[..., None], 3, axis=-1)
    drawing = np.zeros((2, 120, 160), bool)
    x = np.arange(160)
    for i in range(2):  # a trace that moves
        y = (90 + 8 * np.sin((x + 30 * i) / 9)).astype(int)
        pages[i, y, x] = (0, 255, 0)
        drawing[i, y, x] = True
    for at in range(20, 60, 8):
        pages[:, 15:27, at] = 255
        drawing[:, 15:27, at] = True
    return pages, drawing


def test_drawings_over_the_image_are_found_frame_by_frame(tmp_path):
    pages, drawing = drawn_over()
    data = open_frames(dicom(tmp_path / "a.dcm", pages, regions=((1, (0, 0, 119, 159)),)))
    found = data["overlay"].values
    assert found[drawing].all()
    assert found[~drawing].mean() < 0.06  # the trace's neighbours, which lossy colour smears over
    assert not np.array_equal(found[0], found[1])
    new = np.full(pages.shape[:3], 7, np.uint8)
    new = np.where(found, np.round(255 * data["frames"].values).astype(np.uint8), new)
    write_us_dicom(new, data["mask"].values, tmp_path / "a.dcm", tmp_path / "b.dcm")
    back = pydicom.dcmread(tmp_path / "b.dcm").pixel_array
    assert np.array_equal(back[found], pages[found])  # in colour, bit for bit
    inside = data["mask"].values & ~found
    assert (back[inside] == 7).all()


def test_specular_echoes_are_no_drawing():
    rng = np.random.default_rng(0)
    page = ndimage.gaussian_filter(rng.standard_normal((100, 100)), 1.5)
    page = (90 + 30 * page / page.std()).clip(0, 255)
    page[40:44, 20:80] = rng.integers(180, 256, (4, 60))
    grey = page.astype(np.uint8)[None]
    assert overlays(grey, np.ones((100, 100), bool)).mean() < 0.002


@pytest.mark.parametrize("packed", [False, True])
def test_mha(tmp_path, packed):
    pages = screen(3)
    data = zlib.compress(pages.tobytes()) if packed else pages.tobytes()
    head = (
        "ObjectType = Image\nNDims = 3\nDimSize = 96 80 3\nElementType = MET_UCHAR\n"
        f"ElementSpacing = 0.2 0.1 1\nCompressedData = {packed}\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "a.mha").write_bytes(head.encode() + data)
    read = open_frames(tmp_path / "a.mha")
    assert np.array_equal(np.round(255 * read["frames"].values), pages)
    assert float(np.diff(read["depth"])[0]) == pytest.approx(1e-4)
    assert float(np.diff(read["lateral"])[0]) == pytest.approx(2e-4)
    (tmp_path / "b.mha").write_bytes(head.encode() + data[: len(data) // 2])
    with pytest.raises(InputError, match=r"b\.mha"):
        open_frames(tmp_path / "b.mha")


# Pictures ---------------------------------------------------------------------------------------


def test_folders_of_pictures_and_clips(tmp_path):
    pages = screen(3)
    folder = tmp_path / "clip"
    folder.mkdir()
    for i, page in enumerate(pages):
        iio.imwrite(folder / f"{i}.png", page)
    assert is_clip_folder(folder)
    data = open_frames(folder)
    assert np.array_equal(np.round(255 * data["frames"].values), pages)
    iio.imwrite(tmp_path / "a.tif", pages)
    assert np.array_equal(open_frames(tmp_path / "a.tif")["frames"], data["frames"])
    iio.imwrite(folder / "3.png", pages[0, :40])
    with pytest.raises(InputError, match="different sizes"):
        open_frames(folder)


def test_the_image_is_found_among_text():
    pages = screen(1).astype(np.float32) / 255
    y, x = np.mgrid[:80, :96]
    disc = np.hypot(y - 40, x - 48) < 25
    found = image_region(pages)
    assert (found & disc).sum() > 0.97 * disc.sum()
    assert (found & ~disc).sum() < 0.05 * disc.sum()
    assert not image_region(np.zeros((1, 30, 30), np.float32)).any()


# Results ----------------------------------------------------------------------------------------


def test_results_hold_everything_beside_the_picture(tmp_path):
    pages = screen(2).astype(np.float32) / 255
    data = build_frames(Path("a"), pages, "bmode", form="gif", mask=pages[0] > 0)
    dims = ("frame", "depth", "lateral")
    data = data.assign(haze=(dims, 0.1 * pages), std=(dims, 0.2 * pages), hazy=(dims, pages))
    path = tmp_path / "out.tif"
    save_dehazed(data, path, {"seed": 3}, source=tmp_path / "a")
    names = [p.name for p in dehazed_outputs(path)]
    assert names == ["out.tif", "out_parts.h5", "out.json"]
    assert all((tmp_path / n).exists() for n in names)
    assert np.array_equal(iio.imread(path), np.round(255 * pages))
    back = open_frames(tmp_path / "out_parts.h5")
    assert np.array_equal(back["haze"], data["haze"])
    with pytest.raises(OutputError, match=r"2 frames need \.gif"):
        save_dehazed(data, tmp_path / "out.png", {}, source=tmp_path / "a")
    with pytest.raises(OutputError, match="suffix chooses the format"):
        dehazed_outputs(tmp_path / "out.xyz")


# Scan conversion --------------------------------------------------------------------------------


def test_scan_conversion_puts_points_where_they_are():
    """A point at (r, a) appears at x = r sin a, z = r cos a - r0."""
    depth, angles, apex = np.arange(400) * 2e-4, np.linspace(-0.5, 0.5, 201), 0.02
    image = np.zeros((400, 201))
    image[250, 140] = 1
    z, x = picture_grid(depth, angles, apex, 2e-4)
    picture = np.nan_to_num(to_picture(image, depth, angles, apex, z, x))
    i, j = np.unravel_index(picture.argmax(), picture.shape)
    r, a = apex + depth[250], angles[140]
    assert x[j] == pytest.approx(r * np.sin(a), abs=2e-4)
    assert z[i] == pytest.approx(r * np.cos(a) - apex, abs=2e-4)


@given(apex=st.floats(0.015, 0.08), half=st.floats(0.2, 0.7))
@settings(max_examples=10, deadline=None)
def test_scan_conversion_round_trip(apex, half):
    """A smooth image survives; pixels outside of the sector are NaN."""
    depth, angles = np.arange(300) * 2e-4, np.linspace(-half, half, 160)
    r, a = np.meshgrid(depth, angles, indexing="ij")
    image = np.cos(r / 6e-3) * np.cos(3 * a / half)
    z, x = picture_grid(depth, angles, apex, 1e-4)
    picture = to_picture(image, depth, angles, apex, z, x)
    assert np.isnan(picture[-1, 0])
    back = from_picture(picture, z, x, depth, angles, apex)
    assert np.abs(back - image)[12:-5, 8:-8].max() < 0.03  # borders mix with what is outside


# Bad files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"rf": np.ones(5)}, "no array rf"),
        ({"img": np.ones((5, 6))}, r"but img \(5, 6\): save the frames under the one of these"),
        ({"rf": np.ones((2, 3, 4, 5))}, "axes"),
        ({"rf": np.full((3, 4), np.nan)}, "NaN"),
        ({"iq": np.ones((3, 4, 3))}, "last axis of two"),
        ({"rf": np.ones((3, 4)), "fs": -1.0}, "which cannot be"),
        ({"rf": np.ones((3, 4)), "depth": np.array([0, 1.0, 3.0])}, "not evenly spaced"),
        ({"rf": np.ones((3, 4)), "depth": np.arange(3) * 1e-4, "fs": 1e6}, "contradict"),
        ({"rf": np.ones((3, 4)), "axes": "depth lines"}, "do not name"),
        ({"rf": np.ones((3, 4)), "kind": "iq"}, "last axis of two"),
    ],
)
def test_bad_arrays_are_named(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=words) as caught:
        open_frames(tmp_path / "a.npz")
    assert "a.npz" in str(caught.value)


def test_bad_files_are_named(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 40)
    (tmp_path / "a.txt").write_text("nothing")
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = 1
    for name, words in (
        ("a.h5", "HDF5"),
        ("a.txt", "no format of ultrasound"),
        ("a.png", "damaged"),
        ("b.h5", "neither zea"),
        ("c.h5", "no such file"),
    ):
        with pytest.raises(InputError, match=words):
            open_frames(tmp_path / name)
