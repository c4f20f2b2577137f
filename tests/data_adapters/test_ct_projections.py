"""Projections in DICOM-CT-PD: simulated scans of known objects, and what is refused."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from sciddm.data_adapters.ct import beam_of, is_projection_folder, open_ct, read_projections
from sciddm.errors import InputError
from sciddm.physics import Ellipse, FanBeam, filtered_back_projection, integrate_ellipses

R, D = 400.0, 750.0
ROWS, COLUMNS, WIDE, HIGH = 6, 90, 4.0, 3.0
CENTRAL = (46.0, 3.25)
BODY = [Ellipse(0.02, 8, -6, 60, 45, 0.3), Ellipse(0.01, 25, 5, 12, 9)]
OTHER = [Ellipse(0.015, 0, 0, 50, 50)]
SLOPE, INTERCEPT = 1e-4, -0.2


def rays(detector: str, phi: float, z: float, shifts: tuple[float, float, float]):
    """Lines (theta, s) of a view's columns, the cosine of every reading's slope, and the height
    (row, column) at which it passes the middle of its chord; from source and element in space."""
    dphi, dz, drho = shifts
    focal = R * np.array([-math.sin(phi), math.cos(phi)])
    angle = phi + dphi
    source = (R + drho) * np.array([-math.sin(angle), math.cos(angle)])
    u = (np.arange(1, COLUMNS + 1) - CENTRAL[0]) * WIDE
    inward = np.array([math.sin(phi), -math.cos(phi)])
    along = np.array([math.cos(phi), math.sin(phi)])
    if detector == "FLAT":
        cells = focal + D * inward + u[:, None] * along
    else:
        cells = focal + D * (np.cos(u / D)[:, None] * inward + np.sin(u / D)[:, None] * along)
    way = cells - source
    length = np.hypot(*way.T)
    theta = np.arctan2(-way[:, 0], way[:, 1]) + math.pi
    normal = np.stack([np.cos(theta), np.sin(theta)], 1)
    s = normal @ source
    v = -(np.arange(1, ROWS + 1) - CENTRAL[1]) * HIGH  # of the elements, from the focal centre
    rise = (z + v[:, None]) - (z + dz)
    cosine = length / np.hypot(length, rise)
    half_way = -(way * source).sum(1) / length
    height = z + dz + rise / length * half_way
    return theta, s, cosine, height


def write_scan(
    folder: Path,
    *,
    views: int = 120,
    turns: float = 1.0,
    feed: float = 0.0,
    detector: str = "CYLINDRICAL",
    flying: bool = False,
    sense: int = 1,
    implicit: bool = False,
    split: float | None = None,
    photons: bool = False,
) -> Path:
    """A scan of BODY, or of OTHER above z = split."""
    folder.mkdir()
    for k in range(round(views * turns)):
        phi = 0.4 + sense * 2 * math.pi * k / views
        z = -feed * turns / 2 + feed * k / views
        shifts = (0.0, 0.0, 0.0)
        if flying:
            side = 1 if k % 2 else -1
            shifts = (side * 0.25 * 2 * math.pi / views, 0.4 * side, 2.0 * side)
        theta, s, cosine, height = rays(detector, phi, z, shifts)
        lines = torch.from_numpy(theta), torch.from_numpy(s)
        flat = integrate_ellipses(BODY, *lines).numpy()
        values = np.broadcast_to(flat, (ROWS, COLUMNS))
        if split is not None:
            values = np.where(height > split, integrate_ellipses(OTHER, *lines).numpy(), values)
        values = values / cosine
        stored = np.rint((values - INTERCEPT) / SLOPE).astype(np.uint16)
        write_view(folder / f"{k:05d}.dcm", k, stored, phi, z, detector, shifts, implicit, photons)
    (folder / "readme.txt").write_text("no projection")
    return folder


def write_view(file, k, stored, phi, z, detector, shifts, implicit, photons) -> None:
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, generate_uid()
    header.Modality, header.InstanceNumber = "CT", k + 1
    header.Rows, header.Columns = stored.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.PixelRepresentation = 0
    header.RescaleSlope, header.RescaleIntercept = str(SLOPE), str(INTERCEPT)
    entries = [
        ((0x7029, 0x1010), "US", ROWS), ((0x7029, 0x1011), "US", COLUMNS),
        ((0x7029, 0x1002), "FL", WIDE), ((0x7029, 0x1006), "FL", HIGH),
        ((0x7031, 0x1001), "FL", phi), ((0x7031, 0x1002), "FL", z),
        ((0x7031, 0x1003), "FL", R), ((0x7031, 0x1031), "FL", D),
        ((0x7031, 0x1033), "FL", list(CENTRAL)),
        ((0x7033, 0x100B), "FL", shifts[0]), ((0x7033, 0x100C), "FL", shifts[1]),
        ((0x7033, 0x100D), "FL", shifts[2]),
    ]  # fmt: skip
    if photons:
        entries.append(((0x7033, 0x1065), "FL", [1e5 + k + c for c in range(COLUMNS)]))
    for tag, kind, value in entries:
        if implicit:  # as a file whose private entries state no type is read
            numbers = value if isinstance(value, list) else [value]
            code = {"US": "H", "FL": "f"}[kind]
            header.add_new(tag, "UN", struct.pack(f"<{len(numbers)}{code}", *numbers))
        else:
            header.add_new(tag, kind, value)
    header.add_new((0x7029, 0x100B), "CS", detector)
    header.add_new((0x7041, 0x1001), "DS", "0.0193")
    header.PixelData = stored.astype("<u2").tobytes()
    header["PixelData"].VR = "OW"
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    header.file_meta.TransferSyntaxUID = syntax
    header.save_as(file, enforce_file_format=True)


def exact(beam: FanBeam, ellipses=BODY) -> np.ndarray:
    return integrate_ellipses(ellipses, *beam.rays()).numpy()


def error_of(sinogram, truth: np.ndarray) -> float:
    """Root mean square against that of the truth, over every slice."""
    off = sinogram["sinogram"].values - truth
    return float(np.sqrt((off**2).mean() / (truth**2).mean()))


@pytest.mark.parametrize("detector", ["CYLINDRICAL", "FLAT"])
@pytest.mark.parametrize("sense", [1, -1])
def test_a_scan_without_feed(tmp_path: Path, detector: str, sense: int) -> None:
    """Every row is a slice; what is longer for being oblique is shortened again."""
    found = read_projections(write_scan(tmp_path / "p", detector=detector, sense=sense))
    beam = beam_of(found)
    assert isinstance(beam, FanBeam)
    assert beam.detector == ("flat" if detector == "FLAT" else "equiangular")
    assert found.sizes["z"] == ROWS
    np.testing.assert_allclose(np.diff(found["z"].values), HIGH * R / D, rtol=1e-6)
    assert found.attrs["mu_water"] == pytest.approx(0.0193)
    assert found.attrs["feed_mm"] == 0
    assert error_of(found, exact(beam)) < 2e-4  # rounding to 16 bits
    image = filtered_back_projection(
        torch.from_numpy(found["sinogram"].values[2]), beam, (80, 80), 2.0, window="hann"
    )
    assert float(image[36:40, 36:40].mean()) == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize(("flying", "implicit"), [(False, True), (True, False)])
def test_a_helix(tmp_path: Path, flying: bool, implicit: bool) -> None:
    folder = write_scan(
        tmp_path / "p", turns=2, feed=6.0, flying=flying, implicit=implicit, photons=True
    )
    found = read_projections(folder, slice_mm=1.5)
    assert found.attrs["feed_mm"] == pytest.approx(6.0, rel=1e-3)
    assert found.sizes == {"z": 4, "view": 120, "cell": COLUMNS}
    assert abs(found["z"].values).max() <= 3.0
    # Views are interpolated; with the flying spot columns too, of cells as wide as 2 mm.
    assert error_of(found, exact(beam_of(found))) < (0.02 if flying else 0.012)
    assert found["incident_flux"].values[3] == pytest.approx(1e5 + 3 + 239 / 2)


@pytest.mark.parametrize("sense", [1, -1])
def test_slices_of_a_helix_show_their_own_level(tmp_path: Path, sense: int) -> None:
    """Of two objects on top of each other each is seen where it is, and not mirrored in z."""
    folder = write_scan(tmp_path / "p", turns=4, feed=8.0, split=1.0, sense=sense)
    found = read_projections(folder, slice_mm=2.0)
    beam, z = beam_of(found), found["z"].values
    for low, high, ellipses in ((-99, -2.5, BODY), (4.5, 99, OTHER)):
        part = found.isel(z=np.flatnonzero((z > low) & (z < high)))
        assert part.sizes["z"] >= 3
        assert error_of(part, exact(beam, ellipses)) < 0.02
    assert found.attrs["rows_missing"] < 1.0


def test_what_cannot_be_read(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "p", views=20)
    assert is_projection_folder(folder)
    with pytest.raises(InputError, match="projections, not images"):
        open_ct(folder)
    changes = {
        "no entry": lambda d: d.__delitem__((0x7031, 0x1003)),
        "its detector is SPHERICAL": lambda d: setattr(d[0x7029, 0x100B], "value", "SPHERICAL"),
        "differs from that": lambda d: setattr(d[0x7029, 0x1002], "value", 4.5),
        "is no number": lambda d: setattr(d[0x7031, 0x1001], "value", float("nan")),
        "not \\(column, row\\)": lambda d: setattr(d[0x7031, 0x1033], "value", 46.0),
        "pixels of": lambda d: setattr(d, "Rows", ROWS - 1),
    }
    file = folder / "00007.dcm"
    intact = file.read_bytes()
    for message, change in changes.items():
        dataset = pydicom.dcmread(file)
        change(dataset)
        if message == "pixels of":
            dataset.PixelData = dataset.PixelData[: 2 * (ROWS - 1) * COLUMNS]
        dataset.save_as(file)
        with pytest.raises(InputError, match=message) as caught:
            read_projections(folder)
        assert "00007.dcm" in str(caught.value)
        assert "\n" not in str(caught.value)
        file.write_bytes(intact)
    with pytest.raises(InputError, match="no such folder"):
        read_projections(tmp_path / "none")
    with pytest.raises(InputError, match="more than 0"):
        read_projections(folder, slice_mm=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="0 projections"):
        read_projections(tmp_path / "empty")
    with pytest.raises(InputError, match="less than one turn"):
        read_projections(write_scan(tmp_path / "half", turns=0.5, feed=20.0))


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_view_that_lacks_what_the_others_state(tmp_path: Path, keyword: str) -> None:
    """It would be read with 1 or 0 in its place."""
    folder = write_scan(tmp_path / "p", views=8)
    file = folder / "00003.dcm"
    header = pydicom.dcmread(file)
    delattr(header, keyword)
    header.save_as(file)
    with pytest.raises(
        InputError, match=rf"00003\.dcm: some views state {keyword} and some do not"
    ):
        read_projections(folder)
