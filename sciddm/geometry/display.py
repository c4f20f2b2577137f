"""How a plane of a volume is shown: the radiological convention, and letters at its edges.

With the columns d_x, d_y, d_z of an affine, normalised, each array axis is assigned to one axis of
the patient (R, A, S) so that the sum of |d_i . e_j| is largest. The plane is named by the patient's
axis along its normal, and shown as a radiologist looks at it:

    axial      patient's right on the left, front on top
    coronal    patient's right on the left, head on top
    sagittal   patient's front on the left, head on top

The letters come from the directions themselves, not from the assignment: an edge of an oblique
plane has a letter for each axis of the patient within 67.5 degrees, the nearest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Letters",
    "Upright",
    "View",
    "letters_of",
    "upright",
    "upright_of",
    "view",
    "view_of",
]

#: Letters of the positive and the negative direction of each axis of RAS.
_NAMES = (("R", "L"), ("A", "P"), ("S", "I"))
_PLANES = ("sagittal", "coronal", "axial")  # by the axis along the normal
#: Signs of the RAS axes that run to the right and down in the radiological convention.
_ACROSS = {"axial": (0, -1), "coronal": (0, -1), "sagittal": (1, -1)}
_DOWN = {"axial": (1, -1), "coronal": (2, -1), "sagittal": (2, -1)}
_LEAST_COSINE = np.cos(np.deg2rad(67.5))


class Letters(NamedTuple):
    """What lies at the edges of an image."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True)
class View:
    """From a plane of an array (rows, columns, ...) to how it is shown.

    Attributes:
        plane: axial, coronal or sagittal; empty where the orientation is unknown.
        letters: at the edges; None where the orientation is unknown.
        transpose: rows and columns change places, before the flips.
        flip_rows: the last row comes first.
        flip_columns: the last column comes first.
    """

    plane: str = ""
    letters: Letters | None = None
    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        """The image as it is shown.

        Args:
            image: (rows, columns, ...) of the array.
        """
        shown = np.swapaxes(image, 0, 1) if self.transpose else image
        shown = shown[::-1] if self.flip_rows else shown
        return shown[:, ::-1] if self.flip_columns else shown

    def pixel(self, size_mm: tuple[float, float]) -> tuple[float, float]:
        """Pixel size (rows, columns) of what is shown, from that of the array."""
        return (size_mm[1], size_mm[0]) if self.transpose else size_mm

    @property
    def sentence(self) -> str:
        """What a reader must know of left and right."""
        if self.letters is None:
            return (
                "The file does not state the orientation. Array row 0 is on top, and left and "
                "right may be swapped."
            )
        side = "front" if self.plane == "sagittal" else "right"
        name = f"{self.plane[0].upper()}{self.plane[1:]}"
        return f"{name} view in the radiological convention: the patient's {side} is on the left."


@dataclass(frozen=True)
class Upright:
    """From a volume (z, y, x) to planes of all three directions as a radiologist looks at them.

    In the upright volume the first axis runs from head to feet, the second from front to back, and
    the third from the patient's right to the left, so that a plane along each axis is shown as it
    is: axial, coronal, sagittal.

    Attributes:
        order: the array's axes in the order of the upright volume's.
        flips: which of the upright volume's axes run against the array's.
        names: of the planes along each axis; of the array's axes where the orientation is unknown.
        letters: at the edges of these planes; None where the orientation is unknown.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)
    names: tuple[str, str, str] = ("z plane", "y plane", "x plane")
    letters: tuple[Letters | None, Letters | None, Letters | None] = (None, None, None)

    def __call__(self, volume: NDArray[Any]) -> NDArray[Any]:
        """The upright volume.

        Args:
            volume: (z, y, x) of the array.
        """
        turned = np.transpose(volume, self.order)
        return np.flip(turned, tuple(k for k in range(3) if self.flips[k]))

    def size(self, voxel_mm: Sequence[float]) -> tuple[float, float, float]:
        """Voxel size along the upright volume's axes, from that of the array (z, y, x)."""
        first, second, third = (float(voxel_mm[k]) for k in self.order)
        return first, second, third

    def index(self, axis: int, place: int, count: int) -> int:
        """Index in the array of a place along an axis of the upright volume."""
        return count - 1 - place if self.flips[axis] else place


def letters_of(direction: ArrayLike) -> str:
    """The letters of a direction: R, L, A, P, S, I, the nearest first.

    Args:
        direction: (3,), RAS, of any length but 0.
    """
    unit = np.asarray(direction, dtype=np.float64)
    unit = unit / np.linalg.norm(unit)
    order = np.argsort(-np.abs(unit), kind="stable")
    near = [int(k) for k in order if abs(unit[k]) > _LEAST_COSINE]
    return "".join(_NAMES[k][0 if unit[k] > 0 else 1] for k in near)


def view(affine: ArrayLike, axis: int = 0) -> View:
    """How the planes of a volume are shown.

    Args:
        affine: 4 x 4, of the indices (x, y, z), RAS, mm, not singular.
        axis: of the array (z, y, x), along which planes are taken; the rows and columns of a plane
            are the other two axes in their order.
    """
    directions, patient = _assigned(affine)
    plane = _PLANES[patient[axis]]
    rows, across = (k for k in range(3) if k != axis)
    (wanted, sign_across), (_, sign_down) = _ACROSS[plane], _DOWN[plane]
    transpose = patient[across] != wanted
    if transpose:
        rows, across = across, rows
    flip_rows = bool(directions[rows][patient[rows]] * sign_down < 0)
    flip_columns = bool(directions[across][patient[across]] * sign_across < 0)
    down = -directions[rows] if flip_rows else directions[rows]
    right = -directions[across] if flip_columns else directions[across]
    letters = Letters(letters_of(-right), letters_of(right), letters_of(-down), letters_of(down))
    return View(plane, letters, transpose, flip_rows, flip_columns)


def view_of(attrs: Mapping[Any, Any], axis: int = 0) -> View:
    """How the planes of a volume with these attributes are shown.

    The array stays as it is where the orientation is unknown: no ``affine``, one that is singular,
    or ``orientation_known`` false.

    Args:
        attrs: of the volume, or of a result.
        axis: see ``view``.
    """
    affine = _usable(attrs)
    return View() if affine is None else view(affine, axis)


def upright(affine: ArrayLike) -> Upright:
    """How a volume is turned to stand upright.

    Args:
        affine: as of ``view``.
    """
    directions, patient = _assigned(affine)
    first, second, third = (patient.index(axis) for axis in (2, 1, 0))
    order = (first, second, third)
    # Each axis of the upright volume runs against one of S, A, R.
    flips = [bool(directions[k][axis] > 0) for k, axis in zip(order, (2, 1, 0), strict=True)]
    down, back, left = (
        -directions[k] if flip else directions[k] for k, flip in zip(order, flips, strict=True)
    )

    def letters(right: NDArray[np.float64], below: NDArray[np.float64]) -> Letters:
        return Letters(letters_of(-right), letters_of(right), letters_of(-below), letters_of(below))

    return Upright(
        order,
        (flips[0], flips[1], flips[2]),
        ("axial", "coronal", "sagittal"),
        (letters(left, back), letters(left, down), letters(back, down)),
    )


def upright_of(attrs: Mapping[Any, Any]) -> Upright:
    """How a volume with these attributes is turned; not at all where the orientation is unknown.

    Args:
        attrs: of the volume, or of a result; see ``view_of``.
    """
    affine = _usable(attrs)
    return Upright() if affine is None else upright(affine)


def _assigned(affine: ArrayLike) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Directions of the array's axes z, y, x, and the patient's axis that is next to each."""
    columns = np.asarray(affine, dtype=np.float64)[:3, :3]
    directions = (columns / np.linalg.norm(columns, axis=0)).T[::-1]
    patient = max(
        permutations(range(3)), key=lambda p: sum(abs(directions[k][p[k]]) for k in range(3))
    )
    return directions, patient


def _usable(attrs: Mapping[Any, Any]) -> NDArray[np.float64] | None:
    """The affine of attributes, where it states an orientation."""
    affine = attrs.get("affine")
    if affine is None or not attrs.get("orientation_known", True):
        return None
    values = np.asarray(affine, dtype=np.float64)
    if values.shape != (4, 4) or not np.isfinite(values).all():
        return None
    lengths = np.linalg.norm(values[:3, :3], axis=0)
    if not lengths.all() or abs(np.linalg.det(values[:3, :3] / lengths)) < 1e-3:
        return None
    return values
