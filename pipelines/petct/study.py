"""A study on one grid: PET, CT and, where it is known, the mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.geometry.grid import Grid

__all__ = ["Study"]


@dataclass(frozen=True)
class Study:
    """Volumes (z, y, x) of one grid.

    Attributes:
        name: of the patient or case.
        suv: PET, SUV.
        hu: CT, HU.
        mask: tumour.
        grid: where they lie.
    """

    name: str
    suv: NDArray[Any]
    hu: NDArray[Any]
    mask: NDArray[np.bool_]
    grid: Grid
