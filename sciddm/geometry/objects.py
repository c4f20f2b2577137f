"""Connected objects of a mask."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

__all__ = ["objects"]


def objects(mask: ArrayLike, structure: ArrayLike | None = None) -> tuple[NDArray[np.int32], int]:
    """Number the connected objects of a mask, in the order of their first voxels.

    Args:
        mask: bool, of any shape.
        structure: 3 in each dimension, which neighbours touch; those with a common face if None.

    Returns:
        The object of each voxel in the shape of the mask, 0 outside of all, and their count.
    """
    # SciPy's result depends on its argument `output`, which types cannot say.
    return cast("tuple[NDArray[np.int32], int]", ndimage.label(mask, structure))
