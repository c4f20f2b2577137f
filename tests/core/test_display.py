"""A plane is shown as a radiologist looks at it, whatever the order of the array is."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from sciddm.geometry.display import Letters, View, letters_of, view, view_of

#: A point of the patient in each direction from the centre, RAS / mm.
MARKS = {"R": (30, 0, 0), "L": (-30, 0, 0), "A": (0, 30, 0), "P": (0, -30, 0),
         "S": (0, 0, 30), "I": (0, 0, -30)}  # fmt: skip
VALUES = dict(zip("RLAPSI", range(1, 7), strict=True))
SHAPE = (15, 17, 13)  # z, y, x: no axis can be taken for another


def stored(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    """An affine whose x, y, z run along the RAS axes `order` with `signs`, its middle at 0."""
    affine = np.zeros((4, 4))
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[axis, column] = sign * 5.0
    affine[3, 3] = 1
    middle = (np.array(SHAPE[::-1]) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ middle
    return affine


def marked(affine: np.ndarray) -> np.ndarray:
    """A volume whose voxels at the marks have the values of their letters."""
    volume = np.zeros(SHAPE)
    for name, place in MARKS.items():
        x, y, z = np.rint(np.linalg.solve(affine, [*place, 1])[:3]).astype(int)
        volume[z, y, x] = VALUES[name]
    return volume


def edges(image: np.ndarray) -> Letters:
    """The letter of the mark on each side of the middle of an image."""
    row, column = image.shape[0] // 2, image.shape[1] // 2
    names = {v: k for k, v in VALUES.items()}
    sides = (image[row, :column], image[row, column + 1 :], image[:row, column],
             image[row + 1 :, column])  # fmt: skip
    return Letters(*(names[int(side.max())] for side in sides))


CONVENTION = {
    "axial": Letters("R", "L", "A", "P"),
    "coronal": Letters("R", "L", "S", "I"),
    "sagittal": Letters("A", "P", "S", "I"),
}


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", [*product((1, -1), repeat=3)])
def test_every_order_of_storage_is_shown_in_the_convention(order, signs):
    affine = stored(order, signs)
    volume = marked(affine)
    for axis in range(3):
        how = view(affine, axis)
        plane = np.take(volume, SHAPE[axis] // 2, axis)
        assert how.plane == ("sagittal", "coronal", "axial")[order[2 - axis]]
        assert how.letters == CONVENTION[how.plane]
        assert edges(how(plane)) == CONVENTION[how.plane]


def test_ras_lps_and_sagittal_by_hand():
    """RAS: row 0 is at the back, column 0 on the left of the patient: both are flipped."""
    ras, lps = np.diag([1.0, 1, 1, 1]), np.diag([-1.0, -1, 1, 1])
    assert view(ras) == View("axial", CONVENTION["axial"], False, True, True)
    assert view(lps) == View("axial", CONVENTION["axial"], False, False, False)
    # z runs to the left, y down, x to the back: the array is shown as it is.
    sagittal = np.array([[0.0, 0, -1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    assert view(sagittal) == View("sagittal", CONVENTION["sagittal"], False, False, False)


def turned(degrees: float) -> np.ndarray:
    """LPS, turned about the body's axis: x runs from the left to the back."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[-c, s, 0, 0], [-s, -c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("degrees", "letters"),
    [(10, ("R", "L", "A", "P")), (22, ("R", "L", "A", "P")), (30, ("RA", "LP", "AL", "PR")),
     (-30, ("RP", "LA", "AR", "PL"))],
)  # fmt: skip
def test_oblique_edges_have_the_letters_of_their_directions(degrees, letters):
    how = view(turned(degrees))
    assert (how.transpose, how.flip_rows, how.flip_columns) == (False, False, False)
    assert how.letters == Letters(*letters)


def test_letters_of_directions():
    assert letters_of([0, 0, -2.5]) == "I"
    assert letters_of([1, 1, 1]) == "RAS"
    assert letters_of([-3, 2, 0.1]) == "LA"


def test_a_sheared_affine_of_a_tilted_gantry_stays_axial():
    affine = np.diag([-1.0, -1, 5, 1])
    affine[1, 2] = 1.5
    assert view(affine).plane == "axial"
    assert view(affine).letters == CONVENTION["axial"]


@pytest.mark.parametrize(
    "attrs",
    [{}, {"affine": None}, {"affine": np.eye(4), "orientation_known": False},
     {"affine": np.zeros((4, 4))},
     {"affine": np.eye(3)}, {"affine": np.full((4, 4), np.nan)}],
)  # fmt: skip
def test_an_unknown_orientation_has_no_letters_and_says_so(attrs):
    how = view_of(attrs)
    assert how == View()
    assert "does not state the orientation" in how.sentence
    image = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(how(image), image)


def test_pixels_and_colours_follow():
    affine = stored((1, 0, 2), (1, 1, 1))  # x runs to the front: rows and columns change places
    how = view_of({"affine": affine.tolist(), "orientation_known": True})
    assert how.transpose
    assert how.pixel((1.0, 2.0)) == (2.0, 1.0)
    assert how(np.zeros((4, 6, 3))).shape == (6, 4, 3)
    assert "right is on the left" in how.sentence
