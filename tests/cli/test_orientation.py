"""Pages show volumes as radiologists look at them, however their files store them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from petct_files import distances, uptake_pipeline, volume

from sciddm.data_adapters.ct import open_ct
from sciddm.geometry.display import Letters
from sciddm.pipelines.ct.page import denoising_page
from sciddm.pipelines.petct.page import segmentation_page

AXIAL, CORONAL, SAGITTAL = (
    Letters("R", "L", "A", "P"), Letters("R", "L", "S", "I"), Letters("A", "P", "S", "I"),
)  # fmt: skip
#: Codes of the stored axes (x, y, slice) -> the plane of its slices, and the letters of the
#: quadrant where the insert is seen: (left or right half, upper or lower half).
STORED = {
    ("R", "A", "S"): (AXIAL, (0, 0)),
    ("L", "P", "S"): (AXIAL, (0, 0)),
    ("A", "R", "S"): (AXIAL, (0, 0)),
    ("L", "I", "A"): (CORONAL, (0, 0)),
    ("P", "I", "L"): (SAGITTAL, (0, 0)),
    ("S", "A", "R"): (SAGITTAL, (0, 0)),
}


def phantom(codes: tuple[str, str, str], path: Path, known: bool = True) -> Path:
    """A cube of tissue with a bone in its right, anterior, superior octant, stored as told."""
    hu = np.full((40, 40, 40), -1000.0, np.float32)
    hu[5:35, 5:35, 5:35] = 40
    hu[22:32, 22:32, 22:32] = 900
    image = nib.Nifti1Image(hu, np.diag([2.0, 2, 2, 1]))
    start = nib.orientations.io_orientation(image.affine)
    turn = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(codes))
    turned = image.as_reoriented(turn)
    assert nib.aff2axcodes(turned.affine) == codes
    turned.header.set_xyzt_units("mm")
    turned.set_sform(turned.affine, 1 if known else 0)
    turned.set_qform(turned.affine, 1 if known else 0)
    nib.save(turned, path)
    return path


def ct_panels(path: Path):
    """The panels of soft tissue in the page of a volume."""
    hu = open_ct(path)
    attrs = {**hu.attrs, "method": "none", "input": path.name, "command": "sciddm"}
    plane = hu.isel(z=[int(hu.values.reshape(hu.sizes["z"], -1).max(1).argmax())])
    result = xr.Dataset({"noisy": plane, "denoised": 0 * plane}, attrs=attrs)
    return denoising_page(None, result).sections[0]


@pytest.mark.parametrize("codes", STORED, ids="".join)
def test_ct_is_shown_in_the_convention_whatever_the_file_stores(codes, tmp_path):
    letters, (column, row) = STORED[codes]
    section = ct_panels(phantom(codes, tmp_path / "a.nii.gz"))
    for panel in section.panels:
        assert panel.letters == letters
    bone = section.panels[0].image > 500
    assert bone.any()
    rows, columns = np.nonzero(bone)
    assert (columns.mean() > 19.5) == column
    assert (rows.mean() > 19.5) == row
    assert "radiological convention" in section.text


def test_ct_of_unknown_orientation_has_no_letters_and_says_so(tmp_path):
    section = ct_panels(phantom(("R", "A", "S"), tmp_path / "a.nii.gz", known=False))
    assert all(panel.letters is None for panel in section.panels)
    assert "does not state the orientation" in section.text


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    """A tumour on the patient's right, in front; the CT is stored from left to right (RAS)."""
    centre = (30.0, 20.0, 0.0)
    pet = volume(
        (18, 30, 30), (4.0, 4.0, 4.0),
        lambda g: np.where(distances(g, centre) < 14, 6.0, 0.5), "SUV",
    )  # fmt: skip
    ct = volume((20, 50, 50), (3.3, 2.2, 2.2), lambda g: np.full(g.shape, 40.0), "HU")
    affine = np.asarray(ct.attrs["affine"]) @ np.diag([-1.0, -1, 1, 1])
    affine[:3, 3] *= [-1, -1, 1]
    ct = ct[:, ::-1, ::-1].assign_attrs(affine=affine.tolist())
    result = uptake_pipeline()(pet, ct, quality="fast")
    return result.assign_attrs(input="a", command="sciddm")


def restored(result: xr.Dataset, codes: tuple[str, ...], tilt: float = 0.0) -> xr.Dataset:
    """The same patient, stored with other axes (x, y, z); tilted about the patient's x axis."""
    affine = np.asarray(result.attrs["affine"], float)
    start = nib.orientations.io_orientation(affine)
    turn = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(codes))
    shape = result["mask"].shape[::-1]
    affine = affine @ nib.orientations.inv_ornt_aff(turn, shape)
    angle = np.deg2rad(tilt)
    tilted = np.eye(4)
    tilted[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    names = [name for name in result if result[name].ndim == 3]
    volumes = {
        name: (("z", "y", "x"), nib.orientations.apply_orientation(result[name].values.T, turn).T)
        for name in names
    }
    size = np.linalg.norm(affine[:3, :3], axis=0)[::-1].tolist()
    attrs = {**result.attrs, "affine": (tilted @ affine).tolist(), "voxel_size_mm": size}
    return (
        result.drop_vars(names)
        .drop_dims(["z", "y", "x"], errors="ignore")
        .assign(volumes)
        .assign_attrs(attrs)
    )


TILTED = [*((codes, 0.0) for codes in STORED), (("R", "A", "S"), 15.0), (("L", "I", "A"), -15.0)]


@pytest.mark.parametrize(("codes", "tilt"), TILTED, ids=lambda value: "".join(map(str, [value])))
def test_pet_ct_is_shown_in_the_convention_however_it_is_stored(study, codes, tilt):
    """Every panel has the letters of its plane, and the lesion lies right, in front, above."""
    page = segmentation_page(None, restored(study, codes, tilt))
    planes = {"coronal": CORONAL, "sagittal": SAGITTAL}
    overview, first, across = page.sections[:3]
    for panel in [*overview.panels, *first.panels, *across.panels]:
        name = next((n for n in planes if n in panel.title.lower()), "axial")
        assert panel.letters == planes.get(name, AXIAL), panel.title
    # Dark is high: centre of the uptake within the projections from the front and the side.
    for panel in overview.panels:
        image = 1 - panel.image.mean(-1)
        rows, columns = np.nonzero(image > 0.7 * image.max())
        assert columns.mean() < 0.47 * image.shape[1], panel.title
    probability = next(p for p in first.panels if p.title == "Probability").image > 0.5
    rows, columns = np.nonzero(probability)
    # The crop is cut off by the volume's right and front: the ball lies left, above.
    assert columns.mean() < probability.shape[1] / 2
    assert rows.mean() < probability.shape[0] / 2
    [viewer] = page.sections[-1].viewers
    assert viewer.space is not None
    assert viewer.space.upright.letters == (AXIAL, CORONAL, SAGITTAL)
    pet = viewer.layers[1]
    assert pet.scale is not None
    assert pet.scale.inverse
    uptake = np.argwhere(viewer.space.upright(pet.planes) > 4).mean(0)
    assert (uptake[1:] < 0.47 * np.array(viewer.space.upright(pet.planes).shape[1:])).all()


def test_pet_ct_of_unknown_orientation_has_no_letters_and_says_so(study):
    page = segmentation_page(None, study.assign_attrs(orientation_known=False))
    assert all(panel.letters is None for panel in page.sections[1].panels)
    assert "does not state the orientation" in page.sections[0].text
    assert not any(w in p.title for s in page.sections[:3] for p in s.panels for w in planes_of())


def planes_of() -> tuple[str, ...]:
    """Words that state an orientation."""
    return ("axial", "coronal", "sagittal", "Coronal", "Sagittal")


@pytest.mark.parametrize(("codes", "tilt"), TILTED, ids=lambda value: "".join(map(str, [value])))
def test_mri_is_shown_in_the_convention_however_it_is_stored(codes, tilt):
    """A bright cube in the patient's right, front and upper octant."""
    image = np.ones((24, 24, 24), np.float32)
    image[14:20, 14:20, 14:20] = 9
    dims = ("z", "y", "x")
    attrs = {"affine": np.diag([2.0, 2, 2, 1]).tolist(), "voxel_size_mm": [2.0, 2.0, 2.0],
             "input": "a", "command": "sciddm", "seconds": 1.0, "consistency": 1.0}  # fmt: skip
    upright = xr.Dataset({"mask": (dims, image), "reconstruction": (dims, image)}, attrs=attrs)
    stored = restored(upright, codes, tilt)
    stored = stored.drop_vars("mask").rename(z="slice")
    from sciddm.pipelines.mri.page import _sections

    letters, (column, row) = STORED.get(codes, (AXIAL, (0, 0)))
    *shown, last = _sections(stored)
    bright = 0
    for section in shown:
        for panel in section.panels:
            assert panel.letters == letters
            if panel.image.max() < 50:
                continue
            rows, columns = np.nonzero(panel.image > 0.5 * panel.image.max())
            if 0 < len(rows) < 0.5 * panel.image.size:
                bright += 1
                assert (columns.mean() > 11.5) == column
                assert (rows.mean() > 11.5) == row
    assert bright
    assert last.viewers[0].view.letters == letters


def test_mri_is_shown_in_the_convention():
    """A bright spot at low x and y, the patient's left and back: it is seen right, below."""
    image = np.ones((1, 32, 40), np.float32)
    image[0, 4:9, 4:9] = 9
    dims = ("slice", "y", "x")
    attrs = {"affine": np.diag([2.0, 2, 5, 1]).tolist(), "voxel_size_mm": [5.0, 2.0, 2.0],
             "input": "a", "command": "sciddm", "seconds": 1.0, "consistency": 1.0}  # fmt: skip
    result = xr.Dataset(
        {"reconstruction": (dims, image), "zero_filled": (dims, image / 2)}, attrs=attrs
    )
    from sciddm.pipelines.mri.page import _sections

    first, last = _sections(result)
    assert {panel.letters for panel in first.panels} == {AXIAL}
    rows, columns = np.nonzero(first.panels[0].image > 0.5 * first.panels[0].image.max())
    assert rows.mean() > 16
    assert columns.mean() > 20
    assert "radiological convention" in first.text
    assert last.viewers[0].view.letters == AXIAL
    unknown, _ = _sections(result.assign_attrs(orientation_known=False))
    assert {panel.letters for panel in unknown.panels} == {None}
    assert "does not state the orientation" in unknown.text
