"""Affines against positions computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.geometry.affine import centred_affine, oriented_affine, voxel_sizes


def test_centred_affine_puts_the_centre_of_the_fft_at_the_origin() -> None:
    affine = centred_affine([5.0, 0.9, 0.8], (3, 7, 10))
    assert affine is not None
    np.testing.assert_allclose(affine @ [5, 3, 1, 1], [0, 0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(affine @ [6, 3, 1, 1], [0.8, 0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(affine @ [5, 4, 1, 1], [0, 0.9, 0, 1], atol=1e-12)
    np.testing.assert_allclose(affine @ [5, 3, 2, 1], [0, 0, 5, 1], atol=1e-12)


def test_unknown_voxel_size_has_no_affine() -> None:
    assert centred_affine([math.nan, 1, 1], (1, 4, 4)) is None
    assert centred_affine([0.0, 1, 1], (1, 4, 4)) is None


def test_axial_slices_of_a_patient_lying_on_the_back() -> None:
    """x to the patient's left (L), y to the back (P), slices towards the head (S), LPS."""
    positions = [[10.0, 20.0, 30.0], [10.0, 20.0, 36.0]]
    affine = oriented_affine(positions, (1, 0, 0), (0, 1, 0), (0, 0, 1), [5, 2, 3], (2, 8, 6))
    assert affine is not None
    # The centre of the field of view, voxel N//2, is the position: left 10 mm is right -10 mm.
    np.testing.assert_allclose(affine @ [3, 4, 0, 1], [-10, -20, 30, 1])
    np.testing.assert_allclose(affine @ [3, 4, 1, 1], [-10, -20, 36, 1])
    np.testing.assert_allclose(affine @ [4, 4, 0, 1], [-13, -20, 30, 1])
    np.testing.assert_allclose(affine @ [3, 5, 0, 1], [-10, -22, 30, 1])
    assert voxel_sizes(affine) == pytest.approx([6, 2, 3])


def test_coronal_slice_with_the_thickness_as_its_depth() -> None:
    affine = oriented_affine([[0, 0, 0]], (1, 0, 0), (0, 0, -1), (0, 1, 0), [4, 1, 1], (1, 4, 4))
    assert affine is not None
    np.testing.assert_allclose(affine[:3, :3] @ [0, 1, 0], [0, 0, -1])
    np.testing.assert_allclose(affine[:3, :3] @ [0, 0, 1], [0, -4, 0])


@pytest.mark.parametrize(
    ("read", "phase", "normal"),
    [
        ((0, 0, 0), (0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (1, 0, 0), (0, 0, 1)),
        ((math.nan, 0, 0), (0, 1, 0), (0, 0, 1)),
    ],
)
def test_directions_that_are_no_frame_give_no_affine(
    read: tuple[float, ...], phase: tuple[float, ...], normal: tuple[float, ...]
) -> None:
    assert oriented_affine([[0, 0, 0]], read, phase, normal, [1, 1, 1], (1, 4, 4)) is None


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(*[st.floats(-math.pi, math.pi)] * 3),
    st.tuples(*[st.floats(-200, 200)] * 3),
    st.tuples(*[st.floats(0.2, 10)] * 3),
    st.integers(2, 5),
)
def test_any_orientation_keeps_sizes_and_places(
    angles: tuple[float, ...],
    centre: tuple[float, ...],
    size: tuple[float, ...],
    slices: int,
) -> None:
    a, b, c = angles
    turn = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    spin = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    frame = turn @ tilt @ spin
    positions = np.array(centre) + np.arange(slices)[:, None] * size[0] * frame[:, 2]
    affine = oriented_affine(positions, frame[:, 0], frame[:, 1], frame[:, 2], size, (slices, 6, 9))
    assert affine is not None
    assert voxel_sizes(affine) == pytest.approx(size, rel=1e-9)
    for k in range(slices):
        place = affine @ [9 // 2, 6 // 2, k, 1]
        np.testing.assert_allclose(place[:3] * [-1, -1, 1], positions[k], atol=1e-9)
