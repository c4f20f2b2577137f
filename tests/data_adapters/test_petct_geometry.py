"""Masks and images keep their millimetres: grids, DICOM-SEG and RTSTRUCT."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from petct_files import AXIAL, OBLIQUE, distances, write_ct

from sciddm.data_adapters.nifti import read_nifti, write_nifti
from sciddm.data_adapters.petct.images import open_ct_of
from sciddm.data_adapters.petct.rtstruct import read_rtstruct, save_rtstruct
from sciddm.data_adapters.petct.seg import read_seg, save_seg
from sciddm.errors import InputError, OutputError
from sciddm.geometry.grid import Grid, common_grid, grid_of, resample


def upright(shape, spacing, middle=(0.0, 0.0, 0.0)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-spacing[2], -spacing[1], spacing[0]])
    affine[:3, 3] = np.asarray(middle) - affine[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Grid(affine, shape)


def turned(grid: Grid, degrees: float, shear: float = 0.0) -> Grid:
    """About the superior axis, then about the right one; slices shifted as by a tilted gantry."""
    a = np.radians(degrees)
    c, s = np.cos(a), np.sin(a)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, c, -s], [0, s, c]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation @ grid.affine[:3, :3]
    affine[:3, 2] += shear * affine[:3, 1]
    indices = (np.array(grid.shape[::-1]) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ indices
    return Grid(affine, grid.shape)


@settings(max_examples=15, deadline=None)
@given(
    degrees=st.floats(-40, 40),
    shear=st.floats(-0.4, 0.4),
    x=st.floats(-8, 8),
    z=st.floats(-8, 8),
)
def test_a_linear_field_is_the_same_at_the_same_millimetres(degrees, shear, x, z):
    """What is linear in mm is exact under linear interpolation, however the grids are turned."""
    source = turned(upright((30, 34, 32), (3.0, 2.5, 2.0)), degrees, shear)
    target = upright((5, 4, 6), (2.0, 2.0, 2.0), middle=(x, 3.0, z))

    def field(grid):
        k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
        mm = np.stack([i, j, k, np.ones_like(i)], -1) @ grid.affine[:3].T
        return 2 * mm[..., 0] - mm[..., 1] + 0.5 * mm[..., 2] + 7

    found = resample(field(source), source, target)
    assert np.allclose(found, field(target), atol=1e-3)


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_a_mask_painted_in_pet_lands_on_the_same_millimetres_of_ct(tmp_path, orientation):
    """PET and CT of different voxels, slice counts and frames; CT as a DICOM series."""
    write_ct(tmp_path / "ct", np.zeros((40, 48, 44)), orientation=orientation)
    ct = grid_of(open_ct_of(tmp_path / "ct"))
    middle = ct.corners().mean(0)
    pet = upright((27, 36, 38), (4.25, 4.0, 4.0), middle=tuple(middle + np.array([3, -2, 1])))
    centre, radius = tuple(middle + np.array([5, -6, 4])), 17.0
    # The share of a voxel that lies in the ball, about.
    painted = np.clip((radius - distances(pet, centre)) / 4 + 0.5, 0, 1)
    model = common_grid(pet, ct, (3.0, 2.0, 2.0))
    on_model = resample(painted, pet, model)
    on_ct = resample(on_model, model, ct) >= 0.5
    truth = distances(ct, centre) <= radius
    assert 2 * (on_ct & truth).sum() / (on_ct.sum() + truth.sum()) > 0.97
    places = np.argwhere(on_ct)[:, ::-1]
    found = (np.c_[places, np.ones(len(places))] @ ct.affine[:3].T).mean(0)
    assert np.abs(found - centre).max() < 0.3  # mm
    volume = on_ct.sum() * ct.voxel_ml
    assert abs(volume / (4 / 3 * np.pi * 1.7**3) - 1) < 0.05  # a ball loses some


def test_the_common_grid_is_what_both_share():
    pet = upright((20, 30, 30), (4.0, 4.0, 4.0), middle=(10, 0, 0))
    ct = upright((30, 50, 50), (3.0, 1.0, 1.0), middle=(0, 0, 8))
    shared = common_grid(pet, ct, (3.0, 2.0, 2.0))
    low, high = shared.box()
    (a, b), (c, d) = pet.box(), ct.box()
    assert np.all(low >= np.maximum(a, c) - 1e-6)
    assert np.all(high <= np.minimum(b, d) + 1e-6)
    assert np.all(high - low > np.minimum(b, d) - np.maximum(a, c) - [2, 2, 3])
    assert shared.spacing_mm == pytest.approx([3.0, 2.0, 2.0])
    with pytest.raises(InputError, match="300 mm apart"):
        common_grid(pet, upright((20, 30, 30), (4.0, 4.0, 4.0), middle=(430, 0, 0)), (3, 2, 2))


def test_coarser_voxels_average_what_they_cover():
    """White noise on a grid twice as fine loses the variance that averaging takes, not its mean."""
    fine, coarse = upright((8, 64, 64), (3.0, 1.0, 1.0)), upright((8, 16, 16), (3.0, 4.0, 4.0))
    noise = np.random.default_rng(0).standard_normal(fine.shape) + 5
    found = resample(noise, fine, coarse)[:, 2:-2, 2:-2]
    assert abs(found.mean() - 5) < 0.05
    assert found.std() < 0.35  # a single voxel would have 1, the box 0.25


def test_spline_keeps_to_the_range_and_labels_stay_labels():
    source, target = upright((9, 9, 9), (4.0, 4.0, 4.0)), upright((20, 20, 20), (1.5, 1.5, 1.5))
    step = np.zeros(source.shape)
    step[:, :, 5:] = 10
    smooth = resample(step, source, target, method="spline")
    assert smooth.min() >= 0
    assert smooth.max() <= 10
    labels = resample(step.astype(int), source, target, method="nearest")
    assert set(np.unique(labels)) == {0.0, 10.0}


def lesion_mask(shape=(8, 30, 28)) -> np.ndarray:
    """A ring with a hole in some slices, and a part that touches the border of the image."""
    mask = np.zeros(shape, bool)
    y, x = np.mgrid[: shape[1], : shape[2]]
    r = np.hypot(y - 14, x - 12)
    mask[2:6] = r < 9
    mask[3:5] &= ~(r < 4)
    mask[4, :3, 25:] = True
    return mask


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_a_segmentation_read_back_is_the_nifti(tmp_path, orientation):
    import highdicom as hd

    mask = lesion_mask()
    write_ct(tmp_path / "ct", np.zeros(mask.shape), orientation=orientation)
    ct = open_ct_of(tmp_path / "ct")
    save_seg(mask, tmp_path / "seg.dcm", tmp_path / "ct", model="m")
    write_nifti(mask, tmp_path / "mask.nii.gz", ct.attrs)
    nifti = read_nifti(tmp_path / "mask.nii.gz")
    stored = read_seg(tmp_path / "seg.dcm", tmp_path / "ct")
    assert np.array_equal(stored.values, nifti.values)
    assert np.allclose(stored.attrs["affine"], nifti.attrs["affine"], atol=1e-4)
    # By the file alone, as a viewer does it: the same voxels at the same millimetres.
    alone = read_seg(tmp_path / "seg.dcm")
    on_ct = resample(alone.values, grid_of(alone), grid_of(ct), method="nearest")
    assert np.array_equal(on_ct > 0, mask)
    header = hd.seg.segread(tmp_path / "seg.dcm")
    source = pydicom.dcmread(next((tmp_path / "ct").iterdir()))
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert header[keyword].value == source[keyword].value
    assert header.SeriesInstanceUID != source.SeriesInstanceUID


def test_an_empty_segmentation(tmp_path):
    write_ct(tmp_path / "ct", np.zeros((4, 6, 5)))
    save_seg(np.zeros((4, 6, 5)), tmp_path / "seg.dcm", tmp_path / "ct")
    assert not read_seg(tmp_path / "seg.dcm", tmp_path / "ct").values.any()


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_contours_with_a_hole(tmp_path, orientation):
    mask = lesion_mask()
    write_ct(tmp_path / "ct", np.zeros(mask.shape), orientation=orientation)
    save_rtstruct(mask, tmp_path / "rt.dcm", tmp_path / "ct")
    back = read_rtstruct(tmp_path / "rt.dcm", tmp_path / "ct")
    assert np.array_equal(back, mask)
    stored = pydicom.dcmread(tmp_path / "rt.dcm")
    contours = stored.ROIContourSequence[0].ContourSequence
    assert {c.ContourGeometricType for c in contours} == {"CLOSEDPLANAR_XOR"}
    # Area by the shoelace formula in mm, holes subtracted, times the distance of the slices.
    volume = 0.0
    areas: dict[str, list[float]] = {}
    for contour in contours:
        p = np.asarray(contour.ContourData, float).reshape(-1, 3)
        area = np.linalg.norm(np.cross(p - p[0], np.roll(p, -1, 0) - p[0]).sum(0)) / 2
        image = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        areas.setdefault(image, []).append(area)
    for k, own in enumerate(areas.values()):
        hole = min(own) if k in (1, 2) else 0.0
        if k == 2:  # ring, hole and the part at the border
            hole = sorted(own)[1]
        volume += (sum(own) - 2 * hole) * 3.0
    # Half-way between voxels corners are cut: an eighth of a voxel each.
    assert volume == pytest.approx(mask.sum() * 3.0 * 2.0 * 1.5, rel=0.02)


def test_contours_without_a_hole_are_plain(tmp_path):
    mask = np.zeros((4, 9, 9), bool)
    mask[1:3, 2:7, 3:6] = True
    write_ct(tmp_path / "ct", np.zeros(mask.shape))
    save_rtstruct(mask, tmp_path / "rt.dcm", tmp_path / "ct")
    stored = pydicom.dcmread(tmp_path / "rt.dcm")
    kinds = {c.ContourGeometricType for c in stored.ROIContourSequence[0].ContourSequence}
    assert kinds == {"CLOSED_PLANAR"}
    assert np.array_equal(read_rtstruct(tmp_path / "rt.dcm", tmp_path / "ct"), mask)


@pytest.mark.parametrize("save", [save_seg, save_rtstruct])
def test_a_mask_of_another_series_is_refused(tmp_path, save):
    write_ct(tmp_path / "ct", np.zeros((4, 6, 5)))
    with pytest.raises(InputError, match=r"\(4, 6, 5\) voxels"):
        save(np.zeros((4, 5, 6)), tmp_path / "out.dcm", tmp_path / "ct")
    (tmp_path / "out.dcm").write_text("kept")
    with pytest.raises(OutputError, match="exists"):
        save(np.ones((4, 6, 5)), tmp_path / "out.dcm", tmp_path / "ct")
    assert (tmp_path / "out.dcm").read_text() == "kept"
