"""What was searched for tumours, and what that means for the lesions at its ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.geometry.grid import Grid
from sciddm.pipelines.petct.region import Region

__all__ = ["cut_lesions", "remarks_on_lesions", "searched_voxels"]

_FACES = ndimage.generate_binary_structure(3, 1)


def searched_voxels(ct: Grid, model: Grid, region: Region | None) -> NDArray[np.bool_]:
    """Voxels (z, y, x) of the CT that the model saw and the region holds.

    Args:
        ct: grid of the result.
        model: grid that was searched.
        region: that was named, None for all.
    """
    searched = Region(*model.box()).contains(ct)
    if region is not None:
        searched &= region.contains(ct)
    return searched


def cut_lesions(labels: NDArray[np.int32], searched: NDArray[np.bool_]) -> list[int]:
    """Numbers of the lesions with a voxel beside one that was not searched, or beside none.

    Args:
        labels: (z, y, x), the number of the lesion of each voxel, 0 for none.
        searched: (z, y, x).
    """
    cut = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        widths = [
            (int(s.start == 0), int(s.stop == n)) for s, n in zip(box, labels.shape, strict=True)
        ]
        lesion = np.pad(labels[around] == number, widths)
        unknown = np.pad(~searched[around], widths, constant_values=True)
        if (ndimage.binary_dilation(lesion, _FACES) & unknown).any():
            cut.append(number)
    return cut


def remarks_on_lesions(
    labels: NDArray[np.int32],
    searched: NDArray[np.bool_],
    grid: Grid,
    point: Sequence[float] | None,
) -> list[str]:
    """Warnings: of lesions that may go on beyond, and of a point where no tumour was found.

    Args:
        labels: (z, y, x), the number of the lesion of each voxel, 0 for none.
        searched: (z, y, x).
        grid: of both.
        point: x, y, z, mm, that the user called tumour.
    """
    remarks = []
    cut = cut_lesions(labels, searched)
    if cut:
        names = ", ".join(map(str, cut[:5])) + (" ..." if len(cut) > 5 else "")
        word, verb = ("lesions", "reach") if len(cut) > 1 else ("lesion", "reaches")
        remarks.append(
            f"{word} {names} {verb} the end of what was searched and may go on beyond it: volume "
            "and TLG may be too small"
        )
    if point is not None and labels.any():
        places = np.argwhere(labels > 0)[:, ::-1]
        mm = places @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        nearest = float(np.linalg.norm(mm - np.asarray(point, np.float64), axis=1).min())
        if nearest > max(grid.spacing_mm):
            remarks.append(
                f"no tumour was found at the point: the nearest is {nearest:.0f} mm from it"
            )
    return remarks
