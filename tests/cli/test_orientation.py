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


def test_pet_ct_is_shown_in_the_convention():
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
    page = segmentation_page(None, result.assign_attrs(input="a", command="sciddm"))
    panels = {panel.title: panel for panel in page.sections[0].panels}
    assert {panel.letters for panel in panels.values()} == {AXIAL}
    # The lesion's crop is cut off by the volume's right and front: the ball lies left, above.
    mask = panels["Probability"].image > 0.5
    rows, columns = np.nonzero(mask)
    assert columns.mean() < mask.shape[1] / 2
    assert rows.mean() < mask.shape[0] / 2
    [viewer] = page.sections[-1].viewers
    assert viewer.view.letters == AXIAL
    assert viewer.inverse


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
